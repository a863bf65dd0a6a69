/*
 * The life of a configuration; a setting by its name; and the file: one JSON object, a member per
 * setting.
 */
#include "config/config_internal.h"

#include <fcntl.h>

enum { FILE_LIMIT = 4 * 1024 * 1024 };

bool config_init(struct config *config, struct error *error)
{
    *config = (struct config){.folder = AT_FDCWD};
    bool good = true;
    for (size_t i = 0; good && i < config_setting_count; i++)
        good = setting_set_default(config, &config_settings[i], error);
    if (!good)
        config_fini(config);
    return good;
}

/* ---- "auth" ---- */

/* The lists of tokens and keys are kept as they were given: what is in them, and in the files that
 * they name, is read by credentials_read. */

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

static bool set_auth(struct config *config, const struct tree *auth, struct error *error)
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

static bool set_origins(struct config *config, const struct tree *origins, struct error *error)
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

/* ---- "stacks": paths of files, which views.c reads ---- */

static bool add_stack(struct config *config, struct span path, struct error *error)
{
    if (path.length == 0 || memchr(path.data, 0, path.length))
        return error_set(error, ERROR_CONFIGURATION,
                         "setting \"stacks\" cannot have this path; allowed: the path of a file");
    return config_add_text(&config->stacks, &config->stack_count, path, error);
}

static bool set_stacks(struct config *config, const struct tree *stacks, struct error *error)
{
    config_free_texts(&config->stacks, &config->stack_count);
    bool good = tree_type(stacks) == TREE_ARRAY;
    for (size_t i = 0; good && i < tree_count(stacks); i++) {
        const struct tree *path = tree_element(stacks, i);
        good = tree_type(path) == TREE_STRING;
        if (good && !add_stack(config, tree_string(path), error))
            return false;
    }
    return good || error_set(error, ERROR_CONFIGURATION,
                             "setting \"stacks\": must be a list of paths of stack files");
}

/* ---- the end ---- */

void config_fini(struct config *config)
{
    for (size_t i = 0; i < config_setting_count; i++)
        if (setting_is_textual(&config_settings[i]))
            memory_free((char *)setting_text(config, &config_settings[i]));
    forget_lists(&config->auth);
    config_free_texts(&config->origins, &config->origin_count);
    config_free_exports(config);
    config_free_texts(&config->stacks, &config->stack_count);
}

/* ---- by name ---- */

/* Settings with a structure of their own, and how each is set from the file's value; that
 * replaces the former one. */
typedef bool (*config_setter)(struct config *config, const struct tree *value, struct error *error);

static const struct {
    const char *name;
    config_setter set;
} structures[] = {{"auth", set_auth},
                  {"log", config_set_log},
                  {"allowed_origins", set_origins},
                  {"exports", config_set_exports},
                  {"stacks", set_stacks}};

static config_setter structure(const char *name)
{
    for (size_t i = 0; i < sizeof(structures) / sizeof(structures[0]); i++)
        if (strcmp(structures[i].name, name) == 0)
            return structures[i].set;
    return NULL;
}

static const struct setting *find(const char *name)
{
    for (size_t i = 0; i < config_setting_count; i++)
        if (strcmp(config_settings[i].name, name) == 0)
            return &config_settings[i];
    return NULL;
}

/* With the nearest name that there is. */
static bool unknown(const char *name, struct error *error)
{
    struct nearest nearest = {.given = name};
    for (size_t i = 0; i < config_setting_count; i++)
        nearest_offer(&nearest, config_settings[i].name);
    for (size_t i = 0; i < sizeof(structures) / sizeof(structures[0]); i++)
        nearest_offer(&nearest, structures[i].name);
    if (nearest.name)
        return error_set(error, ERROR_CONFIGURATION,
                         "unknown setting \"%.100s\"; did you mean \"%s\"?", name, nearest.name);
    return error_set(error, ERROR_CONFIGURATION,
                     "unknown setting \"%.100s\"; `stele serve --help` lists all", name);
}

static bool set_parsed(struct config *config, const char *name, const char *value,
                       config_setter set, struct error *error)
{
    struct tree *tree = tree_parse(span_of(value), error);
    bool done = tree && set(config, tree, error);
    if (!tree)
        error_prefix(error, "setting \"%s\"", name);
    tree_free(tree);
    return done;
}

bool config_set(struct config *config, const char *name, const char *value, struct error *error)
{
    config_setter set = structure(name);
    if (set)
        return set_parsed(config, name, value, set, error);
    if (strcmp(name, "stack") == 0)
        return add_stack(config, span_of(value), error);
    const struct setting *setting = find(name);
    return setting ? setting_set_text(config, setting, span_of(value), error)
                   : unknown(name, error);
}

/* ---- the file ---- */

static bool set_member(struct config *config, const char *name, const struct tree *value,
                       struct error *error)
{
    /* Editors find the published schema by this member; it is not a setting. */
    if (strcmp(name, "$schema") == 0 && tree_type(value) == TREE_STRING)
        return true;
    config_setter set = structure(name);
    if (set)
        return set(config, value, error);
    const struct setting *setting = find(name);
    if (!setting || setting->member)
        return unknown(name, error);
    return setting_set_tree(config, setting, value, error);
}

static bool set_members(struct config *config, const struct tree *root, struct error *error)
{
    if (tree_type(root) != TREE_OBJECT)
        return error_set(error, ERROR_CONFIGURATION, "is not a JSON object");
    void *position = NULL;
    const char *name;
    const struct tree *value;
    while (tree_next(root, &position, &name, &value))
        if (!set_member(config, name, value, error))
            return false;
    return true;
}

/* Line and column tell the place; the text that stands there may be a token. */
static void leave_text_out(struct error *error)
{
    char *near = error ? strstr(error->message, " near '") : NULL;
    if (near)
        *near = '\0';
}

bool config_read_file(struct config *config, const char *path, struct error *error)
{
    struct tree *root = config_read_tree(config->folder, path, FILE_LIMIT, error);
    if (!root)
        leave_text_out(error);
    bool done = root && set_members(config, root, error);
    tree_free(root);
    if (!done && error && error->code != ERROR_MEMORY)
        error->code = ERROR_CONFIGURATION;
    return done || error_prefix(error, "configuration file %s", path);
}

/* ---- what it amounts to ---- */

bool config_rates_untouched(const struct config *config)
{
    for (size_t i = 0; i < config_setting_count; i++)
        if (config_settings[i].older &&
            setting_number(config, &config_settings[i]) != config_settings[i].number)
            return false;
    return true;
}

/* Whether only this machine can reach the address. A name other than localhost may resolve to
 * anything, so it does not count. */
static bool is_loopback(const char *address)
{
    bool is_numeric = address[strspn(address, "0123456789.")] == ':';
    return address[0] == '\0' || (is_numeric && strncmp(address, "127.", 4) == 0) ||
           strncmp(address, "localhost:", 10) == 0 || strncmp(address, "[::1]:", 6) == 0;
}

bool config_check_exposure(const struct config *config, struct error *error)
{
    const char *const names[] = {"listen", "health"};
    const char *const addresses[] = {config->listen, config->health};
    for (size_t i = 0; i < 2 && config->auth.mode == CONFIG_AUTH_NONE; i++)
        if (!is_loopback(addresses[i]))
            return error_set(error, ERROR_CONFIGURATION,
                             "setting \"%s\": %.100s can be reached from other machines, and there "
                             "is no authentication; set \"auth\", or listen on 127.x.x.x, [::1] "
                             "or localhost (--insecure lifts this)",
                             names[i], addresses[i]);
    return true;
}
