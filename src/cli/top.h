/*
 * `stele top`: what a server tells of itself, at one time and since the time before, and the
 * picture of it. top_read.c reads answers, top_rates.c compares two samples, top_print.c prints
 * one. Pure, except for top.c, which asks and draws.
 */
#ifndef CLI_TOP_H
#define CLI_TOP_H

#include "base/base.h"

struct tree;

enum { TOP_CLIENTS = 20000 /* that are read, at most */, TOP_TEXT = 64 };

/* X(name, its metric, whether it counts up): summed over the labels of the metric. */
#define TOP_FIGURES(X)                                                                             \
    X(UPTIME, "stele_uptime_seconds", false)                                                       \
    X(MEMORY, "process_resident_memory_bytes", false)                                              \
    X(CPU, "process_cpu_seconds_total", true)                                                      \
    X(CONNECTIONS, "stele_connections_active", false)                                              \
    X(SUBSCRIPTIONS, "stele_subscriptions_active", false)                                          \
    X(SLOWEST, "stele_slowest_lag_changes", false)                                                 \
    X(MUTATIONS, "stele_mutations_total", true)                                                    \
    X(CHANGES, "stele_changes_total", true)                                                        \
    X(COMMITS, "stele_commits_total", true)                                                        \
    X(COMMIT_SECONDS, "stele_commit_duration_seconds_sum", true)                                   \
    X(FRAMES, "stele_messages_sent_total", true)                                                   \
    X(SENT, "stele_sent_bytes_total", true)                                                        \
    X(WINDOWS, "stele_windows", false)                                                             \
    X(MEMBERS, "stele_window_members", false)                                                      \
    X(LOG_CHANGES, "stele_log_changes", false)                                                     \
    X(LOG_BYTES, "stele_log_bytes", false)                                                         \
    X(WAL, "stele_wal_bytes", false)                                                               \
    X(DATABASE, "stele_database_bytes", false)                                                     \
    X(FREE, "stele_disk_free_bytes", false)

enum top_figure {
#define X(name, metric, counts) TOP_##name,
    TOP_FIGURES(X)
#undef X
        TOP_FIGURE_COUNT
};

struct top_client {
    uint64_t id;
    char address[TOP_TEXT], subject[TOP_TEXT], protocol[TOP_TEXT];
    int64_t since_ms, subscriptions, behind; /* behind: changes; -1: not known */
    double seconds;                          /* behind; -1: not known */
    double queued, sent, sent_rate;          /* bytes; the rate NAN: not known yet */
    const struct tree *node;                 /* as it was answered */
};

struct top_window {
    uint64_t id;
    char view[TOP_TEXT];
    struct span query; /* in the answer; absent: none */
    int64_t members, rows, take;
    double refreshes, rows_read, ms;         /* so far */
    double refresh_rate, read_rate, ms_rate; /* of a second; NAN: not known yet */
    const struct tree *node;
};

struct top_sample {
    uint64_t us;  /* when it was taken, monotonic, */
    int64_t time; /* ... and by the server's clock: ms since 1970; 0: not known */
    bool healthy;
    char status[TOP_TEXT], version[TOP_TEXT];
    double figures[TOP_FIGURE_COUNT]; /* NAN: not known */
    double rates[TOP_FIGURE_COUNT];   /* of those that count up, a second; NAN: not known yet */
    struct top_client *clients;       /* by id; once compared, the one furthest behind first */
    struct top_window *windows;       /* by id; once compared, the one that costs most first */
    size_t client_count, window_count;
    bool cut;            /* there are more clients than were read */
    struct tree **pages; /* which the nodes and queries are in */
    size_t page_count;
};

/* A sample is zeroed, then started. */
void top_start(struct top_sample *sample);
void top_free(struct top_sample *sample);
/* Answers of the server; false with the error. Those of lists are taken over in any case; *after:
 * the id behind which the next page begins, 0: there is none. */
bool top_read_status(struct top_sample *sample, struct span text, struct error *error);
void top_read_metrics(struct top_sample *sample, struct span text);
bool top_read_clients(struct top_sample *sample, struct tree *page, uint64_t *after,
                      struct error *error);
bool top_read_windows(struct top_sample *sample, struct tree *page, uint64_t *after,
                      struct error *error);
/* What happened since `before` (NULL: nothing is known of then); and the order of both lists. */
void top_compare(struct top_sample *sample, struct top_sample *before);

/* Append the picture: at most `height` lines, each ended by a newline and none wider than `width`.
 * `note`: for its first line; "": none. False when out of memory. */
bool top_print(const struct top_sample *sample, const char *note, size_t width, size_t height,
               struct buffer *out);
/* The same as one line of JSON, with up to `most` clients and windows. */
bool top_print_json(const struct top_sample *sample, size_t most, struct buffer *out);

#endif
