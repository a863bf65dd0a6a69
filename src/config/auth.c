/*
 * "auth" and "allowed_origins" of the configuration. The lists of tokens and keys are kept as they
 * were given: what is in them, and in the files that they name, is read by credentials_read.
 */
#include "config/config_internal.h"

_Static_assert(CONFIG_AUTH_NONE == 0 && CONFIG_AUTH_STATIC == 1 && CONFIG_AUTH_SIGNED == 2,
               "mode_words");
_Static_assert(CONFIG_FOR_ADMIN == 0 && CONFIG_FOR_ALL == 1, "audience_words");
static const char *const mode_words[] = {"none", "static", "signed", NULL};
static const char *const audience_words[] = {"admin", "all", NULL};

/* A reload makes rules of all of them anew. */
#define AT(field)                                                                                  \
    .name = "auth." #field, .live = true, .offset = offsetof(struct config, auth.field)
#define TEXT(field) AT(field), .type = SETTING_TEXT
#define FLAG(field) AT(field), .type = SETTING_FLAG
#define WORD(field, list) AT(field), .type = SETTING_WORD, .words = (list)
#define NUMBER(field, standard, low, high)                                                         \
    AT(field), .type = SETTING_NUMBER, .number = (standard), .least = (low), .most = (high)

const struct setting config_auth_settings[] = {
    {WORD(mode, mode_words),
     .help = "none: everybody may connect; static: who has one of tokens; signed: who has a token "
             "that one of the keys has signed, or one of tokens"},
    {TEXT(jwks_file), .help = "a file with public keys as a JWKS"},
    {TEXT(jwks_url), .help = "an http or https URL that gives public keys as a JWKS"},
    {NUMBER(jwks_seconds, 3600, 1, 86400),
     .help = "how long what jwks_url gave is not asked again"},
    {NUMBER(jwks_refetch_seconds, 60, 1, 86400),
     .help = "at most once in so many seconds it is asked earlier: for a token of an unknown key, "
             "or because it failed"},
    {NUMBER(jwks_stale_seconds, 86400, 1, 30 * 86400),
     .help = "how long the keys that jwks_url gave hold while it fails"},
    {TEXT(issuer), .help = "the iss that signed tokens must have"},
    {TEXT(audience), .help = "what must be in the aud of signed tokens"},
    {FLAG(require_origin),
     .help = "whether a signed token must be bound to an origin, which the request must name"},
    {FLAG(require_client_ip),
     .help = "whether a signed token must be bound to the address of the client"},
    {WORD(status, audience_words), .help = "who is shown all of /status: the scope admin, or all"},
    {WORD(metrics, audience_words), .help = "who is shown /metrics: the scope admin, or all"},
};
const size_t config_auth_setting_count =
    sizeof(config_auth_settings) / sizeof(config_auth_settings[0]);

/* ---- "auth" ---- */

static void forget_lists(struct config_auth *auth)
{
    memory_free(auth->tokens);
    memory_free(auth->keys);
    auth->tokens = auth->keys = NULL;
}

static bool keep_list(char **slot, const char *path, const struct tree *list, struct error *error)
{
    struct buffer text;
    if (tree_type(list) != TREE_ARRAY)
        return config_wrong(error, path, "must be a list");
    memory_free(*slot);
    *slot = NULL;
    if (tree_count(list) == 0)
        return true;
    buffer_init(&text, SIZE_MAX);
    if (tree_print_canonical(list, &text) && buffer_string(&text))
        *slot = buffer_take(&text, NULL);
    buffer_fini(&text);
    return *slot || error_set(error, ERROR_MEMORY, "out of memory");
}

static bool unknown(const char *name, struct error *error)
{
    const char *known[24] = {"tokens", "keys"};
    _Static_assert(sizeof config_auth_settings / sizeof *config_auth_settings + 3 <= 24, "known");
    for (size_t i = 0; i < config_auth_setting_count; i++)
        known[2 + i] = config_auth_settings[i].name + strlen("auth.");
    return config_unknown_member(error, "auth", name, known);
}

static bool set_member(struct config *config, const char *name, const struct tree *value,
                       struct error *error)
{
    if (strcmp(name, "tokens") == 0)
        return keep_list(&config->auth.tokens, "auth.tokens", value, error);
    if (strcmp(name, "keys") == 0)
        return keep_list(&config->auth.keys, "auth.keys", value, error);
    for (size_t i = 0; i < config_auth_setting_count; i++)
        if (strcmp(config_auth_settings[i].name + strlen("auth."), name) == 0)
            return setting_set_tree(config, &config_auth_settings[i], value, error);
    return unknown(name, error);
}

bool config_set_auth(struct config *config, const struct tree *auth, struct error *error)
{
    forget_lists(&config->auth);
    for (size_t i = 0; i < config_auth_setting_count; i++)
        if (!setting_set_default(config, &config_auth_settings[i], error))
            return false;
    if (tree_type(auth) != TREE_OBJECT)
        return config_wrong(error, "auth", "must be an object with mode and what the mode needs");
    void *position = NULL;
    const char *name;
    const struct tree *value;
    while (tree_next(auth, &position, &name, &value))
        if (!set_member(config, name, value, error))
            return false;
    return true;
}

/* ---- "allowed_origins" ---- */

static void forget_origins(struct config *config)
{
    for (size_t i = 0; i < config->origin_count; i++)
        memory_free(config->origins[i]);
    memory_free(config->origins);
    config->origins = NULL;
    config->origin_count = 0;
}

/* As browsers send it: scheme, host and port if it is not the scheme's, in lower case. */
static bool is_origin(struct span text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789-._~[]:";
    if (span_equal(text, span_of("null")))
        return true;
    const char *mark = text.length ? memmem(text.data, text.length, "://", 3) : NULL;
    if (!mark || mark == text.data)
        return false;
    for (const char *at = text.data; at < mark; at++)
        if (!((*at >= 'a' && *at <= 'z') || (*at >= '0' && *at <= '9') || strchr("+-.", *at)))
            return false;
    const char *host = mark + 3, *end = text.data + text.length;
    if (end - host >= 2 && host[0] == '*' && host[1] == '.')
        host += 2;
    for (const char *at = host; at < end; at++)
        if (!*at || !strchr(plain, *at))
            return false;
    return host < end;
}

bool config_set_origins(struct config *config, const struct tree *origins, struct error *error)
{
    forget_origins(config);
    bool good = tree_type(origins) == TREE_ARRAY;
    config->origins =
        good ? memory_new((tree_count(origins) + 1) * sizeof(*config->origins)) : NULL;
    if (good && !config->origins)
        return error_set(error, ERROR_MEMORY, "out of memory");
    for (size_t i = 0; good && i < tree_count(origins); i++) {
        const struct tree *origin = tree_element(origins, i);
        good = tree_type(origin) == TREE_STRING && is_origin(tree_string(origin));
        if (!good)
            break;
        struct span text = tree_string(origin);
        config->origins[i] = memory_copy_string(text.data, text.length);
        if (!config->origins[i])
            return error_set(error, ERROR_MEMORY, "out of memory");
        config->origin_count++;
    }
    return good || config_wrong(error, "allowed_origins",
                                "must be a list of origins in lower case and without a path, such "
                                "as https://app.example.com, https://*.example.com or null");
}

void config_free_auth(struct config *config)
{
    forget_lists(&config->auth);
    forget_origins(config);
}
