/*
 * frontend: shared by all connections of one server, whatever their purpose: the parts that serve
 * them, the limits in force, and the counters. It is the argument of their net. Loop thread.
 */
#ifndef SESSION_FRONTEND_H
#define SESSION_FRONTEND_H

#include "access/access.h"
#include "base/base.h"
#include "ingest/ingest.h"
#include "net/net.h"
#include "session/incoming.h"
#include "session/session.h"

#include <uv.h>

struct engine;
struct follow;
struct http;
struct hub;
struct replica;
struct telemetry;
struct tracer;
struct usage;

/* Connections and their traffic, for /metrics. */
struct frontend_counters {
    struct counter connections, connections_refused, messages_in, messages_out, bytes_in;
    struct counter tls_failed, answers_broken_off;
    struct counter http_requests, errors;
    struct histogram connection_duration;
};

struct frontend {
    uv_loop_t *loop;
    struct engine *engine;
    struct hub *hub;
    struct ingest *ingest;
    struct follow *follow;   /* the log that it follows; NULL: none */
    struct replica *replica; /* or the server whose changes it copies; NULL: none */
    double max_lag;          /* behind that, in seconds: beyond it the server is not ready */
    struct access *access;
    struct usage *usage;         /* NULL: usage is not metered */
    struct telemetry *telemetry; /* NULL: nothing is sent to OpenTelemetry. Owned */
    struct tracer *tracer;       /* its; NULL: there are no traces */
    struct http *http;           /* answers requests; sessions do not use it */
    bool running;                /* connections and requests are accepted */

    char *base_path; /* before the paths of all requests; NULL: nothing. Owned */
    size_t max_message_bytes, max_request_bytes;
    uint64_t client_timeout_ms; /* 0: none */

    struct buffer joined; /* what a pull puts together, for one session after the other */
    uint64_t started_ms;  /* wall clock */
    uint64_t snapshots;   /* that began: with started_ms, the name of each */
    struct sessions sessions;
    struct incoming incoming;
    struct shares writes; /* bytes of requests that wait to be committed */
    struct frontend_counters counters;

    void (*ended)(void *argument); /* a session or a request has ended: a stop may go on */
    void (*due)(void *argument);   /* sessions_due may be earlier than it was */
    void *argument;
};

/* Zeroed before; sessions_init starts its sessions. */
void frontend_init(struct frontend *frontend);
void frontend_fini(struct frontend *frontend);
/* The frontend of a connection of its net. */
static inline struct frontend *frontend_of(const struct net_connection *connection)
{
    return net_state(connection).argument;
}
/* Loop time, in ms. */
static inline uint64_t frontend_now(const struct frontend *frontend)
{
    return uv_now(frontend->loop);
}
/* Whether the owner may have more bytes that wait: half of the way in is for owners that have less
 * than others on the average. `again`: it was refused that, and more has to be free by now. */
bool frontend_may_write(const struct frontend *frontend, uint64_t owner, bool again);
/*
 * Record the spans of a sampled request of a producer that was answered. `attributes`: what tells
 * of its protocol, up to FEED_ATTRIBUTES of them, and an end.
 */
enum { FEED_ATTRIBUTES = 3 };
void frontend_trace_feed(struct frontend *frontend, const char *name,
                         const struct trace_attribute *attributes,
                         const struct ingest_reply *reply);
/* The subject whose producers a principal may move. Borrowed from it. */
struct ingest_sender frontend_sender(const struct principal *principal);

#endif
