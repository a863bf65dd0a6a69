/* Writes of the writer beside mutations; see struct write_job. */
#include "engine/engine_internal.h"

/* Behind those that were taken already. */
static void take(struct writer *writer)
{
    struct queue_item **end = &writer->jobs;
    while (*end)
        end = &(*end)->next;
    *end = queue_take_all(&writer->engine->writes, 0);
}

bool writer_has_jobs(struct writer *writer)
{
    take(writer);
    return writer->jobs != NULL;
}

bool writer_run_jobs(struct writer *writer, bool all, struct error *error)
{
    take(writer);
    for (struct queue_item *item = writer->jobs; item; item = item->next) {
        struct write_job *job = (struct write_job *)item;
        if (job->ran || !(all || job->first))
            continue;
        job->ran = true;
        if (!job->run(job, writer->store, error))
            return false;
    }
    return true;
}

void writer_answer_jobs(struct writer *writer, const struct error *error)
{
    while (writer->jobs) {
        struct write_job *job = (struct write_job *)writer->jobs;
        writer->jobs = job->event.item.next;
        job->error = error ? *error : (struct error){.code = ERROR_NONE};
        engine_post(writer->engine, &job->event);
    }
}

bool engine_write(struct engine *engine, struct write_job *job)
{
    INVARIANT(job->run && job->event.deliver);
    job->event.item.bytes = 0;
    job->ran = false; /* a maker may hand its job over again */
    return queue_put(&engine->writes, &job->event.item, QUEUE_REFUSES);
}
