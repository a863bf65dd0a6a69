/*
 * auth: who a client is and what it may. Static tokens, signed sessions (JWT by Ed25519, nothing
 * else), the keys that sign them, limits and rate windows. Pure: no files, no sockets, no clock of
 * its own (time is always an argument) and no threads.
 */
#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H

#include "base/base.h"

#include <stdatomic.h>

/* ---- who a client is ---- */

/* What a token allows, as bits. */
enum auth_scope { AUTH_READ = 1, AUTH_WRITE = 2, AUTH_ADMIN = 4 };

/* What kind of key the token was issued for; it bears on nothing but usage events. */
enum auth_key_class { AUTH_KEY_NONE, AUTH_KEY_SECRET, AUTH_KEY_PUBLISHABLE };

enum { AUTH_NOT_SET = -1 };

/* AUTH_NOT_SET: the token says nothing, the server's default holds. */
struct auth_limits {
    int64_t max_connections;         /* of the subject, at a time */
    int64_t max_subscriptions;       /* of the connection */
    int64_t max_snapshot_rows;       /* of one request */
    int64_t max_messages_per_minute; /* inbound, of the connection */
    int64_t max_bytes_per_minute;    /* outbound, of the connection */
};

struct auth_texts {
    char **items;
    size_t count;
};

/*
 * Everything that a token (or its absence) says about a client. Immutable once made, counted: it
 * may be held by a session, its subscriptions and jobs of reader threads at a time. Texts are never
 * NULL: "" where the token has none. The token itself is not kept.
 */
struct auth_identity {
    _Atomic uint32_t references;
    char *subject;
    char *metering_key;
    char *issuer;
    char *token_id; /* jti */
    char *deployment_id;
    char *origin;    /* that it is bound to */
    char *client_ip; /* likewise */
    char *plan;
    enum auth_key_class key_class;
    unsigned scopes;    /* enum auth_scope */
    int64_t expires_at; /* unix seconds; 0: never */
    struct auth_limits limits;
    bool has_views;               /* false: all views */
    struct auth_texts views;      /* patterns; '*' stands for any text */
    struct auth_texts row_scopes; /* values that it may see in an export's scope field */
};

/* Everybody's without authentication: anonymous, metering key "dev", read and write. NULL when out
 * of memory. */
struct auth_identity *auth_identity_anonymous(void);
struct auth_identity *auth_identity_retain(struct auth_identity *identity);
/* NULL is fine. */
void auth_identity_release(struct auth_identity *identity);

static inline bool auth_may(const struct auth_identity *identity, enum auth_scope scope)
{
    return (identity->scopes & (unsigned)scope) != 0;
}

/* Whether it may see this view at all (its `views` claim; the scope is asked apart). */
bool auth_may_view(const struct auth_identity *identity, struct span view_id);
/* Whether rows with this value in their export's scope field are visible to it. */
bool auth_sees_scope(const struct auth_identity *identity, struct span value);

/* ---- rate windows ---- */

/*
 * So many of something within any span of `window_ms`: what was let through at a time t counts
 * until t + window_ms, exclusive, and no longer. What was refused does not count, so that `wait_ms`
 * is true: whoever waits so long is let in. Times are rounded up to whole grains before they count,
 * which bounds what is remembered to window_ms / grain_ms + 2 times. Time is any clock's
 * milliseconds; one that goes back counts as standing still.
 */
struct auth_rate {
    int64_t most; /* burst included */
    int64_t window_ms;
    int64_t grain_ms; /* 1: exact */
};

struct auth_window_entry {
    uint32_t at; /* low bits of its time; the others follow from the newest one's */
    uint32_t amount;
};

/* What was let through lately. Valid as all zeroes. When memory is short it remembers less exactly,
 * so that what was let through counts for longer, never shorter. */
struct auth_window {
    int64_t clock_ms, newest_ms;
    int64_t used; /* as of the last call */
    struct auth_window_entry *more;
    uint32_t first, count, capacity; /* of `more`, a ring; capacity 0: it is `own` */
    struct auth_window_entry own;
};

/* Let `amount` through and count it, or not: then *wait_ms (may be NULL) says when it could be.
 * More than rate->most at once never can; the wait is then a whole window. */
bool auth_window_admit(struct auth_window *window, const struct auth_rate *rate, int64_t now_ms,
                       int64_t amount, int64_t *wait_ms);
/* The same without counting. */
bool auth_window_allows(struct auth_window *window, const struct auth_rate *rate, int64_t now_ms,
                        int64_t amount, int64_t *wait_ms);
void auth_window_fini(struct auth_window *window);

/*
 * A window for each of many keys, in bounded memory: at most `most_keys` windows of their own. A
 * key has one for as long as it remembers anything, so nobody gets rid of what was counted against
 * it by making others come. Keys that find no room share AUTH_SHARED_WINDOWS windows, by a hash
 * that only this process knows: under an attack from more keys than there is room for, newcomers
 * are limited together, and those who were there before go on as if nothing was.
 */
enum { AUTH_SHARED_WINDOWS = 256 };
struct auth_rate_table;
/* NULL when out of memory. */
struct auth_rate_table *auth_rate_table_new(size_t most_keys);
void auth_rate_table_free(struct auth_rate_table *table);
/* As for a window; all calls of a table are to be of about the same rate, which may change. */
bool auth_rate_table_admit(struct auth_rate_table *table, const struct auth_rate *rate,
                           struct span key, int64_t now_ms, int64_t *wait_ms);
bool auth_rate_table_allows(struct auth_rate_table *table, const struct auth_rate *rate,
                            struct span key, int64_t now_ms, int64_t *wait_ms);
/* Keys that have windows of their own. */
size_t auth_rate_table_keys(const struct auth_rate_table *table);

/* ---- counts of what there is at a time ---- */

/* How many there are of each key, e.g. connections by address; keys without any take no memory. */
struct auth_tally {
    struct map counts;
};
struct auth_count {
    int64_t count;
    size_t key_length;
    char key[];
};
void auth_tally_init(struct auth_tally *tally);
void auth_tally_fini(struct auth_tally *tally);
int64_t auth_tally_of(const struct auth_tally *tally, struct span key);
/* One more; give the result to auth_tally_leave. NULL when out of memory. */
struct auth_count *auth_tally_enter(struct auth_tally *tally, struct span key);
/* NULL is fine. */
void auth_tally_leave(struct auth_tally *tally, struct auth_count *count);

#endif
