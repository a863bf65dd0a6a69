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
#include "usage/usage.h"

/* The purpose of a request. */
enum http_purpose { HTTP_INGEST, HTTP_READ };
/* Whether there is room for it; only reads need the principal. false with the error to answer
 * with. */
bool http_admit(const struct http *http, const struct principal *principal,
                enum http_purpose purpose, struct error *error);

#endif
