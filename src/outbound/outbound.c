/* Outgoing requests: the loop's side, and the thread that runs them. */
#include "outbound/outbound_internal.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

enum { POLL_MS = 10 * 1000 }; /* libcurl wakes up earlier by itself, and by curl_multi_wakeup */

struct outbound {
    char *ca_file;
    CURLM *multi;
    pthread_t thread;
    bool started;
    atomic_bool stopping;
    struct queue requests, answers;
    /* The thread's. */
    struct link running;
    size_t running_count;
};

/* ---- URLs ---- */

static bool part_is_there(CURLU *parts, CURLUPart which)
{
    char *text = NULL;
    bool there = curl_url_get(parts, which, &text, 0) == CURLUE_OK && text && *text;
    curl_free(text);
    return there;
}

static bool scheme_is_http(CURLU *parts)
{
    char *scheme = NULL;
    bool good = curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    curl_free(scheme);
    return good;
}

bool outbound_check_url(const char *url, struct error *error)
{
    struct span shown = outbound_shown_url(url);
    CURLU *parts = curl_url();
    if (!parts)
        return error_set(error, ERROR_MEMORY, "out of memory");
    bool good = curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK && scheme_is_http(parts) &&
                part_is_there(parts, CURLUPART_HOST);
    bool secret = part_is_there(parts, CURLUPART_USER) || part_is_there(parts, CURLUPART_PASSWORD);
    curl_url_cleanup(parts);
    if (good && secret)
        return error_set(error, ERROR_CONFIGURATION,
                         "a URL must not hold a user or a password; give a token instead");
    return good || error_set(error, ERROR_CONFIGURATION,
                             "\"%.*s\" is no URL that can be asked; it begins with http:// or "
                             "https:// and a host",
                             (int)shown.length, shown.data);
}

/* ---- the thread ---- */

static void give_back(struct outbound *outbound, struct outbound_transfer *it)
{
    it->item.bytes = 0;
    queue_put(&outbound->answers, &it->item); /* unbounded: each was counted on its way in */
}

static void take_new(struct outbound *outbound)
{
    struct queue_item *item;
    while (outbound->running_count < OUTBOUND_AT_ONCE &&
           (item = queue_wait_one(&outbound->requests, 0))) {
        struct outbound_transfer *it = (struct outbound_transfer *)item;
        if (!outbound_transfer_begin(it, outbound->multi, outbound->ca_file)) {
            give_back(outbound, it);
            continue;
        }
        link_append(&outbound->running, &it->in_running);
        outbound->running_count++;
    }
}

static void finish(struct outbound *outbound, struct outbound_transfer *it)
{
    outbound_transfer_end(it, outbound->multi);
    link_remove(&it->in_running);
    outbound->running_count--;
    give_back(outbound, it);
}

/* Whether there were any. */
static bool take_finished(struct outbound *outbound)
{
    CURLMsg *message;
    bool any = false;
    int left;
    while ((message = curl_multi_info_read(outbound->multi, &left))) {
        struct outbound_transfer *it = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &it);
        outbound_transfer_result(it, message->data.result);
        finish(outbound, it); /* the message is gone with its handle */
        any = true;
    }
    return any;
}

static void cancel_all(struct outbound *outbound)
{
    while (!link_alone(&outbound->running)) {
        struct outbound_transfer *it =
            LINK_OWNER(struct outbound_transfer, in_running, outbound->running.next);
        error_set(&it->answer.error, ERROR_SHUTTING_DOWN, "the server is stopping");
        finish(outbound, it);
    }
}

static void *outbound_main(void *argument)
{
    struct outbound *outbound = argument;
    while (!atomic_load(&outbound->stopping)) {
        int running;
        take_new(outbound);
        curl_multi_perform(outbound->multi, &running);
        if (!take_finished(outbound)) /* or there is room for those that wait */
            curl_multi_poll(outbound->multi, NULL, 0, POLL_MS, NULL);
    }
    cancel_all(outbound);
    return NULL;
}

/* Signals are the host program's, and a peer that has gone is an error of a write, no SIGPIPE. */
static bool start_thread(struct outbound *outbound)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&outbound->thread, NULL, outbound_main, outbound) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

/* ---- the loop's side ---- */

/* Once for the process, for ever: libcurl may be in use by the host program, too. */
static void set_up_library(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static void wake_thread(void *outbound)
{
    curl_multi_wakeup(((struct outbound *)outbound)->multi);
}

static bool make_queues(struct outbound *outbound)
{
    if (!queue_init(&outbound->requests, OUTBOUND_WAITING, SIZE_MAX))
        return false;
    if (queue_init(&outbound->answers, SIZE_MAX, SIZE_MAX))
        return true;
    queue_fini(&outbound->requests);
    return false;
}

static bool start(struct outbound *outbound, const struct outbound_options *options)
{
    queue_on_fill(&outbound->requests, wake_thread, outbound);
    queue_on_fill(&outbound->answers, options->wake, options->wake_argument);
    if (options->ca_file) {
        /* It is read for each transfer, from whatever the working directory is by then. */
        char whole[PATH_MAX];
        const char *path = realpath(options->ca_file, whole);
        path = path ? path : options->ca_file;
        outbound->ca_file = memory_copy_string(path, strlen(path));
    }
    outbound->multi = curl_multi_init();
    outbound->started =
        outbound->multi && (outbound->ca_file || !options->ca_file) && start_thread(outbound);
    return outbound->started;
}

struct outbound *outbound_open(const struct outbound_options *options, struct error *error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_up_library);
    struct outbound *outbound = memory_new(sizeof *outbound);
    if (outbound && make_queues(outbound)) {
        link_init(&outbound->running);
        if (start(outbound, options))
            return outbound;
        outbound_close(outbound);
    } else {
        memory_free(outbound);
    }
    error_set(error, ERROR_MEMORY, "cannot start the client for outgoing requests");
    return NULL;
}

bool outbound_send(struct outbound *outbound, const struct outbound_request *request,
                   struct error *error)
{
    struct outbound_transfer *it = outbound_transfer_new(request);
    if (!it)
        return error_set(error, ERROR_MEMORY, "out of memory for a request");
    if (queue_put(&outbound->requests, &it->item))
        return true;
    outbound_transfer_free(it);
    if (queue_is_closed(&outbound->requests))
        return error_set(error, ERROR_SHUTTING_DOWN, "the server is stopping");
    return error_set(error, ERROR_QUEUE_FULL, "%d outgoing requests wait already",
                     OUTBOUND_WAITING);
}

static void deliver(struct queue_item *item)
{
    while (item) {
        struct outbound_transfer *it = (struct outbound_transfer *)item;
        item = item->next;
        it->done(it->argument, &it->answer);
        outbound_transfer_free(it);
    }
}

void outbound_deliver(struct outbound *outbound)
{
    deliver(queue_take_all(&outbound->answers));
}

static void answer_waiting(struct outbound *outbound)
{
    struct queue_item *item = queue_take_all(&outbound->requests);
    for (struct queue_item *one = item; one; one = one->next) {
        struct outbound_transfer *it = (struct outbound_transfer *)one;
        error_set(&it->answer.error, ERROR_SHUTTING_DOWN, "the server is stopping");
    }
    deliver(item);
}

void outbound_close(struct outbound *outbound)
{
    if (!outbound)
        return;
    queue_close(&outbound->requests);
    if (outbound->started) {
        atomic_store(&outbound->stopping, true);
        curl_multi_wakeup(outbound->multi);
        pthread_join(outbound->thread, NULL);
    }
    outbound_deliver(outbound);
    answer_waiting(outbound);
    if (outbound->multi)
        curl_multi_cleanup(outbound->multi);
    queue_fini(&outbound->requests);
    queue_fini(&outbound->answers);
    memory_free(outbound->ca_file);
    memory_free(outbound);
}
