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
#include "engine/checkpoints.h"

#include "base/invariant.h"

enum {
    CHECKPOINT_MS = 200,
    LONGEST_REST_MS = 5000, /* between two attempts that fail */
    FAILURES_TOLD = 3,      /* in a row: the database file takes nothing */
    GATE_PAGES = 1024,      /* so few that the writer may wait for them */
    IDLE_US = 5 * 1000 * 1000,
    HELD_WAIT_MS = 1000 /* for readers, while nothing is taken in */
};

/* ---- the gate ---- */

void checkpoints_pass(struct checkpoints *checkpoints)
{
    pthread_mutex_lock(&checkpoints->mutex);
    if (checkpoints->wanted) {
        checkpoints->open = true;
        pthread_cond_broadcast(&checkpoints->changed);
        while (checkpoints->wanted)
            pthread_cond_wait(&checkpoints->changed, &checkpoints->mutex);
        checkpoints->open = false;
    }
    pthread_mutex_unlock(&checkpoints->mutex);
}

/* With the writer at the gate, or once it has ended. False when the engine stops meanwhile. */
static bool gate_take(struct checkpoints *checkpoints)
{
    pthread_mutex_lock(&checkpoints->mutex);
    checkpoints->wanted = true;
    while (!checkpoints->open && !checkpoints->stopping)
        pthread_cond_wait(&checkpoints->changed, &checkpoints->mutex);
    bool taken = checkpoints->open;
    if (!taken)
        checkpoints->wanted = false;
    pthread_mutex_unlock(&checkpoints->mutex);
    return taken;
}

static void gate_release(struct checkpoints *checkpoints)
{
    pthread_mutex_lock(&checkpoints->mutex);
    checkpoints->wanted = false;
    pthread_cond_broadcast(&checkpoints->changed);
    pthread_mutex_unlock(&checkpoints->mutex);
}

/* ---- when ---- */

static bool is_stopping(struct checkpoints *checkpoints)
{
    pthread_mutex_lock(&checkpoints->mutex);
    bool stopping = checkpoints->stopping;
    pthread_mutex_unlock(&checkpoints->mutex);
    return stopping;
}

/* A disk that fails is asked less and less often. */
static long rest_ms(const struct checkpoints *checkpoints)
{
    unsigned failures = atomic_load(&checkpoints->failures);
    long rest = CHECKPOINT_MS;
    for (unsigned i = 0; i < failures && rest < LONGEST_REST_MS; i++)
        rest *= 2;
    return rest < LONGEST_REST_MS ? rest : LONGEST_REST_MS;
}

static void wait_for_next(struct checkpoints *checkpoints)
{
    struct timespec until;
    long rest = rest_ms(checkpoints);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += rest / 1000;
    until.tv_nsec += rest % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    pthread_mutex_lock(&checkpoints->mutex);
    if (!checkpoints->stopping)
        pthread_cond_timedwait(&checkpoints->changed, &checkpoints->mutex, &until);
    pthread_mutex_unlock(&checkpoints->mutex);
}

/* The last commit is some seconds ago, and the WAL was not given back since. */
static bool is_idle(struct checkpoints *checkpoints)
{
    struct give_back *it = &checkpoints->give_back;
    uint64_t now = clock_monotonic_us(),
             commits = database_state(checkpoints->database).wal_commits;
    if (commits != it->commits || it->since_us == 0)
        *it = (struct give_back){.commits = commits, .since_us = now};
    if (it->done || now - it->since_us < IDLE_US)
        return false;
    it->done = database_wal_bytes(checkpoints->database) == 0;
    return !it->done;
}

/* ---- moving ---- */

static bool copy_bulk(struct checkpoints *checkpoints, struct error *error)
{
    uint32_t before, left = UINT32_MAX;
    bool done;
    do {
        before = left;
        done = database_checkpoint(checkpoints->checkpointer, false, &left, error);
        atomic_store_explicit(&checkpoints->is_near, true, memory_order_relaxed);
    } while (done && left > GATE_PAGES && left < before / 2 && !is_stopping(checkpoints));
    return done;
}

static bool copy_rest(struct checkpoints *checkpoints, struct error *error)
{
    uint32_t left;
    if (!gate_take(checkpoints))
        return true;
    bool done = database_checkpoint(checkpoints->checkpointer, false, &left, error);
    gate_release(checkpoints);
    return done;
}

/* Nothing is cut while a reader has it in use; that is tried again some seconds later. */
static bool give_back(struct checkpoints *checkpoints, bool is_held, struct error *error)
{
    uint32_t left;
    bool done = true;
    checkpoints->give_back.since_us = clock_monotonic_us();
    if (!database_checkpoint(checkpoints->checkpointer, true, &left, error))
        return false;
    if ((left > GATE_PAGES && !is_held) || !gate_take(checkpoints))
        return true;
    bool going =
        database_wal_give_back(checkpoints->checkpointer, is_held ? HELD_WAIT_MS : 0, &done, error);
    gate_release(checkpoints);
    return going;
}

static void note_success(struct checkpoints *checkpoints)
{
    counter_add(&checkpoints->metrics->checkpoints, 1);
    if (atomic_exchange(&checkpoints->failures, 0) >= FAILURES_TOLD)
        log_info("engine", "checkpoints-resumed",
                 log_text("file", database_state(checkpoints->database).path));
}

static void note_failure(struct checkpoints *checkpoints, const struct error *error)
{
    unsigned failures = atomic_fetch_add(&checkpoints->failures, 1) + 1;
    counter_add(&checkpoints->metrics->checkpoint_failures, 1);
    if (failures == 1)
        log_warning("engine", "checkpoint-failed", log_text("error", error->message));
    if (failures == FAILURES_TOLD)
        log_error("engine", "checkpoints-fail", log_text("error", error->message));
}

bool checkpoints_fail(const struct checkpoints *checkpoints)
{
    return atomic_load(&checkpoints->failures) >= FAILURES_TOLD;
}

static void *checkpoint_main(void *argument)
{
    struct checkpoints *checkpoints = argument;
    while (!is_stopping(checkpoints)) {
        struct error error;
        bool done;
        wait_for_next(checkpoints);
        bool is_held = atomic_load(checkpoints->intake) == ERROR_WAL_LIMIT;
        if (is_held || is_idle(checkpoints))
            done = give_back(checkpoints, is_held, &error);
        else if (database_checkpoint_due(checkpoints->checkpointer))
            done = copy_bulk(checkpoints, &error) && copy_rest(checkpoints, &error);
        else
            continue;
        atomic_store_explicit(&checkpoints->is_near, false, memory_order_relaxed);
        if (done)
            note_success(checkpoints);
        else
            note_failure(checkpoints, &error);
    }
    return NULL;
}

/* ---- starting and stopping ---- */

/* Waits are measured by the clock that nobody sets. */
bool checkpoints_init(struct checkpoints *checkpoints)
{
    pthread_condattr_t attributes;
    if (pthread_mutex_init(&checkpoints->mutex, NULL) != 0 ||
        pthread_condattr_init(&attributes) != 0)
        return false;
    bool done = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
                pthread_cond_init(&checkpoints->changed, &attributes) == 0;
    pthread_condattr_destroy(&attributes);
    return done;
}

void checkpoints_fini(struct checkpoints *checkpoints)
{
    INVARIANT(!checkpoints->checkpointer); /* else its thread may be at the gate */
    pthread_mutex_destroy(&checkpoints->mutex);
    pthread_cond_destroy(&checkpoints->changed);
}

bool checkpoints_start(struct checkpoints *checkpoints, uint32_t pages, struct error *error)
{
    INVARIANT(checkpoints->database && checkpoints->metrics && checkpoints->intake);
    checkpoints->checkpointer = database_checkpointer_open(checkpoints->database, pages, error);
    if (!checkpoints->checkpointer)
        return false;
    if (pthread_create(&checkpoints->thread, NULL, checkpoint_main, checkpoints) != 0)
        return error_set(error, ERROR_INTERNAL, "cannot start the checkpoint thread");
    checkpoints->started = true;
    return true;
}

void checkpoints_stop(struct checkpoints *checkpoints)
{
    pthread_mutex_lock(&checkpoints->mutex);
    checkpoints->stopping = true;
    pthread_cond_broadcast(&checkpoints->changed);
    pthread_mutex_unlock(&checkpoints->mutex);
    if (checkpoints->started)
        pthread_join(checkpoints->thread, NULL);
    if (checkpoints->checkpointer)
        database_checkpointer_close(checkpoints->checkpointer);
    checkpoints->checkpointer = NULL;
}
