/*
 * allowance: what one connection may still do: its rates, and the present limits of its token.
 * Refusals are reported to the audit. Loop thread.
 */
#ifndef ACCESS_ALLOWANCE_H
#define ACCESS_ALLOWANCE_H

#include "access/limits.h"

struct principal;

/* The owner sets the first three, which are borrowed; the rest begins zeroed. It owns no memory. */
struct allowance {
    struct limits *limits;
    const struct principal *principal; /* of the connection; its identity may change */
    const char *kind;                  /* for the audit: "subscriber" or "ingest" */
    size_t refused_bytes;              /* of the last allowance_send that was refused */
    struct rate_level messages, minute_messages, minute_bytes, subscribes, snapshots;
};

/* What a subscriber may do, and what its number is. */
enum allowance_wish {
    ALLOWANCE_MESSAGE,      /* 1: one more has come. Refused: end the connection */
    ALLOWANCE_SUBSCRIBE,    /* 1: a subscribe message, good or bad */
    ALLOWANCE_SNAPSHOT,     /* 1: a snapshot or a resume */
    ALLOWANCE_SUBSCRIPTION, /* one more beside so many. Nothing is counted */
    ALLOWANCE_ROWS          /* an answer of so many. Nothing is counted */
};
/* Whether it is allowed, and counted if so; else the error. */
bool allowance_has(struct allowance *allowance, enum allowance_wish wish, int64_t number,
                   struct error *error);

/* Whether there is a limit of the bytes that may be sent. */
bool allowance_limits_bytes(const struct allowance *allowance);
/* How many of these bytes may be sent: all, which are counted then, or fewer, and nothing is. If
 * none of what may be sent can be used, allowance_overdrawn has the error, and the connection must
 * end. */
size_t allowance_send(struct allowance *allowance, size_t bytes);
void allowance_overdrawn(struct allowance *allowance, struct error *error);

/* For producers, which wait instead of being ended: count a message; whether no more may be read
 * for now. The rate of messages is for subscribers alone. */
void allowance_note_message(struct allowance *allowance);
bool allowance_is_spent(const struct allowance *allowance);

#endif
