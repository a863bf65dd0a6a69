/*
 * Publications of this node: what waits to be published, and what was published and waits to be
 * applied here. Never included from outside.
 */
#ifndef FOLLOW_PUBLISHER_H
#define FOLLOW_PUBLISHER_H

#include "follow/follow.h"
#include "follow/sender.h"

struct publisher;

struct publisher *publisher_open(const struct follow_options *options, struct error *error);
/* Start its thread; before that nothing is taken. What it uses of `start` outlives it. */
bool publisher_start(struct publisher *publisher, const struct follow_start *start,
                     struct error *error);
/* See struct publication_log. Any thread. */
bool publisher_put(struct publisher *publisher, struct publication *publication,
                   struct error *error);
void publisher_settle(struct publisher *publisher);
/* One was not even put. Any thread. */
void publisher_note_refused(struct publisher *publisher);
/* A message was applied, or is refused by every node: the publication that it was, if it came from
 * here and still waits, which is to be answered. Loop thread. */
struct publication *publisher_take(struct publisher *publisher, struct span node, int64_t number);
/* Whether it could publish now; else *problem says why not. Any thread. */
bool publisher_is_ready(struct publisher *publisher, struct error *problem);
/* Whether that does not pass by itself: what is to be published is refused at once. */
static inline bool publisher_is_refused(const struct error *problem)
{
    return problem->code == ERROR_NOT_IMPLEMENTED || problem->code == ERROR_LOG_FORBIDDEN;
}
struct follow_writes publisher_writes(struct publisher *publisher);
const struct histogram *publisher_wait(const struct publisher *publisher);
/* Ask the thread to end, after what it is at; returns at once. Any thread. */
void publisher_halt(struct publisher *publisher);
/* End the thread and the connection; all that waits is answered: that nobody knows. Before
 * engine_close. NULL is fine, in both. */
void publisher_stop(struct publisher *publisher);
void publisher_free(struct publisher *publisher);

#endif
