/*
 * When the disk or the file refuses. Submissions are answered at once with that error, and the disk
 * is tried again every second until it takes a write. A file that is gone is waited for, too: it
 * may be moved back. A damaged one stays damaged until the server is stopped.
 */
#include "engine/engine_internal.h"

enum { PROBE_US = 1000 * 1000, WATCH_US = 250 * 1000 };

enum error_code disk_state(const struct writer *writer)
{
    return (enum error_code)atomic_load(&writer->engine->disk_state);
}

bool engine_disk_error(const struct engine *engine, enum error_code state, struct error *error)
{
    const char *path = store_path(engine->store);
    switch (state) {
    case ERROR_DATABASE_GONE:
        return error_set(error, state,
                         "the database file %s was removed, moved or replaced under the server; "
                         "its log says how to save the data",
                         path);
    case ERROR_DATABASE_DAMAGED:
        return error_set(error, state, "the database %s is damaged and must be restored", path);
    default:
        return error_set(error, state,
                         "the disk of %s does not take writes; intake goes on by itself when it "
                         "does",
                         path);
    }
}

static void stop(struct writer *writer, enum error_code state, const struct error *error)
{
    writer->probe_us = clock_monotonic_us() + PROBE_US;
    if (disk_state(writer) == state || disk_state(writer) == ERROR_DATABASE_DAMAGED)
        return;
    atomic_store(&writer->engine->disk_state, (int)state);
    log_error("engine", "intake-stopped", "error=\"%s\"", error->message);
}

bool disk_stop_intake(struct writer *writer, const struct error *error)
{
    switch (error->code) {
    case ERROR_OUTCOME_UNKNOWN:
        stop(writer, ERROR_DISK_FAILED, error);
        return true;
    case ERROR_DISK_FULL:
    case ERROR_DISK_FAILED:
    case ERROR_DATABASE_DAMAGED:
        stop(writer, error->code, error);
        return true;
    default:
        return false;
    }
}

void disk_watch(struct writer *writer)
{
    struct error error;
    uint64_t now = clock_monotonic_us();
    if (now < writer->watch_us)
        return;
    writer->watch_us = now + WATCH_US;
    if (!store_check_files(writer->engine->store, &error))
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

/* A write as small as one can be; when it is on disk, intake goes on. */
void disk_probe(struct writer *writer)
{
    struct error error;
    enum error_code state = disk_state(writer);
    if (state == ERROR_NONE || state == ERROR_DATABASE_DAMAGED ||
        clock_monotonic_us() < writer->probe_us)
        return;
    writer->probe_us = clock_monotonic_us() + PROBE_US;
    if (!store_check_files(writer->engine->store, &error)) {
        stop(writer, error.code, &error);
        return;
    }
    engine_pass_gate(writer->engine);
    bool done = store_begin(writer->store, &error) &&
                store_meta_put(writer->store, "disk_probe", span_of("ok"), &error) &&
                store_commit(writer->store, &error);
    if (!done) {
        store_rollback(writer->store);
        (void)disk_stop_intake(writer, &error);
        return;
    }
    atomic_store(&writer->engine->disk_state, ERROR_NONE);
    log_info("engine", "intake-resumed", "file=\"%s\"", store_path(writer->engine->store));
}
