#include "cli/copy_server.h"

#include "auth/auth.h"
#include "cli/ask.h"
#include "outbound/fetch.h"
#include "terminal/terminal.h"

enum {
    MIB = 1 << 20,
    CONNECT_MS = 10 * 1000,
    SILENT_S = 3600 /* it makes the copy first */,
    DIGEST_BYTES = 32
};

struct copying {
    const struct copy_server *copy;
    struct database_arrival *arrival;
    struct fetch_answer answer;
    struct progress progress;
    int64_t bytes;
    struct error error; /* of the file */
};

static bool take(void *argument, struct span bytes)
{
    struct copying *copying = argument;
    if (!copying->bytes && copying->answer.length > 0) {
        copying->progress.total = copying->answer.length;
        if (!database_arrival_expect(copying->arrival, copying->answer.length, &copying->error))
            return false;
    }
    copying->bytes += (int64_t)bytes.length;
    progress_show(&copying->progress, copying->bytes, copying->bytes / MIB);
    return database_arrival_write(copying->arrival, bytes, &copying->error);
}

/* What the server says of it, or that it is none. */
static bool tell_refusal(const struct copying *copying, struct error *error)
{
    const struct fetch_answer *answer = &copying->answer;
    struct doc doc;
    struct error cause;
    uint32_t root;
    doc_init(&doc, UINT32_MAX, 1000);
    uint32_t message = DOC_NONE;
    if (doc_parse(&doc, span_of(answer->problem), 10, &root, &cause))
        message = doc_member(&doc, root, "message");
    struct span text = message == DOC_NONE ? span_of("\"\"") : doc_text(&doc, message);
    error_set(error, ERROR_NETWORK, "%s refused (HTTP %d)%s%.*s", copying->copy->url,
              answer->status, text.length > 2 ? ": " : "", (int)text.length - 2, text.data + 1);
    doc_fini(&doc);
    return false;
}

static bool interrupted(struct error *error)
{
    return error_set(error, ERROR_SHUTTING_DOWN, "interrupted: nothing is left of the copy");
}

static bool check_digest(const struct copying *copying, struct error *error)
{
    unsigned char digest[DIGEST_BYTES];
    char hex[2 * DIGEST_BYTES + 1];
    if (!auth_digest_file(database_arrival_descriptor(copying->arrival), copying->copy->give_up,
                          digest))
        return copying->copy->give_up && atomic_load(copying->copy->give_up)
                   ? interrupted(error)
                   : error_set(error, ERROR_DISK_FAILED, "cannot read what came");
    for (size_t i = 0; i < DIGEST_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    if (!copying->answer.sha256[0])
        return error_set(error, ERROR_DATABASE,
                         "%s says no digest of what it sent: it is no server of stele that can "
                         "give a copy",
                         copying->copy->url);
    return strcmp(hex, copying->answer.sha256) == 0 ||
           error_set(error, ERROR_DATABASE,
                     "what came is not what %s sent (another digest): try again",
                     copying->copy->url);
}

static bool fetch_all(struct copying *copying, const struct ask *ask, struct error *error)
{
    struct buffer url;
    struct fetch_request request = {.token = ask->token.data,
                                    .connect_ms = CONNECT_MS,
                                    .silent_s = SILENT_S,
                                    .give_up = copying->copy->give_up,
                                    .take = take,
                                    .argument = copying};
    struct client_access access = access_read(copying->copy->access, copying->copy->url);
    struct fetch *fetch = fetch_open(access.ca_file, error);
    buffer_init(&url, 16 * 1024);
    buffer_printf(&url, "%.*s/v1/backup", (int)ask->base.length, ask->base.data);
    request.url = buffer_string(&url);
    bool done = fetch && request.url && fetch_get(fetch, &request, &copying->answer, error);
    if (fetch && !request.url)
        error_set(error, ERROR_MEMORY, "out of memory");
    if (copying->error.code != ERROR_NONE)
        *error = copying->error;
    else if (fetch && !done && error->code == ERROR_SHUTTING_DOWN)
        interrupted(error);
    else if (fetch && !done && error->code == ERROR_NONE)
        tell_refusal(copying, error);
    fetch_close(fetch);
    buffer_fini(&url);
    return done;
}

bool copy_server(const struct copy_server *copy, struct database_backup_result *result,
                 struct error *error)
{
    struct copying copying = {.copy = copy};
    struct ask ask;
    bool opened = ask_open(&ask, copy->access, copy->url, error);
    progress_init(&copying.progress, -1);
    copying.progress.unit = "MiB";
    copying.arrival = opened ? database_arrive(copy->to, copy->replace, error) : NULL;
    bool done = copying.arrival && fetch_all(&copying, &ask, error);
    progress_hide(&copying.progress);
    done = done && check_digest(&copying, error) &&
           database_arrival_keep(copying.arrival, copy->check, result, error);
    database_arrival_free(copying.arrival);
    ask_close(&ask);
    return done;
}
