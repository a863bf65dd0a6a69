/*
 * A window whose refreshes, and fillings, a test drives by hand: the readers of the engine are
 * stopped, so this thread takes their jobs, and says when they run and when they come back. For
 * tests that plant faults, in a process each.
 */
#ifndef TESTS_PLANTED_WINDOW_H
#define TESTS_PLANTED_WINDOW_H

#include "delivery_fixture.h"

#include "engine/engine_internal.h"
#include "window/reading.h"

extern struct hub_fixture fixture;
extern struct hub *hub;
extern struct subscriber *subscriber;
extern struct subscription *subscription; /* the subscriber's, */
extern struct window *window;             /* ... of this window */
extern struct windows *windows;
extern struct window_request request; /* of the subscription, in no list */
extern struct error error;

/* The database's file: make a name for it, and remove it. */
void make_file(void);
void remove_file(void);
/* An export with three rows, without subscribers. */
void open_hub(void);
/* Free all of it, and the subscriber. */
void close_hub(void);
/* Subscribe with these members of the message. */
void subscribe(const char *rest);
/* Both, and settle: a member that has all rows and rests. */
void make(const char *rest);

/* The next job of a reader / its work / its result for the loop. */
struct read_job *take_job(void);
void run_job(struct read_job *job);
/* What the jobs have cost. */
int64_t steps_so_far(void);
void bring_back(struct read_job *job);
void pull_all(void);
/* Answer what is asked, until nothing is. */
void settle(void);
/* Have the window refreshed: the job, which has not run. */
struct read_job *begin_refresh(void);
/* The member asks a refresh for what it lacks. */
void fall_behind(void);

#endif
