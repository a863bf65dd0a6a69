/* The threads that answer questions. */
#include "engine/engine_internal.h"

#include <sys/resource.h>
#include <unistd.h>

enum {
    LONG_NICE = 10,
    NICEST = 19,
    LOOK_US = 10 * 1000,          /* between two looks at the write-ahead log */
    PAUSE_US = 1000 * 1000,       /* of long jobs, for it to start over; */
    IN_VAIN_US = 10 * 1000 * 1000 /* ... and no other for so long, if it did not */
};

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

static void run_job(struct reader_thread *thread, struct read_job *job)
{
    struct engine *engine = thread->engine;
    job->run(job, thread->reader);
    counter_add(&engine->metrics.read_jobs, 1);
    engine_post(engine, &job->event);
}

bool engine_wal_is_long(const struct engine *engine)
{
    return database_state(engine->facts.database).wal_pages > engine->longest_wal;
}

/* The log starts over only while nobody reads a state from before its end. Long jobs that follow
 * each other would keep it from that for ever, so while it is long they pause; brief ones do not.
 */
static void let_log_start_over(struct reader_thread *thread)
{
    struct engine *engine = thread->engine;
    uint64_t now = clock_monotonic_us(), until = now + PAUSE_US;
    bool closed = false;
    if (now < thread->no_pause_until_us)
        return;
    while (!closed && !atomic_load(&engine->holders) && engine_wal_is_long(engine)) {
        struct read_job *brief = read_queue_take_brief(&engine->reads, &closed);
        if (brief)
            run_job(thread, brief);
        else
            usleep(LOOK_US);
        if ((now = clock_monotonic_us()) < until)
            continue;
        thread->no_pause_until_us = now + IN_VAIN_US;
        return;
    }
}

static void *reader_main(void *argument)
{
    struct reader_thread *thread = argument;
    struct engine *engine = thread->engine;
    struct read_job *job;
    if (thread->takes_long && count_readers(&engine->options) > 1)
        become_nicer();
    while ((job = read_queue_take(&engine->reads, thread->takes_long))) {
        if (job->is_long)
            let_log_start_over(thread);
        run_job(thread, job);
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
