/*
 * auth: who a client is and what it may do. Static tokens, signed sessions (JWT by EdDSA, ES256 or
 * RS256, nothing else), the keys that sign them, and limits. Pure: no files, no sockets, no clock
 * of its own (time is always an argument, in unix seconds) and no threads.
 *
 * No message of an error holds a token, a part of one, or a private key.
 */
#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H

#include "base/map.h"
#include "json/json.h"

#include <stdatomic.h>

struct evp_pkey_st; /* EVP_PKEY of libcrypto */

/* ---- who a client is ---- */

/* The permissions of a token, as bits. */
enum auth_scope { AUTH_READ = 1, AUTH_WRITE = 2, AUTH_ADMIN = 4 };

/* The kind of key for which the token was issued; only usage events use it. */
enum auth_key_class { AUTH_KEY_NONE, AUTH_KEY_SECRET, AUTH_KEY_PUBLISHABLE };

enum { AUTH_NOT_SET = -1 };

/* AUTH_NOT_SET: the token has no such limit, the server's default holds. */
struct auth_limits {
    int64_t max_connections;         /* of the subject, at a time */
    int64_t max_subscriptions;       /* of the connection */
    int64_t max_snapshot_rows;       /* of one request */
    int64_t max_messages_per_minute; /* inbound, of the connection */
    int64_t max_bytes_per_minute;    /* outbound, of the connection */
};

struct auth_texts {
    char **items;
    size_t count;
};

/*
 * The content of a token, or of its absence, about a client. Immutable and counted: a session, its
 * subscriptions and jobs of reading threads may hold it at a time. Texts are never NULL: "" if the
 * token has none. The token itself is not kept.
 */
struct auth_identity {
    _Atomic uint32_t references;
    char *subject;
    char *metering_key;
    char *issuer;
    char *token_id; /* jti */
    char *deployment_id;
    char *origin;    /* the origin that it is bound to */
    char *client_ip; /* the address that it is bound to */
    char *plan;
    enum auth_key_class key_class;
    unsigned scopes;   /* enum auth_scope */
    bool is_anonymous; /* there is no authentication, so it stands for everybody */
    bool is_static;
    unsigned char static_digest[32]; /* of a static token: its SHA-256 */
    int64_t expires_at;              /* unix seconds; 0: never */
    struct auth_limits limits;
    bool has_views;               /* false: all views */
    struct auth_texts views;      /* patterns; '*' stands for any text */
    struct auth_texts row_scopes; /* values of an export's scope field whose rows it may see */
};

/* The identity of everybody without authentication: anonymous, metering key "dev", read and
 * write. NULL when out of memory. */
struct auth_identity *auth_identity_anonymous(void);
struct auth_identity *auth_identity_retain(struct auth_identity *identity);
/* NULL is fine. */
void auth_identity_release(struct auth_identity *identity);

/* Whether its subject is one client, not everybody and not all users of a static token. */
static inline bool auth_names_somebody(const struct auth_identity *identity)
{
    return !identity->is_anonymous && !identity->is_static;
}

static inline bool auth_may(const struct auth_identity *identity, enum auth_scope scope)
{
    return (identity->scopes & (unsigned)scope) != 0;
}

/* Whether it may see this view at all, by its `views` claim; the scope is checked apart. */
bool auth_may_view(const struct auth_identity *identity, struct span view_id);

/* ---- keys ---- */

/* The algorithm of a key. The key decides it, and the header of a token must agree. */
enum auth_algorithm {
    AUTH_EDDSA, /* Ed25519 */
    AUTH_ES256, /* P-256 with SHA-256 */
    AUTH_RS256  /* RSA, PKCS #1 v1.5 with SHA-256 */
};

enum {
    AUTH_ED25519_BYTES = 32,
    AUTH_P256_BYTES = 64,
    AUTH_LEAST_RSA_BITS = 2048,
    AUTH_MOST_RSA_BITS = 8192,
    AUTH_KEY_BYTES = AUTH_MOST_RSA_BITS / 8, /* of a public key, at most */
    AUTH_MAX_KEYS = 64,                      /* of a set */
    AUTH_MAX_KEY_ID = 128,                   /* bytes of a kid */
    AUTH_MAX_KEY_TEXT = 16 * 1024,           /* bytes of one key as text */
    AUTH_MAX_JWKS_BYTES = 256 * 1024         /* of a whole set as JSON */
};

/* A public key: of EdDSA its 32 bytes; of ES256 x and y, 32 each; of RS256 the modulus, whose
 * first byte is not zero. The bytes behind `length` are zero. */
struct auth_public {
    enum auth_algorithm algorithm;
    uint32_t exponent; /* of RS256; else 0 */
    size_t length;
    unsigned char bytes[AUTH_KEY_BYTES];
};

/* "EdDSA", "ES256", "RS256"; and the other way round: false: it is none of them. Ed25519 is another
 * name for EdDSA here. */
extern const char *const auth_algorithm_names[]; /* by enum auth_algorithm */
bool auth_algorithm_read(struct span name, enum auth_algorithm *algorithm);

struct auth_key {
    char *id; /* kid */
    struct auth_public public;
    int64_t ends_at; /* it is in force while now < ends_at; 0: for ever */
};

/*
 * Public keys by kid. One thread builds the set. Then it is immutable and counted, so it is swapped
 * whole and any thread may use it.
 */
enum { AUTH_PASSED_WHY = 192 };
struct auth_keys {
    _Atomic uint32_t references;
    size_t count;
    struct auth_key keys[AUTH_MAX_KEYS]; /* in the order in which they were added */
    size_t passed_over;                  /* keys of JWKS that were skipped; */
    char passed_why[AUTH_PASSED_WHY];    /* ... why the first was; "" if none was */
};

/* An empty set with one reference; NULL when out of memory. */
struct auth_keys *auth_keys_new(void);
struct auth_keys *auth_keys_retain(struct auth_keys *keys);
/* NULL is fine. */
void auth_keys_release(struct auth_keys *keys);

/*
 * Add one key: the 32 bytes of Ed25519 as hex, base64 or base64url (with or without padding), or a
 * PEM "PUBLIC KEY" or "CERTIFICATE" of any kind above. Of a certificate only the key counts; its
 * dates and names are ignored. White space around it is fine. `id`: its kid; absent: that of
 * auth_key_id. Each function that adds fails with ERROR_CONFIGURATION or ERROR_MEMORY. Faults: not
 * a key of these kinds, RSA of too few or too many bits, a key that anybody can sign for (of small
 * order), a kid that a key of this algorithm has already, an empty or too long kid, more than
 * AUTH_MAX_KEYS. After a failure the set may hold some of the keys: throw it away.
 */
bool auth_keys_add(struct auth_keys *keys, struct span text, struct span id, int64_t ends_at,
                   struct error *error);
bool auth_keys_add_public(struct auth_keys *keys, const struct auth_public *key, struct span id,
                          int64_t ends_at, struct error *error);
/* The keys of the configuration: an array of texts and of objects {"key": text, "kid": text,
 * "ends_at": seconds}; only `key` is required. */
bool auth_keys_add_list(struct auth_keys *keys, const struct tree *list, struct error *error);
/*
 * The keys of a JWKS: `kty` OKP with `crv` Ed25519, EC with P-256, RSA. Others are skipped: another
 * `kty` or `crv`, RSA of other sizes, a `use` other than "sig", `key_ops` without "verify", an
 * `alg` that is not the one of the kind above. A damaged key of one of these kinds is an error. The
 * result may be empty.
 */
bool auth_keys_add_jwks(struct auth_keys *keys, struct span json, struct error *error);
/* Add all keys of another set; the same key with the same kid is not added twice. */
bool auth_keys_add_all(struct auth_keys *keys, const struct auth_keys *others, struct error *error);
/* The default kid of a key, with a NUL: of EdDSA the first 16 hex digits, of the others the
 * thumbprint of RFC 7638. False when out of memory. */
enum { AUTH_KEY_ID_SIZE = 44 };
bool auth_key_id(const struct auth_public *key, char id[AUTH_KEY_ID_SIZE]);
/* Append the set as a JWKS that auth_keys_add_jwks reads back, without end dates. */
bool auth_keys_print_jwks(const struct auth_keys *keys, struct buffer *out);

/* ---- revoked tokens ---- */

/* The revoked jti, for one thread. */
struct auth_revocations {
    struct map map; /* struct auth_revocation by jti */
};

/* NULL when out of memory. */
struct auth_revocations *auth_revocations_new(void);
void auth_revocations_free(struct auth_revocations *revocations);
/* Add one, or keep the later end if it is there. False when out of memory. */
bool auth_revocations_add(struct auth_revocations *revocations, struct span token_id,
                          int64_t expires_at, int64_t revoked_at);
/* Forget revocations whose token has run out. Returns whether there were any. */
bool auth_revocations_trim(struct auth_revocations *revocations, int64_t now);
bool auth_is_revoked(const struct auth_revocations *revocations, struct span token_id);

/* ---- signed sessions ---- */

enum { AUTH_MAX_TOKEN_BYTES = 8 * 1024, AUTH_MAX_TOKEN_ID = 512 /* bytes of a jti */ };

/* X(member, standard name): the claims that an issuer may name otherwise. */
#define AUTH_CLAIMS(X)                                                                             \
    X(subject, "sub")                                                                              \
    X(scope, "scope")                                                                              \
    X(audience, "aud")                                                                             \
    X(token_id, "jti")                                                                             \
    X(views, "views")                                                                              \
    X(row_scopes, "row_scopes")                                                                    \
    X(limits, "limits")                                                                            \
    X(origin, "origin")                                                                            \
    X(metering_key, "metering_key")                                                                \
    X(plan, "plan")                                                                                \
    X(deployment_id, "deployment_id")

/*
 * Names of claims. A claim of exactly this name counts. If there is none, the longest beginning of
 * the name, up to a dot, that is a claim and an object is looked for; the part behind the dot is
 * then found in that object in the same way.
 */
enum { AUTH_MAX_CLAIM_NAME = 256 };
struct auth_claim_names {
#define X(member, name) const char *member;
    AUTH_CLAIMS(X)
#undef X
};
extern const struct auth_claim_names auth_standard_claims;

/* Which values of the scope claim allow what. Immutable. */
struct auth_scopes;

/* As the configuration has it: an object of a value and its words, {"editor": "read write"}. NULL
 * with ERROR_CONFIGURATION or ERROR_MEMORY. */
struct auth_scopes *auth_scopes_new(const struct tree *object, struct error *error);
/* NULL is fine. */
void auth_scopes_free(struct auth_scopes *scopes);
/* Words as bits. False with ERROR_CONFIGURATION: one is none of read, write and admin. */
bool auth_scope_words(struct span text, unsigned *scopes, struct error *error);

/* The requirements on a token. Texts are borrowed. */
struct auth_rules {
    const struct auth_claim_names *claims; /* NULL: the standard ones */
    const struct auth_scopes *scopes;      /* NULL: read, write and admin are the values */
    unsigned base_scopes;   /* what every token may; 0: nothing, and it must have the scope claim */
    const char *issuer;     /* NULL: any, or none */
    const char *audience;   /* likewise */
    bool require_origin;    /* the token must be bound to an origin, and the request must name it */
    bool require_client_ip; /* the token must be bound to the client's address */
    const struct auth_revocations *revocations; /* NULL: none */
};

/* The known facts of the request that brings the token. */
struct auth_request {
    struct span origin;    /* absent: the request names none */
    struct span client_ip; /* as text; absent: not known */
    bool refresh;          /* the origin was checked when the connection began */
    int64_t now;
};

/*
 * Verify a signed session: a compact JWT whose `alg` is EdDSA (or Ed25519), ES256 or RS256. Returns
 * one reference to its identity, or NULL with the error of the first check that fails, in this
 * order:
 *
 *  1. format: at most AUTH_MAX_TOKEN_BYTES, three parts in strict base64url (no padding, no stray
 *     bits, nothing else), header and claims JSON objects without duplicate members, a known `alg`,
 *     no `crit`, a signature of that algorithm's length, every claim of its type:
 *     ERROR_TOKEN_FORMAT
 *  2. the key: by `kid`, ERROR_TOKEN_KEY when there is none of that name or its end has come;
 *     ERROR_TOKEN_SIGNATURE when it signs with another algorithm than the header says. A token
 *     without `kid` is tried with every key of its algorithm, of which there may be
 *     AUTH_TRIED_KEYS, else ERROR_TOKEN_MISSING_CLAIM. The signature: ERROR_TOKEN_SIGNATURE
 *  3. claims that must be there, ERROR_TOKEN_MISSING_CLAIM: sub, exp; scope, unless the rules have
 *     base scopes; iss and aud when the rules name them
 *  4. iss: ERROR_TOKEN_ISSUER; aud (one of them): ERROR_TOKEN_AUDIENCE
 *  5. a time in milliseconds, or exp and nbf more than AUTH_FARTHEST_SECONDS ahead:
 *     ERROR_TOKEN_FORMAT; exp: ERROR_TOKEN_EXPIRED once now >= exp; nbf: ERROR_TOKEN_FORMAT while
 *     now < nbf
 *  6. origin, unless refreshing: ERROR_ORIGIN_REQUIRED if it is required and the request has none;
 *     ERROR_ORIGIN_MISMATCH if the token is bound to another one; ERROR_TOKEN_MISSING_CLAIM if one
 * is required and the token is bound to none
 *  7. client_ip if required: ERROR_TOKEN_MISSING_CLAIM, ERROR_ORIGIN_MISMATCH
 *  8. jti: ERROR_TOKEN_EXPIRED if it is revoked
 *
 * or ERROR_MEMORY. A claim that is null counts as absent. `metering_key` is the subject when the
 * token has none; values of `scope` that allow nothing are passed over. `scope` is a text of words
 * or a list of texts; `views` and `row_scopes` are lists, and a text counts as a list of one.
 */
enum { AUTH_TRIED_KEYS = 4, AUTH_FARTHEST_SECONDS = 10 * 366 * 86400 + 86400 /* clocks differ */ };
struct auth_identity *auth_verify(const struct auth_keys *keys, const struct auth_rules *rules,
                                  const struct auth_request *request, struct span token,
                                  struct error *error);
/* Append the claims of a token as its JSON text, verified or not. ERROR_TOKEN_FORMAT. */
bool auth_token_claims(struct span token, struct buffer *out, struct error *error);

/* Whether a connection may go on with a fresh identity: it must be of the same subject. */
bool auth_may_follow(const struct auth_identity *held, const struct auth_identity *fresh,
                     struct error *error);
/* The word for an error in the answer to refresh_auth: token-expired, token-invalid-signature,
 * token-invalid-issuer, token-invalid-audience, else token-invalid. */
const char *auth_refresh_word(enum error_code code);

/* SHA-256. False when the library fails. */
bool auth_digest(struct span bytes, unsigned char out[32]);
/* The same of a file from its beginning, whatever its length. False also when *give_up was set
 * meanwhile; NULL: it is not. */
bool auth_digest_file(int descriptor, const atomic_bool *give_up, unsigned char out[32]);

/* ---- static tokens ---- */

enum {
    AUTH_MAX_STATIC_TOKENS = 1000,
    AUTH_LEAST_STATIC_TOKEN = 16, /* bytes, as the first eight are shown in its subject */
    AUTH_MOST_STATIC_TOKEN = 1024
};

/* Tokens by their digests; their texts are not kept. Immutable. */
struct auth_static;

/*
 * The tokens of the configuration: an array of texts and of objects {"token": text, "subject":
 * text, "scope": "read write admin", "views": [patterns], "row_scopes": [texts], "metering_key":
 * text, "key_class": "secret" or "publishable", "deployment_id": text, "plan": text, "limits": {…},
 * "expires_at": seconds}; only `token` is required. Defaults: the scope "read", the subject
 * "static:" and the first eight characters of the token, the metering key the subject. NULL with
 * ERROR_CONFIGURATION, which names the place and never the token, or ERROR_MEMORY.
 */
struct auth_static *auth_static_new(const struct tree *list, struct error *error);
/* NULL is fine. */
void auth_static_free(struct auth_static *tokens);
/* The identity of the bearer: one reference, or NULL with ERROR_STATIC_TOKEN, or with
 * ERROR_TOKEN_EXPIRED once now >= expires_at. Takes as long for every token of a length. */
struct auth_identity *auth_static_find(const struct auth_static *tokens, struct span token,
                                       int64_t now, struct error *error);

/* The new identity of a static token by `fresh` (NULL: there are none): one reference. NULL if
 * the token is not there any more. `held` must be of a static token. */
struct auth_identity *auth_static_follow(const struct auth_static *fresh,
                                         const struct auth_identity *held);

/* ---- signing ---- */

/* A private key, with its public one. libcrypto wipes it as it frees it. */
struct auth_signer {
    struct evp_pkey_st *private;
    struct auth_public public;
};

/* NULL with ERROR_MEMORY or ERROR_INTERNAL. */
struct auth_signer *auth_signer_generate(enum auth_algorithm algorithm, struct error *error);
/* From a PEM with a private key, not encrypted. NULL with ERROR_CONFIGURATION. */
struct auth_signer *auth_signer_read(struct span pem, struct error *error);
/* NULL is fine. Wipes the key. */
void auth_signer_free(struct auth_signer *signer);
/* Append the private key as PEM (PKCS #8). */
bool auth_signer_print(const struct auth_signer *signer, struct buffer *out, struct error *error);
/* Append the token of `claims` (JSON text, used as it is), with the key's kid. */
bool auth_sign(const struct auth_signer *signer, struct span claims, struct buffer *out,
               struct error *error);
/* Append a public key in the configuration's form: base64url, or a PEM with its line ends. */
bool auth_print_public(const struct auth_public *key, struct buffer *out);

#endif
