/*
 * The table of settings, and what is done by it alone.
 */
#include "base/address.h"
#include "config/config_internal.h"

#include <ctype.h>

#define KIB ((int64_t)1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
/* The largest whole number that every JSON reader takes for what it is. */
#define LARGEST (((int64_t)1 << 53) - 1)
#define CENTURY ((int64_t)3155760000)

/* The places of the words are the values of the enums. */
_Static_assert(STORE_SYNCHRONOUS_FULL == 0 && STORE_SYNCHRONOUS_NORMAL == 1 &&
                   STORE_SYNCHRONOUS_OFF == 2,
               "synchronous_words");
_Static_assert(STORE_ERASE_FAST == 0 && STORE_ERASE_FULL == 1 && STORE_ERASE_OFF == 2,
               "erase_words");
_Static_assert(LOG_LEVEL_ERROR == 0 && LOG_LEVEL_WARNING == 1 && LOG_LEVEL_INFO == 2 &&
                   LOG_LEVEL_DEBUG == 3,
               "level_words");
_Static_assert(LOG_FORMAT_TEXT == 0 && LOG_FORMAT_JSON == 1, "format_words");
_Static_assert(CONFIG_RATES_AUTO == 0 && CONFIG_RATES_ON == 1 && CONFIG_RATES_OFF == 2,
               "rate_limiting_words");
_Static_assert(CONFIG_UNKNOWN_IGNORE == 0 && CONFIG_UNKNOWN_REFUSE == 1, "unknown_words");
static const char *const unknown_words[] = {"ignore", "refuse", NULL};
static const char *const rate_limiting_words[] = {"auto", "on", "off", NULL};
static const char *const synchronous_words[] = {"full", "normal", "off", NULL};
static const char *const erase_words[] = {"fast", "full", "off", NULL};
static const char *const level_words[] = {"error", "warning", "info", "debug", NULL};
static const char *const format_words[] = {"text", "json", NULL};

#define AT(field) .name = #field, .offset = offsetof(struct config, field)
#define TEXT(field) AT(field), .type = SETTING_TEXT
#define ADDRESS(field, standard) AT(field), .type = SETTING_ADDRESS, .text = (standard)
#define FLAG(field) AT(field), .type = SETTING_FLAG
#define WORD(field, list, standard)                                                                \
    AT(field), .type = SETTING_WORD, .words = (list), .number = (standard)
#define NUMBER(field, standard, low, high)                                                         \
    AT(field), .type = SETTING_NUMBER, .number = (standard), .least = (low), .most = (high)
/* A number that says 0 for no limit. */
#define LIMIT(field, high) NUMBER(field, 0, 0, high), .live = true
#define MOST_IN_WINDOW 1000000000
#define DAY 86400
/* A rate window: what it lets through, beyond that, and within how long. */
/* clang-format off */
#define RATE(field, standard, extra, word, what)                                                   \
    {NUMBER(rate_##field, standard, 0, MOST_IN_WINDOW), .live = true,                              \
     .environment = "ARETE_RATE_LIMIT_" word "_MAX",                                               \
     .help = what " within a window; 0 for no limit"},                                             \
    {NUMBER(rate_##field##_burst, extra, 0, MOST_IN_WINDOW), .live = true,                         \
     .help = what ": how many more a burst may have"},                                             \
    {NUMBER(rate_##field##_seconds, 60, 1, DAY), .live = true,                                     \
     .environment = "ARETE_RATE_LIMIT_" word "_WINDOW_SECS",                                       \
     .help = what ": length of the window"}
/* clang-format on */

/* The name of a header, as it stands in a request. */
static bool check_header(const char *name, struct error *error)
{
    for (const char *at = name; *at; at++)
        if (!isalnum((unsigned char)*at) && *at != '-' && *at != '_')
            return error_set(error, ERROR_CONFIGURATION, "'%.60s' is not the name of a header",
                             name);
    return strlen(name) < 64 ||
           error_set(error, ERROR_CONFIGURATION, "a name of more than 63 bytes");
}

/* As it stands in a request: absolute, without an end, nothing that must be escaped. */
static bool check_base_path(const char *path, struct error *error)
{
    size_t length = strlen(path);
    bool good = path[0] == '/' && length > 1 && path[length - 1] != '/' && !strstr(path, "//");
    for (const char *at = path; *at; at++)
        good = good && (isalnum((unsigned char)*at) || strchr("/-._~", *at));
    return good || error_set(error, ERROR_CONFIGURATION,
                             "'%.100s' is no such path; write it as \"/stele\", with '/' at its "
                             "beginning alone",
                             path);
}

const struct setting config_settings[] = {
    {TEXT(database), .help = "the database file; made when it is not there"},
    {ADDRESS(listen, "127.0.0.1:8877"),
     .help = "where subscribers and producers connect; port 0 picks a free one, \"\" for none"},
    {ADDRESS(health, "127.0.0.1:8081"),
     .help = "where health and metrics are served; port 0 picks a free one, \"\" for none"},
    {TEXT(tls_certificate), .live = true,
     .help = "a file (PEM) with the certificate for TLS on listen, and those that lead to its "
             "authority"},
    {TEXT(tls_key), .live = true, .help = "the file (PEM) with its key, without a passphrase"},
    {FLAG(health_tls), .help = "whether health speaks TLS too"},
    {WORD(synchronous, synchronous_words, STORE_SYNCHRONOUS_FULL),
     .help = "when a commit counts as done: full, it is on disk; normal, a power cut may take the "
             "last commits; off, it may damage the file too"},
    {WORD(erase, erase_words, STORE_ERASE_FAST),
     .help =
         "what becomes of the bytes of deleted rows in the file: fast, zeroed in pages that are "
         "written anyway; full, also in pages that are given up; off, left until something is "
         "written there"},
    {WORD(log_level, level_words, LOG_LEVEL_INFO), .live = true,
     .help = "the least important lines logged"},
    {TEXT(log_levels), .live = true, .check = log_check_levels,
     .help = "levels of single components, e.g. \"hub=debug,audit=warning\""},
    {WORD(log_format, format_words, LOG_FORMAT_TEXT), .live = true,
     .help = "the form of log lines"},
    {TEXT(backup_before_migration),
     .help = "where to copy a database of an older version before it is migrated"},
    {NUMBER(retention_rows, 1000000, 0, LARGEST),
     .help = "changes kept in the log; 0 for no limit"},
    {NUMBER(retention_seconds, 86400, 0, CENTURY),
     .help = "age in seconds up to which changes are kept; 0 for no limit"},
    {NUMBER(retention_bytes, GIB, 0, LARGEST),
     .help = "bytes of changes kept in the log; 0 for no limit"},
    {NUMBER(tombstone_seconds, 600, 0, CENTURY),
     .help = "deletes younger than this are told along with a fresh snapshot"},
    {NUMBER(max_array_length, 100, 0, 1000000000),
     .help = "elements that an array in an entity keeps, the newest; 0 for no limit"},
    {NUMBER(max_entity_bytes, 16 * MIB, KIB, GIB), .help = "largest entity after a merge"},
    {NUMBER(max_merge_bytes, 64 * MIB, MIB, 64 * GIB),
     .help = "bytes of entities above 16 KiB that one request may read and merge"},
    {NUMBER(max_request_bytes, 8 * MIB, KIB, GIB), .help = "largest request of a producer"},
    {NUMBER(max_depth, 128, 1, 1000), .help = "deepest nesting of a patch"},
    {NUMBER(max_key_bytes, 1024, 1, 64 * KIB), .help = "longest key of an entity"},
    {NUMBER(max_message_bytes, 64 * KIB, KIB, 16 * MIB), .live = true,
     .help = "largest message of a subscriber"},
    {NUMBER(incoming_bytes, 256 * MIB, KIB, 64 * GIB), .live = true,
     .help = "requests and messages that have not come wholly, or wait for the queue, over all "
             "clients"},
    {NUMBER(incoming_seconds, 60, 1, DAY), .live = true,
     .help = "how long one of them may stand still"},
    {NUMBER(max_exports, 1000, 1, 100000), .help = "exports that may appear as they are fed"},
    {WORD(unknown_exports, unknown_words, CONFIG_UNKNOWN_IGNORE),
     .help = "mutations for an export that is not configured: ignore counts and names them, refuse "
             "refuses the request"},
    {NUMBER(max_producers, 10000, 1, LARGEST),
     .help = "names of producers that one subject may have"},
    {NUMBER(max_idempotency_keys, 100000, 1, LARGEST),
     .help = "Idempotency-Keys that one subject may use in 24 hours"},
    {NUMBER(max_connections, 10000, 1, 65000), .live = true, .help = "connections at a time"},
    {LIMIT(max_connections_per_ip, LARGEST), .environment = "ARETE_WS_MAX_CONNECTIONS_PER_IP",
     .help = "connections at a time of one IPv4 address or one IPv6 /64; 0 for no limit"},
    {LIMIT(max_connections_per_subject, LARGEST), .environment = "ARETE_WS_DEFAULT_MAX_CONNECTIONS",
     .help = "connections at a time of one subject, where its token sets none; 0 for no limit"},
    {LIMIT(max_connections_per_metering_key, LARGEST),
     .environment = "ARETE_WS_MAX_CONNECTIONS_PER_METERING_KEY",
     .help = "connections at a time of one metering key; 0 for no limit"},
    {LIMIT(max_connections_per_origin, LARGEST),
     .environment = "ARETE_WS_MAX_CONNECTIONS_PER_ORIGIN",
     .help = "connections at a time from pages of one origin; 0 for no limit"},
    {NUMBER(max_subscriptions, 1000, 1, 1000000), .live = true,
     .environment = "ARETE_WS_DEFAULT_MAX_SUBSCRIPTIONS",
     .help = "subscriptions of one connection, where its token sets none"},
    {LIMIT(max_snapshot_rows, LARGEST), .environment = "ARETE_WS_DEFAULT_MAX_SNAPSHOT_ROWS",
     .help = "rows that one request may be answered with, where its token sets none; 0 for no "
             "limit"},
    {LIMIT(max_messages_per_minute, LARGEST),
     .environment = "ARETE_WS_DEFAULT_MAX_MESSAGES_PER_MINUTE",
     .help = "messages from one connection, where its token sets none; 0 for no limit"},
    {LIMIT(max_bytes_per_minute, LARGEST), .environment = "ARETE_WS_DEFAULT_MAX_BYTES_PER_MINUTE",
     .help = "bytes to one connection, where its token sets none; 0 for no limit"},
    {NUMBER(limit_window_seconds, 60, 1, DAY), .live = true,
     .environment = "ARETE_WS_RATE_LIMIT_WINDOW_SECS",
     .help = "the minute of the two limits per minute"},
    {WORD(rate_limiting, rate_limiting_words, CONFIG_RATES_AUTO), .live = true,
     .environment = "ARETE_RATE_LIMITING_ENABLED",
     .help = "whether the rate windows hold; auto: unless only this machine can connect, there is "
             "neither authentication nor a trusted proxy, and no window was set"},
    RATE(handshakes_per_ip, 60, 10, "HANDSHAKE_PER_IP",
         "handshakes of one IPv4 address or one IPv6 /64"),
    RATE(connections_per_subject, 30, 5, "CONNECTIONS_PER_SUBJECT", "connections of one subject"),
    RATE(connections_per_metering_key, 100, 20, "CONNECTIONS_PER_METERING_KEY",
         "connections of one metering key"),
    RATE(subscriptions_per_connection, 120, 10, "SUBSCRIPTIONS_PER_CONNECTION",
         "subscribe messages of one connection"),
    RATE(messages_per_connection, 1000, 100, "MESSAGES_PER_CONNECTION",
         "messages of one subscriber's connection"),
    RATE(snapshots_per_connection, 30, 5, "SNAPSHOTS_PER_CONNECTION",
         "snapshots and resumes of one connection"),
    {TEXT(allowed_hosts), .live = true, .check = host_names_check, .list = true,
     .help = "names by which requests may ask for this server, such as \"stele.example.com\"; left "
             "out: any, but without authentication on a loopback address only names of that"},
    {TEXT(base_path), .check = check_base_path,
     .help = "a path that a proxy leaves in front of all others, such as \"/stele\""},
    {TEXT(trusted_proxies), .live = true, .check = networks_check, .list = true,
     .help = "addresses and networks of proxies that are believed about who their clients are, "
             "such as \"10.0.0.0/8, ::1\""},
    {TEXT(proxy_header), .live = true, .text = "X-Forwarded-For", .check = check_header,
     .help = "the header in which they say so; Forwarded is read as RFC 7239 has it, any other as "
             "a list of addresses"},
    {NUMBER(max_window_rows, 10000, 1, 1000000),
     .help = "rows of a subscription with take, skip or filters, or to a derived view"},
    {NUMBER(max_windows, 1000, 1, 1000000), .help = "different windows that are watched at a time"},
    {NUMBER(max_waiting_exports, 1000, 1, 1000000),
     .help = "exports that subscribers wait for before they are first fed, in an open server"},
    {NUMBER(max_filter_rows, 1000000, 1000, 1000000000),
     .help = "rows that the filters of one HTTP request look at"},
    {NUMBER(client_timeout_seconds, 300, 1, 86400), .live = true,
     .environment = "ARETE_WS_CLIENT_TIMEOUT_SECS", .help = "a client unseen this long is closed"},
    {NUMBER(queue_bytes, 64 * MIB, 4 * KIB, 64 * GIB),
     .help = "requests that may wait to be committed; more are refused for the moment"},
    {NUMBER(commit_mutations, 8192, 1, 1000000), .help = "most mutations in one transaction"},
    {NUMBER(entity_cache_bytes, 64 * MIB, 0, 64 * GIB),
     .help = "entities that the writer keeps in memory"},
    {NUMBER(page_cache_bytes, 256 * MIB, MIB, 64 * GIB),
     .help = "database pages that the writer keeps in memory"},
    {NUMBER(ring_bytes, 64 * MIB, 0, 64 * GIB), .help = "newest changes kept in memory"},
    {NUMBER(channel_bytes, 64 * MIB, 64 * KIB, 64 * GIB),
     .help = "ready frames kept in memory, over all views"},
    {NUMBER(snapshot_cache_bytes, 64 * MIB, 0, 64 * GIB),
     .help = "ready snapshots kept for subscribers that come soon after"},
    {NUMBER(checkpoint_pages, 32768, 1, 16777216),
     .help = "pages in the write-ahead log from which on it is moved into the database"},
    {NUMBER(max_wal_bytes, 8 * GIB, MIB, 1024 * GIB),
     .help = "the write-ahead log may have so much in it; beyond that nothing is taken in until it "
             "could be moved into the database"},
    {NUMBER(readers, 2, 1, 16), .help = "threads that read snapshots and catch-ups"},
    {TEXT(outgoing_ca_file),
     .help = "certificates, as PEM, that HTTPS requests of the server trust in place of the "
             "system's"},
    {TEXT(usage_url), .live = true,
     .help = "where usage events are posted; left out: there are none"},
    {TEXT(usage_token_file), .live = true,
     .help = "a file with the bearer token for usage_url; STELE_USAGE_TOKEN may hold it instead"},
    {NUMBER(usage_spool_rows, 1000000, 1, LARGEST), .live = true,
     .help = "usage events kept until they are delivered; beyond it the oldest go"},
    {NUMBER(usage_spool_bytes, GIB, KIB, LARGEST), .live = true,
     .help = "bytes of usage events kept until they are delivered; likewise"},
};
const size_t config_setting_count = sizeof(config_settings) / sizeof(config_settings[0]);

const struct setting *setting_find(const char *name)
{
    for (size_t i = 0; i < config_setting_count; i++)
        if (strcmp(config_settings[i].name, name) == 0)
            return &config_settings[i];
    for (size_t i = 0; i < config_auth_setting_count; i++)
        if (strcmp(config_auth_settings[i].name, name) == 0)
            return &config_auth_settings[i];
    return NULL;
}

bool setting_unknown(const char *name, struct error *error)
{
    struct nearest nearest = {.given = name};
    for (size_t i = 0; i < config_setting_count; i++)
        nearest_offer(&nearest, config_settings[i].name);
    for (size_t i = 0; i < config_auth_setting_count; i++)
        nearest_offer(&nearest, config_auth_settings[i].name);
    nearest_offer(&nearest, "auth");
    nearest_offer(&nearest, "allowed_origins");
    nearest_offer(&nearest, "exports");
    nearest_offer(&nearest, "stacks");
    if (nearest.name)
        return error_set(error, ERROR_CONFIGURATION,
                         "unknown setting \"%.100s\"; did you mean \"%s\"?", name, nearest.name);
    return error_set(error, ERROR_CONFIGURATION,
                     "unknown setting \"%.100s\"; `stele serve --help` lists all", name);
}

void setting_print_words(struct buffer *out, const char *const *words)
{
    for (size_t i = 0; words[i]; i++) {
        if (i > 0)
            buffer_add_string(out, words[i + 1] ? ", " : " or ");
        buffer_add_string(out, words[i]);
    }
}

bool setting_refuse(const struct setting *setting, struct span value, struct error *error)
{
    struct buffer allowed;
    buffer_init(&allowed, 256);
    if (setting->type == SETTING_NUMBER)
        buffer_printf(&allowed, "a whole number from %lld to %lld", (long long)setting->least,
                      (long long)setting->most);
    else if (setting->type == SETTING_WORD)
        setting_print_words(&allowed, setting->words);
    else if (setting->type == SETTING_FLAG)
        buffer_add_string(&allowed, "true or false");
    else if (setting->type == SETTING_ADDRESS)
        buffer_add_string(&allowed, "HOST:PORT with a port from 0 to 65535, or \"\" for none");
    else
        buffer_add_string(&allowed, "a text of 1 to 4096 bytes");
    const char *text = buffer_string(&allowed);
    int shown = value.length < 100 ? (int)value.length : 100;
    error_set(error, ERROR_CONFIGURATION, "setting \"%s\" cannot be %.*s; allowed: %s",
              setting->name, shown, value.data, text ? text : "");
    buffer_fini(&allowed);
    return false;
}

int setting_word(const char *const *words, struct span word)
{
    for (int i = 0; words[i]; i++)
        if (span_equal(span_of(words[i]), word))
            return i;
    return -1;
}
