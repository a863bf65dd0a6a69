/* Vectors of what comes over the wire, one JSON object a line, which the client tests play to a
 * real server as well. */
#ifndef NET_FIXTURE_H
#define NET_FIXTURE_H

#include "json/json.h"

/* Call this for every vector of a file in tests/vectors; returns how many there are. */
size_t net_fixture_each(const char *file, void (*check)(const struct tree *vector));
/* A member that is a text; "" when it is not there. The bytes are the vector's. */
struct span net_fixture_text(const struct tree *vector, const char *name);
/* What a member says in hexadecimal digits, with spaces between, after what is in `out`. */
void net_fixture_add_hex(struct buffer *out, struct span digits);

#endif
