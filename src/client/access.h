/*
 * The needs of a client that connects: the address of the server, the authorities of its
 * certificate, and the token.
 */
#ifndef CLIENT_ACCESS_H
#define CLIENT_ACCESS_H

#include "client/client.h"

enum { CLIENT_TOKEN_LIMIT = 6 * 1024 };

struct client_target {
    char host[256]; /* without the brackets of an IPv6 address */
    char path[1024];
    int port;
    bool secure;
};

/* Read a URL; `path` is the default. ERROR_INVALID_PARAMETER. */
bool client_target_parse(struct client_target *target, const char *url, const char *path,
                         struct error *error);
/* Read the token, "" for none; `token` is cleared first. ERROR_CONFIGURATION names the file or
 * the variable. */
bool client_token_read(const struct client_access *access, struct buffer *token,
                       struct error *error);
/* Whether a file of authorities is usable: libwebsockets does not report an unreadable file, it
 * then trusts no server. */
bool client_check_authorities(const char *path, struct error *error);

#endif
