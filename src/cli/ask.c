#include "cli/ask.h"

#include "cli/query.h"
#include "cli/token.h"

enum {
    ANSWER_BYTES = 32 * 1024 * 1024,
    ANSWER_DEPTH = 1100,
    URL_BYTES = 16 * 1024,
    SORT_BYTES = 64 * 1024,
    SHOWN_URL = 200
};
enum { CONNECT_MS = 10 * 1000, TOTAL_MS = 30 * 1000 };

static void on_news(void *ask)
{
    sem_post(&((struct ask *)ask)->news);
}

static void on_answer(void *argument, struct outbound_answer *answer)
{
    struct ask *ask = argument;
    buffer_fini(&ask->answer.body);
    ask->answer = *answer;
    ask->answered = true;
    buffer_init(&answer->body, 0);
}

/* ---- opening ---- */

static bool read_url(struct ask *ask, const char *given, struct error *error)
{
    bool is_socket = strncmp(given, "ws://", 5) == 0 || strncmp(given, "wss://", 6) == 0;
    buffer_add_string(&ask->base, is_socket ? "http" : "");
    buffer_add_string(&ask->base, is_socket ? given + 2 : given);
    if (!buffer_string(&ask->base))
        return error_set(error, ERROR_INVALID_PARAMETER, "the URL is too long");
    if (!outbound_check_url(ask->base.data, error))
        return false;
    while (ask->base.length && ask->base.data[ask->base.length - 1] == '/')
        ask->base.length--;
    return true;
}

static bool read_token(struct ask *ask, const struct client_access *access, struct error *error)
{
    ask->token = span_of(access->token);
    if (!access->token_file)
        return true;
    if (!token_read_text(access->token_file, &ask->file, &ask->token, error))
        return false;
    /* Its end is where the white space behind it began. */
    ask->file.data[ask->token.data - ask->file.data + (ptrdiff_t)ask->token.length] = '\0';
    return true;
}

bool ask_open(struct ask *ask, const struct access_options *options, const char *url,
              struct error *error)
{
    *ask = (struct ask){.outbound = NULL};
    buffer_init(&ask->base, URL_BYTES);
    buffer_init(&ask->file, TOKEN_FILE_BYTES);
    buffer_init(&ask->answer.body, 0);
    struct client_access access = access_read(options, url);
    struct outbound_options outbound_options = {access.ca_file, on_news, ask};
    if (!read_url(ask, url, error) || !read_token(ask, &access, error))
        return false;
    ask->has_news = sem_init(&ask->news, 0, 0) == 0;
    if (!ask->has_news)
        return error_set(error, ERROR_INTERNAL, "cannot make a semaphore");
    ask->outbound = outbound_open(&outbound_options, error);
    return ask->outbound != NULL;
}

void ask_close(struct ask *ask)
{
    outbound_close(ask->outbound);
    if (ask->has_news)
        sem_destroy(&ask->news);
    buffer_fini(&ask->answer.body);
    buffer_fini(&ask->base);
    buffer_fini(&ask->file);
}

/* ---- paths ---- */

void ask_encode(struct buffer *out, struct span text)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_~";
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] && strchr(plain, text.data[i]))
            buffer_add_char(out, text.data[i]);
        else
            buffer_printf(out, "%%%02X", (unsigned char)text.data[i]);
    }
}

void ask_add_view(struct buffer *path, const char *view)
{
    size_t name = strcspn(view, "/");
    ask_encode(path, span_make(view, name));
    if (view[name]) {
        buffer_add_char(path, '/');
        ask_encode(path, span_of(view + name + 1));
    }
}

void ask_add(struct buffer *path, const char *name, struct span value)
{
    if (!value.data)
        return;
    buffer_printf(path, "&%s=", name);
    ask_encode(path, value);
}

void ask_add_filters(struct buffer *path, const struct option_texts *filters)
{
    for (size_t i = 0; i < filters->count; i++) {
        const char *text = filters->items[i];
        size_t name = strcspn(text, "=");
        ask_add(path, "filter", span_make(text, name));
        buffer_add_string(path, "%3A");
        ask_encode(path, span_of(text + name + 1));
    }
}

bool ask_add_sorts(struct buffer *path, const struct option_texts *sorts)
{
    const struct query_options query = {.sorts = *sorts};
    static const char before[] = ",\"sort\":";
    struct buffer text;
    buffer_init(&text, SORT_BYTES);
    bool done = query_print(&text, &query);
    if (done && text.length)
        ask_add(path, "sort",
                span_make(text.data + sizeof before - 1, text.length - (sizeof before - 1)));
    buffer_fini(&text);
    return done;
}

/* ---- a request ---- */

static int shown_length(const struct ask *ask)
{
    return ask->base.length > SHOWN_URL ? SHOWN_URL : (int)ask->base.length;
}

bool ask_is_strange(const struct ask *ask, struct error *error)
{
    struct error cause = *error;
    return error_set(error, ERROR_NETWORK,
                     "%.*s answered 200 with what is no JSON (%.100s): it is no stele, or the path "
                     "is missing that a proxy has it at",
                     shown_length(ask), ask->base.data, cause.message);
}

/* The server's words about an error are in the body. */
static bool read_answer(struct ask *ask, struct error *error)
{
    const struct outbound_answer *answer = &ask->answer;
    int length = shown_length(ask);
    if (answer->error.code != ERROR_NONE) {
        *error = answer->error;
        return error_prefix(error, "no server answers at %.*s%s", length, ask->base.data,
                            ask->has_file ? " (when none has the database open, use --db)" : "");
    }
    if (answer->status == 200)
        return true;
    struct tree *body = tree_parse(buffer_span(&answer->body), NULL);
    struct span message = tree_string(tree_member(body, "message"));
    struct span code = tree_string(tree_member(body, "code"));
    snprintf(ask->code, sizeof ask->code, "%.*s", (int)code.length, code.data ? code.data : "");
    error_set(error, ERROR_NETWORK, "%.*s answered %d %.*s: %.*s", length, ask->base.data,
              answer->status, (int)code.length, code.data ? code.data : "", (int)message.length,
              message.data ? message.data : "no more than that");
    tree_free(body);
    return false;
}

bool ask_server(struct ask *ask, const struct ask_request *wanted, struct span *body,
                struct error *error)
{
    struct buffer url;
    buffer_init(&url, URL_BYTES);
    buffer_add_span(&url, buffer_span(&ask->base));
    buffer_add_string(&url, wanted->path);
    struct outbound_request request = {.url = url.data,
                                       .method = wanted->method,
                                       .body = wanted->body,
                                       .content_type = "application/json",
                                       .token = ask->token.length ? ask->token.data : NULL,
                                       .max_bytes = ANSWER_BYTES,
                                       .connect_ms = CONNECT_MS,
                                       .total_ms = wanted->total_ms ? wanted->total_ms : TOTAL_MS,
                                       .done = on_answer,
                                       .argument = ask};
    ask->answered = false;
    ask->code[0] = '\0';
    bool sent = buffer_string(&url)
                    ? (request.url = url.data, outbound_send(ask->outbound, &request, error))
                    : error_set(error, ERROR_INVALID_PARAMETER, "the URL is too long");
    buffer_fini(&url);
    while (sent && !ask->answered) {
        sem_wait(&ask->news);
        outbound_deliver(ask->outbound);
    }
    if (!sent || !read_answer(ask, error))
        return false;
    *body = buffer_span(&ask->answer.body);
    return true;
}

bool ask_json(struct ask *ask, struct buffer *path, ask_take take, void *argument,
              struct error *error)
{
    struct ask_request request = {.path = buffer_string(path)};
    struct span body;
    struct doc doc;
    uint32_t root;
    if (!request.path)
        return error_set(error, ERROR_INVALID_PARAMETER, "what is asked for is too long");
    doc_init(&doc, UINT32_MAX / 2, UINT32_MAX / 2);
    bool done = ask_server(ask, &request, &body, error) &&
                (doc_parse(&doc, body, ANSWER_DEPTH, &root, error) || ask_is_strange(ask, error)) &&
                take(argument, &doc, root, error);
    doc_fini(&doc);
    return done;
}
