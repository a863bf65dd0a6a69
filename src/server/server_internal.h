/*
 * What the files of the transport side share: the server itself and its state. All of it belongs
 * to the loop thread, but for what says otherwise.
 *
 *   listener --fd--> net, transport --> session (WebSocket)  --> hub, source
 *                                   --> exchange (HTTP)      --> source, facts
 */
#ifndef SERVER_INTERNAL_H
#define SERVER_INTERNAL_H

#include "access/access.h"
#include "access/audit.h"
#include "access/limits.h"
#include "net/listener.h"
#include "net/loop_watch.h"
#include "net/net.h"
#include "server/incoming.h"
#include "server/server.h"
#include "server/sessions.h"

#include <stdatomic.h>
#include <uv.h>

struct transport;
struct certificate;
struct facts;
struct usage;
struct outbound;

enum server_state {
    SERVER_READY,    /* open, and not yet run */
    SERVER_RUNNING,  /* takes connections and serves them */
    SERVER_DRAINING, /* takes no more; what was taken in is being committed and acknowledged */
    SERVER_PARTING,  /* every client is told, and closed when it has read what it is owed */
    SERVER_LEAVING,  /* the sockets are being closed */
    SERVER_ENDED     /* the loop may end */
};

/* Connections and what goes through them, for /metrics. */
struct server_counters {
    struct counter connections, connections_refused, messages_in, messages_out, bytes_in;
    struct counter tls_failed, answers_broken_off;
    struct counter http_requests, errors;
    struct histogram connection_duration;
};

struct server {
    uv_loop_t loop;
    uv_async_t async; /* events of the engine, posts, stop */
    uv_timer_t tick;
    uv_timer_t due; /* what the hub waits for */
    struct loop_watch watch;
    bool loop_open, handles_open;
    enum server_state state;
    uint64_t deadline_ms; /* in PARTING: when those who do not read are left behind */
    uint64_t started_us;
    const atomic_bool *give_up; /* while it opens; see server_open_unless */

    struct hub *hub;
    struct engine *engine;
    struct source *source;
    struct facts *facts;
    struct access *access;
    struct usage *usage;       /* NULL: it is told to nobody */
    struct outbound *outbound; /* outgoing requests; NULL: nothing needs any */

    struct listener main, health;
    struct transport *transport;     /* NULL without sockets, and again when it has left */
    struct certificate *certificate; /* shown in TLS; NULL: there is none */
    int64_t certificate_due_ms;      /* when to look at its time again */
    bool health_tls;
    struct sessions sessions;
    size_t exchanges;      /* HTTP requests that wait for their answer, or for its end */
    struct shares reads;   /* of them, those that a reader works on */
    struct shares answers; /* bytes of answers that are being written */
    struct incoming incoming;
    struct server_counters counters;

    char *base_path;        /* before the paths of all requests; NULL: nothing */
    size_t connection_room; /* for so many there are descriptors */
    size_t max_message_bytes, max_request_bytes;
    uint64_t client_timeout_ms; /* 0: none */

    struct queue posts;         /* any thread */
    atomic_bool stop_requested; /* any thread, signal handlers */
};

/* The one place where the state changes. */
void server_set_state(struct server *server, enum server_state state);
/* Look whether the stop can go on; called whenever something ended. */
void server_advance(struct server *server);
/* run.c: what happens on the loop. */
void server_start_tick(struct server *server);
void server_on_async(uv_async_t *async);
void server_on_tick(uv_timer_t *tick);
/* Look what is due by time alone, the hub's windows and tokens, and wait for it. */
void server_arm(struct server *server);
void server_on_drained(void *server); /* for struct engine_options */
/* Close what is on the loop besides the server's own handles, and wait for it. */
void server_leave(struct server *server);

/* What a client wants that is to be let in. */
enum server_purpose { SERVER_WEBSOCKET, SERVER_INGEST, SERVER_READ };
/* Whether there is room for it; the principal is asked for reads only. false with the error to
 * answer with. */
bool server_admit(const struct server *server, const struct principal *principal,
                  enum server_purpose purpose, struct error *error);

#endif
