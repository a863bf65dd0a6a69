/*
 * A second thread for the writes of a connection: it runs tasks of the open transaction, in the
 * order in which they are given, while the owner of the connection does what needs no database.
 *
 *  1. One of the two uses the SQLite handle at a time: the helper from when a task is given until
 *     all are done; the owner waits for that before each statement of its own
 *     (connection_settle), and gives none while a query of its own has rows left.
 *  2. Behind a task that failed no other runs. The transaction is broken, which the owner learns
 *     with its next statement; the commit is one.
 *  3. Without a helper (one processor, no thread to be had) the owner runs its tasks itself.
 */
#include "base/invariant.h"
#include "database/database_internal.h"

#include <pthread.h>
#include <unistd.h>

struct connection_helper {
    struct connection twin; /* the owner's handle, with prepared statements of its own */
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t given, done;
    struct connection_task *first, **last;
    struct error failure; /* of the first task that failed */
    bool ends;
};

/* ---- the thread ---- */

/* Wait for the next task; NULL: the helper ends. */
static struct connection_task *next_task(struct connection_helper *helper)
{
    while (!helper->first && !helper->ends) {
        pthread_cond_wait(&helper->given, &helper->lock);
    }
    return helper->first;
}

static void *helper_main(void *argument)
{
    struct connection_helper *helper = argument;
    struct connection_task *task;
    pthread_mutex_lock(&helper->lock);
    while ((task = next_task(helper))) {
        bool failed = helper->failure.code != ERROR_NONE;
        struct error error = {.code = ERROR_NONE};
        pthread_mutex_unlock(&helper->lock);
        bool done = failed || task->run(task, &helper->twin, &error);
        INVARIANT(done || error.code != ERROR_NONE);
        pthread_mutex_lock(&helper->lock);
        if (!done) {
            helper->failure = error;
        }
        helper->first = task->next;
        if (!helper->first) {
            helper->last = &helper->first;
        }
        task->waits = false;
        pthread_cond_signal(&helper->done);
    }
    pthread_mutex_unlock(&helper->lock);
    return NULL;
}

/* ---- its life ---- */

static bool start_thread(struct connection_helper *helper)
{
    if (pthread_mutex_init(&helper->lock, NULL) != 0) {
        return false;
    }
    if (pthread_cond_init(&helper->given, NULL) != 0) {
        goto no_given;
    }
    if (pthread_cond_init(&helper->done, NULL) != 0) {
        goto no_done;
    }
    if (pthread_create(&helper->thread, NULL, helper_main, helper) == 0) {
        return true;
    }
    pthread_cond_destroy(&helper->done);
no_done:
    pthread_cond_destroy(&helper->given);
no_given:
    pthread_mutex_destroy(&helper->lock);
    return false;
}

/* One is enough to try: without a helper all goes on, on one thread. */
static bool start(struct connection *connection)
{
    if (connection->helper_tried) {
        return false;
    }
    connection->helper_tried = true;
    struct connection_helper *helper =
        sysconf(_SC_NPROCESSORS_ONLN) > 1 ? memory_new(sizeof *helper) : NULL;
    if (!helper) {
        return false;
    }
    helper->last = &helper->first;
    helper->twin = (struct connection){.sqlite = connection->sqlite,
                                       .database = connection->database,
                                       .path = connection->path,
                                       .helper_tried = true,
                                       .statement_count = connection->statement_count};
    helper->twin.statements =
        memory_new(connection->statement_count * sizeof *helper->twin.statements);
    if (!helper->twin.statements || !start_thread(helper)) {
        memory_free(helper->twin.statements);
        memory_free(helper);
        return false;
    }
    connection->helper = helper;
    return true;
}

void helper_stop(struct connection *connection)
{
    struct connection_helper *helper = connection->helper;
    if (!helper) {
        return;
    }
    pthread_mutex_lock(&helper->lock);
    helper->ends = true;
    pthread_cond_signal(&helper->given);
    pthread_mutex_unlock(&helper->lock);
    pthread_join(helper->thread, NULL);
    pthread_cond_destroy(&helper->done);
    pthread_cond_destroy(&helper->given);
    pthread_mutex_destroy(&helper->lock);
    statements_free(&helper->twin);
    memory_free(helper);
    connection->helper = NULL;
}

/* ---- for the owner ---- */

bool connection_give(struct connection *connection, struct connection_task *task)
{
    INVARIANT(!task->waits);
    if (connection->open_queries || (!connection->helper && !start(connection))) {
        return false;
    }
    connection_take_row(connection);
    struct connection_helper *helper = connection->helper;
    task->next = NULL;
    task->waits = true;
    pthread_mutex_lock(&helper->lock);
    *helper->last = task;
    helper->last = &task->next;
    pthread_mutex_unlock(&helper->lock);
    pthread_cond_signal(&helper->given);
    connection->shared = true;
    return true;
}

void connection_wait(struct connection *connection, const struct connection_task *task)
{
    struct connection_helper *helper = connection->helper;
    if (!helper) {
        return;
    }
    pthread_mutex_lock(&helper->lock);
    while (task->waits) {
        pthread_cond_wait(&helper->done, &helper->lock);
    }
    pthread_mutex_unlock(&helper->lock);
}

bool helper_finish(struct connection *connection, struct error *error)
{
    struct connection_helper *helper = connection->helper;
    pthread_mutex_lock(&helper->lock);
    while (helper->first) {
        pthread_cond_wait(&helper->done, &helper->lock);
    }
    connection->shared = false;
    struct error failure = helper->failure;
    helper->failure.code = ERROR_NONE;
    helper->twin.broken = ERROR_NONE;
    pthread_mutex_unlock(&helper->lock);
    if (failure.code == ERROR_NONE) {
        return true;
    }
    if (error) {
        *error = failure;
    }
    return connection_break(connection, &failure);
}
