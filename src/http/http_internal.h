/* Shared by the files of http. */
#ifndef HTTP_HTTP_INTERNAL_H
#define HTTP_HTTP_INTERNAL_H

#include "access/access.h"
#include "access/audit.h"
#include "access/limits.h"
#include "delivery/hub.h"
#include "engine/engine.h"
#include "http/http.h"
#include "http/request.h"
#include "net/loop_watch.h"
#include "net/net.h"
#include "replica/replica.h"
#include "usage/usage.h"

/* Whether its changes come from a log: a stream's, or that of another server. */
static inline bool http_follows(const struct http *http)
{
    return http->frontend->follow || http->frontend->replica;
}
/* How far it is. Only then. */
static inline struct follow_state http_follow_state(const struct http *http)
{
    return http->frontend->follow ? follow_state(http->frontend->follow)
                                  : replica_state(http->frontend->replica);
}

/* The purpose of a request. */
enum http_purpose { HTTP_INGEST, HTTP_READ };
/* Whether there is room for it; only reads need the principal. false with the error to answer
 * with. */
bool http_admit(const struct http *http, const struct principal *principal,
                enum http_purpose purpose, struct error *error);

#endif
