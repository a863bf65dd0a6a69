/*
 * When the disk or the file refuses. Submissions are answered at once with that error, and the disk
 * is tried again, every second at first, until it takes a write and has room for one as large as
 * the largest so far. A file that is gone is waited for, too: it may be moved back. A write-ahead
 * log at its limit is waited for until it was moved into the database. A damaged file stays so
 * until the server is stopped, and so does one that another program changed.
 */
#include "engine/engine_internal.h"

enum { PROBE_US = 1000 * 1000, LONGEST_PROBE_US = 60 * PROBE_US, WATCH_US = 250 * 1000 };
/* What is kept free before intake goes on after a full disk: twice the largest transaction so far,
 * and again twice as much if that was not enough. */
#define LEAST_ROOM ((int64_t)1 << 20)
#define MOST_ROOM ((int64_t)1 << 30)

enum error_code disk_state(const struct writer *writer)
{
    return (enum error_code)atomic_load(&writer->engine->disk_state);
}

static bool wal_error(const struct engine *engine, struct error *error)
{
    const char *why =
        engine_checkpoints_fail(engine)
            ? "the disk does not take it; the log says more under checkpoints-fail"
            : "a program has been reading for long, a backup or an sqlite3 shell perhaps (lsof on "
              "the file tells which): end it, or raise max_wal_bytes";
    return error_set(error, ERROR_WAL_LIMIT,
                     "the write-ahead log of %.120s has reached max_wal_bytes (%lld) and cannot be "
                     "moved into the database: %s. Intake goes on by itself",
                     database_path(engine->database), (long long)engine->options.max_wal_bytes,
                     why);
}

bool engine_disk_error(const struct engine *engine, enum error_code state, struct error *error)
{
    const char *path = database_path(engine->database);
    switch (state) {
    case ERROR_DATABASE_GONE:
        return error_set(error, state,
                         "the database file %s was removed, moved or replaced under the server; "
                         "its log says how to save the data",
                         path);
    case ERROR_DATABASE_DAMAGED:
        return error_set(error, state, "the database %s is damaged and must be restored", path);
    case ERROR_DATABASE_UNUSABLE:
        return error_set(error, state,
                         "the database %s was changed by another program and takes no commit; the "
                         "server's log says what was changed",
                         path);
    case ERROR_FILE_LIMIT:
        return error_set(error, state,
                         "%s or its -wal may not grow beyond the limit of the size of files "
                         "(ulimit -f, LimitFSIZE=); intake goes on by itself once it may",
                         path);
    case ERROR_WAL_LIMIT:
        return wal_error(engine, error);
    default:
        return error_set(error, state,
                         "the disk of %s does not take writes; intake goes on by itself when it "
                         "does",
                         path);
    }
}

/* ---- stopping ---- */

static bool is_for_good(enum error_code state)
{
    return state == ERROR_DATABASE_DAMAGED || state == ERROR_DATABASE_UNUSABLE;
}

/* One that fails again and again is tried less and less often. */
static void set_probe(struct writer *writer)
{
    if (writer->probe_rest_us < PROBE_US)
        writer->probe_rest_us = PROBE_US;
    writer->probe_us = clock_monotonic_us() + writer->probe_rest_us;
}

static void stop(struct writer *writer, enum error_code state, const struct error *error)
{
    set_probe(writer);
    if (disk_state(writer) == state || is_for_good(disk_state(writer)))
        return;
    atomic_store(&writer->engine->disk_state, (int)state);
    log_error("engine", "intake-stopped", log_text("error", error->message));
}

/* Intake went on, and no commit succeeded since: neither the rest nor the room were enough. */
static void expect_more(struct writer *writer)
{
    int64_t room = 2 * store_writer_largest(writer->store);
    if (writer->on_trial) {
        writer->probe_rest_us *= writer->probe_rest_us < LONGEST_PROBE_US ? 2 : 1;
        writer->room *= 2;
    }
    writer->on_trial = false;
    writer->room = writer->room > room ? writer->room : room;
    if (writer->room < LEAST_ROOM)
        writer->room = LEAST_ROOM;
    if (writer->room > MOST_ROOM)
        writer->room = MOST_ROOM;
}

void disk_committed(struct writer *writer)
{
    writer->on_trial = false;
    writer->probe_rest_us = 0;
    writer->room = 0;
}

bool disk_stop_intake(struct writer *writer, const struct error *error)
{
    struct error schema = {.code = ERROR_NONE};
    switch (error->code) {
    case ERROR_OUTCOME_UNKNOWN:
        expect_more(writer);
        stop(writer, ERROR_DISK_FAILED, error);
        return true;
    case ERROR_DISK_FULL:
    case ERROR_DISK_FAILED:
    case ERROR_FILE_LIMIT:
        expect_more(writer);
        stop(writer, error->code, error);
        return true;
    case ERROR_DATABASE_DAMAGED:
        stop(writer, error->code, error);
        return true;
    case ERROR_DATABASE:
        if (store_check_schema(writer->store, &schema) || schema.code != ERROR_DATABASE_UNUSABLE)
            return false;
        stop(writer, schema.code, &schema);
        return true;
    default:
        return false;
    }
}

/* ---- looking ---- */

/* What is in it counts, not the size of its file. */
static bool wal_exceeds(const struct engine *engine, int64_t bytes)
{
    return engine->options.max_wal_bytes &&
           (int64_t)database_wal_pages(engine->database) * DATABASE_WAL_PAGE_BYTES > bytes;
}

void disk_watch(struct writer *writer)
{
    struct error error;
    struct engine *engine = writer->engine;
    uint64_t now = clock_monotonic_us();
    if (disk_state(writer) == ERROR_NONE && wal_exceeds(engine, engine->options.max_wal_bytes)) {
        wal_error(engine, &error);
        stop(writer, error.code, &error);
    }
    if (now < writer->watch_us)
        return;
    writer->watch_us = now + WATCH_US;
    if (!database_check_files(engine->database, &error))
        stop(writer, error.code, &error);
}

void disk_refuse(struct writer *writer, struct queue_item **list)
{
    struct error error;
    engine_disk_error(writer->engine, disk_state(writer), &error);
    writer_refuse_jobs(writer, &error);
    while (*list) {
        struct submission *submission = (struct submission *)*list;
        *list = (*list)->next;
        submission->error = error;
        batch_order_refuse(submission->order, submission);
        counter_add(&writer->engine->metrics.mutations_refused, 1);
        engine_post(writer->engine, &submission->event);
    }
}

/* ---- going on ---- */

static bool write_one(struct writer *writer, struct error *error)
{
    engine_pass_gate(writer->engine);
    return store_begin(writer->store, error) &&
           store_meta_put(writer->store, "disk_probe", span_of("ok"), error) &&
           store_commit(writer->store, error);
}

static bool may_go_on(struct writer *writer, struct error *error)
{
    if (!database_check_files(writer->engine->database, error))
        return false;
    if (disk_state(writer) == ERROR_WAL_LIMIT)
        return !wal_exceeds(writer->engine, writer->engine->options.max_wal_bytes / 2) ||
               wal_error(writer->engine, error);
    return (writer->room == 0 || database_reserve(writer->engine->database, writer->room, error)) &&
           write_one(writer, error);
}

void disk_probe(struct writer *writer)
{
    struct error error;
    enum error_code state = disk_state(writer);
    if (state == ERROR_NONE || is_for_good(state) || clock_monotonic_us() < writer->probe_us)
        return;
    if (!may_go_on(writer, &error)) {
        store_rollback(writer->store);
        if (error.code == ERROR_DATABASE_GONE || error.code == ERROR_WAL_LIMIT)
            stop(writer, error.code, &error);
        else if (!disk_stop_intake(writer, &error))
            set_probe(writer);
        return;
    }
    writer->on_trial = state != ERROR_WAL_LIMIT;
    atomic_store(&writer->engine->disk_state, ERROR_NONE);
    log_info("engine", "intake-resumed", log_text("file", database_path(writer->engine->database)));
}
