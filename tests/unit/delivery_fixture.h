/* A hub on a real engine, without sockets. */
#ifndef TESTS_DELIVERY_FIXTURE_H
#define TESTS_DELIVERY_FIXTURE_H

#include "delivery/hub.h"
#include "engine_fixture.h"

struct hub_fixture {
    struct fixture base; /* set its options before the start */
    struct hub_options options;
    struct hub *hub;
    struct engine_export_options exports[2]; /* of hub_fixture_start_with */
};

/* With options of both as most tests want them, for more to be set before the start. */
void hub_fixture_init(struct hub_fixture *fixture);
/* Stop it if it was started, and remove its file. */
void hub_fixture_fini(struct hub_fixture *fixture);
/* Open both with exports of these names, a letter each, and no views but theirs. */
void hub_fixture_start_with(struct hub_fixture *fixture, const char *names);

/* Open both, with the exports of the views, which the hub takes over. After a stop it may be
 * started again on the same file. */
void hub_fixture_start(struct hub_fixture *fixture, struct view_set *views,
                       const struct engine_export_options *exports, size_t export_count);
/* Subscribers must be gone. */
void hub_fixture_stop(struct hub_fixture *fixture);
/* Mutations as in engine_fixture.h; they must be taken. */
void hub_fixture_feed(struct hub_fixture *fixture, const char *text);
/* `count` mutations "Q k<i> <rest>" in one request. */
void hub_fixture_feed_many(struct hub_fixture *fixture, int count, const char *rest);
/* A question of our own: when it comes back, all that were asked before have begun; with one reader
 * they are answered. */
void hub_fixture_wait_for_readers(struct hub_fixture *fixture);
/* Steps of SQLite's machine that a reader has taken so far / that the one reader has. */
int64_t steps_of(const struct store_reader *reader);
int64_t hub_fixture_steps(struct hub_fixture *fixture);
/* Deliver events until done(argument); fails the test when that takes a minute. */
void hub_fixture_until(struct hub_fixture *fixture, bool (*done)(void *argument), void *argument);

#endif
