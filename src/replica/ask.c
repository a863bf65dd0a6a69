/* What a source says of itself, and why it refuses. */
#include "replica/replica_internal.h"

#include <fcntl.h>
#include <time.h>

enum { ASK_FOR_MS = 2000, REST_MS = 100, SILENT_S = 3, MOST_BYTES = 16 << 20 };

bool replica_read_token(struct replica *replica, struct error *error)
{
    buffer_clear(&replica->token);
    if (!replica->token_file)
        return true;
    if (!file_read(AT_FDCWD, replica->token_file, &replica->token, error))
        return error_prefix(error, "setting \"log.token_file\": %.200s", replica->token_file);
    while (replica->token.length &&
           (unsigned char)replica->token.data[replica->token.length - 1] <= ' ')
        replica->token.length--;
    return buffer_string(&replica->token) || error_set(error, ERROR_MEMORY, "out of memory");
}

void replica_print_refusal(const struct replica *replica, const struct fetch_answer *answer,
                           struct error *error)
{
    struct doc doc;
    struct error cause;
    uint32_t root, message = DOC_NONE;
    bool stays = answer->status == 409 || answer->status == 410;
    doc_init(&doc, UINT32_MAX, 1000);
    if (doc_parse(&doc, span_of(answer->problem), 10, &root, &cause))
        message = doc_member(&doc, root, "message");
    struct span text =
        message == DOC_NONE ? span_of("\"it gives no log of changes\"") : doc_text(&doc, message);
    enum error_code code = answer->status == 410   ? ERROR_LOG_GAP
                           : answer->status == 409 ? ERROR_LOG_REPLACED
                                                   : ERROR_NETWORK;
    error_set(error, code, "%.200s %s (HTTP %d): %.*s", replica->url,
              stays ? "cannot be followed" : "refuses", answer->status, (int)text.length - 2,
              text.data + 1);
    doc_fini(&doc);
}

/* ---- its first line ---- */

struct asking {
    struct replica *replica;
    struct buffer text;
    struct line first, last;
    bool has_first, has_last;
    bool refused; /* somebody answered, and it was no */
};

static bool keep_former(struct replica *replica, const struct line *line)
{
    buffer_clear(&replica->former);
    return buffer_add_span(&replica->former, line->former.data ? line->former : span_of("{}"));
}

static bool take(void *argument, struct span bytes)
{
    struct asking *asking = argument;
    const char *end;
    if (!buffer_add_span(&asking->text, bytes))
        return false;
    while ((end = memchr(asking->text.data, '\n', asking->text.length))) {
        size_t length = (size_t)(end - asking->text.data);
        struct error error;
        struct line *line = asking->has_first ? &asking->last : &asking->first;
        if (!line_read(&asking->replica->doc, span_make(asking->text.data, length), line, &error))
            return false;
        if (!asking->has_first && !keep_former(asking->replica, line))
            return false;
        *(asking->has_first ? &asking->has_last : &asking->has_first) = true;
        memmove(asking->text.data, end + 1, asking->text.length - length - 1);
        asking->text.length -= length + 1;
        if (asking->has_last)
            return true;
    }
    return true;
}

static bool ask(struct replica *replica, const char *query, const atomic_bool *give_up,
                struct asking *asking, struct error *error)
{
    struct fetch_answer answer;
    struct fetch_request request = {.connect_ms = REPLICA_CONNECT_MS,
                                    .silent_s = SILENT_S,
                                    .give_up = give_up,
                                    .take = take,
                                    .argument = asking};
    *asking = (struct asking){.replica = replica};
    buffer_init(&asking->text, MOST_BYTES);
    buffer_clear(&replica->target);
    buffer_printf(&replica->target, "%s/v1/changes?%s", replica->url, query);
    request.url = buffer_string(&replica->target);
    bool ready = request.url || error_set(error, ERROR_MEMORY, "out of memory");
    ready = ready && replica_read_token(replica, error);
    request.token = replica->token.length ? replica->token.data : NULL;
    bool done = ready && fetch_get(replica->fetch, &request, &answer, error);
    buffer_fini(&asking->text);
    asking->refused = ready && !done && error->code == ERROR_NONE;
    if (asking->refused)
        replica_print_refusal(replica, &answer, error);
    bool good = done && asking->has_first && asking->first.kind == LINE_HEAD;
    if (done && !good)
        error_set(error, ERROR_NETWORK, "%.200s gives no log of changes", replica->url);
    return good;
}

bool replica_ask_head(struct replica *replica, int64_t *head, struct error *error)
{
    struct asking asking;
    if (!ask(replica, "after=head", &replica->halted, &asking, error))
        return false;
    *head = asking.has_last ? asking.last.head : 0;
    return true;
}

static void rest(void)
{
    const struct timespec time = {.tv_nsec = (long)REST_MS * 1000 * 1000};
    nanosleep(&time, NULL);
}

/* While nobody answers. */
static bool ask_patiently(struct replica *replica, const atomic_bool *give_up,
                          struct asking *asking, struct error *error)
{
    uint64_t until = clock_monotonic_us() + (uint64_t)ASK_FOR_MS * 1000;
    while (!ask(replica, "after=head", give_up, asking, error)) {
        if (error->code != ERROR_NETWORK || asking->refused || clock_monotonic_us() > until ||
            (give_up && atomic_load(give_up)))
            return false;
        rest();
    }
    return true;
}

bool replica_ask(struct replica *replica, bool is_new, const atomic_bool *give_up,
                 struct replica_source *source, struct error *error)
{
    struct asking asking, whole;
    if (!ask_patiently(replica, give_up, &asking, error)) {
        replica->told_apart = error->code == ERROR_NETWORK; /* by the caller */
        replica->apart_because = *error;
        replica->apart_us = clock_monotonic_us();
        return false;
    }
    *source = asking.first.source;
    if (!is_new)
        return true;
    if (ask(replica, "limit=1", give_up, &whole, error)) {
        source->former = buffer_string(&replica->former);
        return source->former || error_set(error, ERROR_MEMORY, "out of memory");
    }
    if (error->code == ERROR_LOG_GAP)
        error->code = ERROR_CONFIGURATION;
    return error_prefix(error, "a new replica");
}
