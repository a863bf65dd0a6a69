#include "auth/auth_internal.h"

static char *copy_text(const char *text)
{
    return memory_copy_string(text, strlen(text));
}

struct auth_identity *identity_new(void)
{
    struct auth_identity *identity = memory_new(sizeof *identity);
    if (!identity)
        return NULL;
    atomic_init(&identity->references, 1);
    identity->limits =
        (struct auth_limits){AUTH_NOT_SET, AUTH_NOT_SET, AUTH_NOT_SET, AUTH_NOT_SET, AUTH_NOT_SET};
    return identity;
}

static bool complete(char **text, const char *otherwise)
{
    return *text || (*text = copy_text(otherwise)) != NULL;
}

bool identity_complete(struct auth_identity *identity, struct error *error)
{
    bool done = complete(&identity->subject, "") &&
                complete(&identity->metering_key, identity->subject) &&
                complete(&identity->issuer, "") && complete(&identity->token_id, "") &&
                complete(&identity->deployment_id, "") && complete(&identity->origin, "") &&
                complete(&identity->client_ip, "") && complete(&identity->plan, "");
    return done || error_set(error, ERROR_MEMORY, "out of memory while reading a token");
}

struct auth_identity *auth_identity_anonymous(void)
{
    struct auth_identity *identity = identity_new();
    if (!identity)
        return NULL;
    identity->scopes = AUTH_READ | AUTH_WRITE;
    identity->is_anonymous = true;
    if (complete(&identity->subject, "anonymous") && complete(&identity->metering_key, "dev") &&
        identity_complete(identity, NULL))
        return identity;
    auth_identity_release(identity);
    return NULL;
}

struct auth_identity *auth_identity_retain(struct auth_identity *identity)
{
    atomic_fetch_add_explicit(&identity->references, 1, memory_order_relaxed);
    return identity;
}

void texts_free(struct auth_texts *texts)
{
    for (size_t i = 0; i < texts->count; i++)
        memory_free(texts->items[i]);
    memory_free(texts->items);
}

void auth_identity_release(struct auth_identity *identity)
{
    if (!identity || atomic_fetch_sub_explicit(&identity->references, 1, memory_order_acq_rel) != 1)
        return;
    memory_free(identity->subject);
    memory_free(identity->metering_key);
    memory_free(identity->issuer);
    memory_free(identity->token_id);
    memory_free(identity->deployment_id);
    memory_free(identity->origin);
    memory_free(identity->client_ip);
    memory_free(identity->plan);
    texts_free(&identity->views);
    texts_free(&identity->row_scopes);
    memory_free(identity);
}

/* A pattern's stars are tried from the left, each with as little text as will do: when the rest
 * does not match, only the last star need take one byte more. */
static bool pattern_matches(struct span pattern, struct span text)
{
    size_t at = 0, p = 0, star = SIZE_MAX, resume = 0;
    while (at < text.length) {
        if (p < pattern.length && pattern.data[p] == '*') {
            star = p++;
            resume = at;
        } else if (p < pattern.length && pattern.data[p] == text.data[at]) {
            p++;
            at++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            at = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern.length && pattern.data[p] == '*')
        p++;
    return p == pattern.length;
}

bool auth_may_view(const struct auth_identity *identity, struct span view_id)
{
    for (size_t i = 0; i < identity->views.count; i++)
        if (pattern_matches(span_of(identity->views.items[i]), view_id))
            return true;
    return !identity->has_views;
}

/* ---- refreshing ---- */

bool auth_may_follow(const struct auth_identity *held, const struct auth_identity *fresh,
                     struct error *error)
{
    if (strcmp(held->subject, fresh->subject) == 0)
        return true;
    return error_set(error, ERROR_TOKEN_FORMAT, "the fresh token is of another subject");
}

const char *auth_refresh_word(enum error_code code)
{
    switch (code) {
    case ERROR_TOKEN_EXPIRED:
    case ERROR_TOKEN_SIGNATURE:
    case ERROR_TOKEN_ISSUER:
    case ERROR_TOKEN_AUDIENCE:
        return error_kind(code)->wire;
    default:
        return "token-invalid";
    }
}
