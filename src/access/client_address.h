/* The true address of a client. Loop thread. */
#ifndef ACCESS_CLIENT_ADDRESS_H
#define ACCESS_CLIENT_ADDRESS_H

#include "access/limits.h"

struct net_connection;

/* The address of the client: of its socket, or from the configured header of a trusted proxy; ""
 * if not known. */
void client_address(const struct limit_rules *rules, const struct net_connection *connection,
                    char text[ADDRESS_TEXT]);

#endif
