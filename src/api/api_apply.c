#include "api/api_internal.h"

#include <stdio.h>

/* One request on its way. The waiting form has the asynchronous one answer into its own stack. */
struct apply_call {
    struct api_call call;
    const char *lines;
    size_t length;
    size_t counted; /* of store->waiting_bytes */
    stele_applied done;
    void *argument;
    char copy[]; /* of the lines, when nobody waits */
};

static void answer(struct apply_call *apply, const stele_result *result, const struct error *error)
{
    struct stele *store = apply->call.store;
    stele_error public_error;
    if (error)
        api_error(&public_error, error);
    api_finish(&apply->call);
    pthread_mutex_lock(&store->lock);
    store->waiting_bytes -= apply->counted;
    pthread_mutex_unlock(&store->lock);
    apply->done(apply->argument, result, error ? &public_error : NULL);
    memory_free(apply);
}

static void replied(void *context, const struct source_reply *reply)
{
    stele_result result = {
        .applied = reply->applied, .ignored = reply->ignored, .duplicate = reply->duplicate};
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
    struct source *source = server_source(call->store->server);
    struct span body = span_make(apply->lines, apply->length);
    /* The program that stele is a part of may move every producer. */
    struct source_sender host = {.subject = span_of("")};
    if (!source_submit(source, &host, NULL, SOURCE_LINES, body, replied, apply, &error))
        abandon(call, &error);
}

/* Count a request against the cap; false when it does not fit beside those that wait. */
static bool reserve(struct stele *store, size_t length, struct error *error)
{
    pthread_mutex_lock(&store->lock);
    size_t cap = (size_t)store->config.queue_bytes;
    bool fits = store->waiting_bytes == 0 || store->waiting_bytes + length <= cap;
    if (fits)
        store->waiting_bytes += length;
    pthread_mutex_unlock(&store->lock);
    return fits || error_set(error, ERROR_QUEUE_FULL,
                             "requests of %zu bytes wait already; the setting queue_bytes is %zu",
                             store->waiting_bytes, cap);
}

/* `counted` bytes were reserved; they are given back when this fails. */
static bool start(struct stele *store, struct apply_call *apply, size_t counted,
                  struct error *error)
{
    apply->call.work = submit;
    apply->call.abandon = abandon;
    apply->counted = counted;
    if (api_post(store, &apply->call, error))
        return true;
    pthread_mutex_lock(&store->lock);
    store->waiting_bytes -= counted;
    pthread_mutex_unlock(&store->lock);
    memory_free(apply);
    return false;
}

bool stele_apply_async(stele *store, const char *lines, size_t length, stele_applied done,
                       void *argument, stele_error *error)
{
    struct error reason = {0};
    if (!reserve(store, length, &reason))
        return api_error(error, &reason);
    struct apply_call *apply = memory_new(sizeof(*apply) + length);
    if (!apply) {
        pthread_mutex_lock(&store->lock);
        store->waiting_bytes -= length;
        pthread_mutex_unlock(&store->lock);
        error_set(&reason, ERROR_MEMORY, "out of memory");
        return api_error(error, &reason);
    }
    memcpy(apply->copy, lines, length);
    apply->lines = apply->copy;
    apply->length = length;
    apply->done = done;
    apply->argument = argument;
    return start(store, apply, length, &reason) || api_error(error, &reason);
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

/* The waiting thread's lines stay where they are, so they need neither a copy nor the cap. */
static bool apply_and_wait(struct stele *store, const char *lines, size_t length,
                           struct waiting *waiting, struct error *error)
{
    struct apply_call *apply = memory_new(sizeof(*apply));
    if (!apply)
        return error_set(error, ERROR_MEMORY, "out of memory");
    apply->lines = lines;
    apply->length = length;
    apply->done = wake;
    apply->argument = waiting;
    if (!start(store, apply, 0, error))
        return false;
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
    bool answered = apply_and_wait(store, lines, length, &waiting, &reason);
    api_leave(store);
    if (!answered)
        return api_error(error, &reason);
    if (waiting.failed && error)
        *error = waiting.error;
    if (!waiting.failed && result)
        *result = waiting.result;
    return !waiting.failed;
}
