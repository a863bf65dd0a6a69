/* The threads that answer questions. */
#include "engine/engine_internal.h"

#include <sys/resource.h>
#include <unistd.h>

enum { LONG_NICE = 10, NICEST = 19 };

/*
 * When processors are short, brief jobs go before long ones there, too. Without a privilege a
 * thread cannot become less nice again, so one reader stays as it is and takes no long job. If the
 * nice value cannot be set, nothing is lost.
 */
static void become_nicer(void)
{
    id_t self = (id_t)gettid();
    int nice = getpriority(PRIO_PROCESS, self) + LONG_NICE;
    setpriority(PRIO_PROCESS, self, nice < NICEST ? nice : NICEST);
}

static uint32_t count_readers(const struct engine_options *options)
{
    return options->readers ? options->readers : 2;
}

static void *reader_main(void *argument)
{
    struct reader_thread *thread = argument;
    struct engine *engine = thread->engine;
    struct read_job *job;
    if (thread->takes_long && count_readers(&engine->options) > 1)
        become_nicer();
    while ((job = read_queue_take(&engine->reads, thread->takes_long))) {
        job->run(job, thread->reader);
        counter_add(&engine->metrics.read_jobs, 1);
        engine_post(engine, &job->event);
    }
    return NULL;
}

bool engine_start_readers(struct engine *engine, struct error *error)
{
    uint32_t count = count_readers(&engine->options);
    engine->readers = memory_new(count * sizeof *engine->readers);
    if (!engine->readers)
        return error_set(error, ERROR_MEMORY, "out of memory while starting the readers");
    for (uint32_t i = 0; i < count; i++) {
        struct reader_thread *thread = &engine->readers[i];
        thread->engine = engine;
        thread->takes_long = count == 1 || i > 0;
        thread->reader = store_reader_open(engine->facts.database, error);
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
    read_queue_close(&engine->reads);
    for (uint32_t i = 0; i < engine->readers_started; i++) {
        pthread_join(engine->readers[i].thread, NULL);
        store_reader_close(engine->readers[i].reader);
    }
    engine->readers_started = 0;
    memory_free(engine->readers);
    engine->readers = NULL;
}
