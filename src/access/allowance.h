/*
 * allowance: what one connection may still do. Its rates, and the limits of its token as they are
 * now. What is refused is told to the audit. Loop thread.
 */
#ifndef ACCESS_ALLOWANCE_H
#define ACCESS_ALLOWANCE_H

#include "access/limits.h"

struct principal;

struct allowance {
    struct limits *limits;
    const struct principal *principal; /* whose connection it is; its identity may change */
    const char *kind;                  /* for the audit: "subscriber" or "ingest" */
    size_t refused_bytes;              /* of the last allowance_send that was refused */
    struct rate_level messages, minute_messages, minute_bytes, subscribes, snapshots;
};

/* All is borrowed, and must stay as long as it. It owns no memory. */
void allowance_init(struct allowance *allowance, struct limits *limits,
                    const struct principal *principal, const char *kind);

/* Each: whether it may, and counted if so; else the error to tell. */

/* One message more comes in. Refused: the connection is to be ended. */
bool allowance_message(struct allowance *allowance, struct error *error);
/* A subscribe message, be it good or not; then one more subscription beside `held`; then a
 * snapshot or a resume. */
bool allowance_subscribe(struct allowance *allowance, struct error *error);
bool allowance_subscription(struct allowance *allowance, size_t held, struct error *error);
bool allowance_snapshot(struct allowance *allowance, struct error *error);
/* An answer of so many rows. Nothing is counted. */
bool allowance_rows(struct allowance *allowance, int64_t rows, struct error *error);

/* `bytes` are to go out: counted, or false; then allowance_left says how many could, and when none
 * of it can be used, allowance_overdrawn why, and the connection is to be ended. */
bool allowance_send(struct allowance *allowance, size_t bytes);
size_t allowance_left(struct allowance *allowance);
void allowance_overdrawn(struct allowance *allowance, struct error *error);

/* For producers, who are made to wait rather than ended: count a message; whether no more may be
 * read for now. The rate of messages is for subscribers alone. */
void allowance_note_message(struct allowance *allowance);
bool allowance_is_spent(const struct allowance *allowance);

#endif
