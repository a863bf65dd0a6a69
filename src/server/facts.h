/*
 * What /status and /metrics tell from the database. A read job asks, one at a time, so that the
 * loop never waits for the database; while nothing changes its answer is kept for a second. Who
 * asks gets an answer that is not older than the question.
 */
#ifndef SERVER_FACTS_H
#define SERVER_FACTS_H

#include "base/process.h"
#include "server/exchange.h"
#include "server/server_internal.h"

struct fact_rows {
    const struct view *view;
    int64_t rows; /* -1: could not be counted */
};

struct facts {
    struct server *server;
    struct store_log_state log;
    struct store_sizes sizes;
    struct process_figures process;
    struct fact_rows *rows; /* one per view, as of the last answer */
    size_t row_count;
    uint64_t asked_ms;    /* loop time of the last answer's question; 0: never */
    int64_t asked_change; /* and the newest change then */
    bool asking;
    struct facts_waiter *waiting; /* for the job that is on its way */
    struct facts_waiter *next;    /* for the one after it */
};

typedef void (*facts_print)(struct server *server, struct exchange *exchange);

struct facts *facts_new(struct server *server);
/* No read job may be on its way any more. */
void facts_free(struct facts *facts);
/* Call `print` for the exchange when the facts are fresh, which must answer it; the exchange is
 * awaited until then. */
void facts_when_fresh(struct facts *facts, struct exchange *exchange, facts_print print);

/* status.c and metrics.c */
void status_print(struct server *server, struct exchange *exchange);
void metrics_print(struct server *server, struct exchange *exchange);

#endif
