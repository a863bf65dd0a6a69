/* Usage events with the clock in the test's hand, and an endpoint that answers as it is told. */
#ifndef TESTS_USAGE_FIXTURE_H
#define TESTS_USAGE_FIXTURE_H

#include "engine_fixture.h"
#include "usage/usage_internal.h"

enum { POSTS = 16 };

struct taken {
    char id[40];
};

struct body;

extern struct usage_fixture {
    struct fixture base;
    struct usage *usage;
    struct auth_identity *identity;
    uint64_t now;
    bool turn_wanted;
    /* the endpoint */
    int status; /* what it answers; 0: it cannot be reached */
    int64_t retry_after;
    bool full;          /* requests are not even begun */
    const char *poison; /* a request with this in it is answered 400 */
    struct {
        outbound_done done;
        void *argument;
        char *body;
    } posts[POSTS];
    size_t post_count, most_at_once;
    uint64_t attempts, last_attempt;
    struct body *bodies; /* that were taken, newest first, until somebody looks */
    struct map taken;
    size_t repeated;
    struct buffer told; /* everything that was taken */
} it;

void set_up(void);
void tear_down(void);
void open_usage(int64_t spool_rows);
/* As a stop that comes in between ends: what is in memory only is lost. */
void crash(void);
struct usage_client *come(void);

/* ---- the loop ---- */

uint64_t cpu_us(void);
extern uint64_t longest_us; /* turn of the loop */
void turn(void);
/* Everything that is to happen at this moment. */
void settle(void);
void pass(uint64_t ms);
/* Time for what was told to reach the endpoint. */
void come_through(void);

/* ---- what became of the events ---- */

void answer_posts(void);
/* How many different events were taken. */
size_t taken(void);
/* Of a struct taken, in a map. */
struct span taken_key(const void *value);
/* How often a text stands in them. */
size_t times(const char *part);
int64_t in_spool(void);

#endif
