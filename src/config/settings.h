/*
 * Every setting except those of "auth" (settings_auth.h) and those with a structure of their own. A
 * row gives the field of struct config, the default, the range, --help, the file, its schema, the
 * environment, the printed configuration, and the effect of a reload. So a new setting touches this
 * row and its use.
 *
 *   TEXT(name, default, …)                 char *; NULL: not set
 *   ADDRESS(name, default, …)              char *, HOST:PORT, or "" for none
 *   NUMBER(name, default, least, most, …)  int64_t
 *   FLAG(name, default, …)                 bool
 *   WORD(name, enum, default, …)           the enum; its words stand in table.c
 *   RATE(name, most, burst, variable, …)   struct config_rate, "60+10/60s"; and its older names
 *
 * The remaining arguments of a row: what a change does (enum config_change), the help, and further
 * members of struct setting. The including file defines these words; there is no include guard,
 * because files include it more than once.
 */

/* The database file, and the addresses of the server. */
TEXT(database, NULL, RESTART, "the database file; the server makes it if it does not exist")
ADDRESS(listen, "127.0.0.1:8877", RESTART,
        "where subscribers and producers connect; port 0 picks a free one, \"\" means none")
ADDRESS(health, "127.0.0.1:8081", RESTART,
        "where health and metrics are served; port 0 picks a free one, \"\" means none")
TEXT(static_files, NULL, RESTART,
     "a folder whose files everybody who reaches listen may read, such as a page that shows the "
     "views; without it no file is served")
TEXT(tls_certificate, NULL, LIVE_WHILE_SET,
     "a file (PEM) with the certificate for TLS on listen, and the certificates that lead to its "
     "authority",
     .restart = "TLS comes and goes with a restart only")
TEXT(tls_key, NULL, LIVE_WHILE_SET,
     "the file (PEM) with the key of that certificate, without a passphrase",
     .restart = "TLS comes and goes with a restart only")
FLAG(health_tls, false, RESTART, "whether health speaks TLS too")

/* The promises of a commit and of a delete. */
WORD(synchronous, database_synchronous, DATABASE_SYNCHRONOUS_FULL, RESTART,
     "when a commit counts as done: full, when it is on disk; normal, a power cut may lose the "
     "last commits; off, it may damage the file too")
WORD(erase, database_erase, DATABASE_ERASE_FAST, RESTART,
     "what happens to the bytes of deleted rows in the file: fast, zeroed in pages that are "
     "written anyway; full, zeroed in freed pages, too; off, left until the page is used again")

/* The log of the program. */
WORD(log_level, log_level, LOG_LEVEL_INFO, LIVE, "the least important lines that are logged")
TEXT(log_levels, NULL, LIVE, "levels of single components, e.g. \"hub=debug,audit=warning\"",
     .check = log_check_levels)
WORD(log_format, log_format, LOG_FORMAT_TEXT, LIVE, "the form of log lines")
TEXT(backup_before_migration, NULL, RESTART,
     "the file to which the server copies a database of an older version before it migrates it")

/* The log of changes: the first of these limits that is reached holds. */
NUMBER(retention_rows, 1000000, 0, LARGEST, RESTART, "changes kept in the log; 0 for no limit")
NUMBER(retention_seconds, DAY, 0, CENTURY, RESTART,
       "age in seconds up to which changes are kept; 0 for no limit")
NUMBER(retention_bytes, GIB, 0, LARGEST, RESTART,
       "bytes of changes kept in the log; 0 for no limit")
NUMBER(tombstone_seconds, 600, 0, CENTURY, RESTART,
       "a fresh snapshot includes deletes that are younger than this")

/* Limits of mutations and messages. */
NUMBER(max_array_length, 100, 0, 1000000000, RESTART,
       "elements that an array in an entity keeps, the newest; 0 for no limit")
NUMBER(max_entity_bytes, 16 * MIB, KIB, GIB, RESTART, "largest entity after a merge")
NUMBER(max_merge_bytes, 64 * MIB, MIB, 64 * GIB, RESTART,
       "bytes of entities above 16 KiB that one request may read and merge")
NUMBER(max_request_bytes, 8 * MIB, KIB, GIB, RESTART, "largest request of a producer")
NUMBER(max_depth, 128, 1, 1000, RESTART, "deepest nesting of a patch")
NUMBER(max_key_bytes, 1024, 1, 64 * KIB, RESTART, "longest key of an entity")
NUMBER(max_message_bytes, 64 * KIB, KIB, 16 * MIB, LIVE, "largest message of a subscriber")
NUMBER(
    incoming_bytes, 256 * MIB, KIB, 64 * GIB, LIVE,
    "bytes of requests and messages that are not complete, or wait for the queue, over all clients")
NUMBER(incoming_seconds, 60, 1, DAY, LIVE,
       "how long a request or message that is not complete may make no progress")
NUMBER(max_exports, 1000, 1, 100000, RESTART, "exports that may appear when they are first fed")
WORD(unknown_exports, config_unknown_exports, CONFIG_UNKNOWN_IGNORE, RESTART,
     "for mutations of an export that is not configured: ignore counts them and names the export, "
     "refuse refuses the request")
NUMBER(max_producers, 10000, 1, LARGEST, RESTART, "names of producers that one subject may have")
NUMBER(max_idempotency_keys, 100000, 1, LARGEST, RESTART,
       "Idempotency-Keys that one subject may use in 24 hours")

/* Connections, and the limits of each. */
NUMBER(max_connections, 10000, 1, 65000, LIVE_WITHIN_ROOM, "connections at a time",
       .restart = "more than at the start takes a restart")
NUMBER(max_connections_per_ip, 0, 0, LARGEST, LIVE,
       "connections at a time of one IPv4 address or one IPv6 /64; 0 for no limit",
       .environment = "ARETE_WS_MAX_CONNECTIONS_PER_IP")
NUMBER(max_connections_per_subject, 0, 0, LARGEST, LIVE,
       "connections at a time of one subject, if its token sets no limit; 0 for no limit",
       .environment = "ARETE_WS_DEFAULT_MAX_CONNECTIONS")
NUMBER(max_connections_per_metering_key, 0, 0, LARGEST, LIVE,
       "connections at a time of one metering key; 0 for no limit",
       .environment = "ARETE_WS_MAX_CONNECTIONS_PER_METERING_KEY")
NUMBER(max_connections_per_origin, 0, 0, LARGEST, LIVE,
       "connections at a time from pages of one origin; 0 for no limit",
       .environment = "ARETE_WS_MAX_CONNECTIONS_PER_ORIGIN")
NUMBER(max_subscriptions, 1000, 1, 1000000, LIVE,
       "subscriptions of one connection, if its token sets no limit",
       .environment = "ARETE_WS_DEFAULT_MAX_SUBSCRIPTIONS")
NUMBER(max_snapshot_rows, 0, 0, LARGEST, LIVE,
       "rows in the answer to one request, if its token sets no limit; 0 for no limit",
       .environment = "ARETE_WS_DEFAULT_MAX_SNAPSHOT_ROWS")
NUMBER(max_messages_per_minute, 0, 0, LARGEST, LIVE,
       "messages from one connection, if its token sets no limit; 0 for no limit",
       .environment = "ARETE_WS_DEFAULT_MAX_MESSAGES_PER_MINUTE")
NUMBER(max_bytes_per_minute, 0, 0, LARGEST, LIVE,
       "bytes to one connection, if its token sets no limit; 0 for no limit",
       .environment = "ARETE_WS_DEFAULT_MAX_BYTES_PER_MINUTE")
NUMBER(limit_window_seconds, 60, 1, DAY, LIVE,
       "the length of the minute in the two limits per minute",
       .environment = "ARETE_WS_RATE_LIMIT_WINDOW_SECS")

/* Rates. */
WORD(rate_limiting, config_rate_limiting, CONFIG_RATES_AUTO, LIVE,
     "whether the rates hold; auto: they do not hold if only this machine can connect, there is "
     "neither authentication nor a trusted proxy, and no rate was set",
     .environment = "ARETE_RATE_LIMITING_ENABLED")
RATE(rate_handshakes_per_ip, 60, 10, "HANDSHAKE_PER_IP", LIVE,
     "handshakes of one IPv4 address or one IPv6 /64")
RATE(rate_connections_per_subject, 30, 5, "CONNECTIONS_PER_SUBJECT", LIVE,
     "connections of one subject")
RATE(rate_connections_per_metering_key, 100, 20, "CONNECTIONS_PER_METERING_KEY", LIVE,
     "connections of one metering key")
RATE(rate_subscriptions_per_connection, 120, 10, "SUBSCRIPTIONS_PER_CONNECTION", LIVE,
     "subscribe messages of one connection")
RATE(rate_messages_per_connection, 1000, 100, "MESSAGES_PER_CONNECTION", LIVE,
     "messages of one subscriber's connection")
RATE(rate_snapshots_per_connection, 30, 5, "SNAPSHOTS_PER_CONNECTION", LIVE,
     "snapshots and resumes of one connection")

/* Behind a proxy. */
TEXT(allowed_hosts, NULL, LIVE,
     "host names under which clients may reach this server, such as \"stele.example.com\"; by "
     "default any, but without authentication on a loopback address only names of that address",
     .check = host_names_check, .list = true)
TEXT(base_path, NULL, RESTART,
     "a path that a proxy leaves in front of all others, such as \"/stele\"",
     .check = check_base_path)
TEXT(trusted_proxies, NULL, LIVE,
     "addresses and networks of proxies whose header names the client, such as \"10.0.0.0/8, ::1\"",
     .check = check_networks, .list = true)
TEXT(proxy_header, "X-Forwarded-For", LIVE,
     "the header in which proxies name the client; Forwarded is read by RFC 7239, any other as a "
     "list of addresses",
     .check = check_header)

/* Limits of subscriptions and requests. */
NUMBER(max_window_rows, 10000, 1, 1000000, RESTART,
       "rows of a subscription with take, skip or a query, or to a derived view")
NUMBER(max_windows, 1000, 1, 1000000, RESTART, "different windows with subscribers at a time")
NUMBER(max_waiting_exports, 1000, 1, 1000000, RESTART,
       "in an open server, exports that subscribers wait for before the first feed")
NUMBER(max_filter_rows, 1000000, 1000, 1000000000, RESTART,
       "rows that the query of one HTTP request reads")
NUMBER(max_where_depth, 8, 1, 12, RESTART,
       "how deep the predicates of one query may lie within each other")
NUMBER(max_where_terms, 256, 1, 1000, RESTART,
       "predicates of one query, and values to choose from in them")
NUMBER(client_timeout_seconds, 300, 1, DAY, LIVE,
       "the server closes a client that was not heard for this long",
       .environment = "ARETE_WS_CLIENT_TIMEOUT_SECS")
NUMBER(
    cursor_wait_ms, 5000, 0, 60000, LIVE,
    "in a node of a log: so long a cursor that the node does not have yet waits for it, before it "
    "is refused with node-behind")

/* Memory. */
NUMBER(queue_bytes, 64 * MIB, 4 * KIB, 64 * GIB, RESTART,
       "bytes of requests that may wait to be committed; a request beyond that is refused for the "
       "moment")
NUMBER(commit_mutations, 8192, 1, 1000000, RESTART, "most mutations in one transaction")
NUMBER(memory, 0, 0, 1024 * GIB, RESTART,
       "bytes that all caches have together, of which each takes its share, or less by its own "
       "setting; 0 leaves it to their own settings")
NUMBER(entity_cache_bytes, 64 * MIB, 0, 64 * GIB, RESTART,
       "bytes of entities that the writer keeps in memory")
NUMBER(page_cache_bytes, 256 * MIB, MIB, 64 * GIB, RESTART,
       "bytes of database pages that the writer keeps in memory")
NUMBER(ring_bytes, 64 * MIB, 0, 64 * GIB, RESTART, "bytes of newest changes in memory")
NUMBER(channel_bytes, 64 * MIB, 64 * KIB, 64 * GIB, RESTART,
       "bytes of ready frames in memory, over all views")
NUMBER(snapshot_cache_bytes, 64 * MIB, 0, 64 * GIB, RESTART,
       "bytes of ready snapshots in memory, for subscribers that come soon after")

/* The database's upkeep. */
NUMBER(checkpoint_pages, 32768, 1, 16777216, RESTART,
       "at so many pages a checkpoint moves the write-ahead log into the database")
NUMBER(max_wal_bytes, 8 * GIB, MIB, 1024 * GIB, RESTART,
       "bytes that the write-ahead log may hold; beyond that the server accepts no mutations until "
       "a checkpoint has moved the log into the database")
NUMBER(readers, 2, 1, 16, RESTART,
       "threads that read the database: for snapshots and for subscriptions that catch up")

/* Requests that the server makes. */
TEXT(outgoing_ca_file, NULL, RESTART,
     "a file with certificates (PEM) that HTTPS requests of the server trust instead of the "
     "system's")
TEXT(usage_url, NULL, LIVE_WHILE_SET,
     "the URL to which the server posts usage events; without it there are none",
     .restart = "usage events come and go with a restart only")
TEXT(usage_token_file, NULL, LIVE,
     "a file with the bearer token for usage_url; STELE_USAGE_TOKEN may hold it instead")
NUMBER(usage_spool_rows, 1000000, 1, LARGEST, LIVE,
       "usage events that are kept until delivery; beyond that the oldest go")
NUMBER(usage_spool_bytes, GIB, KIB, LARGEST, LIVE,
       "bytes of usage events that are kept until delivery; beyond that the oldest go")

/* OpenTelemetry. The names in the environment are the standard ones: see environment_otel.c. */
TEXT(otlp_endpoint, NULL, RESTART,
     "the base URL of an OpenTelemetry collector, such as \"http://localhost:4318\", to which the "
     "server sends traces and metrics (OTLP over HTTP); without an endpoint there are none",
     .environment = "OTEL_EXPORTER_OTLP_ENDPOINT")
TEXT(otlp_traces_endpoint, NULL, RESTART,
     "the URL for traces, used as it is, instead of /v1/traces below otlp_endpoint",
     .environment = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
TEXT(otlp_metrics_endpoint, NULL, RESTART,
     "the URL for metrics, used as it is, instead of /v1/metrics below otlp_endpoint",
     .environment = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")
TEXT(otlp_headers, NULL, RESTART,
     "further headers of these requests, \"name=value,name=value\", values percent-encoded; a "
     "secret, which is shown nowhere",
     .check = check_headers, .secret = true, .environment = "OTEL_EXPORTER_OTLP_HEADERS")
NUMBER(otlp_timeout_ms, 10000, 1, 600000, RESTART,
       "milliseconds that one of these requests may take",
       .environment = "OTEL_EXPORTER_OTLP_TIMEOUT")
TEXT(otlp_service, NULL, RESTART,
     "the name of the service (service.name); by default that of otlp_resource, or stele",
     .check = check_service, .environment = "OTEL_SERVICE_NAME")
TEXT(otlp_resource, NULL, RESTART,
     "further attributes of the resource, \"name=value,name=value\", values percent-encoded",
     .check = check_pairs, .environment = "OTEL_RESOURCE_ATTRIBUTES")
WORD(otlp_sampler, config_sampler, CONFIG_SAMPLER_PARENT_RATIO, RESTART,
     "which traces are recorded; parentbased: as the client's traceparent says, if there is one",
     .environment = "OTEL_TRACES_SAMPLER")
TEXT(otlp_sample, "1", RESTART,
     "the share of traces, 0 to 1, that the samplers with traceidratio record",
     .check = check_share, .environment = "OTEL_TRACES_SAMPLER_ARG")
NUMBER(otlp_metrics_ms, 60000, 100, DAY * 1000, RESTART,
       "milliseconds between two exports of metrics", .environment = "OTEL_METRIC_EXPORT_INTERVAL")
FLAG(otlp_disabled, false, RESTART,
     "whether nothing is recorded or sent, whatever the endpoints are",
     .environment = "OTEL_SDK_DISABLED")
