/* The limits of all clients: their rules and life, and new clients: handshakes, guesses, and the
 * counts of connections. */
#include "access/limits.h"
#include "access/access.h"

#include <limits.h>
#include <stdio.h>

enum { SECOND = 1000 };

/* ---- counts by a key; a key without any takes no memory ---- */

static struct span key_of(const void *value)
{
    const struct limit_count *count = value;
    return span_make(count->key, count->key_length);
}

static void free_counts(struct map *counts)
{
    size_t position = 0;
    struct limit_count *count;
    while ((count = map_next(counts, &position)))
        memory_free(count);
    map_fini(counts);
}

static int64_t count_of(const struct map *counts, struct span key)
{
    const struct limit_count *count = map_get(counts, key);
    return count ? count->count : 0;
}

/* One more; NULL when out of memory. */
static struct limit_count *count_one(struct map *counts, struct span key)
{
    struct limit_count *count = map_get(counts, key);
    if (count) {
        count->count++;
        return count;
    }
    count = memory_alloc(sizeof *count + key.length);
    if (!count)
        return NULL;
    *count = (struct limit_count){.count = 1, .key_length = key.length};
    memcpy(count->key, key.data, key.length);
    if (map_add(counts, count))
        return count;
    memory_free(count);
    return NULL;
}

/* One less. NULL is fine. */
static void leave_count(struct map *counts, struct limit_count *count)
{
    if (!count || --count->count > 0)
        return;
    map_remove(counts, key_of(count));
    memory_free(count);
}

/* ---- rules ---- */

static struct rate make_rate(const struct config_rate *given)
{
    return (struct rate){
        .most = given->most, .burst = given->burst, .window_ms = given->seconds * SECOND};
}

/* Nobody but this machine's own users can come in, and it was left as it is. */
static bool is_private(const struct config *config)
{
    struct error error;
    return config->auth.mode == CONFIG_AUTH_NONE && !config->trusted_proxies &&
           config_check_exposure(config, &error) && config_rates_untouched(config);
}

static bool windows_hold(const struct config *config)
{
    bool hold = config->rate_limiting == CONFIG_RATES_ON ||
                (config->rate_limiting == CONFIG_RATES_AUTO && !is_private(config));
    if (!hold)
        log_info(
            "limits", "rate-windows-off",
            log_text("reason", config->rate_limiting == CONFIG_RATES_OFF
                                   ? "rate_limiting is off"
                                   : "only this machine can connect, and without authentication"));
    return hold;
}

/* The rules of a configuration; false with an error, and there are none. */
static bool make_rules(struct limit_rules *rules, const struct config *config, struct error *error)
{
    *rules = (struct limit_rules){
        .handshakes = make_rate(&config->rate_handshakes_per_ip),
        .subject_connections = make_rate(&config->rate_connections_per_subject),
        .metering_connections = make_rate(&config->rate_connections_per_metering_key),
        .subscribes = make_rate(&config->rate_subscriptions_per_connection),
        .messages = make_rate(&config->rate_messages_per_connection),
        .snapshots = make_rate(&config->rate_snapshots_per_connection),
        .connections = config->max_connections,
        .connections_per_ip = config->max_connections_per_ip,
        .connections_per_origin = config->max_connections_per_origin,
        .connections_per_metering_key = config->max_connections_per_metering_key,
        .standard = {.max_connections = config->max_connections_per_subject,
                     .max_subscriptions = config->max_subscriptions,
                     .max_snapshot_rows = config->max_snapshot_rows,
                     .max_messages_per_minute = config->max_messages_per_minute,
                     .max_bytes_per_minute = config->max_bytes_per_minute},
        .minute_ms = config->limit_window_seconds * SECOND,
    };
    const char *header = config->proxy_header;
    rules->proxy_form = strcasecmp(header, "Forwarded") == 0 ? FORWARDED_ELEMENTS : FORWARDED_LIST;
    rules->windows_on = windows_hold(config);
    if (!networks_parse(&rules->trusted, config->trusted_proxies, error))
        return error_prefix(error, "setting \"trusted_proxies\"");
    rules->proxy_header = memory_copy_string(header, strlen(header));
    if (rules->proxy_header)
        return true;
    networks_fini(&rules->trusted);
    return error_set(error, ERROR_MEMORY, "out of memory while reading the limits");
}

static void free_rules(struct limit_rules *rules)
{
    networks_fini(&rules->trusted);
    memory_free(rules->proxy_header);
}

/* ---- life ---- */

static int64_t real_time(void *argument)
{
    (void)argument;
    return (int64_t)(clock_monotonic_us() / 1000);
}

struct limits *limits_new(const struct config *config, struct audit *audit, struct error *error)
{
    struct limits *limits = memory_new(sizeof *limits);
    if (!limits) {
        error_set(error, ERROR_MEMORY, "out of memory while starting");
        return NULL;
    }
    limits->audit = audit;
    limits->now_ms = real_time;
    limits->most_connections = config->max_connections;
    bool made = true;
    for (int i = 0; i < LIMIT_COUNTS; i++)
        map_init(&limits->counts[i], key_of);
    map_init(&limits->arriving, key_of);
    for (int i = 0; i < LIMIT_TABLES; i++)
        made = (limits->tables[i] = rate_table_new(LIMITS_KEYS)) && made;
    if (!made)
        error_set(error, ERROR_MEMORY, "out of memory while starting");
    else if (make_rules(&limits->rules, config, error))
        return limits;
    limits_free(limits);
    return NULL;
}

void limits_free(struct limits *limits)
{
    if (!limits)
        return;
    free_rules(&limits->rules);
    for (int i = 0; i < LIMIT_TABLES; i++)
        rate_table_free(limits->tables[i]);
    for (int i = 0; i < LIMIT_COUNTS; i++)
        free_counts(&limits->counts[i]);
    free_counts(&limits->arriving);
    memory_free(limits);
}

bool limits_apply(struct limits *limits, const struct config *config, struct error *error)
{
    struct limit_rules rules;
    if (!make_rules(&rules, config, error))
        return false;
    if (rules.connections > limits->most_connections) {
        log_warning("limits", "needs-restart", log_word("setting", "max_connections"),
                    log_number("wanted", rules.connections),
                    log_number("now", limits->most_connections));
        rules.connections = limits->most_connections;
    }
    free_rules(&limits->rules);
    limits->rules = rules;
    return true;
}

/* ---- handshakes ---- */

/* The address of a client for the limits; "" if it is not known. */
static struct span site_of(const struct audit_client *client, struct address *address)
{
    if (address_parse(address, span_of(client->principal->address)))
        return address_site(address);
    return span_make("", 0);
}

static bool tell(struct limits *limits, const struct audit_client *client, enum audit_limit kind,
                 const struct error *error)
{
    audit_write(limits->audit, AUDIT_LIMITED,
                &(struct audit_details){
                    .client = client, .limit = kind, .is_handshake = true, .error = error});
    return false;
}

static bool refuse_rate(struct limits *limits, const struct audit_client *client,
                        enum audit_limit kind, const struct rate *rate, int64_t wait_ms,
                        const char *what, struct error *error)
{
    char room[LIMITS_RATE_TEXT];
    error_set(error, ERROR_RATE_LIMIT, "%s: %lld %s are let through", what, (long long)rate->most,
              limits_rate_text(rate, room));
    limits_wait(error, wait_ms);
    return tell(limits, client, kind, error);
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
        return tell(limits, client, AUDIT_LIMIT_CONNECTIONS, error);
    }
    if (!limits_rate_holds(limits, rate) ||
        rate_table_admit(limits->tables[LIMIT_HANDSHAKES], rate, site_of(client, &address),
                         limits_now(limits), true, &wait_ms))
        return true;
    return refuse_rate(limits, client, AUDIT_LIMIT_RATE_HANDSHAKES_PER_ADDRESS, rate, wait_ms,
                       "too many handshakes from this address", error);
}

bool limits_guess(struct limits *limits, const struct audit_client *client, struct error *error)
{
    const struct rate *rate = &limits->rules.handshakes;
    struct address address;
    int64_t wait_ms;
    if (!limits_rate_holds(limits, rate) ||
        rate_table_admit(limits->tables[LIMIT_FAILURES], rate, site_of(client, &address),
                         limits_now(limits), true, &wait_ms))
        return true;
    return refuse_rate(limits, client, AUDIT_LIMIT_RATE_HANDSHAKES_PER_ADDRESS, rate, wait_ms,
                       "too many bad tokens, or handshakes without a good one, from this address",
                       error);
}

/* ---- places ---- */

struct limit_entry {
    struct limits *limits;
    struct limit_count *counts[LIMIT_COUNTS];
    struct limit_count *arriving; /* NULL: it has arrived */
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
    const struct auth_identity *identity = client->principal->identity;
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
                     const struct map *counts, const struct counted *counted, struct error *error)
{
    if (!counted->key.data || counted->most == LIMITS_NONE)
        return true;
    int64_t count = count_of(counts, counted->key);
    if (count < counted->most)
        return true;
    error_set(error, ERROR_CONNECTION_LIMIT, "%s has %lld connections, and may have %lld",
              counted->what, (long long)count, (long long)counted->most);
    return tell(limits, client, counted->kind, error);
}

/* Both rates count a connection, or none does. A subject that everybody shares is no reason to
 * refuse one client for what others did: those are judged by where they are. */
static bool may_connect(struct limits *limits, const struct audit_client *client,
                        struct error *error)
{
    const struct limit_rules *rules = &limits->rules;
    struct address address;
    bool by_site = !auth_names_somebody(client->principal->identity);
    struct span site = site_of(client, &address);
    struct span subject = by_site ? site : span_of(client->principal->identity->subject);
    struct span metering_key = by_site ? site : span_of(client->principal->identity->metering_key);
    bool by_subject = limits_rate_holds(limits, &rules->subject_connections);
    bool by_key = limits_rate_holds(limits, &rules->metering_connections);
    int64_t now = limits_now(limits), wait_ms = 0;
    if (by_subject && !rate_table_admit(limits->tables[LIMIT_SUBJECTS], &rules->subject_connections,
                                        subject, now, false, &wait_ms))
        return refuse_rate(limits, client, AUDIT_LIMIT_RATE_CONNECTIONS_PER_SUBJECT,
                           &rules->subject_connections, wait_ms,
                           by_site ? "too many connections from this address"
                                   : "too many connections of the token's subject",
                           error);
    if (by_key &&
        !rate_table_admit(limits->tables[LIMIT_METERING_KEYS], &rules->metering_connections,
                          metering_key, now, true, &wait_ms))
        return refuse_rate(limits, client, AUDIT_LIMIT_RATE_CONNECTIONS_PER_METERING_KEY,
                           &rules->metering_connections, wait_ms,
                           "too many connections of the metering key", error);
    if (by_subject)
        rate_table_admit(limits->tables[LIMIT_SUBJECTS], &rules->subject_connections, subject, now,
                         true, NULL);
    return true;
}

static bool take_entry(struct limit_entry *entry, const struct counted list[LIMIT_COUNTS])
{
    for (size_t i = 0; i < LIMIT_COUNTS; i++) {
        if (!list[i].key.data)
            continue;
        entry->counts[i] = count_one(&entry->limits->counts[i], list[i].key);
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
    if (count_of(&limits->arriving, site) >= LIMITS_ARRIVING) {
        error_set(error, ERROR_CONNECTION_LIMIT,
                  "%d connections of this address have not said who they are", LIMITS_ARRIVING);
        tell(limits, client, AUDIT_LIMIT_CONNECTIONS_PER_ADDRESS, error);
        return NULL;
    }
    struct limit_entry *entry = memory_new(sizeof *entry);
    if (entry) {
        entry->limits = limits;
        entry->arriving = count_one(&limits->arriving, site);
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
        leave_count(&limits->arriving, entry->arriving);
        memory_free(entry);
        return;
    }
    for (size_t i = 0; i < LIMIT_COUNTS; i++)
        leave_count(&limits->counts[i], entry->counts[i]);
    limits->connections--;
    memory_free(entry);
}

/* ---- small questions ---- */

int64_t limits_choose(int64_t own, int64_t standard)
{
    if (own != AUTH_NOT_SET)
        return own;
    return standard > 0 ? standard : LIMITS_NONE;
}

int64_t limits_snapshot_rows(const struct limits *limits, const struct auth_identity *identity)
{
    return limits_choose(identity ? identity->limits.max_snapshot_rows : AUTH_NOT_SET,
                         limits->rules.standard.max_snapshot_rows);
}

bool limits_wait(struct error *error, int64_t wait_ms)
{
    int64_t seconds = wait_ms / SECOND + (wait_ms % SECOND != 0);
    error->retry_after = seconds < 1 ? 1 : seconds < INT_MAX ? (int)seconds : INT_MAX;
    return false;
}

const char *limits_rate_text(const struct rate *rate, char room[LIMITS_RATE_TEXT])
{
    int length =
        snprintf(room, LIMITS_RATE_TEXT, "in %lld seconds", (long long)rate->window_ms / SECOND);
    if (rate->burst)
        snprintf(room + length, LIMITS_RATE_TEXT - (size_t)length, " and a burst of %lld",
                 (long long)rate->burst);
    return room;
}
