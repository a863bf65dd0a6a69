/* Outgoing requests: the loop's side, and the thread that runs them. */
#include "server/web_internal.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

enum { POLL_MS = 10 * 1000 }; /* libcurl wakes up earlier by itself, and by curl_multi_wakeup */

struct web {
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

bool web_check_url(const char *url, struct error *error)
{
    struct span shown = web_shown_url(url);
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

static void give_back(struct web *web, struct web_transfer *it)
{
    it->item.bytes = 0;
    queue_put(&web->answers, &it->item); /* unbounded: each was counted on its way in */
}

static void take_new(struct web *web)
{
    struct queue_item *item;
    while (web->running_count < WEB_AT_ONCE && (item = queue_wait_one(&web->requests, 0))) {
        struct web_transfer *it = (struct web_transfer *)item;
        if (!web_transfer_begin(it, web->multi, web->ca_file)) {
            give_back(web, it);
            continue;
        }
        link_append(&web->running, &it->in_running);
        web->running_count++;
    }
}

static void finish(struct web *web, struct web_transfer *it)
{
    web_transfer_end(it, web->multi);
    link_remove(&it->in_running);
    web->running_count--;
    give_back(web, it);
}

/* Whether there were any. */
static bool take_finished(struct web *web)
{
    CURLMsg *message;
    bool any = false;
    int left;
    while ((message = curl_multi_info_read(web->multi, &left))) {
        struct web_transfer *it = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &it);
        web_transfer_result(it, message->data.result);
        finish(web, it); /* the message is gone with its handle */
        any = true;
    }
    return any;
}

static void cancel_all(struct web *web)
{
    while (!link_alone(&web->running)) {
        struct web_transfer *it = LINK_OWNER(struct web_transfer, in_running, web->running.next);
        error_set(&it->answer.error, ERROR_SHUTTING_DOWN, "the server is stopping");
        finish(web, it);
    }
}

static void *web_main(void *argument)
{
    struct web *web = argument;
    while (!atomic_load(&web->stopping)) {
        int running;
        take_new(web);
        curl_multi_perform(web->multi, &running);
        if (!take_finished(web)) /* or there is room for those that wait */
            curl_multi_poll(web->multi, NULL, 0, POLL_MS, NULL);
    }
    cancel_all(web);
    return NULL;
}

/* Signals are the host program's, and a peer that has gone is an error of a write, no SIGPIPE. */
static bool start_thread(struct web *web)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&web->thread, NULL, web_main, web) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

/* ---- the loop's side ---- */

/* Once for the process, for ever: libcurl may be in use by the host program, too. */
static void set_up_library(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static void wake_thread(void *web)
{
    curl_multi_wakeup(((struct web *)web)->multi);
}

static bool make_queues(struct web *web)
{
    if (!queue_init(&web->requests, WEB_WAITING, SIZE_MAX))
        return false;
    if (queue_init(&web->answers, SIZE_MAX, SIZE_MAX))
        return true;
    queue_fini(&web->requests);
    return false;
}

static bool start(struct web *web, const struct web_options *options)
{
    queue_on_fill(&web->requests, wake_thread, web);
    queue_on_fill(&web->answers, options->wake, options->wake_argument);
    if (options->ca_file) {
        /* It is read for each transfer, from whatever the working directory is by then. */
        char whole[PATH_MAX];
        const char *path = realpath(options->ca_file, whole);
        path = path ? path : options->ca_file;
        web->ca_file = memory_copy_string(path, strlen(path));
    }
    web->multi = curl_multi_init();
    web->started = web->multi && (web->ca_file || !options->ca_file) && start_thread(web);
    return web->started;
}

struct web *web_open(const struct web_options *options, struct error *error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_up_library);
    struct web *web = memory_new(sizeof *web);
    if (web && make_queues(web)) {
        link_init(&web->running);
        if (start(web, options))
            return web;
        web_close(web);
    } else {
        memory_free(web);
    }
    error_set(error, ERROR_MEMORY, "cannot start the client for outgoing requests");
    return NULL;
}

bool web_send(struct web *web, const struct web_request *request, struct error *error)
{
    struct web_transfer *it = web_transfer_new(request);
    if (!it)
        return error_set(error, ERROR_MEMORY, "out of memory for a request");
    if (queue_put(&web->requests, &it->item))
        return true;
    web_transfer_free(it);
    if (queue_is_closed(&web->requests))
        return error_set(error, ERROR_SHUTTING_DOWN, "the server is stopping");
    return error_set(error, ERROR_QUEUE_FULL, "%d outgoing requests wait already", WEB_WAITING);
}

static void deliver(struct queue_item *item)
{
    while (item) {
        struct web_transfer *it = (struct web_transfer *)item;
        item = item->next;
        it->done(it->argument, &it->answer);
        web_transfer_free(it);
    }
}

void web_deliver(struct web *web)
{
    deliver(queue_take_all(&web->answers));
}

static void answer_waiting(struct web *web)
{
    struct queue_item *item = queue_take_all(&web->requests);
    for (struct queue_item *one = item; one; one = one->next) {
        struct web_transfer *it = (struct web_transfer *)one;
        error_set(&it->answer.error, ERROR_SHUTTING_DOWN, "the server is stopping");
    }
    deliver(item);
}

void web_close(struct web *web)
{
    if (!web)
        return;
    queue_close(&web->requests);
    if (web->started) {
        atomic_store(&web->stopping, true);
        curl_multi_wakeup(web->multi);
        pthread_join(web->thread, NULL);
    }
    web_deliver(web);
    answer_waiting(web);
    if (web->multi)
        curl_multi_cleanup(web->multi);
    queue_fini(&web->requests);
    queue_fini(&web->answers);
    memory_free(web->ca_file);
    memory_free(web);
}
