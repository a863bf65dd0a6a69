/*
 * Feeding. A request's lines are copied on the caller's thread, so the loop only passes them on.
 *
 * The bytes of stele_apply_async are counted here, from its call to its answer. That bound is the
 * only one: an accepted request is never refused later for want of room, and one that does not fit
 * is refused at once, on the caller's own thread.
 */
#include "api/api_internal.h"
#include "ingest/ingest.h"

#include <stdio.h>

/* One request on its way. The waiting form has the asynchronous one answer into its own stack. */
struct apply_call {
    struct api_call call;
    char *lines; /* NULL once the ingest has them */
    size_t length;
    size_t counted; /* of store->waiting_bytes */
    stele_applied done;
    void *argument;
};

static void release(struct stele *store, size_t counted)
{
    pthread_mutex_lock(&store->lock);
    store->waiting_bytes -= counted;
    pthread_mutex_unlock(&store->lock);
}

static void apply_free(struct apply_call *apply)
{
    memory_free(apply->lines);
    memory_free(apply);
}

/* Its bytes are given back first, so that `done` can hand over the next request. */
static void answer(struct apply_call *apply, const stele_result *result, const struct error *error)
{
    stele_error public_error;
    if (error)
        api_error(&public_error, error);
    api_finish(&apply->call);
    release(apply->call.store, apply->counted);
    apply->done(apply->argument, result, error ? &public_error : NULL);
    apply_free(apply);
}

static void replied(void *context, const struct ingest_reply *reply)
{
    stele_result result = {.applied = reply->applied,
                           .ignored = reply->ignored,
                           .duplicate = reply->duplicate,
                           .stale = reply->stale,
                           .truncated = reply->truncated};
    if (reply->has_seq)
        seq_print(result.seq, (struct seq){reply->seq.slot, reply->seq.index});
    answer(context, &result, reply->error.code == ERROR_NONE ? NULL : &reply->error);
}

_Static_assert(sizeof(((stele_result *)0)->seq) >= SEQ_SIZE, "replied");

static void abandon(struct api_call *call, const struct error *error)
{
    stele_result result = {0};
    answer((struct apply_call *)call, &result, error);
}

static void submit(struct api_call *call)
{
    struct apply_call *apply = (struct apply_call *)call;
    struct error error = {0};
    char *lines = apply->lines;
    apply->lines = NULL;
    if (ingest_submit_counted(server_parts(call->store->server).ingest, INGEST_LINES, lines,
                              apply->length, replied, apply, &error))
        return;
    apply->lines = lines;
    abandon(call, &error);
}

/* ---- taking ---- */

static bool check(const struct stele *store, const char *lines, size_t length, struct error *error)
{
    if (!lines && length > 0)
        return api_refuse_null(error, "lines");
    if (length > store->max_request_bytes)
        return error_set(error, ERROR_TOO_LARGE,
                         "the request has %zu bytes; at most %zu are taken (max_request_bytes)",
                         length, store->max_request_bytes);
    return true;
}

/* NULL with ERROR_MEMORY. */
static struct apply_call *apply_new(const char *lines, size_t length, stele_applied done,
                                    void *argument, struct error *error)
{
    struct apply_call *apply = memory_new(sizeof(*apply));
    char *copy = memory_alloc(length ? length : 1);
    if (!apply || !copy) {
        memory_free(apply);
        memory_free(copy);
        error_set(error, ERROR_MEMORY, "out of memory for a request");
        return NULL;
    }
    if (length > 0)
        memcpy(copy, lines, length);
    *apply = (struct apply_call){.call = {.work = submit, .abandon = abandon},
                                 .lines = copy,
                                 .length = length,
                                 .done = done,
                                 .argument = argument};
    return apply;
}

/* Count a request against the cap; false when it does not fit beside those that wait. */
static bool reserve(struct stele *store, size_t bytes, struct error *error)
{
    pthread_mutex_lock(&store->lock);
    size_t cap = store->queue_bytes, waiting = store->waiting_bytes;
    bool fits = waiting == 0 || (waiting <= cap && bytes <= cap - waiting);
    if (fits)
        store->waiting_bytes += bytes;
    pthread_mutex_unlock(&store->lock);
    return fits ||
           error_set(error, ERROR_QUEUE_FULL,
                     "requests of %zu bytes wait already; at most %zu may (queue_bytes): wait for "
                     "answers, then try again",
                     waiting, cap);
}

static bool start(struct stele *store, const char *lines, size_t length, stele_applied done,
                  void *argument, struct error *error)
{
    size_t counted = sizeof(struct apply_call) + ingest_request_bytes(length);
    if (!reserve(store, counted, error))
        return false;
    struct apply_call *apply = apply_new(lines, length, done, argument, error);
    if (apply) {
        apply->counted = counted;
        if (api_post(store, &apply->call, error))
            return true;
        apply_free(apply);
    }
    release(store, counted);
    return false;
}

bool stele_apply_async(stele *store, const char *lines, size_t length, stele_applied done,
                       void *argument, stele_error *error)
{
    struct error reason = {0};
    bool sound = api_check_store(store, "stele_apply_async", &reason) &&
                 (done || api_refuse_null(&reason, "done")) && check(store, lines, length, &reason);
    return (sound && start(store, lines, length, done, argument, &reason)) ||
           api_error(error, &reason);
}

/* ---- waiting ---- */

struct waiting {
    struct stele *store;
    bool done, failed;
    stele_result result;
    stele_error error;
};

static void wake(void *argument, const stele_result *result, const stele_error *error)
{
    struct waiting *waiting = argument;
    struct stele *store = waiting->store;
    pthread_mutex_lock(&store->lock);
    waiting->result = *result;
    waiting->failed = error != NULL;
    if (error)
        waiting->error = *error;
    waiting->done = true;
    pthread_cond_broadcast(&store->changed);
    pthread_mutex_unlock(&store->lock);
}

/* A thread that waits has one request, so threads are the bound, and it is not counted. */
static bool apply_and_wait(struct stele *store, const char *lines, size_t length,
                           struct waiting *waiting, struct error *error)
{
    struct apply_call *apply = apply_new(lines, length, wake, waiting, error);
    if (!apply)
        return false;
    if (!api_post(store, &apply->call, error)) {
        apply_free(apply);
        return false;
    }
    pthread_mutex_lock(&store->lock);
    while (!waiting->done)
        pthread_cond_wait(&store->changed, &store->lock);
    pthread_mutex_unlock(&store->lock);
    return true;
}

bool stele_apply(stele *store, const char *lines, size_t length, stele_result *result,
                 stele_error *error)
{
    struct error reason = {0};
    struct waiting waiting = {.store = store};
    if (!api_enter(store, "stele_apply", &reason))
        return api_error(error, &reason);
    bool answered = check(store, lines, length, &reason) &&
                    apply_and_wait(store, lines, length, &waiting, &reason);
    api_leave(store);
    if (!answered)
        return api_error(error, &reason);
    if (waiting.failed && error)
        *error = waiting.error;
    if (!waiting.failed && result)
        *result = waiting.result;
    return !waiting.failed;
}
