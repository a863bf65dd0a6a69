/*
 * `stele ingest`: lines of a file or pipe become requests over one WebSocket.
 *
 *   input (a thread that reads) --chunks--> lines --> requests in order --> client
 *                                                        ^------ answers ----'
 *
 * Exactly once. Every request that does not name a producer itself carries ours, and as its batch
 * number the number of its last line. The server takes a batch that is not above the last committed
 * number as a repetition, so a request that was on its way when a connection broke is simply sent
 * again. Two rules make this hold whatever the batches of an earlier run were:
 *  1. With a producer named by the user, the server is asked first which line was the last of an
 *     earlier run. Lines up to that one are not sent; each request has a hash of the input so far
 *     as its mark, by which another input under the same name is told.
 *  2. Behind a refused request nothing of the same producer is applied until it comes again (the
 *     server sees to that within a connection), so after a refusal everything from it on is sent
 *     again, in order.
 */
#ifndef CLI_INGEST_H
#define CLI_INGEST_H

#include "cli/access.h"

struct ingest_options {
    struct access_options access;
    const char *url, *producer;
    bool producer_named; /* by the user, so that earlier runs may have used it */
    int64_t batch, rate,
        patience; /* lines; lines per second, 0: any; seconds, negative: not given */
    struct option_texts operands;
};

#define INGEST_OPTIONS_INIT                                                                        \
    {                                                                                              \
        .url = "ws://127.0.0.1:8877", .batch = 500, .patience = -1                                 \
    }

#endif
