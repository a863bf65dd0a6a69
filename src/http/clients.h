/* HTTP on the main and on the health address, for the scope admin: GET /v1/clients, GET and DELETE
 * /v1/clients/ID, GET /v1/windows. */
#ifndef HTTP_CLIENTS_H
#define HTTP_CLIENTS_H

#include "http/listing.h"

extern const struct http_list http_clients, http_windows;

#endif
