/* `stele subscribe`: its options and its messages, for the tests too. */
#ifndef CLI_SUBSCRIBE_H
#define CLI_SUBSCRIBE_H

#include "cli/access.h"

struct subscribe_options {
    struct access_options access;
    const char *url, *key, *after, *epoch;
    const char *columns;         /* NULL: the members of the rows */
    struct option_texts filters; /* each "path=value" */
    const char *where;           /* a predicate; NULL: none */
    struct option_texts sorts;   /* each "path" or "-path" */
    struct option_texts times;   /* paths of columns that are times */
    int64_t take, skip;          /* negative: not given */
    int64_t limit;               /* negative: none */
    int64_t count;               /* 0: no end */
    int64_t patience;            /* seconds; negative: not given */
    bool no_snapshot, follow, table;
    struct option_texts operands; /* the view */
};

#define SUBSCRIBE_OPTIONS_INIT                                                                     \
    {                                                                                              \
        .url = "ws://127.0.0.1:8877", .take = -1, .skip = -1, .limit = -1, .patience = -1          \
    }

/* The position of the client, so that another connection can go on from there. */
struct subscribe_cursor {
    char seq[64], epoch[64]; /* "" while unknown */
};

/* Learn from a frame. false when it is an error message; then `message`, `fatal` and `retryable`
 * are set. */
struct subscribe_error {
    char message[512];
    bool fatal, retryable;
};
bool subscribe_note(struct subscribe_cursor *cursor, struct span frame,
                    struct subscribe_error *error);
/* Append the message that subscribes to the view, from the cursor on if there is one. */
bool subscribe_print(struct buffer *out, const struct subscribe_options *options,
                     const struct subscribe_cursor *cursor);

#endif
