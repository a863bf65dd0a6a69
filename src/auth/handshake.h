/* The one hash that the WebSocket handshake needs (RFC 6455, 4.2.2). */
#ifndef AUTH_HANDSHAKE_H
#define AUTH_HANDSHAKE_H

#include "base/base.h"

enum { HANDSHAKE_ACCEPT = 29 };

/* Whether a Sec-WebSocket-Key is 16 bytes in base64; if so, the Sec-WebSocket-Accept of it. */
bool handshake_accept(struct span key, char accept[HANDSHAKE_ACCEPT]);

#endif
