/* What the files of http share. */
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

/* What a request asks for. */
enum http_purpose { HTTP_INGEST, HTTP_READ };
/* Whether there is room for it; the principal is asked for reads only. false with the error to
 * answer with. */
bool http_admit(const struct http *http, const struct principal *principal,
                enum http_purpose purpose, struct error *error);

#endif
