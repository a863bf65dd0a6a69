/*
 * config: every setting in one table: name, type, default, range, help. The table parses the
 * configuration file, the environment and command-line options, checks them, prints itself for
 * --help, and is the source of the published JSON Schema (a test holds them together).
 * Order: an option over the file, the file over the environment, the environment over the default.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/base.h"
#include "store/store.h"
#include "view/view.h"

/* A view defined in the configuration, beside the three that every export has. */
struct config_view {
    char *name;
    char *definition; /* its JSON, as view_set_derive takes it */
};

enum { CONFIG_INHERIT = -1 };

struct config_export {
    char *name;
    int64_t max_entities;     /* 0: unlimited */
    int64_t max_array_length; /* 0: unlimited; CONFIG_INHERIT: as elsewhere */
    bool null_removes;        /* a member that is null in a patch goes */
    char *scope;              /* path of the field that scopes its rows, as JSON; NULL: none */
    struct config_view *views;
    size_t view_count;
};

enum config_auth_mode { CONFIG_AUTH_NONE, CONFIG_AUTH_STATIC, CONFIG_AUTH_SIGNED };
/* Who is shown something, where there is authentication. */
enum config_audience { CONFIG_FOR_ADMIN, CONFIG_FOR_ALL };

/* "auth": who may connect. */
struct config_auth {
    enum config_auth_mode mode;
    char *tokens, *keys;          /* JSON lists as given, the files in them unread; NULL: none */
    char *jwks_file, *jwks_url;   /* NULL: none */
    int64_t jwks_seconds;         /* default 3,600 */
    int64_t jwks_refetch_seconds; /* default 60 */
    int64_t jwks_stale_seconds;   /* default 86,400 */
    char *issuer, *audience;      /* NULL: any */
    bool require_origin;          /* a token must be bound to an origin, a request name it */
    bool require_client_ip;       /* a token must be bound to the client's address */
    enum config_audience status, metrics; /* who sees all of /status, and /metrics */
};

/* What becomes of mutations for exports that the configuration does not show. */
enum config_unknown_exports { CONFIG_UNKNOWN_IGNORE, CONFIG_UNKNOWN_REFUSE };

/* Whether the rate windows hold. AUTO: unless the server is for its own machine alone; limits.h. */
enum config_rate_limiting { CONFIG_RATES_AUTO, CONFIG_RATES_ON, CONFIG_RATES_OFF };

struct config {
    /* Where relative paths begin: a folder's descriptor, which is not the configuration's own, or
     * AT_FDCWD. */
    int folder;
    char *database;        /* "database": path; required to serve */
    char *listen;          /* "listen": HOST:PORT; default 127.0.0.1:8877; "" for none */
    char *health;          /* "health": HOST:PORT; default 127.0.0.1:8081; "" for none */
    char *tls_certificate; /* path or NULL: TLS on `listen` */
    char *tls_key;
    bool health_tls;                    /* TLS on `health`, too */
    enum store_synchronous synchronous; /* "synchronous": full | normal | off */
    enum store_erase erase;             /* "erase": fast | full | off */
    enum log_level log_level;           /* "log_level": error | warning | info | debug */
    char *log_levels;                   /* "log_levels": of components, or NULL */
    enum log_format log_format;         /* "log_format": text | json */
    char *backup_before_migration;      /* path or NULL */
    int64_t retention_rows;             /* default 1,000,000; 0: no limit */
    int64_t retention_seconds;          /* default 86,400 */
    int64_t retention_bytes;            /* default 1 GiB */
    int64_t tombstone_seconds; /* default 600: deletes this young are told with a fresh snapshot */
    int64_t max_array_length;  /* default 100; 0: unlimited */
    int64_t max_entity_bytes;  /* default 16 MiB */
    int64_t max_merge_bytes;   /* of large entities, that one request may read; default 64 MiB */
    int64_t max_request_bytes; /* default 8 MiB */
    int64_t max_depth;         /* default 128 */
    int64_t max_key_bytes;     /* default 1,024 */
    int64_t max_message_bytes; /* of a subscriber's message; default 64 KiB */
    int64_t incoming_bytes;    /* of unfinished requests and messages; default 256 MiB */
    int64_t incoming_seconds;  /* that one may stand still; default 60 */
    int64_t max_exports;       /* default 1,000 */
    enum config_unknown_exports unknown_exports; /* default ignore */
    int64_t max_producers;                       /* names of a subject; default 10,000 */
    int64_t max_idempotency_keys;                /* of a subject; default 100,000 */
    int64_t max_connections;                     /* default 10,000 (65,000 at most) */
    /* At a time; 0: no limit. Those of a token come before "per subject" and the following. */
    int64_t max_connections_per_ip, max_connections_per_origin, max_connections_per_metering_key;
    int64_t max_connections_per_subject;
    int64_t max_subscriptions;       /* per connection; default 1,000 */
    int64_t max_snapshot_rows;       /* per request; 0: no limit */
    int64_t max_messages_per_minute; /* inbound, per connection; 0: no limit */
    int64_t max_bytes_per_minute;    /* outbound, likewise */
    int64_t limit_window_seconds;    /* the "minute" of these two; default 60 */
    enum config_rate_limiting rate_limiting;
    /* Rate windows: so many and a burst within so many seconds; 0: no limit. */
    int64_t rate_handshakes_per_ip, rate_handshakes_per_ip_burst, rate_handshakes_per_ip_seconds;
    int64_t rate_connections_per_subject, rate_connections_per_subject_burst,
        rate_connections_per_subject_seconds;
    int64_t rate_connections_per_metering_key, rate_connections_per_metering_key_burst,
        rate_connections_per_metering_key_seconds;
    int64_t rate_subscriptions_per_connection, rate_subscriptions_per_connection_burst,
        rate_subscriptions_per_connection_seconds;
    int64_t rate_messages_per_connection, rate_messages_per_connection_burst,
        rate_messages_per_connection_seconds;
    int64_t rate_snapshots_per_connection, rate_snapshots_per_connection_burst,
        rate_snapshots_per_connection_seconds;
    char *allowed_hosts;            /* names that requests may ask for; NULL: any */
    char *base_path;                /* what a proxy has put before all paths; NULL: nothing */
    char *trusted_proxies;          /* addresses and networks; NULL: none */
    char *proxy_header;             /* in which they name the client; default X-Forwarded-For */
    int64_t client_timeout_seconds; /* default 300; environment ARETE_WS_CLIENT_TIMEOUT_SECS */
    int64_t queue_bytes;            /* default 64 MiB */
    int64_t commit_mutations;       /* default 8,192 */
    int64_t entity_cache_bytes;     /* default 64 MiB */
    int64_t page_cache_bytes;       /* SQLite; default 64 MiB */
    int64_t ring_bytes;             /* default 64 MiB */
    int64_t channel_bytes;          /* default 64 MiB */
    int64_t snapshot_cache_bytes;   /* default 64 MiB */
    int64_t checkpoint_pages;       /* default 32,768 */
    int64_t max_wal_bytes;          /* 0: unlimited */
    int64_t readers;                /* default 2 */
    int64_t max_window_rows;        /* of a subscription; default 10,000 */
    int64_t max_windows;            /* different ones; default 1,000 */
    int64_t max_waiting_exports;    /* subscribed to and never fed; default 1,000 */
    int64_t max_filter_rows;        /* of one HTTP request; default 1,000,000 */
    char *outgoing_ca_file;         /* path or NULL: the system's */
    char *usage_url;                /* where usage events go, or NULL: they are not made */
    char *usage_token_file;         /* path or NULL: STELE_USAGE_TOKEN, or none */
    int64_t usage_spool_rows;       /* default 1,000,000 */
    int64_t usage_spool_bytes;      /* default 1 GiB */
    struct config_auth auth;
    char **origins;      /* "allowed_origins" */
    size_t origin_count; /* 0: all */
    char **stacks;       /* "stacks": paths of arete stack files */
    size_t stack_count;
    struct config_export *exports; /* "exports": {"Quake": {"max_entities": n, "views": {…}}} */
    size_t export_count;           /* 0, and no stacks: exports appear as they are fed */
};

/* All defaults; relative paths begin in the working directory. */
bool config_init(struct config *config, struct error *error);
void config_fini(struct config *config);
/* Read the environment names that apply (ARETE_…): a value that cannot be parsed is an error. */
bool config_read_environment(struct config *config, struct error *error);
/* Read a JSON file: an unknown or wrong setting is an error that names it and what is allowed. */
bool config_read_file(struct config *config, const char *path, struct error *error);
/* One setting by name from text, e.g. from a command line. "stack" adds a file to "stacks". */
bool config_set(struct config *config, const char *name, const char *value, struct error *error);
/* ERROR_CONFIGURATION when there is no authentication and an address to listen at can be reached
 * from other machines: that takes an explicit word of the operator. */
bool config_check_exposure(const struct config *config, struct error *error);
/* Append a line per setting: name, type, default, help (for --help and the docs). */
bool config_describe(struct buffer *out);
/* Append the JSON Schema of the file. */
bool config_schema(struct buffer *out);
/* Append the values in force, as a configuration file that would give the same. */
bool config_print(const struct config *config, struct buffer *out);
/* Asked about each setting that differs, in the order of the table; `live`: it could change in a
 * server that runs. Returns whether it is to be taken. */
typedef bool (*config_judge)(void *argument, const char *name, bool live);
/* Move into the configuration in force what `from` sets otherwise and `judge` lets through. `from`
 * is good for config_fini only, then. */
void config_take_live(struct config *config, struct config *from, config_judge judge,
                      void *argument);

/* ERROR_CONFIGURATION that names the setting at `path`. Always false. */
bool config_wrong(struct error *error, const char *path, const char *what);

/* The views that it and its stack files define, as a new set with all stages; NULL with an error
 * that names the file or the view. */
struct view_set *config_views(const struct config *config, struct error *error);
/* Log what is allowed in them, but seldom meant: an order, or a key, by what "fields" hide. */
void config_warn_of_views(const struct view_set *views);

#endif
