/*
 * http: requests that are no WebSocket, on the main and on the health address.
 *
 *   http.c         which part answers which path
 *   request.c      the life of a request whose answer comes later
 *   respond.c      all bytes of answers
 *   ingest.c       POST /v1/mutations, and bodies at all
 *   views.c        GET /v1/views, views read once, and as they change; query.c their query; wait.c
 *                   requests that wait for a change
 *   accept.c       what a client takes
 *   about.c        what is asked about a view: explain.c GET /v1/explain,
 *                  checksum.c GET /v1/checksum
 *   files.c        files of a folder, for browsers
 *   producers.c, revocations.c   what the commands ask for
 *   changes.c      GET /v1/changes, what replicas read; changes_read.c reads the log for it,
 *                  changes_notes.c what happened beside; log_reader.c who may; followers.c who does
 *   clients.c      /v1/clients and the end of one; windows.c /v1/windows; listing.c lists of what
 *                  only the loop has
 *   backup.c       GET /v1/backup, a copy of the database
 *   health.c       /health, /ready; status.c /status; metrics.c and metrics_table.c /metrics;
 *                  facts.c what these ask the database
 *   inspector.c     the page about the server, and what it reads
 *   admission.c    whether there is room for a request
 *
 * Invariants:
 *   1. A request is answered once; a request that awaits its answer outlives its connection.
 *   2. A reader works for a request only while the request awaits it, so the request stays for it.
 *      Its owner's reads are counted from begin_read to end_read.
 *   3. `requests` counts those that are not freed; a stop waits for them.
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "access/shares.h"
#include "http/followers.h"
#include "session/frontend.h"

struct facts;
struct http_backup;
struct http_files;
struct loop_watch;

struct http {
    struct frontend *frontend;
    struct facts *facts;      /* owned */
    struct http_files *files; /* the folder that is served; NULL: none. Owned */
    struct link waiting;      /* requests that wait for a change of a view, */
    struct link replicas;     /* ... and of the log */
    uint64_t wakes;           /* of the latter */
    struct followers followers;
    int64_t last_change;        /* the newest that this thread was told of */
    struct http_backup *backup; /* the copy that is made, or sent; NULL: none. The request's */
    const char *merging;        /* digest of the settings that decide what changes do. Borrowed */
    size_t requests;            /* requests that wait for their answer, or for its end, */
    size_t listings;            /* ... and those of them that are lists being made */
    struct shares reads;        /* of them, those that a reader works on */
    struct shares answers;      /* bytes of answers under way */
    /* For /status, /metrics and errors that name the other port; borrowed. */
    const char *main_address, *health_address; /* "" when there is none */
    char *configuration; /* in force, as text without secrets; NULL: no memory for it. Owned */
    struct certificate **certificate; /* for TLS; NULL: there is none */
    const struct loop_watch *watch;
    uint64_t started_us;
    char run[DATABASE_UUID_SIZE]; /* names this run of the server, for who counts its notes */
};

/* Zeroed before, except for borrowed members. The engine and the hub of the frontend are open.
 * False when out of memory. */
bool http_open(struct http *http, struct frontend *frontend);
/* Serve the files of this folder, too; a relative path begins at `start`, a descriptor or AT_FDCWD.
 * The folder is opened anew for each piece, so it may be replaced. Once, before the first request.
 * False with an error, which names the folder. */
bool http_serve_files(struct http *http, int start, const char *path, struct error *error);
/* This configuration is in force; take its text over. It has no secrets. NULL: out of memory. */
void http_show_configuration(struct http *http, char *text);
/* Told after the hub: changes up to this one are committed. */
void http_committed(struct http *http, int64_t last_change);
/* The server stops: nobody waits for a change any more. */
void http_stop(struct http *http);
/* Before engine_close: no thread of its own uses the engine any more. A zeroed one is fine. */
void http_end(struct http *http);
/* After the engine, which answers waiting requests. A zeroed one is fine. */
void http_close(struct http *http);

/* ---- its figures ---- */

/* Call `ready` soon, on the loop, at the latest from engine_close: what the figures know of the
 * database is fresh then. False when out of memory. */
bool http_refresh_metrics(struct http *http, void (*ready)(void *argument), void *argument);
/* Give all figures of /metrics to the sink. */
void http_each_metric(struct http *http, struct metric_sink *sink);

/* ---- for the transport ---- */

/* Whether a request is acceptable, WebSockets too: its path is unambiguous, and it has no body
 * where none is allowed. `health`: it came to the health address. */
bool http_check(const struct net_connection *connection, bool health, struct error *error);
/* Whether its path is that of feeding by WebSocket. */
bool http_is_ingest(const struct net_connection *connection);
/* Answer it, now or later. */
void http_request(struct http *http, struct net_connection *connection, bool health);

#endif
