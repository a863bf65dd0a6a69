/* Static tokens: known by their digests, and each made into an identity when the list is read. */

#include "auth/auth_internal.h"

#include <openssl/crypto.h>
#include <stdio.h>

struct static_token {
    struct auth_identity *identity; /* with the token's digest */
};

struct auth_static {
    size_t count;
    struct static_token tokens[];
};

static bool out_of_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "out of memory while reading static tokens");
}

/* Compare in a time that does not reveal where they differ. */
static bool digests_equal(const unsigned char *left, const unsigned char *right)
{
    return CRYPTO_memcmp(left, right, DIGEST_BYTES) == 0;
}

/* ---- reading ---- */

/* A static token may have the characters of a header and a query that need no encoding. */
static bool check_token(struct span token, struct error *error)
{
    if (token.length < AUTH_LEAST_STATIC_TOKEN || token.length > AUTH_MOST_STATIC_TOKEN)
        return error_set(error, ERROR_CONFIGURATION, "a token has %d to %d characters",
                         AUTH_LEAST_STATIC_TOKEN, AUTH_MOST_STATIC_TOKEN);
    for (size_t i = 0; i < token.length; i++) {
        char c = token.data[i];
        bool plain = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (!plain && (!c || !strchr("-._~+/=", c)))
            return error_set(error, ERROR_CONFIGURATION,
                             "a token has letters, digits and -._~+/= only");
    }
    return true;
}

static bool name_subject(struct auth_identity *identity, struct span token, struct error *error)
{
    char subject[16];
    if (identity->subject)
        return true;
    snprintf(subject, sizeof subject, "static:%.8s", token.data);
    identity->subject = memory_copy_string(subject, strlen(subject));
    return identity->subject || out_of_memory(error);
}

static bool read_object(struct auth_identity *identity, const struct tree *object,
                        struct error *error)
{
    static const char *const known[] = {"token",      "subject",      "scope",      "views",
                                        "row_scopes", "metering_key", "key_class",  "deployment_id",
                                        "plan",       "limits",       "expires_at", NULL};
    static const char *const limits[] = {"max_connections",      "max_subscriptions",
                                         "max_snapshot_rows",    "max_messages_per_minute",
                                         "max_bytes_per_minute", NULL};
    struct members members = {object, ERROR_CONFIGURATION, error, false};
    struct span unknown = {NULL, 0};
    bool has_scope;
    if (!member_only(&members, known) || !member_text(&members, "subject", &identity->subject) ||
        !member_scope(&members, "scope", NULL, &has_scope, &identity->scopes, &unknown) ||
        !member_end(&members, "expires_at", &identity->expires_at) ||
        !member_identity(&members, &auth_standard_claims, identity))
        return false;
    if (unknown.data)
        return error_set(error, ERROR_CONFIGURATION,
                         "there is no scope \"%.*s\"; there are read, write and admin",
                         (int)(unknown.length < 60 ? unknown.length : 60), unknown.data);
    struct members inner = {member_find(&members, "limits"), ERROR_CONFIGURATION, error, false};
    return !inner.object || member_only(&inner, limits);
}

static bool read_token(struct static_token *token, const struct tree *item, struct error *error)
{
    bool is_object = tree_type(item) == TREE_OBJECT;
    const struct tree *text = is_object ? tree_member(item, "token") : item;
    if (!text || tree_type(text) != TREE_STRING)
        return error_set(error, ERROR_CONFIGURATION,
                         "a static token is a text or an object with `token`");
    struct span raw = tree_string(text);
    if (!check_token(raw, error))
        return false;
    token->identity = identity_new();
    if (!token->identity)
        return out_of_memory(error);
    token->identity->scopes = AUTH_READ;
    token->identity->is_static = true;
    return (!is_object || read_object(token->identity, item, error)) &&
           name_subject(token->identity, raw, error) && identity_complete(token->identity, error) &&
           (auth_digest(raw, token->identity->static_digest) || out_of_memory(error));
}

static bool is_double(const struct auth_static *tokens, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (digests_equal(tokens->tokens[i].identity->static_digest,
                          tokens->tokens[index].identity->static_digest))
            return true;
    return false;
}

static bool read_all(struct auth_static *tokens, const struct tree *list, struct error *error)
{
    for (size_t i = 0; i < tree_count(list); i++) {
        tokens->count = i + 1;
        if (!read_token(&tokens->tokens[i], tree_element(list, i), error))
            return error_prefix(error, "static token %zu", i + 1);
        if (is_double(tokens, i))
            return error_set(error, ERROR_CONFIGURATION, "static token %zu is there twice", i + 1);
    }
    return true;
}

struct auth_static *auth_static_new(const struct tree *list, struct error *error)
{
    if (tree_type(list) != TREE_ARRAY || tree_count(list) > AUTH_MAX_STATIC_TOKENS) {
        error_set(error, ERROR_CONFIGURATION, "static tokens come as an array of at most %d",
                  AUTH_MAX_STATIC_TOKENS);
        return NULL;
    }
    struct auth_static *tokens =
        memory_new(sizeof *tokens + tree_count(list) * sizeof *tokens->tokens);
    if (!tokens)
        out_of_memory(error);
    else if (read_all(tokens, list, error))
        return tokens;
    auth_static_free(tokens);
    return NULL;
}

void auth_static_free(struct auth_static *tokens)
{
    for (size_t i = 0; tokens && i < tokens->count; i++)
        auth_identity_release(tokens->tokens[i].identity);
    memory_free(tokens);
}

/* ---- finding ---- */

struct auth_identity *auth_static_find(const struct auth_static *tokens, struct span token,
                                       int64_t now, struct error *error)
{
    unsigned char wanted[DIGEST_BYTES];
    struct auth_identity *found = NULL;
    if (token.length > AUTH_MOST_STATIC_TOKEN)
        token.length = 0; /* no token is as short as that either */
    if (!auth_digest(token, wanted)) {
        error_set(error, ERROR_MEMORY, "out of memory while looking for a token");
        return NULL;
    }
    /* To the end of the list, whether it was found or not. */
    for (size_t i = 0; i < tokens->count; i++)
        if (digests_equal(tokens->tokens[i].identity->static_digest, wanted))
            found = tokens->tokens[i].identity;
    if (!found)
        error_set(error, ERROR_STATIC_TOKEN, "the token is not one of this server's");
    else if (found->expires_at && now >= found->expires_at)
        error_set(error, ERROR_TOKEN_EXPIRED, "the token has expired");
    else
        return auth_identity_retain(found);
    return NULL;
}

struct auth_identity *auth_static_follow(const struct auth_static *fresh,
                                         const struct auth_identity *held)
{
    for (size_t i = 0; fresh && i < fresh->count; i++)
        if (digests_equal(fresh->tokens[i].identity->static_digest, held->static_digest))
            return auth_identity_retain(fresh->tokens[i].identity);
    return NULL;
}
