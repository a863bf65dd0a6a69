/*
 * `stele ingest`: lines of a file or pipe become requests over one WebSocket.
 *
 *   input (a thread that reads) --chunks--> lines --> requests in order --> client
 *                                                        ^------ answers ----'
 *
 * Exactly once. A request that names no producer itself carries the command's producer, and as its
 * batch number the number of its last line. The server counts a batch that is not above the last
 * committed number as a repetition. So the command simply sends a request again that was under way
 * when a connection broke. Two rules make this hold, whatever the batches of an earlier run were:
 *  1. With a producer named by the user, the command first asks the server for the last line of an
 *     earlier run. Lines up to that one are not sent. Each request has a hash of the input so far
 * as its mark, which reveals another input under the same name.
 *  2. Behind a refused request nothing of the same producer is applied until it comes again (the
 *     server ensures that within a connection). So after a refusal the command sends everything
 * from it on again, in order.
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
