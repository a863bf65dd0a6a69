/*
 * The thread that moves the write-ahead log into the database.
 *
 * A passive checkpoint never waits for the writer, so under constant load it never reaches the
 * end of the WAL, and only a WAL that was copied to its end is started over. So the bulk is copied
 * beside the writer, then what was committed meanwhile, with the writer making short transactions,
 * as long as each time much less is left; and the small rest while the writer waits at the gate
 * between two commits.
 *
 * The room of the WAL is given back in two ways. One that begins anew is cut to twice the length
 * from which on it is moved (SQLite's journal_size_limit), so that a peak does not stay. When the
 * last commit is some seconds ago, all of it is moved and the file is cut to nothing.
 */
#include "engine/engine_internal.h"

enum {
    CHECKPOINT_MS = 200,
    LONGEST_REST_MS = 5000, /* between two attempts that fail */
    FAILURES_TOLD = 3,      /* in a row: the database file takes nothing */
    GATE_PAGES = 1024,      /* so few that the writer may wait for them */
    IDLE_US = 5 * 1000 * 1000,
    HELD_WAIT_MS = 1000 /* for readers, while nothing is taken in */
};

/* ---- the gate ---- */

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

/* ---- when ---- */

static bool is_stopping(struct engine *engine)
{
    pthread_mutex_lock(&engine->gate);
    bool stopping = engine->stopping;
    pthread_mutex_unlock(&engine->gate);
    return stopping;
}

/* A disk that fails is asked less and less often. */
static long rest_ms(const struct engine *engine)
{
    unsigned failures = atomic_load(&engine->checkpoint_failures);
    long rest = CHECKPOINT_MS;
    for (unsigned i = 0; i < failures && rest < LONGEST_REST_MS; i++)
        rest *= 2;
    return rest < LONGEST_REST_MS ? rest : LONGEST_REST_MS;
}

static void wait_for_next(struct engine *engine)
{
    struct timespec until;
    long rest = rest_ms(engine);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += rest / 1000;
    until.tv_nsec += rest % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    pthread_mutex_lock(&engine->gate);
    if (!engine->stopping)
        pthread_cond_timedwait(&engine->gate_changed, &engine->gate, &until);
    pthread_mutex_unlock(&engine->gate);
}

/* The last commit is some seconds ago, and the WAL was not given back since. */
static bool is_idle(struct engine *engine)
{
    struct give_back *it = &engine->give_back;
    uint64_t now = clock_monotonic_us(), commits = database_wal_commits(engine->database);
    if (commits != it->commits || it->since_us == 0)
        *it = (struct give_back){.commits = commits, .since_us = now};
    if (it->done || now - it->since_us < IDLE_US)
        return false;
    it->done = database_wal_bytes(engine->database) == 0;
    return !it->done;
}

/* ---- moving ---- */

static bool copy_bulk(struct engine *engine, struct error *error)
{
    uint32_t before, left = UINT32_MAX;
    bool done;
    do {
        before = left;
        done = database_checkpoint(engine->checkpointer, &left, error);
        atomic_store_explicit(&engine->gate_near, true, memory_order_relaxed);
    } while (done && left > GATE_PAGES && left < before / 2 && !is_stopping(engine));
    return done;
}

static bool copy_rest(struct engine *engine, struct error *error)
{
    uint32_t left;
    if (!gate_take(engine))
        return true;
    bool done = database_checkpoint(engine->checkpointer, &left, error);
    gate_release(engine);
    return done;
}

/* Nothing is cut while a reader has it in use; that is tried again some seconds later. */
static bool give_back(struct engine *engine, bool is_held, struct error *error)
{
    uint32_t left;
    bool done = true;
    engine->give_back.since_us = clock_monotonic_us();
    if (!database_checkpoint_all(engine->checkpointer, &left, error))
        return false;
    if ((left > GATE_PAGES && !is_held) || !gate_take(engine))
        return true;
    bool going =
        database_wal_give_back(engine->checkpointer, is_held ? HELD_WAIT_MS : 0, &done, error);
    gate_release(engine);
    return going;
}

static void note_success(struct engine *engine)
{
    counter_add(&engine->metrics.checkpoints, 1);
    if (atomic_exchange(&engine->checkpoint_failures, 0) >= FAILURES_TOLD)
        log_info("engine", "checkpoints-resumed",
                 log_text("file", database_path(engine->database)));
}

static void note_failure(struct engine *engine, const struct error *error)
{
    unsigned failures = atomic_fetch_add(&engine->checkpoint_failures, 1) + 1;
    counter_add(&engine->metrics.checkpoint_failures, 1);
    if (failures == 1)
        log_warning("engine", "checkpoint-failed", log_text("error", error->message));
    if (failures == FAILURES_TOLD)
        log_error("engine", "checkpoints-fail", log_text("error", error->message));
}

bool engine_checkpoints_fail(const struct engine *engine)
{
    return atomic_load(&engine->checkpoint_failures) >= FAILURES_TOLD;
}

static void *checkpoint_main(void *argument)
{
    struct engine *engine = argument;
    while (!is_stopping(engine)) {
        struct error error;
        bool done;
        wait_for_next(engine);
        bool is_held = engine_disk_state(engine) == ERROR_WAL_LIMIT;
        if (is_held || is_idle(engine))
            done = give_back(engine, is_held, &error);
        else if (database_checkpoint_due(engine->checkpointer))
            done = copy_bulk(engine, &error) && copy_rest(engine, &error);
        else
            continue;
        atomic_store_explicit(&engine->gate_near, false, memory_order_relaxed);
        if (done)
            note_success(engine);
        else
            note_failure(engine, &error);
    }
    return NULL;
}

/* ---- starting and stopping ---- */

/* Before the limit of the WAL is reached, it must be due. */
static uint32_t due_pages(const struct engine_options *options)
{
    int64_t half = options->max_wal_bytes / DATABASE_WAL_PAGE_BYTES / 2;
    return options->max_wal_bytes && half < options->checkpoint_pages ? (uint32_t)half
                                                                      : options->checkpoint_pages;
}

bool engine_start_checkpointer(struct engine *engine, struct error *error)
{
    engine->checkpointer =
        database_checkpointer_open(engine->database, due_pages(&engine->options), error);
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
        database_checkpointer_close(engine->checkpointer);
    engine->checkpointer = NULL;
}
