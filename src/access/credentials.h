/* credentials: the tokens and keys of "auth" in the configuration and its files. */
#ifndef ACCESS_CREDENTIALS_H
#define ACCESS_CREDENTIALS_H

#include "auth/auth.h"
#include "config/config.h"

/* The content of "auth" and of the files that it names. */
struct credentials {
    struct auth_static *tokens; /* NULL: none */
    struct auth_keys *keys;     /* keys of "keys" and of the JWKS file; may be empty */
    struct auth_scopes *scopes; /* NULL: none */
    unsigned base_scopes;
};
/* Read credentials and their files, so not on the loop thread. ERROR_CONFIGURATION names the
 * fault, also half a configuration, and quotes no secret. */
bool credentials_read(struct credentials *credentials, const struct config *config,
                      struct error *error);
/* A zeroed one is fine. */
void credentials_fini(struct credentials *credentials);

#endif
