/*
 * credentials: the tokens and keys that "auth" of the configuration and its files come to.
 */
#ifndef ACCESS_CREDENTIALS_H
#define ACCESS_CREDENTIALS_H

#include "auth/auth.h"
#include "config/config.h"

/* What "auth" and the files that it names hold. */
struct credentials {
    struct auth_static *tokens; /* NULL: none */
    struct auth_keys *keys;     /* those of "keys" and of the JWKS file; may be empty */
    struct auth_scopes *scopes; /* NULL: none */
    unsigned base_scopes;
};
/* Read them; files are read, so not on the loop thread. ERROR_CONFIGURATION names what is wrong,
 * also where half of what is needed is there, and quotes no secret. */
bool credentials_read(struct credentials *credentials, const struct config *config,
                      struct error *error);
/* A zeroed one is fine. */
void credentials_fini(struct credentials *credentials);

#endif
