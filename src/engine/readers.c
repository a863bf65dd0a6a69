/* The threads that answer questions. */
#include "engine/engine_internal.h"

static void *reader_main(void *argument)
{
    struct reader_thread *thread = argument;
    struct engine *engine = thread->engine;
    struct queue_item *item;
    while ((item = queue_wait_one(&engine->reads, -1))) {
        struct read_job *job = (struct read_job *)item;
        job->run(job, thread->reader);
        counter_add(&engine->metrics.read_jobs, 1);
        engine_post(engine, &job->event);
    }
    return NULL;
}

bool engine_start_readers(struct engine *engine, struct error *error)
{
    uint32_t count = engine->options.readers ? engine->options.readers : 2;
    engine->readers = memory_new(count * sizeof *engine->readers);
    if (!engine->readers)
        return error_set(error, ERROR_MEMORY, "out of memory while starting the readers");
    for (uint32_t i = 0; i < count; i++) {
        struct reader_thread *thread = &engine->readers[i];
        thread->engine = engine;
        thread->reader = store_reader_open(engine->store, error);
        if (!thread->reader)
            return false;
        if (pthread_create(&thread->thread, NULL, reader_main, thread) != 0) {
            store_reader_close(thread->reader);
            return error_set(error, ERROR_INTERNAL, "cannot start a reader thread");
        }
        engine->readers_started++;
    }
    return true;
}

void engine_stop_readers(struct engine *engine)
{
    queue_close(&engine->reads);
    for (uint32_t i = 0; i < engine->readers_started; i++) {
        pthread_join(engine->readers[i].thread, NULL);
        store_reader_close(engine->readers[i].reader);
    }
    engine->readers_started = 0;
    memory_free(engine->readers);
    engine->readers = NULL;
}
