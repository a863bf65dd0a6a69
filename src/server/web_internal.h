/*
 * What the files of outgoing requests share:
 *   web.c           the loop's side, and the thread
 *   web_transfer.c  one request as libcurl sees it
 */
#ifndef SERVER_WEB_INTERNAL_H
#define SERVER_WEB_INTERNAL_H

#include "base/link.h"
#include "server/web.h"

#include <curl/curl.h>

/*
 * One request from web_send to `done`. It belongs to one thread at a time: the loop makes it, the
 * queue of requests hands it to the web thread, the queue of answers back.
 */
struct web_transfer {
    struct queue_item item;
    struct link in_running;
    char *url, *content_type, *token;
    char *method; /* NULL: as the body says */
    char *body;
    size_t body_length;
    bool posts;
    int64_t connect_ms, total_ms;
    web_done done;
    void *argument;
    struct web_answer answer;
    /* while it runs */
    CURL *easy;
    struct curl_slist *headers;
    size_t header_bytes;
    char reason[CURL_ERROR_SIZE];
};

/* A copy of the request; NULL when out of memory. */
struct web_transfer *web_transfer_new(const struct web_request *request);
void web_transfer_free(struct web_transfer *transfer);
/* The URL as errors and log lines may name it: without a query, which may hold a secret. */
struct span web_shown_url(const char *url);

/* On the web thread: put it into libcurl's hands / take it out. A transfer that cannot be begun has
 * its error. */
bool web_transfer_begin(struct web_transfer *transfer, CURLM *multi, const char *ca_file);
void web_transfer_end(struct web_transfer *transfer, CURLM *multi);
/* What libcurl says became of it. */
void web_transfer_result(struct web_transfer *transfer, CURLcode code);

#endif
