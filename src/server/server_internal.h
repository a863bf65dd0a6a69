/*
 * What the files of the server share: its parts and its state. All of it belongs to the loop
 * thread, but for what says otherwise.
 *
 *   listener --fd--> net, transport --> session (WebSocket)  --> hub, ingest
 *                                   --> http (requests)      --> ingest, hub, facts
 */
#ifndef SERVER_INTERNAL_H
#define SERVER_INTERNAL_H

#include "http/http.h"
#include "net/listener.h"
#include "net/loop_watch.h"
#include "replica/replica.h"
#include "server/server.h"
#include "session/frontend.h"

#include <stdatomic.h>
#include <uv.h>

struct follow;
struct transport;
struct certificate;
struct outbound;

/* The server whose changes this one copies. */
struct server_replica {
    struct replica *replica; /* NULL: none. Owned */
    struct replica_source source;
    struct database_origin origin;
};

/* The log that the server follows as a node, and what names its history. */
struct server_log {
    struct follow *follow; /* NULL: it follows none. Owned */
    struct database_log history;
    char settings[33], epoch[DATABASE_UUID_SIZE];
    char *refusal; /* of what would write, in a replica; owned */
};

enum server_state {
    SERVER_READY,    /* open, and not yet run */
    SERVER_RUNNING,  /* accepts connections and serves them */
    SERVER_DRAINING, /* accepts no more; accepted requests are being committed and acknowledged */
    SERVER_PARTING,  /* every client is notified, and closed when it has read the bytes that are due
                      */
    SERVER_LEAVING,  /* the sockets are being closed */
    SERVER_ENDED     /* the loop may end */
};

struct server {
    uv_loop_t loop;
    uv_async_t async; /* events of the engine, posts, stop */
    uv_timer_t tick;
    uv_timer_t due; /* timer of the hub and of tokens */
    struct loop_watch watch;
    bool loop_open, handles_open;
    enum server_state state;
    uint64_t deadline_ms;       /* in PARTING: when clients that do not read are left behind */
    const atomic_bool *give_up; /* while it opens; see server_open */

    struct frontend frontend; /* with the engine, the hub, the ingest, access and usage, owned */
    struct http http;
    struct server_log log;
    struct server_replica replica;
    char merging[33];          /* digest of the settings that decide what changes do */
    struct outbound *outbound; /* outgoing requests; NULL: no setting needs any */

    struct listener main, health;
    struct transport *transport;     /* NULL without sockets, and again when it has left */
    struct certificate *certificate; /* for TLS; NULL: there is none */
    int64_t certificate_due_ms;      /* when to check its validity again */
    bool health_tls;

    size_t connection_room; /* the number of connections for which there are descriptors */

    struct queue posts;         /* any thread */
    atomic_bool stop_requested; /* any thread, signal handlers */
};

/* log.c: connect to the log or the source, if there is one, and find its history / begin to follow
 * it, once the engine is open. */
bool server_open_log(struct server *server, const struct config *config, struct error *error);
bool server_start_log(struct server *server, const struct config *config,
                      const struct ingest_options *ingest, struct error *error);

/* log.c: server->merging, once the hub is open. */
bool server_find_merging(struct server *server, const struct config *config, struct error *error);

/* run.c: the work of the loop. */
void server_start_tick(struct server *server);
void server_on_async(uv_async_t *async);
/* Do the work that is due by time alone, of windows and tokens, and wait for the next. */
void server_arm(void *server);
void server_on_drained(void *server); /* for struct engine_options */
/* Close everything on the loop except the server's own handles, and wait for it. */
void server_leave(struct server *server);

#endif
