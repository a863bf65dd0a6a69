/*
 * Public keys from a URL. They are fetched by the thread of outbound.h, so that an endpoint which
 * hangs or is dead delays nobody. Loop thread.
 *
 * What was fetched last is in force until something else comes, which may be no key at all; but
 * when the URL has failed for `stale_seconds`, counted from the first failure since its last
 * answer, its keys are stale: they are in force no more until it answers.
 *
 * When it is asked: at the start; again `seconds` after it answered; after a failure in 1, 2, 4 …
 * seconds, `refetch_seconds` at most; and at once for a token of an unknown key, but not within
 * `refetch_seconds` of the last time.
 */
#ifndef ACCESS_JWKS_H
#define ACCESS_JWKS_H

#include "auth/auth.h"

struct access;
struct outbound;

struct jwks {
    struct access *access;
    char *url; /* NULL: none */
    uint64_t seconds, refetch_seconds, stale_seconds;
    uint64_t asked_ms; /* loop time of the last question */
    uint64_t due_ms;   /* and of the next */
    uint64_t delay_ms; /* after the next failure */
    bool asked;        /* ever */
    bool fetching;
    bool outdated;          /* what is being fetched is of an older URL */
    bool failing;           /* since the last answer */
    uint64_t failing_ms;    /* loop time of the first failure since then */
    bool stale;             /* the keys are in force no more */
    struct auth_keys *keys; /* fetched last; NULL: never */
};

/* "auth.jwks_url" and what belongs to it. */
struct jwks_rules {
    const char *url; /* NULL: none */
    int64_t seconds, refetch_seconds, stale_seconds;
};

/* Zeroed is fine before; keys that another URL gave are forgotten. false: out of memory. */
bool jwks_set(struct jwks *jwks, struct access *access, const struct jwks_rules *rules);
void jwks_fini(struct jwks *jwks);
/* What was fetched cannot be used any more, for this reason, which the log is told: it counts as
 * one more failure. */
void jwks_forget(struct jwks *jwks, const struct error *error);
/* Those that are in force; NULL: none. */
const struct auth_keys *jwks_in_force(const struct jwks *jwks);
/* Ask, if it is time, and see whether the keys are stale by now. */
void jwks_tick(struct jwks *jwks);
/* A token names a key that is not known: ask, if that may be. Returns the seconds after which the
 * token may be worth another try; 0: it is as unknown as it was. */
int jwks_want(struct jwks *jwks);
/* Seconds until it is asked again, at least 1: when a token of a stale key may be worth another
 * try. */
int jwks_wait(const struct jwks *jwks);

#endif
