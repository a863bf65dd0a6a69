/* Where a request really comes from. Loop thread. */
#ifndef SERVER_CLIENT_ADDRESS_H
#define SERVER_CLIENT_ADDRESS_H

#include "server/limits.h"

struct lws;

/* The address of the client, as its socket has it, or as the configured header of a trusted proxy
 * says; "" when it is not known. */
void client_address(const struct limit_rules *rules, struct lws *wsi, char text[ADDRESS_TEXT]);

#endif
