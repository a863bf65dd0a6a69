/* The limits of new clients: handshakes, guesses, and the counts of connections. */
#include "access/limits.h"

/* ---- handshakes ---- */

/* The address of a client for the limits; "" if it is not known. */
static struct span site_of(const struct audit_client *client, struct address *address)
{
    if (client->address && address_parse(address, span_of(client->address)))
        return address_site(address);
    return span_make("", 0);
}

static bool refuse_rate(struct limits *limits, const struct audit_client *client,
                        enum audit_limit kind, const struct rate *rate, int64_t wait_ms,
                        const char *what, struct error *error)
{
    char room[LIMITS_RATE_TEXT];
    error_set(error, ERROR_RATE_LIMIT, "%s: %lld %s are let through", what, (long long)rate->most,
              limits_rate_text(rate, room));
    limits_wait(error, wait_ms);
    audit_limited(limits->audit, client, kind, true, error);
    return false;
}

bool limits_handshake(struct limits *limits, const struct audit_client *client, struct error *error)
{
    const struct rate *rate = &limits->rules.handshakes;
    struct address address;
    int64_t wait_ms;
    if (limits->connections >= limits->rules.connections) {
        error_set(error, ERROR_CONNECTION_LIMIT,
                  "all %lld connections are taken; raise max_connections on the server",
                  (long long)limits->connections);
        audit_limited(limits->audit, client, AUDIT_LIMIT_CONNECTIONS, true, error);
        return false;
    }
    if (!limits_rate_holds(limits, rate) ||
        rate_table_admit(limits->tables[LIMIT_HANDSHAKES], rate, site_of(client, &address),
                         limits_now(limits), &wait_ms))
        return true;
    return refuse_rate(limits, client, AUDIT_LIMIT_RATE_HANDSHAKES_PER_ADDRESS, rate, wait_ms,
                       "too many handshakes from this address", error);
}

bool limits_may_try(struct limits *limits, const struct audit_client *client, struct error *error)
{
    const struct rate *rate = &limits->rules.handshakes;
    struct address address;
    int64_t wait_ms;
    if (!limits_rate_holds(limits, rate) ||
        rate_table_allows(limits->tables[LIMIT_FAILURES], rate, site_of(client, &address),
                          limits_now(limits), &wait_ms))
        return true;
    return refuse_rate(limits, client, AUDIT_LIMIT_RATE_HANDSHAKES_PER_ADDRESS, rate, wait_ms,
                       "too many bad tokens, or handshakes without a good one, from this address",
                       error);
}

void limits_note_failure(struct limits *limits, const struct audit_client *client)
{
    const struct rate *rate = &limits->rules.handshakes;
    struct address address;
    if (limits_rate_holds(limits, rate))
        rate_table_admit(limits->tables[LIMIT_FAILURES], rate, site_of(client, &address),
                         limits_now(limits), NULL);
}

/* ---- places ---- */

struct limit_entry {
    struct limits *limits;
    struct tally_count *counts[LIMIT_COUNTS];
    struct tally_count *arriving; /* NULL: it has arrived */
};

/* One of the things by which connections are counted. */
struct counted {
    struct span key; /* absent: not counted by this */
    int64_t most;    /* LIMITS_NONE: no limit */
    enum audit_limit kind;
    const char *what;
};

/* `address` backs a key. */
static void list_counts(struct limits *limits, const struct audit_client *client,
                        struct address *address, struct counted list[LIMIT_COUNTS])
{
    const struct limit_rules *rules = &limits->rules;
    const struct auth_identity *identity = client->identity;
    bool has_origin = client->origin && *client->origin;
    list[LIMIT_BY_ADDRESS] = (struct counted){
        site_of(client, address), limits_choose(AUTH_NOT_SET, rules->connections_per_ip),
        AUDIT_LIMIT_CONNECTIONS_PER_ADDRESS, "this address"};
    list[LIMIT_BY_SUBJECT] = (struct counted){
        span_of(identity->subject),
        limits_choose(identity->limits.max_connections, rules->standard.max_connections),
        AUDIT_LIMIT_CONNECTIONS_PER_SUBJECT, "the token's subject"};
    list[LIMIT_BY_METERING_KEY] =
        (struct counted){span_of(identity->metering_key),
                         limits_choose(AUTH_NOT_SET, rules->connections_per_metering_key),
                         AUDIT_LIMIT_CONNECTIONS_PER_METERING_KEY, "the metering key"};
    list[LIMIT_BY_ORIGIN] =
        (struct counted){has_origin ? span_of(client->origin) : span_make(NULL, 0),
                         limits_choose(AUTH_NOT_SET, rules->connections_per_origin),
                         AUDIT_LIMIT_CONNECTIONS_PER_ORIGIN, "this origin"};
}

static bool has_room(struct limits *limits, const struct audit_client *client,
                     const struct tally *tally, const struct counted *counted, struct error *error)
{
    if (!counted->key.data || counted->most == LIMITS_NONE)
        return true;
    int64_t count = tally_of(tally, counted->key);
    if (count < counted->most)
        return true;
    error_set(error, ERROR_CONNECTION_LIMIT, "%s has %lld connections, and may have %lld",
              counted->what, (long long)count, (long long)counted->most);
    audit_limited(limits->audit, client, counted->kind, true, error);
    return false;
}

/* Both rates count a connection, or none does. A subject that everybody shares is no reason to
 * refuse one client for what others did: those are judged by where they are. */
static bool may_connect(struct limits *limits, const struct audit_client *client,
                        struct error *error)
{
    const struct limit_rules *rules = &limits->rules;
    struct address address;
    bool by_site = !auth_names_somebody(client->identity);
    struct span site = site_of(client, &address);
    struct span subject = by_site ? site : span_of(client->identity->subject);
    struct span metering_key = by_site ? site : span_of(client->identity->metering_key);
    bool by_subject = limits_rate_holds(limits, &rules->subject_connections);
    bool by_key = limits_rate_holds(limits, &rules->metering_connections);
    int64_t now = limits_now(limits), wait_ms = 0;
    if (by_subject && !rate_table_allows(limits->tables[LIMIT_SUBJECTS],
                                         &rules->subject_connections, subject, now, &wait_ms))
        return refuse_rate(limits, client, AUDIT_LIMIT_RATE_CONNECTIONS_PER_SUBJECT,
                           &rules->subject_connections, wait_ms,
                           by_site ? "too many connections from this address"
                                   : "too many connections of the token's subject",
                           error);
    if (by_key && !rate_table_admit(limits->tables[LIMIT_METERING_KEYS],
                                    &rules->metering_connections, metering_key, now, &wait_ms))
        return refuse_rate(limits, client, AUDIT_LIMIT_RATE_CONNECTIONS_PER_METERING_KEY,
                           &rules->metering_connections, wait_ms,
                           "too many connections of the metering key", error);
    if (by_subject)
        rate_table_admit(limits->tables[LIMIT_SUBJECTS], &rules->subject_connections, subject, now,
                         NULL);
    return true;
}

static bool take_entry(struct limit_entry *entry, const struct counted list[LIMIT_COUNTS])
{
    for (size_t i = 0; i < LIMIT_COUNTS; i++) {
        if (!list[i].key.data)
            continue;
        entry->counts[i] = tally_enter(&entry->limits->counts[i], list[i].key);
        if (!entry->counts[i])
            return false;
    }
    return true;
}

struct limit_entry *limits_enter(struct limits *limits, const struct audit_client *client,
                                 struct error *error)
{
    struct address address;
    struct counted list[LIMIT_COUNTS];
    list_counts(limits, client, &address, list);
    for (size_t i = 0; i < LIMIT_COUNTS; i++)
        if (!has_room(limits, client, &limits->counts[i], &list[i], error))
            return NULL;
    if (!may_connect(limits, client, error))
        return NULL;
    struct limit_entry *entry = memory_new(sizeof *entry);
    if (entry) {
        entry->limits = limits;
        limits->connections++;
    }
    if (entry && take_entry(entry, list))
        return entry;
    limits_leave(entry);
    error_set(error, ERROR_MEMORY, "out of memory for a connection");
    return NULL;
}

struct limit_entry *limits_arrive(struct limits *limits, const struct audit_client *client,
                                  struct error *error)
{
    struct address address;
    struct span site = site_of(client, &address);
    if (tally_of(&limits->arriving, site) >= LIMITS_ARRIVING) {
        error_set(error, ERROR_CONNECTION_LIMIT,
                  "%d connections of this address have not said who they are", LIMITS_ARRIVING);
        audit_limited(limits->audit, client, AUDIT_LIMIT_CONNECTIONS_PER_ADDRESS, true, error);
        return NULL;
    }
    struct limit_entry *entry = memory_new(sizeof *entry);
    if (entry) {
        entry->limits = limits;
        entry->arriving = tally_enter(&limits->arriving, site);
    }
    if (entry && entry->arriving)
        return entry;
    memory_free(entry);
    error_set(error, ERROR_MEMORY, "out of memory for a connection");
    return NULL;
}

void limits_leave(struct limit_entry *entry)
{
    if (!entry)
        return;
    struct limits *limits = entry->limits;
    if (entry->arriving) {
        tally_leave(&limits->arriving, entry->arriving);
        memory_free(entry);
        return;
    }
    for (size_t i = 0; i < LIMIT_COUNTS; i++)
        tally_leave(&limits->counts[i], entry->counts[i]);
    limits->connections--;
    memory_free(entry);
}
