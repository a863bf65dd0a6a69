/*
 * "auth" and "allowed_origins" of the configuration. The lists of tokens and keys are kept as they
 * were given: what is in them, and in the files that they name, is read by credentials_read.
 */
#include "config/config_internal.h"

/* ---- "auth" ---- */

static void forget_lists(struct config_auth *auth)
{
    memory_free(auth->tokens);
    memory_free(auth->keys);
    memory_free(auth->scopes);
    auth->tokens = auth->keys = auth->scopes = NULL;
}

static bool keep(char **slot, const char *path, enum tree_type type, const struct tree *list,
                 struct error *error)
{
    struct buffer text;
    if (tree_type(list) != type)
        return config_wrong(error, path,
                            type == TREE_ARRAY ? "must be a list" : "must be an object");
    memory_free(*slot);
    *slot = NULL;
    if (type == TREE_ARRAY && tree_count(list) == 0)
        return true;
    buffer_init(&text, SIZE_MAX);
    if (tree_print_canonical(list, &text) && buffer_string(&text))
        *slot = buffer_take(&text, NULL);
    buffer_fini(&text);
    return *slot || error_set(error, ERROR_MEMORY, "out of memory");
}

static bool set_list(struct config *config, const char *name, const struct tree *value,
                     struct error *error)
{
    if (strcmp(name, "tokens") == 0)
        return keep(&config->auth.tokens, "auth.tokens", TREE_ARRAY, value, error);
    if (strcmp(name, "keys") == 0)
        return keep(&config->auth.keys, "auth.keys", TREE_ARRAY, value, error);
    return keep(&config->auth.scopes, "auth.scopes", TREE_OBJECT, value, error);
}

bool config_set_auth(struct config *config, const struct tree *auth, struct error *error)
{
    static const struct config_group group = {
        .name = "auth",
        .must = "must be an object with mode and what the mode needs",
        .others = {"tokens", "keys", "scopes"},
        .set_other = set_list};
    forget_lists(&config->auth);
    return config_set_group(config, &group, auth, error);
}

/* ---- "allowed_origins" ---- */

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
    config_free_texts(&config->origins, &config->origin_count);
    bool good = tree_type(origins) == TREE_ARRAY;
    for (size_t i = 0; good && i < tree_count(origins); i++) {
        const struct tree *origin = tree_element(origins, i);
        good = tree_type(origin) == TREE_STRING && is_origin(tree_string(origin));
        if (good &&
            !config_add_text(&config->origins, &config->origin_count, tree_string(origin), error))
            return false;
    }
    return good || config_wrong(error, "allowed_origins",
                                "must be a list of origins in lower case and without a path, such "
                                "as https://app.example.com, https://*.example.com or null");
}

void config_free_auth(struct config *config)
{
    forget_lists(&config->auth);
    config_free_texts(&config->origins, &config->origin_count);
}
