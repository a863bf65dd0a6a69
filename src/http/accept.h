/* What a client takes, by Accept and Accept-Encoding (RFC 9110, 12.5). Pure. */
#ifndef HTTP_ACCEPT_H
#define HTTP_ACCEPT_H

#include "net/net.h"

/* How much the client wants what has this name, by one of these headers: thousandths, from 0, not
 * at all, to 1,000. -1: the header does not name it. `*` names nothing here. */
int http_accepts(const struct net_connection *connection, const char *header, const char *name);

#endif
