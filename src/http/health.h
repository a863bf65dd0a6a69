/* HTTP on the health address: /health, /ready, /status and /metrics; inspector.h has the rest. */
#ifndef HTTP_HEALTH_H
#define HTTP_HEALTH_H

#include "http/request.h"

/* Whether it is one of the paths of the health address. */
bool health_has(struct span path);

#endif
