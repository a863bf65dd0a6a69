/*
 * How other threads get something done on the loop thread, and wait for it.
 */
#include "api/api_internal.h"

#include <stdio.h>

bool api_error(stele_error *to, const struct error *from)
{
    if (to) {
        snprintf(to->code, sizeof(to->code), "%s", error_kind(from->code)->wire);
        snprintf(to->message, sizeof(to->message), "%s", from->message);
        to->retryable = error_kind(from->code)->retry != RETRY_NEVER;
    }
    return false;
}

const char *stele_error_message(const stele_error *error)
{
    return error && error->message[0] ? error->message : "no error";
}

const char *stele_version(void)
{
    return STELE_VERSION;
}

bool api_on_loop(struct stele *store)
{
    return pthread_equal(store->loop, pthread_self());
}

static void run_call(struct server *server, struct server_work *work)
{
    (void)server;
    struct api_call *call = (struct api_call *)work;
    call->work(call);
}

static void unlink_call(struct api_call *call)
{
    *call->link = call->next;
    if (call->next)
        call->next->link = call->link;
}

bool api_post(struct stele *store, struct api_call *call, struct error *error)
{
    call->store = store;
    pthread_mutex_lock(&store->lock);
    bool taken = store->state == API_RUNNING;
    if (taken) {
        call->next = store->calls;
        call->link = &store->calls;
        if (call->next)
            call->next->link = &call->next;
        store->calls = call;
        /* Under the lock, so that calls of one thread reach the loop in their order, and none after
         * the state has changed. */
        call->work_item.run = run_call;
        taken = server_post(store->server, &call->work_item);
        if (!taken)
            unlink_call(call);
    }
    pthread_mutex_unlock(&store->lock);
    return taken || error_set(error, ERROR_SHUTTING_DOWN, "the store is stopping");
}

void api_finish(struct api_call *call)
{
    pthread_mutex_lock(&call->store->lock);
    unlink_call(call);
    pthread_mutex_unlock(&call->store->lock);
}

void api_done(struct api_wait *wait, const struct error *error)
{
    struct stele *store = wait->call.store;
    pthread_mutex_lock(&store->lock);
    unlink_call(&wait->call);
    if (error)
        wait->error = *error;
    wait->done = true;
    pthread_cond_broadcast(&store->changed);
    pthread_mutex_unlock(&store->lock);
}

void api_abandon_wait(struct api_call *call, const struct error *error)
{
    api_done((struct api_wait *)call, error);
}

bool api_enter(struct stele *store, const char *function, struct error *error)
{
    if (!api_check_store(store, function, error))
        return false;
    if (api_on_loop(store))
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "%s waits for the loop thread and cannot be called in a callback on it",
                         function);
    pthread_mutex_lock(&store->lock);
    store->waiters++;
    pthread_mutex_unlock(&store->lock);
    return true;
}

void api_leave(struct stele *store)
{
    pthread_mutex_lock(&store->lock);
    store->waiters--;
    pthread_cond_broadcast(&store->changed);
    pthread_mutex_unlock(&store->lock);
}

bool api_wait(struct stele *store, struct api_wait *wait, struct error *error)
{
    if (!api_post(store, &wait->call, error))
        return false;
    pthread_mutex_lock(&store->lock);
    while (!wait->done)
        pthread_cond_wait(&store->changed, &store->lock);
    pthread_mutex_unlock(&store->lock);
    if (wait->error.code != ERROR_NONE)
        *error = wait->error;
    return wait->error.code == ERROR_NONE;
}
