/*
 * server: one stele server: the database's engine, the hub, the way in, and the sockets, on one
 * libuv loop. Two servers in one process are fine: nothing here is global but the log.
 *
 * Life: server_open -> server_run (blocks on the calling thread, which becomes the loop thread)
 * -> server_close. server_stop may be called on any thread and from a signal handler.
 */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include "base/queue.h"
#include "config/config.h"

#include <stdatomic.h>

struct server;
struct server_reload;

/* Open the database, start the threads, bind the sockets (unless config->listen is empty: then the
 * server has none and serves in-process callers only). The configuration is borrowed during the
 * call. NULL with an error that names what failed and the remedy. */
/* When the flag (NULL: none) goes up while views are built, it ends with ERROR_SHUTTING_DOWN. */
struct server *server_open(const struct config *config, const atomic_bool *give_up,
                           struct error *error);
/* Serve until stopped. Returns true after a clean stop: intake closed, what was queued committed
 * and acknowledged, clients closed with 1001. */
bool server_run(struct server *server, struct error *error);
/* Ask for a clean stop. Async-signal-safe, any thread, idempotent. */
void server_stop(struct server *server);
void server_close(struct server *server);

/* ---- another configuration ---- */

/*
 * Another configuration, read and checked wholly, the files that it names included: an error names
 * the fault, and nothing has changed. Takes `config` over in any case. Does file work; any thread
 * but the loop.
 */
struct server_reload *server_reload_new(struct config *config, struct error *error);
void server_reload_free(struct server_reload *reload);
/* Put in force what can change in a server that runs, in `in_force` too, and log each setting that
 * takes a restart. On the loop thread. */
void server_reload_apply(struct server *server, struct server_reload *reload,
                         struct config *in_force);
/* Tell, in log and metrics, that one was refused. Any thread, while the server is open. */
void server_reload_refused(struct server *server, const struct error *error);
/*
 * The limits of another configuration, from now on, also for connected clients: all that
 * docs/limits.md names, max_message_bytes (of new connections), client_timeout_seconds. Counts
 * stay, and no client is thrown out that was within the former limits. On the loop thread (see
 * server_post). false, and nothing changed.
 */
bool server_apply_limits(struct server *server, const struct config *config, struct error *error);
/* Put the exports' max_entities in force. */
bool server_apply_export_limits(struct server *server, const struct config *config,
                                struct error *error);
/* Show this configuration, without its secrets, as the one in force. */
void server_show_configuration(struct server *server, const struct config *config);
/* ---- in-process use (the public API stands on these) ---- */

/* Something to run on the loop thread. Embed it in what the work is about. */
struct server_work {
    struct queue_item item;
    void (*run)(struct server *server, struct server_work *work);
};
/* Run it on the loop thread, soon. Any thread. The work is the server's until `run` is called;
 * from then on it may be posted again or freed. Posting takes no memory and no bounded place, so
 * it is false only once the server has stopped. The owner of works bounds their number. */
bool server_post(struct server *server, struct server_work *work);
/* Its parts, which live as long as it does; on the loop thread only (engine and ingest may be asked
 * as their headers say). */
struct server_parts {
    /* The addresses really bound, "127.0.0.1:41873"; "" when there is none. */
    const char *address, *health_address;
    struct engine *engine;
    struct ingest *ingest;
    struct hub *hub;
};
struct server_parts server_parts(struct server *server);
/* How far it is behind the log that it follows, if there is one; on the loop thread. */
struct server_lag {
    int64_t behind, position; /* messages of a stream, or changes of another server */
    bool has_all;             /* it had all of it, at some time */
};
struct server_lag server_lag(struct server *server);

#endif
