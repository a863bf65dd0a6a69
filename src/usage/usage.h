/*
 * usage: what clients used, reported to an HTTP endpoint as events, for billing (docs/usage.md).
 *
 *   sessions, hub --> sums and events --> [batch] --> writer: the spool in the database
 *                                                        |
 *   endpoint <-- POST, up to 50 events <-- [packet] <-- reader
 *
 * All functions belong to the loop thread and never wait: the writer spools, a reader reads the
 * spool, and the client for outgoing requests posts. An event leaves the spool only after the
 * endpoint accepted it. Without an endpoint there is no struct usage, and clients are not metered.
 *
 *   client.c    clients, their sums per view, the texts of events
 *   spool.c     events on their way into the database
 *   delivery.c  and from there to the endpoint, some in a packet
 *   pace.c      when the next request to the endpoint may go
 *   usage.c     their life, and usage from the configuration
 */
#ifndef USAGE_USAGE_H
#define USAGE_USAGE_H

#include "auth/auth.h"
#include "engine/engine.h"
#include "outbound/outbound.h"

struct config;
struct usage;
struct usage_client;
struct usage_endpoint;
struct usage_meter;

struct usage_options {
    struct engine *engine;
    int64_t spool_rows, spool_bytes; /* beyond these the oldest events give way */
    /* Post this body (borrowed) to the endpoint, and call `done` once, later. False: not now. */
    bool (*post)(void *argument, struct span body, outbound_done done, void *done_argument);
    uint64_t (*now_ms)(void *argument); /* a clock that nobody sets */
    int64_t (*wall_ms)(void *argument);
    void (*wake)(void *argument); /* call usage_turn soon */
    void *argument;
    uint64_t seed; /* of the jitter between two attempts */
};

struct usage *usage_new(const struct usage_options *options);
/* Do what is due. To be called once a second and when `wake` says so. */
void usage_turn(struct usage *usage);
/* All clients are gone: spool the remaining events, and deliver what is possible without waiting.
 * Whether waiting longer would achieve nothing; else ask again. */
bool usage_finish(struct usage *usage);
/* Hand the remaining events to the writer: the last act before engine_close. */
void usage_flush(struct usage *usage);
/* After engine_close and outbound_close. NULL is fine. */
void usage_free(struct usage *usage);

/* ---- what is told ---- */

/* A client has come (an event), and goes (another), with so many subscriptions. Its meters must
 * be released before. NULL when out of memory. */
struct usage_client *usage_client_new(struct usage *usage, const struct auth_identity *identity,
                                      const char *address);
void usage_client_free(struct usage_client *client, size_t subscriptions);
/* The client refreshed its token. False when out of memory: it keeps the old one. */
bool usage_client_identify(struct usage_client *client, const struct auth_identity *identity);

/* A subscription of the client to a view, by its id, which is copied. It meters what it sends
 * through the view's meter (one reference), and gives the meter back when it ends: both are events.
 * NULL when out of memory: then it is not metered, which is counted. */
struct usage_meter *usage_subscribed(struct usage_client *client, const char *view);
void usage_unsubscribed(struct usage_meter *meter);

/* References for holders of bytes on their way. NULL is fine. */
struct usage_meter *usage_meter_ref(struct usage_meter *meter);
void usage_meter_unref(struct usage_meter *meter);

enum usage_kind { USAGE_UPDATE, USAGE_SNAPSHOT };

/* So much was given to the client's connection. `ends`: with it the snapshot is complete, and is
 * reported at once. */
void usage_sent(struct usage_meter *meter, enum usage_kind kind, uint64_t rows, uint64_t messages,
                uint64_t bytes, bool ends);
/* A message of the view waits among other answers; all waiting ones were given to the connection,
 * or dropped instead. */
void usage_announced(struct usage_meter *meter, uint64_t bytes);
void usage_answers_settled(struct usage_client *client, bool sent);

/* ---- facts ---- */

struct usage_metrics {
    struct counter spooled, delivered; /* events */
    struct counter dropped;            /* because there were too many, or no memory */
    struct counter refused;            /* by the endpoint, each alone */
    struct counter requests, failures; /* to the endpoint */
    /* For the loop thread. */
    int64_t spool_rows, spool_bytes; /* as the database last reported */
    int64_t oldest_ms;               /* age of the oldest event that is being delivered; 0: none */
};

/* On the loop thread. NULL: all zero. */
const struct usage_metrics *usage_metrics(struct usage *usage);

/* ---- the configuration's part ---- */

/* The parts of the server that usage needs. All of them outlive usage. */
struct usage_context {
    struct engine *engine;              /* open */
    struct outbound *outbound;          /* open if the configuration names an endpoint */
    uint64_t (*now_ms)(void *argument); /* a clock that nobody sets */
    void (*wake)(void *argument);       /* call usage_turn soon */
    void *argument;
};

/* ERROR_CONFIGURATION for a "usage_url" that is no usable URL, or a token that cannot be read.
 * Reads a file. */
bool usage_check(const struct config *config, struct error *error);
/* Open usage by the configuration; *usage is NULL if it names no endpoint. The context is
 * copied. */
bool usage_open(const struct usage_context *context, const struct config *config,
                struct usage **usage, struct error *error);
/*
 * The endpoint of another configuration; read beforehand, not on the loop. False with an error.
 * *endpoint is NULL if it names none.
 */
bool usage_endpoint_read(const struct config *config, struct usage_endpoint **endpoint,
                         struct error *error);
void usage_endpoint_free(struct usage_endpoint *endpoint);
/* Put the endpoint in force, if there is usage at all (NULL: there is none); takes it over. */
void usage_change(struct usage *usage, const struct config *config,
                  struct usage_endpoint *endpoint);

#endif
