/* HTTP on the main and on the health address, for the scope admin: GET /v1/clients, GET and DELETE
 * /v1/clients/ID, GET /v1/windows. */
#ifndef HTTP_CLIENTS_H
#define HTTP_CLIENTS_H

#include "http/request.h"

/* A request's headers have come: it is answered, now or later. False if the path is another one.
 * `health`: it came to the health address. */
bool http_clients_request(struct http *http, struct net_connection *connection, struct span path,
                          bool health);
bool http_windows_request(struct http *http, struct net_connection *connection, struct span path,
                          bool health);

#endif
