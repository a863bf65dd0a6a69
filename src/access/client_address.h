/* Where a request really comes from. Loop thread. */
#ifndef ACCESS_CLIENT_ADDRESS_H
#define ACCESS_CLIENT_ADDRESS_H

#include "access/limits.h"

struct net_connection;

/* The address of the client, as its socket has it, or as the configured header of a trusted proxy
 * says; "" when it is not known. */
void client_address(const struct limit_rules *rules, const struct net_connection *connection,
                    char text[ADDRESS_TEXT]);

#endif
