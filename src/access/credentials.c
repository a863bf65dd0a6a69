/*
 * The tokens and keys of the configuration's "auth", those in files included. Half a configuration
 * is refused here: one that would let nobody in, or that looks like more protection than it gives.
 */
#include "access/credentials.h"

#include "outbound/outbound.h"

/* Files are read in steps of 64 KiB, for which there must be room. */
enum { STEP = 64 * 1024, SECRET_BYTES = 2 * STEP, LIST_BYTES = 16 * 1024 * 1024 };

static bool out_of_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "out of memory while reading tokens and keys");
}

/* ---- files in lists ---- */

static struct span trim(struct span text)
{
    while (text.length && strchr(" \t\r\n", text.data[text.length - 1]))
        text.length--;
    while (text.length && strchr(" \t\r\n", text.data[0]))
        text = span_make(text.data + 1, text.length - 1);
    return text;
}

/* Append what stands in a file as the member `name`. */
static bool print_file(struct buffer *out, int folder, const char *path, const char *name,
                       struct error *error)
{
    struct buffer text;
    buffer_init(&text, SECRET_BYTES);
    bool good = file_read(folder, path, &text, error);
    struct span secret = trim(buffer_span(&text));
    if (good && (!doc_valid_utf8(secret) || memchr(secret.data, 0, secret.length)))
        good = error_set(error, ERROR_CONFIGURATION, "does not hold text");
    if (good) {
        buffer_printf(out, "\"%s\":", name);
        doc_escape(out, secret);
    }
    buffer_fini(&text);
    return good || error_prefix(error, "file %.200s", path);
}

/* Append an element of a list with its member "file" replaced by what stands there. */
static bool print_element(struct buffer *out, int folder, const struct tree *element,
                          const char *name, struct error *error)
{
    bool is_object = tree_type(element) == TREE_OBJECT;
    struct span path = is_object ? tree_string(tree_member(element, "file")) : span_make(NULL, 0);
    void *position = NULL;
    const char *member;
    const struct tree *value;
    if (!is_object || !tree_member(element, "file"))
        return tree_print_canonical(element, out) || out_of_memory(error);
    if (!path.length || memchr(path.data, 0, path.length) || tree_member(element, name))
        return error_set(error, ERROR_CONFIGURATION,
                         "\"file\" must be the path of a file, in place of \"%s\"", name);
    buffer_add_char(out, '{');
    bool good = print_file(out, folder, path.data, name, error);
    while (good && tree_next(element, &position, &member, &value)) {
        if (strcmp(member, "file") == 0)
            continue;
        buffer_add_char(out, ',');
        doc_escape(out, span_of(member));
        buffer_add_char(out, ':');
        good = tree_print_canonical(value, out) || out_of_memory(error);
    }
    buffer_add_char(out, '}');
    return good;
}

/* The list with its files read. NULL with an error. */
static struct tree *read_list(int folder, const char *json, const char *setting, const char *name,
                              struct error *error)
{
    struct buffer text;
    struct tree *given = tree_parse(span_of(json), error), *list = NULL;
    bool good = given != NULL;
    buffer_init(&text, LIST_BYTES);
    buffer_add_char(&text, '[');
    for (size_t i = 0; good && i < tree_count(given); i++) {
        buffer_add_string(&text, i ? "," : "");
        good = print_element(&text, folder, tree_element(given, i), name, error) ||
               error_prefix(error, "setting \"%s[%zu]\"", setting, i);
    }
    buffer_add_char(&text, ']');
    if (good && text.failed)
        good =
            error_set(error, ERROR_CONFIGURATION, "setting \"%s\": the list is too long", setting);
    if (good)
        list = tree_parse(buffer_span(&text), error);
    buffer_fini(&text);
    tree_free(given);
    return list;
}

/* ---- what they hold ---- */

static bool read_tokens(struct credentials *credentials, const struct config *config,
                        struct error *error)
{
    const struct config_auth *auth = &config->auth;
    if (!auth->tokens)
        return true;
    struct tree *list = read_list(config->folder, auth->tokens, "auth.tokens", "token", error);
    credentials->tokens = list ? auth_static_new(list, error) : NULL;
    if (list && !credentials->tokens)
        error_prefix(error, "setting \"auth.tokens\"");
    tree_free(list);
    return credentials->tokens != NULL;
}

static bool read_keys(struct credentials *credentials, const struct config *config,
                      struct error *error)
{
    const struct config_auth *auth = &config->auth;
    credentials->keys = auth_keys_new();
    if (!credentials->keys)
        return out_of_memory(error);
    if (!auth->keys)
        return true;
    struct tree *list = read_list(config->folder, auth->keys, "auth.keys", "key", error);
    bool good = list && (auth_keys_add_list(credentials->keys, list, error) ||
                         error_prefix(error, "setting \"auth.keys\""));
    tree_free(list);
    return good;
}

static bool read_jwks_file(struct credentials *credentials, const struct config *config,
                           struct error *error)
{
    const struct config_auth *auth = &config->auth;
    struct buffer text;
    if (!auth->jwks_file)
        return true;
    buffer_init(&text, AUTH_MAX_JWKS_BYTES + STEP);
    bool good = file_read(config->folder, auth->jwks_file, &text, error) &&
                auth_keys_add_jwks(credentials->keys, buffer_span(&text), error);
    buffer_fini(&text);
    return good || error_prefix(error, "setting \"auth.jwks_file\": file %.200s", auth->jwks_file);
}

static bool read_scopes(struct credentials *credentials, const struct config_auth *auth,
                        struct error *error)
{
    if (auth->base_scope &&
        !auth_scope_words(span_of(auth->base_scope), &credentials->base_scopes, error))
        return error_prefix(error, "setting \"auth.base_scope\"");
    if (!auth->scopes)
        return true;
    struct tree *object = tree_parse(span_of(auth->scopes), error);
    credentials->scopes = object ? auth_scopes_new(object, error) : NULL;
    tree_free(object);
    return credentials->scopes || error_prefix(error, "setting \"auth.scopes\"");
}

/* ---- what belongs together ---- */

/* The first claim that has another name than the standard one; NULL: none. */
static const char *first_renamed(const struct config_auth *auth)
{
#define X(member, name)                                                                            \
    if (strcmp(auth->member##_claim, name) != 0)                                                   \
        return #member "_claim";
    AUTH_CLAIMS(X)
#undef X
    return NULL;
}

/* The first member that is set and has no meaning without signed tokens; NULL: none. */
static const char *first_of_signed(const struct config_auth *auth)
{
    if (auth->keys)
        return "keys";
    if (auth->jwks_file)
        return "jwks_file";
    if (auth->jwks_url)
        return "jwks_url";
    if (auth->issuer)
        return "issuer";
    if (auth->audience)
        return "audience";
    if (auth->scopes)
        return "scopes";
    if (auth->base_scope)
        return "base_scope";
    if (auth->require_origin)
        return "require_origin";
    return auth->require_client_ip ? "require_client_ip" : first_renamed(auth);
}

static bool check_whole(const struct config_auth *auth, struct error *error)
{
    static const char *const modes[] = {"none", "static", "signed"};
    const char *stray = auth->mode == CONFIG_AUTH_SIGNED ? NULL : first_of_signed(auth);
    if (auth->mode == CONFIG_AUTH_NONE && auth->tokens)
        stray = "tokens";
    if (stray)
        return error_set(
            error, ERROR_CONFIGURATION,
            "setting \"auth.%s\" has no effect while \"auth.mode\" is %s; set the mode "
            "to %s, or leave it out",
            stray, modes[auth->mode], strcmp(stray, "tokens") == 0 ? "static or signed" : "signed");
    if (auth->mode == CONFIG_AUTH_STATIC && !auth->tokens)
        return config_wrong(error, "auth.mode",
                            "static needs \"auth.tokens\", a list with a token at least");
    if (auth->mode == CONFIG_AUTH_SIGNED && !auth->keys && !auth->jwks_file && !auth->jwks_url)
        return config_wrong(error, "auth.mode",
                            "signed needs \"auth.keys\", \"auth.jwks_file\" or "
                            "\"auth.jwks_url\": a key to verify tokens with");
    return true;
}

static bool check_url(const struct config_auth *auth, struct error *error)
{
    return !auth->jwks_url || outbound_check_url(auth->jwks_url, error) ||
           error_prefix(error, "setting \"auth.jwks_url\"");
}

/* A file that holds no key at all leaves nobody in; of a URL that cannot be known yet. */
static bool check_keys(const struct credentials *credentials, const struct config_auth *auth,
                       struct error *error)
{
    if (auth->mode != CONFIG_AUTH_SIGNED || auth->jwks_url || credentials->keys->count)
        return true;
    return config_wrong(error, auth->jwks_file ? "auth.jwks_file" : "auth.keys",
                        "there is no key of Ed25519, P-256 or RSA to verify tokens with");
}

bool credentials_read(struct credentials *credentials, const struct config *config,
                      struct error *error)
{
    const struct config_auth *auth = &config->auth;
    *credentials = (struct credentials){.tokens = NULL};
    if (check_whole(auth, error) && check_url(auth, error) &&
        read_tokens(credentials, config, error) && read_keys(credentials, config, error) &&
        read_jwks_file(credentials, config, error) && check_keys(credentials, auth, error) &&
        read_scopes(credentials, auth, error))
        return true;
    credentials_fini(credentials);
    if (error && error->code != ERROR_MEMORY)
        error->code = ERROR_CONFIGURATION;
    return false;
}

void credentials_fini(struct credentials *credentials)
{
    auth_static_free(credentials->tokens);
    auth_keys_release(credentials->keys);
    auth_scopes_free(credentials->scopes);
    *credentials = (struct credentials){.tokens = NULL};
}
