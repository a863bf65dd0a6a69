/*
 * allowance: what one connection may still do: its rates, and the present limits of its token.
 * Refusals are reported to the audit. Loop thread.
 */
#ifndef ACCESS_ALLOWANCE_H
#define ACCESS_ALLOWANCE_H

#include "access/limits.h"

struct principal;

struct allowance {
    struct limits *limits;
    const struct principal *principal; /* of the connection; its identity may change */
    const char *kind;                  /* for the audit: "subscriber" or "ingest" */
    size_t refused_bytes;              /* of the last allowance_send that was refused */
    struct rate_level messages, minute_messages, minute_bytes, subscribes, snapshots;
};

/* All is borrowed, and must live as long as the allowance, which owns no memory. */
void allowance_init(struct allowance *allowance, struct limits *limits,
                    const struct principal *principal, const char *kind);

/* Each function: whether it is allowed, and counted if so; else the error. */

/* One more message has come. Refused: end the connection. */
bool allowance_message(struct allowance *allowance, struct error *error);
/* A subscribe message, good or bad; then one more subscription beside `held`; then a snapshot or
 * a resume. */
bool allowance_subscribe(struct allowance *allowance, struct error *error);
bool allowance_subscription(struct allowance *allowance, size_t held, struct error *error);
bool allowance_snapshot(struct allowance *allowance, struct error *error);
/* An answer of so many rows. Nothing is counted. */
bool allowance_rows(struct allowance *allowance, int64_t rows, struct error *error);

/* Whether `bytes` may be sent: counted, or false. Then allowance_left says how many may be sent;
 * if none of it can be used, allowance_overdrawn has the error, and the connection must end. */
bool allowance_send(struct allowance *allowance, size_t bytes);
size_t allowance_left(struct allowance *allowance);
void allowance_overdrawn(struct allowance *allowance, struct error *error);

/* For producers, which wait instead of being ended: count a message; whether no more may be read
 * for now. The rate of messages is for subscribers alone. */
void allowance_note_message(struct allowance *allowance);
bool allowance_is_spent(const struct allowance *allowance);

#endif
