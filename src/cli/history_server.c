/* `stele history` by a server: its answers, page by page. */
#include "cli/ask.h"
#include "cli/history.h"
#include "json/json.h"

enum { PATH_BYTES = 64 * 1024, ANSWER_DEPTH = 1100, PAGE = 1000 };

struct answer {
    struct span events;
    struct buffer cursor;
    bool more, resumed;
};

static bool is_text(const struct doc *doc, uint32_t object, const char *name, const char *text)
{
    uint32_t found = doc_member(doc, object, name);
    return found != DOC_NONE && span_equal(doc_text(doc, found), span_of(text));
}

static bool take_answer(struct answer *answer, const struct doc *doc, uint32_t root,
                        struct error *error)
{
    uint32_t events = doc_member(doc, root, "events"), cursor = doc_member(doc, root, "cursor");
    if (events == DOC_NONE || doc->nodes[events].type != DOC_ARRAY || cursor == DOC_NONE ||
        doc->nodes[cursor].type != DOC_STRING)
        return error_set(error, ERROR_NETWORK, "the server answered without events");
    if (is_text(doc, root, "resumed", "false"))
        return error_set(error, ERROR_QUEUE_FULL,
                         "the log was trimmed while it was read; try again");
    answer->events = doc_text(doc, events);
    answer->more = is_text(doc, root, "more", "true");
    buffer_clear(&answer->cursor);
    return (doc_decode_string(doc, cursor, &answer->cursor) && buffer_string(&answer->cursor)) ||
           error_set(error, ERROR_MEMORY, "out of memory");
}

static bool print_path(const struct history_command *command, const struct answer *answer,
                       struct buffer *path)
{
    int64_t left = command->options->count - command->count;
    buffer_printf(path, "/v1/history?take=%lld&view=", (long long)(left < PAGE ? left : PAGE));
    ask_encode(path, buffer_span(&command->view));
    buffer_add_string(path, "&key=");
    ask_encode(path, span_of(command->key));
    if (answer->cursor.length) {
        buffer_add_string(path, "&after=");
        ask_encode(path, buffer_span(&answer->cursor));
    }
    return buffer_string(path) != NULL;
}

static bool read_page(struct history_command *command, struct ask *ask, struct answer *answer,
                      struct error *error)
{
    struct ask_request request = {.method = NULL};
    struct buffer path;
    struct span body;
    struct doc doc;
    uint32_t root;
    buffer_init(&path, PATH_BYTES);
    doc_init(&doc, UINT32_MAX / 2, UINT32_MAX / 2);
    bool done = print_path(command, answer, &path) ||
                error_set(error, ERROR_INVALID_PARAMETER, "what is asked for is too long");
    request.path = path.data;
    done = done && ask_server(ask, &request, &body, error) &&
           doc_parse(&doc, body, ANSWER_DEPTH, &root, error) &&
           take_answer(answer, &doc, root, error) &&
           history_print_events(&command->print,
                                span_make(answer->events.data + 1, answer->events.length - 2),
                                command->options->count, &command->count, error);
    doc_fini(&doc);
    buffer_fini(&path);
    return done;
}

static bool read_changes(struct history_command *command, struct ask *ask, struct error *error)
{
    struct answer answer = {.more = true};
    bool done = true;
    buffer_init(&answer.cursor, PATH_BYTES);
    while (done && answer.more && command->count < command->options->count && !ferror(stdout))
        done = read_page(command, ask, &answer, error);
    buffer_fini(&answer.cursor);
    return done;
}

/* ---- a former state ---- */

/* The slash of a view's id stands as it is. */
static bool print_view_path(const struct history_command *command, struct buffer *path)
{
    const char *view = command->view.data;
    size_t name = strcspn(view, "/");
    buffer_add_string(path, "/v1/views/");
    ask_encode(path, span_make(view, name));
    buffer_add_string(path, "/");
    ask_encode(path, span_of(view + name + 1));
    buffer_add_string(path, "?as_of=");
    ask_encode(path, span_of(command->options->as_of));
    if (command->key) {
        buffer_add_string(path, "&key=");
        ask_encode(path, span_of(command->key));
    } else if (command->options->count != INT64_MAX) {
        buffer_printf(path, "&take=%lld", (long long)command->options->count);
    }
    return buffer_string(path) != NULL;
}

static bool print_rows(struct history_command *command, const struct doc *doc, uint32_t root,
                       struct error *error)
{
    uint32_t rows = doc_member(doc, root, "rows");
    uint32_t end = doc->nodes[rows].end;
    struct buffer key;
    bool done = true;
    buffer_init(&key, UINT32_MAX);
    for (uint32_t row = rows + 1; done && row < end; row = doc->nodes[row].end) {
        uint32_t name = doc_member(doc, row, "key"), data = doc_member(doc, row, "data");
        buffer_clear(&key);
        done = name != DOC_NONE && data != DOC_NONE && doc_decode_string(doc, name, &key) &&
               history_print_keyed(NULL, buffer_span(&key), doc_text(doc, data), error);
        command->count++;
    }
    buffer_fini(&key);
    if (done && is_text(doc, root, "more", "true"))
        fprintf(stderr, "stele history: the view had more rows; --count N prints so many\n");
    return done || error_set(error, ERROR_NETWORK, "the server answered without rows");
}

static bool take_row(struct history_command *command, const struct doc *doc, uint32_t root,
                     struct error *error)
{
    uint32_t rows = doc_member(doc, root, "rows"), offset = doc_member(doc, root, "offset");
    int64_t at = 0;
    if (rows == DOC_NONE || offset == DOC_NONE || !doc_integer(doc, offset, &at))
        return error_set(error, ERROR_NETWORK, "the server answered without rows");
    if (!command->key)
        return print_rows(command, doc, root, error);
    uint32_t row = doc_first(doc, rows);
    uint32_t data = row == DOC_NONE ? row : doc_member(doc, row, "data");
    return history_print_row(&command->print, NULL, span_of(command->key),
                             data == DOC_NONE ? span_make(NULL, 0) : doc_text(doc, data), at,
                             error);
}

static bool read_as_of(struct history_command *command, struct ask *ask, struct error *error)
{
    struct ask_request request = {.method = NULL};
    struct buffer path;
    struct span body;
    struct doc doc;
    uint32_t root;
    buffer_init(&path, PATH_BYTES);
    doc_init(&doc, UINT32_MAX / 2, UINT32_MAX / 2);
    bool done = print_view_path(command, &path) ||
                error_set(error, ERROR_INVALID_PARAMETER, "what is asked for is too long");
    request.path = path.data;
    done = done && ask_server(ask, &request, &body, error) &&
           doc_parse(&doc, body, ANSWER_DEPTH, &root, error) &&
           take_row(command, &doc, root, error);
    doc_fini(&doc);
    buffer_fini(&path);
    return done;
}

bool history_of_server(struct history_command *command, struct error *error)
{
    const struct history_options *options = command->options;
    struct ask ask;
    bool done = ask_open(&ask, &options->access, options->url, error) &&
                (options->as_of ? read_as_of : read_changes)(command, &ask, error);
    ask_close(&ask);
    return done;
}
