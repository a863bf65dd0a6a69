/*
 * Shared by the files of outgoing requests:
 *   outbound.c  the loop's side, and the thread
 *   transfer.c  one request as libcurl sees it
 */
#ifndef OUTBOUND_OUTBOUND_INTERNAL_H
#define OUTBOUND_OUTBOUND_INTERNAL_H

#include "base/link.h"
#include "outbound/outbound.h"

#include <curl/curl.h>

/*
 * One request from outbound_send to `done`. It belongs to one thread at a time: the loop makes it,
 * the queue of requests hands it to the outbound thread, the queue of answers back.
 */
struct outbound_transfer {
    struct queue_item item;
    struct link in_running;
    char *url, *content_type, *token;
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

/* A copy of the request; NULL when out of memory. */
struct outbound_transfer *outbound_transfer_new(const struct outbound_request *request);
void outbound_transfer_free(struct outbound_transfer *transfer);
/* The URL as errors and log lines may name it: without a query, which may hold a secret. */
struct span outbound_shown_url(const char *url);

/* On the outbound thread: give the transfer to libcurl / remove it. A transfer that cannot begin
 * has its error. */
bool outbound_transfer_begin(struct outbound_transfer *transfer, CURLM *multi, const char *ca_file);
void outbound_transfer_end(struct outbound_transfer *transfer, CURLM *multi);
/* The result of the transfer, from libcurl. */
void outbound_transfer_result(struct outbound_transfer *transfer, CURLcode code);

#endif
