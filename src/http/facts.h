/*
 * Values from the database for /status and /metrics. A read job reads them, one at a time, so the
 * loop never waits for the database. While nothing changes, its result is kept for a second. An
 * answer is not older than its request.
 */
#ifndef HTTP_FACTS_H
#define HTTP_FACTS_H

#include "base/process.h"
#include "database/database.h"
#include "http/http_internal.h"
#include "http/request.h"

struct fact_rows {
    const struct view *view;
    int64_t rows; /* -1: it could not be counted */
};

struct facts {
    struct http *http;
    struct store_log_state log;
    struct database_sizes sizes;
    struct process_figures process;
    struct fact_rows *rows; /* one per view, as of the last answer */
    size_t row_count;
    uint64_t asked_ms;    /* loop time at which the last result was requested; 0: never */
    int64_t asked_change; /* and the newest change then */
    bool asking;
    struct facts_waiter *waiting; /* for the job under way */
    struct facts_waiter *next;    /* for the one after it */
};

typedef void (*facts_print)(struct http *http, struct http_request *request);

struct facts *facts_new(struct http *http);
/* No read job may be under way any more. */
void facts_free(struct facts *facts);
/* Call `print` for the request when the facts are fresh; `print` must answer it. The request is
 * awaited until then. */
void facts_when_fresh(struct facts *facts, struct http_request *request, facts_print print);

/* status.c and metrics.c */
void status_print(struct http *http, struct http_request *request);
void metrics_print(struct http *http, struct http_request *request);

#endif
