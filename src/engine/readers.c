/* The threads beside the writer: readers that answer questions, and the checkpointer. */
#include "engine/engine_internal.h"

enum {
    CHECKPOINT_MS = 200,
    GATE_PAGES = 1024 /* so few that the writer may wait for them */
};

/* ---- readers ---- */

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

/* ---- checkpoints ---- */

/*
 * A passive checkpoint never waits for the writer, so under constant load it never reaches the
 * end of the WAL, and only a WAL that was copied to its end is started over. So the bulk is copied
 * beside the writer, then what was committed meanwhile, with the writer making short transactions,
 * as long as each time much less is left; and the small rest while the writer waits at the gate
 * between two commits.
 */
void engine_pass_gate(struct engine *engine)
{
    pthread_mutex_lock(&engine->gate);
    if (engine->gate_wanted) {
        engine->gate_open = true;
        pthread_cond_broadcast(&engine->gate_changed);
        while (engine->gate_wanted)
            pthread_cond_wait(&engine->gate_changed, &engine->gate);
        engine->gate_open = false;
    }
    pthread_mutex_unlock(&engine->gate);
}

/* With the writer at the gate, or once it has ended. False when the engine stops meanwhile. */
static bool gate_take(struct engine *engine)
{
    pthread_mutex_lock(&engine->gate);
    engine->gate_wanted = true;
    while (!engine->gate_open && !engine->stopping)
        pthread_cond_wait(&engine->gate_changed, &engine->gate);
    bool taken = engine->gate_open;
    if (!taken)
        engine->gate_wanted = false;
    pthread_mutex_unlock(&engine->gate);
    return taken;
}

static void gate_release(struct engine *engine)
{
    pthread_mutex_lock(&engine->gate);
    engine->gate_wanted = false;
    pthread_cond_broadcast(&engine->gate_changed);
    pthread_mutex_unlock(&engine->gate);
}

static void wait_for_next(struct engine *engine)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += CHECKPOINT_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    pthread_mutex_lock(&engine->gate);
    if (!engine->stopping)
        pthread_cond_timedwait(&engine->gate_changed, &engine->gate, &until);
    pthread_mutex_unlock(&engine->gate);
}

static bool is_stopping(struct engine *engine)
{
    pthread_mutex_lock(&engine->gate);
    bool stopping = engine->stopping;
    pthread_mutex_unlock(&engine->gate);
    return stopping;
}

static bool copy_bulk(struct engine *engine, struct error *error)
{
    uint32_t before, left = UINT32_MAX;
    bool done;
    do {
        before = left;
        done = store_checkpoint(engine->checkpointer, &left, error);
        atomic_store_explicit(&engine->gate_near, true, memory_order_relaxed);
    } while (done && left > GATE_PAGES && left < before / 2 && !is_stopping(engine));
    return done;
}

static bool copy_rest(struct engine *engine, struct error *error)
{
    uint32_t left;
    if (!gate_take(engine))
        return true;
    bool done = store_checkpoint(engine->checkpointer, &left, error);
    gate_release(engine);
    return done;
}

static void *checkpoint_main(void *argument)
{
    struct engine *engine = argument;
    while (!is_stopping(engine)) {
        struct error error;
        wait_for_next(engine);
        if (!store_checkpoint_due(engine->checkpointer))
            continue;
        bool done = copy_bulk(engine, &error) && copy_rest(engine, &error);
        atomic_store_explicit(&engine->gate_near, false, memory_order_relaxed);
        if (done)
            counter_add(&engine->metrics.checkpoints, 1);
        else
            log_warning("engine", "checkpoint-failed", "error=\"%s\"", error.message);
    }
    return NULL;
}

bool engine_start_checkpointer(struct engine *engine, struct error *error)
{
    engine->checkpointer =
        store_checkpointer_open(engine->store, engine->options.checkpoint_pages, error);
    if (!engine->checkpointer)
        return false;
    if (pthread_create(&engine->checkpoint_thread, NULL, checkpoint_main, engine) != 0)
        return error_set(error, ERROR_INTERNAL, "cannot start the checkpoint thread");
    engine->checkpointer_started = true;
    return true;
}

void engine_stop_checkpointer(struct engine *engine)
{
    pthread_mutex_lock(&engine->gate);
    engine->stopping = true;
    pthread_cond_broadcast(&engine->gate_changed);
    pthread_mutex_unlock(&engine->gate);
    if (engine->checkpointer_started)
        pthread_join(engine->checkpoint_thread, NULL);
    if (engine->checkpointer)
        store_checkpointer_close(engine->checkpointer);
    engine->checkpointer = NULL;
}
