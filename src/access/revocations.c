#include "access/revocations.h"

#include "access/access_internal.h"
#include "engine/engine.h"

enum {
    TRIM_STEP = 1000,   /* rows of one transaction */
    TRIM_MS = 60 * 1000 /* between two looks */
};

/* One write at a time: of what has run out. */
struct trim {
    struct write_job job;
    struct revocations *owner;
    int64_t now; /* seconds */
    bool more;
};

struct revocations {
    struct access *access;
    struct trim trim;
    bool trimming;
    uint64_t next_trim_ms; /* loop time */
};

/* Tokens that ran out before this are forgotten, in seconds. */
static int64_t trim_time(struct access *access)
{
    return engine_times(access->context.engine).due / 1000 - STORE_REVOCATION_GRACE;
}

/* ---- life ---- */

struct loading {
    struct auth_revocations *set;
    bool ran_out;
};

static bool load_one(void *argument, const struct store_revocation *row)
{
    struct loading *loading = argument;
    loading->ran_out =
        !auth_revocations_add(loading->set, row->token_id, row->expires_at, row->at / 1000);
    return !loading->ran_out;
}

static bool load(struct access *access, struct error *error)
{
    struct loading loading = {.set = access->shown.revoked};
    struct store_reader *reader =
        store_reader_open(engine_facts(access->context.engine)->database, error);
    if (!reader)
        return false;
    bool done = store_read_begin(reader, error) &&
                store_read_revocations(reader, load_one, &loading, error);
    if (loading.ran_out)
        done = error_set(error, ERROR_MEMORY, "out of memory while reading the revoked tokens");
    store_read_end(reader);
    store_reader_close(reader);
    access->revocations->trim.more = auth_revocations_trim(loading.set, trim_time(access));
    return done;
}

bool revocations_open(struct access *access, struct error *error)
{
    struct revocations *revocations = memory_new(sizeof *revocations);
    if (!revocations)
        return error_set(error, ERROR_MEMORY, "out of memory while starting");
    revocations->access = access;
    revocations->trim.owner = revocations;
    access->revocations = revocations;
    return load(access, error);
}

/* ---- what has run out ---- */

static bool run_trim(struct write_job *job, struct store_writer *store, struct error *error)
{
    struct trim *trim = (struct trim *)job;
    return store_revocation_trim(store, trim->now, TRIM_STEP, &trim->more, error);
}

static void trimmed(struct engine_event *event)
{
    struct trim *trim = (struct trim *)event;
    struct revocations *revocations = trim->owner;
    revocations->trimming = false;
    if (trim->job.error.code == ERROR_NONE && trim->more)
        revocations->next_trim_ms = 0;
}

/* The loop looks in its own set first: as long as there is nothing to do, nothing is written. */
void revocations_tick(struct access *access)
{
    struct revocations *revocations = access->revocations;
    struct trim *trim = &revocations->trim;
    uint64_t now = access_now(access);
    if (revocations->trimming || now < revocations->next_trim_ms)
        return;
    revocations->next_trim_ms = now + TRIM_MS;
    trim->now = engine_times(access->context.engine).due / 1000;
    if (!auth_revocations_trim(access->shown.revoked, trim_time(access)) && !trim->more)
        return;
    trim->more = false;
    trim->job = (struct write_job){.event.deliver = trimmed, .run = run_trim};
    revocations->trimming = engine_write(access->context.engine, &trim->job);
}

/* ---- revoking ---- */

struct revoking {
    struct write_job job;
    struct revocation_request request;
    int64_t at;  /* ms */
    int64_t now; /* seconds: what ran out by then makes room */
    bool kept;
    char token_id[]; /* request.token_id is this */
};

static bool run_revoking(struct write_job *job, struct store_writer *store, struct error *error)
{
    struct revoking *revoking = (struct revoking *)job;
    struct store_revocation row = {.token_id = revoking->request.token_id,
                                   .expires_at = revoking->request.expires_at,
                                   .at = revoking->at};
    /* There may be rows that have run out since they were last looked at. */
    return store_revocation_keep(store, &row, revoking->now, TRIM_STEP, &revoking->kept, error);
}

bool revocations_full(struct error *error)
{
    return error_set(error, ERROR_QUEUE_FULL,
                     "%d tokens are revoked, and more are not kept; name when they expire, or "
                     "change the key",
                     STORE_MAX_REVOCATIONS);
}

static void revoked(struct engine_event *event)
{
    struct revoking *revoking = (struct revoking *)event;
    struct error error = revoking->job.error;
    if (error.code == ERROR_NONE && !revoking->kept)
        revocations_full(&error);
    else if (error.code != ERROR_NONE)
        error_prefix(&error, "the token is refused until the server stops, but not kept");
    revoking->request.done(revoking->request.argument, &error);
    memory_free(revoking);
}

static struct revoking *prepare(struct access *access, const struct revocation_request *request)
{
    struct revoking *revoking = memory_new(sizeof *revoking + request->token_id.length + 1);
    if (!revoking)
        return NULL;
    memcpy(revoking->token_id, request->token_id.data, request->token_id.length);
    revoking->job = (struct write_job){.event.deliver = revoked, .run = run_revoking};
    revoking->request = *request;
    revoking->request.token_id = span_make(revoking->token_id, request->token_id.length);
    revoking->at = engine_times(access->context.engine).now;
    revoking->now = engine_times(access->context.engine).due / 1000;
    return revoking;
}

/* Room goes before the grace. */
static bool has_room(struct access *access, struct span token_id)
{
    struct auth_revocations *set = access->shown.revoked;
    if (auth_is_revoked(set, token_id) || set->map.count < STORE_MAX_REVOCATIONS)
        return true;
    auth_revocations_trim(set, engine_times(access->context.engine).due / 1000);
    return set->map.count < STORE_MAX_REVOCATIONS;
}

bool revocations_note(struct access *access, struct span token_id, int64_t expires_at, int64_t at,
                      struct error *error)
{
    if (!has_room(access, token_id))
        return revocations_full(error);
    if (!auth_revocations_add(access->shown.revoked, token_id, expires_at, at / 1000))
        return error_set(error, ERROR_MEMORY, "out of memory while revoking a token");
    access->context.revoked(access->context.argument, token_id);
    return true;
}

bool revocations_add(struct access *access, const struct revocation_request *request,
                     struct error *error)
{
    struct revoking *revoking = prepare(access, request);
    if (!revoking)
        return error_set(error, ERROR_MEMORY, "out of memory while revoking a token");
    if (!revocations_note(access, request->token_id, request->expires_at, revoking->at, error)) {
        memory_free(revoking);
        return false;
    }
    if (engine_write(access->context.engine, &revoking->job))
        return true;
    memory_free(revoking);
    return error_set(error, ERROR_QUEUE_FULL,
                     "the token is refused until the server stops, but not kept: too much waits to "
                     "be written; revoke it again");
}
