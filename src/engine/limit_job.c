/* Other limits for the exports of an engine that runs, brought in by the writer as a write job. */
#include "engine/engine_internal.h"

struct export_limit {
    struct span name; /* borrowed from the job's text */
    int64_t max_entities;
};

struct limit_job {
    struct write_job job;
    struct engine *engine;
    struct export_limit *limits;
    size_t count;
    char *names;
};

static void limit_job_free(struct limit_job *limit)
{
    memory_free(limit->limits);
    memory_free(limit->names);
    memory_free(limit);
}

static struct limit_job *limit_job_new(const struct engine_export_options *exports, size_t count)
{
    size_t bytes = 1, at = 0;
    for (size_t i = 0; i < count; i++)
        bytes += exports[i].name.length;
    struct limit_job *limit = memory_new(sizeof *limit);
    if (!limit)
        return NULL;
    limit->limits = memory_new((count + 1) * sizeof *limit->limits);
    limit->names = memory_alloc(bytes);
    if (!limit->limits || !limit->names) {
        limit_job_free(limit);
        return NULL;
    }
    for (; limit->count < count; limit->count++) {
        const struct engine_export_options *from = &exports[limit->count];
        memcpy(limit->names + at, from->name.data, from->name.length);
        limit->limits[limit->count] =
            (struct export_limit){.name = span_make(limit->names + at, from->name.length),
                                  .max_entities = from->max_entities};
        at += from->name.length;
    }
    return limit;
}

/* If the transaction fails, the limits are read from the store again, as they were. */
static bool run(struct write_job *job, struct store_writer *store, struct error *error)
{
    struct limit_job *limit = (struct limit_job *)job;
    struct writer *writer = &limit->engine->writer;
    for (size_t i = 0; i < limit->count; i++) {
        struct export_state *export = map_get(&writer->exports, limit->limits[i].name);
        if (!export)
            continue;
        if (!store_export_limit(store, export->id, limit->limits[i].max_entities, true, error))
            return false;
        export_set_limit(writer, export, store_export_counts(store, export->id).max_entities);
    }
    return true;
}

static void deliver(struct engine_event *event)
{
    struct limit_job *limit = (struct limit_job *)event;
    if (limit->job.error.code != ERROR_NONE)
        log_error("engine", "limits-not-taken", log_text("error", limit->job.error.message),
                  log_text("remedy", "reload again"));
    limit_job_free(limit);
}

bool engine_limit(struct engine *engine, const struct engine_export_options *exports, size_t count,
                  struct error *error)
{
    struct limit_job *limit = limit_job_new(exports, count);
    if (!limit)
        return error_set(error, ERROR_MEMORY, "out of memory while changing max_entities");
    limit->job.run = run;
    limit->job.first = true; /* a producer that feeds after the reload feeds under the new limit */
    limit->job.event.deliver = deliver;
    limit->engine = engine;
    if (engine_write(engine, &limit->job))
        return true;
    limit_job_free(limit);
    return error_set(error, ERROR_QUEUE_FULL, "too much waits to be written; reload again");
}
