/*
 * Who reads the log of changes, as far as is remembered: an answer makes no session, so a replica
 * is known by its requests alone. Loop thread.
 */
#ifndef HTTP_FOLLOWERS_H
#define HTTP_FOLLOWERS_H

#include "access/access.h"

enum { FOLLOWERS = 32, FOLLOWER_SUBJECT = 64 };

/* Those that asked last, by address and subject. Zeroed before. */
struct followers {
    struct follower {
        char address[ADDRESS_TEXT], subject[FOLLOWER_SUBJECT];
        uint64_t asked_ms; /* loop time; 0: there is none */
    } list[FOLLOWERS];
};

/* It got an answer, up to this change; `all`: with what is beside the changes. One that is new, or
 * was away for a minute, is logged. */
void followers_note(struct followers *followers, const struct principal *principal, int64_t change,
                    bool all, uint64_t now_ms);
/* How many asked within a minute. */
size_t followers_count(const struct followers *followers, uint64_t now_ms);

#endif
