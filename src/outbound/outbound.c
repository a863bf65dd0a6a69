/*
 * Outgoing requests: one as libcurl sees it, the thread that runs them, and the loop's side.
 */
#include "outbound/outbound_internal.h"

#include "base/link.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

/*
 * One request from outbound_send to `done`. It belongs to one thread at a time: the loop makes it,
 * the queue of requests hands it to the outbound thread, the queue of answers back.
 */
struct transfer {
    struct queue_item item;
    struct link in_running;
    char *url, *content_type, *token;
    char *lines;  /* further headers */
    char *method; /* NULL: by the body */
    char *body;
    size_t body_length;
    bool posts;
    int64_t connect_ms, total_ms;
    outbound_done done;
    void *argument;
    struct outbound_answer answer;
    /* while it runs */
    CURL *easy;
    struct curl_slist *headers;
    size_t header_bytes;
    char reason[CURL_ERROR_SIZE];
};

enum { HEADER_LIMIT = 64 * 1024, TOKEN_LIMIT = 16 * 1024 };

/* ---- its life ---- */

static char *copy(const char *text)
{
    return memory_copy_string(text, strlen(text));
}

static void transfer_free(struct transfer *transfer)
{
    memory_free(transfer->url);
    memory_free(transfer->content_type);
    memory_free(transfer->token);
    memory_free(transfer->lines);
    memory_free(transfer->method);
    memory_free(transfer->body);
    buffer_fini(&transfer->answer.body);
    memory_free(transfer);
}

/* A copy of the request; NULL when out of memory. */
static struct transfer *transfer_new(const struct outbound_request *request)
{
    struct transfer *it = memory_new(sizeof *it);
    if (!it)
        return NULL;
    link_init(&it->in_running);
    buffer_init(&it->answer.body, request->max_bytes);
    it->url = copy(request->url);
    it->content_type = request->content_type ? copy(request->content_type) : NULL;
    it->token = request->token ? copy(request->token) : NULL;
    it->lines = request->headers ? copy(request->headers) : NULL;
    it->method = request->method ? copy(request->method) : NULL;
    it->posts = request->body.data != NULL;
    it->body = it->posts ? memory_copy_string(request->body.data, request->body.length) : NULL;
    it->body_length = request->body.length;
    it->connect_ms = request->connect_ms;
    it->total_ms = request->total_ms;
    it->done = request->done;
    it->argument = request->argument;
    if (it->url && (it->content_type || !request->content_type) && (it->token || !request->token) &&
        (it->lines || !request->headers) && (it->method || !request->method) &&
        (it->body || !it->posts))
        return it;
    transfer_free(it);
    return NULL;
}

/* The URL as errors and log lines may name it: without a query, which may hold a secret. */
static struct span shown_url(const char *url)
{
    return span_make(url, strcspn(url, "?#"));
}

/* ---- the answer ---- */

static size_t on_body(char *bytes, size_t one, size_t length, void *argument)
{
    struct transfer *it = argument;
    return buffer_add(&it->answer.body, bytes, one * length) ? length : 0;
}

/* They are not kept, but libcurl would go on reading headers for as long as there are any. */
static size_t on_header(char *bytes, size_t one, size_t length, void *argument)
{
    struct transfer *it = argument;
    (void)bytes;
    it->header_bytes += one * length;
    return it->header_bytes <= HEADER_LIMIT ? length : 0;
}

static void take_answer(struct transfer *it)
{
    long status = 0;
    curl_off_t retry_after = 0;
    curl_easy_getinfo(it->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(it->easy, CURLINFO_RETRY_AFTER, &retry_after);
    it->answer.status = (int)status;
    it->answer.retry_after = retry_after;
}

static void fail(struct transfer *it, CURLcode code)
{
    struct span url = shown_url(it->url);
    struct error *error = &it->answer.error;
    int shown = (int)url.length;
    if (code == CURLE_OUT_OF_MEMORY)
        error_set(error, ERROR_MEMORY, "out of memory for a request to %.*s", shown, url.data);
    else if (code == CURLE_WRITE_ERROR && it->answer.body.failed)
        error_set(error, ERROR_TOO_LARGE, "%.*s answers more than %zu bytes", shown, url.data,
                  it->answer.body.limit);
    else if (code == CURLE_WRITE_ERROR)
        error_set(error, ERROR_TOO_LARGE, "%.*s answers more than %d bytes of headers", shown,
                  url.data, HEADER_LIMIT);
    else
        error_set(error, ERROR_NETWORK, "%.*s: %s", shown, url.data,
                  it->reason[0] ? it->reason : curl_easy_strerror(code));
}

/* The result of the transfer, from libcurl. */
static void transfer_result(struct transfer *transfer, CURLcode code)
{
    take_answer(transfer);
    if (code != CURLE_OK)
        fail(transfer, code);
}

/* ---- the request ---- */

static bool add_header(struct transfer *it, const char *name, const char *value)
{
    struct buffer line;
    buffer_init(&line, TOKEN_LIMIT);
    buffer_printf(&line, "%s%s", name, value);
    const char *text = buffer_string(&line);
    struct curl_slist *longer = text ? curl_slist_append(it->headers, text) : NULL;
    if (longer)
        it->headers = longer;
    buffer_fini(&line);
    return longer != NULL;
}

/* One header after the other; the text is cut at its line ends. */
static bool add_lines(struct transfer *it)
{
    char *line = it->lines, *end;
    while (line && (end = strchr(line, '\n'))) {
        *end = '\0';
        if (!add_header(it, line, ""))
            return false;
        line = end + 1;
    }
    return true;
}

/* Without "Expect:" libcurl would wait a second for leave to send a large body. */
static bool add_headers(struct transfer *it)
{
    return add_header(it, "Expect:", "") && add_lines(it) &&
           (!it->token || add_header(it, "Authorization: Bearer ", it->token)) &&
           (!it->content_type || add_header(it, "Content-Type: ", it->content_type));
}

static bool configure(struct transfer *it, const char *ca_file)
{
    CURL *easy = it->easy;
    return outbound_configure(easy, ca_file) && add_headers(it) &&
           !curl_easy_setopt(easy, CURLOPT_PRIVATE, it) &&
           !curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, it->reason) &&
           !curl_easy_setopt(easy, CURLOPT_URL, it->url) &&
           !curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
           !curl_easy_setopt(easy, CURLOPT_USERAGENT, "stele/" STELE_VERSION) &&
           !curl_easy_setopt(easy, CURLOPT_HTTPHEADER, it->headers) &&
           !curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)it->connect_ms) &&
           !curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)it->total_ms) &&
           !curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) &&
           !curl_easy_setopt(easy, CURLOPT_WRITEDATA, it) &&
           !curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, it->method) &&
           !curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) &&
           !curl_easy_setopt(easy, CURLOPT_HEADERDATA, it) &&
           (!it->posts ||
            (!curl_easy_setopt(easy, CURLOPT_POST, 1L) &&
             !curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)it->body_length) &&
             !curl_easy_setopt(easy, CURLOPT_POSTFIELDS, it->body)));
}

static void transfer_end(struct transfer *transfer, CURLM *multi)
{
    if (transfer->easy) {
        curl_multi_remove_handle(multi, transfer->easy);
        curl_easy_cleanup(transfer->easy);
    }
    curl_slist_free_all(transfer->headers);
    transfer->easy = NULL;
    transfer->headers = NULL;
}

/* On the outbound thread: give the transfer to libcurl. One that cannot begin has its error. */
static bool transfer_begin(struct transfer *transfer, CURLM *multi, const char *ca_file)
{
    transfer->easy = curl_easy_init();
    if (transfer->easy && configure(transfer, ca_file) &&
        curl_multi_add_handle(multi, transfer->easy) == CURLM_OK)
        return true;
    struct span url = shown_url(transfer->url);
    error_set(&transfer->answer.error, ERROR_MEMORY, "cannot begin a request to %.*s",
              (int)url.length, url.data);
    transfer_end(transfer, multi);
    return false;
}

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
    struct span shown = strchr(url, '@') ? span_of("(hidden)") : shown_url(url);
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

static void give_back(struct outbound *outbound, struct transfer *it)
{
    it->item.bytes = 0;
    queue_put(&outbound->answers, &it->item,
              QUEUE_REFUSES); /* unbounded: each was counted on its way in */
}

static void take_new(struct outbound *outbound)
{
    struct queue_item *item;
    while (outbound->running_count < OUTBOUND_AT_ONCE &&
           (item = queue_wait_one(&outbound->requests, 0))) {
        struct transfer *it = (struct transfer *)item;
        if (!transfer_begin(it, outbound->multi, outbound->ca_file)) {
            give_back(outbound, it);
            continue;
        }
        link_append(&outbound->running, &it->in_running);
        outbound->running_count++;
    }
}

static void finish(struct outbound *outbound, struct transfer *it)
{
    transfer_end(it, outbound->multi);
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
        struct transfer *it = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &it);
        transfer_result(it, message->data.result);
        finish(outbound, it); /* the message is gone with its handle */
        any = true;
    }
    return any;
}

static void cancel_all(struct outbound *outbound)
{
    while (!link_alone(&outbound->running)) {
        struct transfer *it = LINK_OWNER(struct transfer, in_running, outbound->running.next);
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
    outbound_set_up();
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
    struct transfer *it = transfer_new(request);
    if (!it)
        return error_set(error, ERROR_MEMORY, "out of memory for a request");
    if (queue_put(&outbound->requests, &it->item, QUEUE_REFUSES))
        return true;
    transfer_free(it);
    if (queue_is_closed(&outbound->requests))
        return error_set(error, ERROR_SHUTTING_DOWN, "the server is stopping");
    return error_set(error, ERROR_QUEUE_FULL, "%d outgoing requests wait already",
                     OUTBOUND_WAITING);
}

static void deliver(struct queue_item *item)
{
    while (item) {
        struct transfer *it = (struct transfer *)item;
        item = item->next;
        it->done(it->argument, &it->answer);
        transfer_free(it);
    }
}

void outbound_deliver(struct outbound *outbound)
{
    deliver(queue_take_all(&outbound->answers, 0));
}

static void answer_waiting(struct outbound *outbound)
{
    struct queue_item *item = queue_take_all(&outbound->requests, 0);
    for (struct queue_item *one = item; one; one = one->next) {
        struct transfer *it = (struct transfer *)one;
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
