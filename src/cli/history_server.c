/* `stele history` by a server: its answers, page by page. */
#include "cli/ask.h"
#include "cli/history.h"
#include "cli/pages.h"

enum { PATH_BYTES = 64 * 1024, PAGE = 1000 };

/* ---- the changes ---- */

struct reading {
    struct history_command *command;
    struct pages pages;
};

static bool take_answer(void *argument, const struct doc *doc, uint32_t root, struct error *error)
{
    struct reading *reading = argument;
    struct history_command *command = reading->command;
    uint32_t events;
    if (!pages_take(&reading->pages, doc, root, &events, error))
        return false;
    if (events == DOC_NONE)
        return error_set(error, ERROR_QUEUE_FULL,
                         "the log was trimmed while it was read; try again");
    history_print_list(&command->print, doc, events, command->options->count, &command->count);
    return true;
}

static void print_path(const struct reading *reading, struct buffer *path)
{
    const struct history_command *command = reading->command;
    const struct buffer *cursor = &reading->pages.cursor;
    int64_t left = command->options->count - command->count;
    buffer_printf(path, "/v1/history?take=%lld", (long long)(left < PAGE ? left : PAGE));
    ask_add(path, "view", buffer_span(&command->view));
    ask_add(path, "key", span_of(command->key));
    ask_add(path, "after", span_of(cursor->length ? cursor->data : NULL));
}

static bool read_page(struct reading *reading, struct ask *ask, struct error *error)
{
    struct buffer path;
    buffer_init(&path, PATH_BYTES);
    print_path(reading, &path);
    bool done = ask_json(ask, &path, take_answer, reading, error);
    buffer_fini(&path);
    return done;
}

static bool read_changes(struct history_command *command, struct ask *ask, struct error *error)
{
    struct reading reading = {.command = command, .pages.more = true};
    bool done = true;
    buffer_init(&reading.pages.cursor, PATH_BYTES);
    while (done && reading.pages.more && command->count < command->options->count &&
           !ferror(stdout))
        done = read_page(&reading, ask, error);
    buffer_fini(&reading.pages.cursor);
    return done;
}

/* ---- a former state ---- */

static void print_view_path(const struct history_command *command, struct buffer *path)
{
    buffer_add_string(path, "/v1/views/");
    ask_add_view(path, command->view.data);
    buffer_add_string(path, "?as_of=");
    ask_encode(path, span_of(command->options->as_of));
    ask_add(path, "key", span_of(command->key));
    if (!command->key && command->options->count != INT64_MAX)
        buffer_printf(path, "&take=%lld", (long long)command->options->count);
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
    if (done && doc_member_is(doc, root, "more", "true"))
        fprintf(stderr, "stele history: the view had more rows; --count N prints so many\n");
    return done || error_set(error, ERROR_NETWORK, "the server answered without rows");
}

static bool take_rows(void *argument, const struct doc *doc, uint32_t root, struct error *error)
{
    struct history_command *command = argument;
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
    struct buffer path;
    buffer_init(&path, PATH_BYTES);
    print_view_path(command, &path);
    bool done = ask_json(ask, &path, take_rows, command, error);
    buffer_fini(&path);
    return done;
}

bool history_of_server(struct history_command *command, struct error *error)
{
    const struct history_options *options = command->options;
    struct ask ask;
    bool done = ask_open(&ask, &options->access, options->url, error);
    ask.has_file = true;
    done = done && (options->as_of ? read_as_of : read_changes)(command, &ask, error);
    ask_close(&ask);
    return done;
}
