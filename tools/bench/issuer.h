/* An issuer of signed tokens, for servers that want one of each tenant. */
#ifndef BENCH_ISSUER_H
#define BENCH_ISSUER_H

#include "base/base.h"

enum { ISSUER_KEY_TEXT = 44 };

struct issuer {
    void *key;                        /* libcrypto's */
    char public_key[ISSUER_KEY_TEXT]; /* as the configuration takes it, its kid is "bench" */
};

/* With a fresh key. issuer_fini is due in any case. */
bool issuer_init(struct issuer *issuer, struct error *error);
void issuer_fini(struct issuer *issuer);
/* Append the token of these claims, a JSON text; false: it could not be signed. */
bool issuer_sign(const struct issuer *issuer, struct span claims, struct buffer *token);

#endif
