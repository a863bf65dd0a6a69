/*
 * limits: how much a client may have at a time, and how often (docs/limits.md). This header has the
 * limits over all clients; allowance.h has those of one connection. Loop thread.
 *
 * The limits of a token come before the configuration. A rate counts accepted attempts and nothing
 * else.
 */
#ifndef ACCESS_LIMITS_H
#define ACCESS_LIMITS_H

#include "access/audit.h"
#include "access/rate.h"
#include "base/address.h"
#include "base/map.h"
#include "config/config.h"

enum {
    LIMITS_ARRIVING = 64,    /* connections of one address that have not said who they are */
    LIMITS_KEYS = 64 * 1024, /* addresses, subjects and metering keys with levels of their own */
    LIMITS_NONE = -1         /* no limit */
};

/* The configuration's part, as it is in force. Numbers: 0 for no limit. */
struct limit_rules {
    bool windows_on; /* the six rates that follow */
    struct rate handshakes, subject_connections, metering_connections;
    struct rate subscribes, messages, snapshots;
    int64_t connections; /* in all */
    int64_t connections_per_ip, connections_per_origin, connections_per_metering_key;
    /* The default of limits in tokens. */
    struct auth_limits standard;
    int64_t minute_ms; /* of the two limits per minute */
    struct networks trusted;
    char *proxy_header;
    enum forwarded_form proxy_form;
};

/* The keys of rates; and the keys by which connections are counted, in the order of the checks. */
enum { LIMIT_HANDSHAKES, LIMIT_FAILURES, LIMIT_SUBJECTS, LIMIT_METERING_KEYS, LIMIT_TABLES };
enum { LIMIT_BY_ADDRESS, LIMIT_BY_SUBJECT, LIMIT_BY_METERING_KEY, LIMIT_BY_ORIGIN, LIMIT_COUNTS };

/* The connections of one key. */
struct limit_count {
    int64_t count;
    size_t key_length;
    char key[];
};

struct limits {
    struct limit_rules rules;
    struct audit *audit; /* borrowed */
    int64_t (*now_ms)(void *argument);
    void *clock;
    struct rate_table *tables[LIMIT_TABLES];
    int64_t connections;      /* now */
    int64_t most_connections; /* that the process has room for; a larger number needs a restart */
    struct map counts[LIMIT_COUNTS]; /* of struct limit_count */
    struct map arriving; /* the same, by address: connections that have not said who they are */
};

/* NULL with an error. The audit must outlive it. */
struct limits *limits_new(const struct config *config, struct audit *audit, struct error *error);
/* After all entries were left. */
void limits_free(struct limits *limits);
/* Apply another configuration from now on, also for present clients; the counts stay. On failure
 * nothing has changed. */
bool limits_apply(struct limits *limits, const struct config *config, struct error *error);

/* ---- connections ---- */

/* The place of one connection in the counts. */
struct limit_entry;

/* A handshake begins. false: too many from that address, or no room for any. */
bool limits_handshake(struct limits *limits, const struct audit_client *client,
                      struct error *error);
/*
 * A request with a bad token came. Whether it gets the true error: a client that guesses tokens
 * must wait, by handshakes or plain requests. As many bad tokens count as handshakes are allowed.
 * Good tokens are not affected.
 */
bool limits_guess(struct limits *limits, const struct audit_client *client, struct error *error);
/* An identified client connects. It takes a place until it leaves it; NULL with the error to
 * answer with. */
struct limit_entry *limits_enter(struct limits *limits, const struct audit_client *client,
                                 struct error *error);
/* An entry for a client that has not said who it is: it is counted by its address alone. */
struct limit_entry *limits_arrive(struct limits *limits, const struct audit_client *client,
                                  struct error *error);
/* NULL is fine. */
void limits_leave(struct limit_entry *entry);

/* ---- for allowance.c and who counts by other means ---- */

/* A token's own number, else the standard one; LIMITS_NONE. */
int64_t limits_choose(int64_t own, int64_t standard);
/* The most rows in the answer to one request. NULL: an unknown client. */
int64_t limits_snapshot_rows(const struct limits *limits, const struct auth_identity *identity);
/* Whether a rate holds at all. */
static inline bool limits_rate_holds(const struct limits *limits, const struct rate *rate)
{
    return limits->rules.windows_on && rate->most > 0;
}
static inline int64_t limits_now(const struct limits *limits)
{
    return limits->now_ms(limits->clock);
}
/* Put the wait into error->retry_after: whole seconds, rounded up. Always false. */
bool limits_wait(struct error *error, int64_t wait_ms);
/* The text behind the number in an error: "in 60 seconds and a burst of 10". */
enum { LIMITS_RATE_TEXT = 80 };
const char *limits_rate_text(const struct rate *rate, char room[LIMITS_RATE_TEXT]);

#endif
