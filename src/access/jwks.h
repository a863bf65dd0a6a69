/*
 * Public keys from a URL. The thread of outbound.h fetches them, so an endpoint which hangs or is
 * dead delays nobody. Loop thread.
 *
 * The last fetched keys are in force until another answer comes, which may have no key at all. When
 * the URL has failed for `stale_seconds`, counted from the first failure since its last answer, its
 * keys are stale: they are out of force until it answers.
 *
 * The URL is asked at the start; again `seconds` after it answered; after a failure in 1, 2, 4 …
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
    uint64_t asked_ms; /* loop time of the last request */
    uint64_t due_ms;   /* and of the next */
    uint64_t delay_ms; /* after the next failure */
    bool asked;        /* at least once */
    bool fetching;
    bool outdated;          /* the request under way is to an older URL */
    bool failing;           /* since the last answer */
    uint64_t failing_ms;    /* loop time of the first failure since then */
    struct auth_keys *keys; /* fetched last; NULL: never */
};

/* A token names an unknown key: ask, if that is allowed. Returns the seconds after which the
 * token may be worth another try; 0: never. */
int jwks_want(struct jwks *jwks);
/* Seconds until the next request, at least 1: when a token of a stale key may be worth another
 * try. */
int jwks_wait(const struct jwks *jwks);

#endif
