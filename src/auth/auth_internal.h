/* Shared by the files of auth alone. */
#ifndef AUTH_INTERNAL_H
#define AUTH_INTERNAL_H

#include "auth/auth.h"

/* ---- base64.c ---- */

/* Append the bytes of the text. Strict: base64url without padding, without bits that belong to
 * no byte. Else: either alphabet, with or without padding. False if it is no such text, or the
 * buffer failed. */
bool base64_decode(struct span text, bool strict, struct buffer *out);
/* Append as base64url without padding. */
bool base64_encode(struct span bytes, struct buffer *out);
/* Exactly `size` bytes from twice as many hex digits. */
bool hex_decode(struct span text, unsigned char *out, size_t size);

/* ---- signature.c, public_key.c, key_text.c: signatures and keys by libcrypto ---- */

enum { DIGEST_BYTES = 32 };

enum crypto_answer {
    CRYPTO_GOOD,
    CRYPTO_BAD,
    CRYPTO_BROKEN /* unknown, because the library failed */
};

enum crypto_answer signature_verify(const struct auth_public *public, struct span message,
                                    struct span signature);
/* Whether libcrypto noted a lack of memory among its errors. Removes them all. */
bool crypto_ran_out(void);
/* An encrypted key is refused; without this function libcrypto would ask for its password at the
 * terminal. */
int crypto_no_password(char *buffer, int size, int writing, void *argument);

/* The caller frees it. NULL with BAD or BROKEN: the bytes are no key. */
struct evp_pkey_st *public_open(const struct auth_public *public, enum crypto_answer *answer);
/* False: its kind is not accepted here. public_is_fit checks the size. */
bool public_take(const struct evp_pkey_st *key, struct auth_public *public);

/* ---- identity.c ---- */

/* An empty identity to be filled: texts are NULL, limits not set. NULL when out of memory. */
struct auth_identity *identity_new(void);
/* Give every text that is still NULL its "", and the metering key the subject. */
bool identity_complete(struct auth_identity *identity, struct error *error);
void texts_free(struct auth_texts *texts);

/* ---- member.c: typed members of a JSON object ---- */

/*
 * Members that are absent or null leave the result as it is. A member of another type is an error
 * with `code` that names it.
 */
struct members {
    const struct tree *object;
    enum error_code code;
    struct error *error;
    bool foreign; /* names may be paths, and a text stands for a list of one */
};

/* NULL if it is absent or null. */
const struct tree *member_find(const struct members *members, const char *name);
/* Always returns false. */
bool member_wrong(const struct members *members, const char *name, const char *expected);
/* Not empty, no control characters. A heap copy. */
bool member_text(const struct members *members, const char *name, char **text);
/* An array of texts with any content but NUL; *is_there says whether there is one, empty or not. */
bool member_texts(const struct members *members, const char *name, bool *is_there,
                  struct auth_texts *texts);
/* Unix seconds; a fraction is dropped, or rounded up. */
bool member_time(const struct members *members, const char *name, bool round_up, bool *is_there,
                 int64_t *time);
/* The same for an end that a person writes: it is later than 1970, because 0 stands for no end. */
bool member_end(const struct members *members, const char *name, int64_t *end);
/* The members that tokens of both kinds have: metering_key, key_class, deployment_id, plan, views,
 * row_scopes and limits. */
bool member_identity(const struct members *members, const struct auth_claim_names *names,
                     struct auth_identity *identity);
/* Refuse members that are not in the list, which NULL ends. */
bool member_only(const struct members *members, const char *const *known);

/* ---- scopes.c ---- */

/* The scopes that the values of a claim allow, as bits; `unknown` gets the first value that
 * allows nothing, or is left. `map`: NULL: read, write and admin are the values. */
bool member_scope(const struct members *members, const char *name, const struct auth_scopes *map,
                  bool *is_there, unsigned *scopes, struct span *unknown);

/* ---- claims.c ---- */

struct claims {
    struct auth_identity *identity; /* complete, except for members that the claims lack */
    struct auth_texts audiences;
    bool has_audience, has_scope, has_expiry;
    int64_t not_before, issued_at; /* 0: not given */
};

/* Read the claims of a token; ERROR_TOKEN_FORMAT when one is of another type. In either case the
 * caller releases the identity and frees the audiences. */
bool claims_read(struct claims *claims, const struct auth_rules *rules, const struct tree *object,
                 struct error *error);
/* Steps 3 to 8 of auth_verify. */
bool claims_check(const struct claims *claims, const struct auth_rules *rules,
                  const struct auth_request *request, struct error *error);

/* ---- key.c ---- */

/* The key of that name and algorithm; NULL: none. */
const struct auth_key *keys_find(const struct auth_keys *keys, struct span id,
                                 enum auth_algorithm algorithm);

/* Whether its size and numbers are acceptable. */
bool public_is_fit(const struct auth_public *public);

/* The year 5138: a greater number is a time in milliseconds, of 1973 or later. */
#define AUTH_LATEST_SECONDS INT64_C(100000000000)

#endif
