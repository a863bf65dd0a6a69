/*
 * Revoked tokens: in the database, and in the set that access checks. A token is refused, and its
 * sessions end, from the moment of the request on. The request is answered when the database has
 * the revocation. If the database cannot write it, the token stays refused until the server stops.
 * Loop thread.
 */
#ifndef ACCESS_REVOCATIONS_H
#define ACCESS_REVOCATIONS_H

#include "base/base.h"

struct revocations;
struct access;

/* ---- for access.c ---- */

/* Makes access->revocations, which memory_free ends after the engine, which answers waiting
 * requests; and fills access->shown.revoked from the database. */
bool revocations_open(struct access *access, struct error *error);
/* To be called every second or so: forgets revocations of tokens that have run out. */
void revocations_tick(struct access *access);

/* ---- for everybody ---- */

struct revocation_request {
    struct span token_id;
    int64_t expires_at; /* 0: unknown */
    /* Called once: ERROR_NONE when it is on disk. */
    void (*done)(void *argument, const struct error *error);
    void *argument;
};

/* Refuse the token from now on, and end its sessions, without writing that down: who calls this has
 * done so, or will. `at` in milliseconds. */
bool revocations_note(struct access *access, struct span token_id, int64_t expires_at, int64_t at,
                      struct error *error);
/* The error of a revocation that was not kept, because there are too many. Always false. */
bool revocations_full(struct error *error);
/* The span is copied. false, without a call of `done`, if it cannot be added. */
bool revocations_add(struct access *access, const struct revocation_request *request,
                     struct error *error);

#endif
