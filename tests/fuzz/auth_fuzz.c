/*
 * libFuzzer entry for what comes from outside: tokens, sets of keys, static tokens. The first byte
 * says which. A token is also tried with its signature made right, so that what stands behind the
 * signature is reached too. Whatever comes: an identity that keeps its promises, or an error. Seeds
 * are in seeds/auth: auth_fuzz -max_len=20000 CORPUS tests/fuzz/seeds/auth
 */
#include "auth/auth.h"

#include <stdlib.h>

enum { NOW = 1800000000, LIMIT = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_error(const struct error *error)
{
    require(error->code != ERROR_NONE && error->message[0] &&
            doc_valid_utf8(span_of(error->message)));
}

static void check_texts(const struct auth_texts *texts)
{
    for (size_t i = 0; i < texts->count; i++)
        require(doc_valid_utf8(span_of(texts->items[i])));
}

static void check_identity(struct auth_identity *identity)
{
    const char *texts[] = {identity->subject,   identity->metering_key,  identity->issuer,
                           identity->token_id,  identity->deployment_id, identity->origin,
                           identity->client_ip, identity->plan};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        require(texts[i] && doc_valid_utf8(span_of(texts[i])));
        for (const char *c = texts[i]; *c; c++)
            require((unsigned char)*c >= 0x20 && *c != 0x7f);
    }
    require(identity->subject[0] && identity->metering_key[0]);
    require((identity->scopes & ~(unsigned)(AUTH_READ | AUTH_WRITE | AUTH_ADMIN)) == 0);
    require(identity->limits.max_connections >= AUTH_NOT_SET);
    check_texts(&identity->views);
    check_texts(&identity->row_scopes);
    auth_may_view(identity, span_of("Quake/list"));
    auth_identity_release(identity);
}

/* ---- tokens ---- */

static void verify(const struct auth_keys *keys, struct span token, bool strict)
{
    /* Claims in other places, as other issuers have them. */
    static const struct auth_claim_names names = {.subject = "u.id",
                                                  .scope = "r.o.l.e",
                                                  .audience = "aud",
                                                  .token_id = "s.id",
                                                  .views = "v",
                                                  .row_scopes = "sub",
                                                  .limits = "m.limits",
                                                  .origin = "origin",
                                                  .metering_key = "m.key",
                                                  .plan = "m.plan",
                                                  .deployment_id = "https://a/b.c"};
    if (!strict) {
        struct auth_rules foreign = {.claims = &names, .base_scopes = AUTH_READ};
        struct auth_request at = {.now = NOW};
        struct error cause = {.code = ERROR_NONE};
        struct auth_identity *other = auth_verify(keys, &foreign, &at, token, &cause);
        if (other)
            check_identity(other);
        else
            check_error(&cause);
    }
    struct auth_rules rules = {.issuer = strict ? "i" : NULL,
                               .audience = strict ? "a" : NULL,
                               .require_origin = strict,
                               .require_client_ip = strict};
    struct auth_request request = {
        .origin = span_of("https://a.example"), .client_ip = span_of("10.0.0.7"), .now = NOW};
    struct error error = {.code = ERROR_NONE};
    struct auth_identity *identity = auth_verify(keys, &rules, &request, token, &error);
    if (!identity) {
        check_error(&error);
        return;
    }
    require(identity->expires_at > NOW);
    require(!strict || (!strcmp(identity->issuer, "i") && identity->origin[0]));
    check_identity(identity);
}

/* The input as claims, signed by a key that is in the set. */
static void verify_signed(const struct auth_keys *keys, const struct auth_signer *signer,
                          struct span claims)
{
    struct buffer token, read;
    struct error error;
    buffer_init(&token, LIMIT);
    buffer_init(&read, LIMIT);
    require(auth_sign(signer, claims, &token, &error));
    verify(keys, buffer_span(&token), false);
    verify(keys, buffer_span(&token), true);
    if (auth_token_claims(buffer_span(&token), &read, &error))
        require(span_equal(buffer_span(&read), claims));
    buffer_fini(&token);
    buffer_fini(&read);
}

static void try_token(struct span input)
{
    static struct auth_signer *signer;
    struct error error;
    struct auth_keys *keys = auth_keys_new();
    if (!signer)
        signer = auth_signer_generate(AUTH_EDDSA, &error);
    require(auth_keys_add_public(keys, &signer->public, span_make(NULL, 0), 0, &error));
    verify(keys, input, false);
    if (input.length < LIMIT / 4)
        verify_signed(keys, signer, input);
    auth_keys_release(keys);
}

/* ---- keys ---- */

static void check_keys(const struct auth_keys *keys)
{
    struct buffer json;
    struct error error;
    struct auth_keys *again = auth_keys_new();
    buffer_init(&json, LIMIT);
    require(keys->count <= AUTH_MAX_KEYS);
    require(auth_keys_print_jwks(keys, &json));
    require(auth_keys_add_jwks(again, buffer_span(&json), &error));
    require(again->count == keys->count);
    buffer_fini(&json);
    auth_keys_release(again);
}

static void try_keys(struct span input)
{
    struct error error = {.code = ERROR_NONE};
    struct auth_keys *keys = auth_keys_new();
    if (auth_keys_add_jwks(keys, input, &error))
        check_keys(keys);
    else
        check_error(&error);
    auth_keys_release(keys);
}

static void try_key_text(struct span input)
{
    struct error error = {.code = ERROR_NONE};
    struct auth_keys *keys = auth_keys_new();
    if (auth_keys_add(keys, input, span_make(NULL, 0), 0, &error))
        check_keys(keys);
    else
        check_error(&error);
    auth_keys_release(keys);
}

/* ---- what the configuration holds ---- */

static void try_static(struct span input)
{
    struct error error = {.code = ERROR_NONE};
    struct tree *list = tree_parse(input, &error);
    struct auth_static *tokens = list ? auth_static_new(list, &error) : NULL;
    if (tokens) {
        const struct tree *first = tree_element(list, 0);
        struct auth_identity *found =
            first && tree_type(first) == TREE_STRING
                ? auth_static_find(tokens, tree_string(first), NOW, &error)
                : NULL;
        if (found)
            check_identity(found);
        auth_static_free(tokens);
    } else {
        check_error(&error);
    }
    tree_free(list);
}

static void try_scopes(struct span input)
{
    struct error error = {.code = ERROR_NONE};
    struct tree *object = tree_parse(input, &error);
    struct auth_scopes *scopes = object ? auth_scopes_new(object, &error) : NULL;
    require(scopes || error.code != ERROR_NONE);
    auth_scopes_free(scopes);
    tree_free(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[8])(struct span input) = {try_token,  try_keys,    try_key_text,
                                                        try_static, try_scopes,  try_token,
                                                        try_keys,   try_key_text};
    if (size == 0)
        return 0;
    tries[data[0] % 8](span_make((const char *)data + 1, size - 1));
    return 0;
}
