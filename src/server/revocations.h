/*
 * Revoked tokens: kept in the database, and in the set that the door asks. A token is refused, and
 * its sessions end, from the moment of the request on; the request is answered when the database
 * has it. Should the database not take it, the token stays refused until the server stops. Loop
 * thread.
 */
#ifndef SERVER_REVOCATIONS_H
#define SERVER_REVOCATIONS_H

#include "base/base.h"

struct revocations;
struct server;

/* Makes server->revocations and fills the door's set from the database; before the loop runs. */
bool revocations_open(struct server *server, struct error *error);
/* After the engine, which answers what waits. NULL is fine. */
void revocations_close(struct revocations *revocations);
/* To be called every second or so: forgets those whose tokens have run out. */
void revocations_tick(struct server *server);

/* How many are revoked now. */
size_t revocations_count(struct server *server);

struct revocation_wish {
    struct span token_id;
    int64_t expires_at; /* 0: unknown */
    /* Called once: ERROR_NONE when it is on disk. */
    void (*done)(void *argument, const struct error *error);
    void *argument;
};

/* The span is copied. false, and `done` is not called, when it cannot be taken. */
bool revocations_add(struct server *server, const struct revocation_wish *wish,
                     struct error *error);

#endif
