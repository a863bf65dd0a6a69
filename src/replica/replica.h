/*
 * replica: a server that copies the log of changes of another one, its source, by HTTP
 * (docs/cluster.md, "Replicas without a broker"). It asks for the changes behind its own newest
 * one, on a thread of its own, and hands those of one transaction after the other to the engine:
 *
 *   source --GET /v1/changes--> [thread: lines.c, place] --submission--> engine --> deliver, on the
 *   loop
 *
 * Promises: a change is made under the id, seq and time that it has at the source, once, or the
 * following ends; a state that the source never had is never seen, except within a transaction of
 * more than 64 MiB. Without the source the thread tries again, for ever. A source with another
 * history, or with other settings that decide what changes do, ends the following, with the remedy.
 * Memory is bounded: by the largest transaction of the source, and by the engine's queue.
 */
#ifndef REPLICA_REPLICA_H
#define REPLICA_REPLICA_H

#include "follow/follow.h"

struct replica;

struct replica_options {
    const char *url;        /* of the source: http:// or https:// */
    const char *token_file; /* with its token, read for each connection; NULL: none */
    const char *ca_file;    /* authorities to trust; NULL: the system's */
    /* A token was revoked at the source, and here by now; on the loop. NULL: nobody is told */
    void (*revoked)(void *argument, struct span token_id, int64_t expires_at, int64_t at);
    void *argument;
};

/* What the source says of itself. */
struct replica_source {
    char epoch[DATABASE_UUID_SIZE];
    char settings[65]; /* a digest of what decides what changes do */
    /* The databases that it is a copy of (struct database_origin); the replica's. NULL: it was not
     * asked, as there is a file */
    const char *former;
};

/* Everything is copied. */
struct replica *replica_open(const struct replica_options *options, struct error *error);
/* Ask the source, for a few seconds at most, or until *give_up. `is_new`: there is no database yet,
 * so its log must reach back to its beginning. ERROR_NETWORK: it cannot be asked;
 * ERROR_CONFIGURATION: it refuses, and why. Before replica_start. */
bool replica_ask(struct replica *replica, bool is_new, const atomic_bool *give_up,
                 struct replica_source *source, struct error *error);
/* Start the thread, behind the engine's newest change; `settings`: the server's own digest. */
bool replica_start(struct replica *replica, struct engine *engine, const char *settings,
                   struct error *error);
/* As follow.h has them. */
void replica_halt(struct replica *replica);
void replica_stop(struct replica *replica);
void replica_free(struct replica *replica);
/* Append a member: the ids of this replica, and of those that it has its changes by. Any thread. */
void replica_print_chain(struct replica *replica, struct buffer *out);
/* Positions are ids of changes. */
struct follow_state replica_state(struct replica *replica);

#endif
