/*
 * The life of a configuration; a setting by its name; and the file: one JSON object, a member per
 * setting. "exports" and "stacks" make the set of views: the stack files first, then the exports,
 * whose views may replace theirs or be over them. "exports": {"<export>": {"max_entities": n,
 * "max_array_length": n, "null_removes": boolean, "scope": path, "views": {"<view>": definition}}}.
 * An error names its path, as exports.Quake.views; the view folder reads definitions of views.
 */
#include "config/config_internal.h"

#include <fcntl.h>
#include <stdio.h>

#define LARGEST (((int64_t)1 << 53) - 1)
#define LONGEST_ARRAY ((int64_t)1000000000)

enum { STACK_LIMIT = 64 * 1024 * 1024 };

static bool out_of_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "out of memory");
}

/* ---- "exports" ---- */

static void free_export(struct config_export *export)
{
    for (size_t i = 0; i < export->view_count; i++) {
        memory_free(export->views[i].name);
        memory_free(export->views[i].definition);
    }
    memory_free(export->views);
    memory_free(export->scope);
    memory_free(export->name);
}

static void free_exports(struct config *config)
{
    for (size_t i = 0; i < config->export_count; i++)
        free_export(&config->exports[i]);
    memory_free(config->exports);
    config->exports = NULL;
    config->export_count = 0;
}

static char *keep_tree(const struct tree *tree)
{
    struct buffer text;
    buffer_init(&text, SIZE_MAX);
    bool printed = tree_print_canonical(tree, &text) && buffer_string(&text);
    char *kept = printed ? buffer_take(&text, NULL) : NULL;
    buffer_fini(&text);
    return kept;
}

static bool keep_view(struct config_view *view, const char *name, const struct tree *definition,
                      struct error *error)
{
    view->name = memory_copy_string(name, strlen(name));
    view->definition = keep_tree(definition);
    return (view->name && view->definition) || out_of_memory(error);
}

static bool read_views(struct config_export *export, const char *path, const struct tree *views,
                       struct error *error)
{
    if (tree_type(views) != TREE_OBJECT)
        return config_wrong(error, path, "must be an object of views by name");
    export->views = memory_new((tree_count(views) + 1) * sizeof(*export->views));
    if (!export->views)
        return out_of_memory(error);
    void *position = NULL;
    const char *name;
    const struct tree *value;
    while (tree_next(views, &position, &name, &value))
        if (!keep_view(&export->views[export->view_count++], name, value, error))
            return false;
    return true;
}

static bool read_rule(struct config_export *export, const char *member, const char *path,
                      const struct tree *content, struct error *error)
{
    if (strcmp(member, "null_removes") == 0) {
        export->null_removes = tree_boolean(content, false);
        return tree_type(content) == TREE_BOOLEAN ||
               config_wrong(error, path, "must be true or false");
    }
    bool arrays = strcmp(member, "max_array_length") == 0;
    int64_t number = tree_integer(content, -1), largest = arrays ? LONGEST_ARRAY : LARGEST;
    *(arrays ? &export->max_array_length : &export->max_entities) = number;
    if (number >= 0 && number <= largest)
        return true;
    return config_wrong(error, path,
                        arrays ? "must be a whole number from 0 (no limit) to 1000000000"
                               : "must be a whole number from 0 (no limit) to 2^53 - 1");
}

static bool read_export(struct config_export *export, const char *name, const struct tree *value,
                        struct error *error)
{
    static const char *const known[] = {
        "max_entities", "max_array_length", "null_removes", "scope", "views", NULL};
    char path[160], inner[192];
    snprintf(path, sizeof(path), "exports.%s", name);
    export->max_array_length = CONFIG_INHERIT;
    export->name = memory_copy_string(name, strlen(name));
    if (!export->name)
        return out_of_memory(error);
    if (tree_type(value) != TREE_OBJECT)
        return config_wrong(error, path,
                            "must be an object of rules and views, e.g. {\"max_entities\": 1000}");
    void *position = NULL;
    const char *member;
    const struct tree *content;
    while (tree_next(value, &position, &member, &content)) {
        snprintf(inner, sizeof(inner), "%s.%s", path, member);
        if (strcmp(member, "views") == 0) {
            if (!read_views(export, inner, content, error))
                return false;
        } else if (strcmp(member, "scope") == 0) {
            export->scope = keep_tree(content);
            if (!export->scope)
                return out_of_memory(error);
        } else if (strcmp(member, "max_entities") == 0 || strcmp(member, "max_array_length") == 0 ||
                   strcmp(member, "null_removes") == 0) {
            if (!read_rule(export, member, inner, content, error))
                return false;
        } else {
            return config_unknown_member(error, path, member, known);
        }
    }
    return true;
}

static bool add_view(struct view_set *set, struct span export_name, const struct config_view *view,
                     struct error *error)
{
    struct tree *definition = tree_parse(span_of(view->definition), error);
    bool good =
        definition && view_set_derive(set, export_name, span_of(view->name), definition, error);
    tree_free(definition);
    return good;
}

static bool add_scope(struct view_set *set, const struct config_export *export, struct error *error)
{
    if (!export->scope)
        return true;
    struct tree *path = tree_parse(span_of(export->scope), error);
    bool good = path && view_set_scope(set, span_of(export->name), path, error);
    tree_free(path);
    return good || error_prefix(error, "setting \"exports.%.128s.scope\"", export->name);
}

static bool add_exports(const struct config *config, struct view_set *set, struct error *error)
{
    for (size_t i = 0; i < config->export_count; i++) {
        const struct config_export *export = &config->exports[i];
        struct span name = span_of(export->name);
        if (!view_set_add_export(set, name, error) || !add_scope(set, export, error))
            return false;
        for (size_t j = 0; j < export->view_count; j++)
            if (!add_view(set, name, &export->views[j], error))
                return false;
    }
    return true;
}

/* "exports", "stacks", "auth" and "allowed_origins": set from the file's value, which replaces
 * the former one. */
static bool config_set_exports(struct config *config, const struct tree *exports,
                               struct error *error)
{
    free_exports(config);
    if (tree_type(exports) != TREE_OBJECT)
        return config_wrong(error, "exports", "must be an object of exports by name");
    config->exports = memory_new((tree_count(exports) + 1) * sizeof(*config->exports));
    if (!config->exports)
        return out_of_memory(error);
    void *position = NULL;
    const char *name;
    const struct tree *value;
    while (tree_next(exports, &position, &name, &value))
        if (!read_export(&config->exports[config->export_count++], name, value, error))
            return false;
    /* Names and definitions are the view folder's to judge. Sources may be in a stack file, which
     * need not be known yet. */
    struct view_set *set = view_set_new(false);
    bool good = set ? add_exports(config, set, error) : out_of_memory(error);
    view_set_free(set);
    return good;
}

/* ---- "stacks" ---- */

static bool config_add_stack(struct config *config, struct span path, struct error *error)
{
    if (path.length == 0 || memchr(path.data, 0, path.length))
        return error_set(error, ERROR_CONFIGURATION,
                         "setting \"stacks\" cannot have this path; allowed: the path of a file");
    return config_add_text(&config->stacks, &config->stack_count, path, error);
}

static bool config_set_stacks(struct config *config, const struct tree *stacks, struct error *error)
{
    config_free_texts(&config->stacks, &config->stack_count);
    bool good = tree_type(stacks) == TREE_ARRAY;
    for (size_t i = 0; good && i < tree_count(stacks); i++) {
        const struct tree *path = tree_element(stacks, i);
        good = tree_type(path) == TREE_STRING;
        if (good && !config_add_stack(config, tree_string(path), error))
            return false;
    }
    return good || error_set(error, ERROR_CONFIGURATION,
                             "setting \"stacks\": must be a list of paths of stack files");
}

/* Read a JSON file of at most `limit` bytes. NULL with ERROR_CONFIGURATION or ERROR_MEMORY. */
static struct tree *config_read_tree(int folder, const char *path, size_t limit,
                                     struct error *error)
{
    struct buffer text;
    struct tree *root = NULL;
    buffer_init(&text, limit);
    if (file_read(folder, path, &text, error))
        root = tree_parse(buffer_span(&text), error);
    buffer_fini(&text);
    if (!root && error && error->code != ERROR_MEMORY)
        error->code = ERROR_CONFIGURATION;
    return root;
}

static bool add_stacks(const struct config *config, struct view_set *set, struct error *error)
{
    for (size_t i = 0; i < config->stack_count; i++) {
        struct tree *stack =
            config_read_tree(config->folder, config->stacks[i], STACK_LIMIT, error);
        bool good = stack && view_set_add_stack(set, stack, error);
        tree_free(stack);
        if (!good)
            return error_prefix(error, "stack file %s", config->stacks[i]);
    }
    return true;
}

/* Settings outside of the table: exports and stacks; lists and origins. */
static void config_free_exports(struct config *config)
{
    free_exports(config);
    config_free_texts(&config->stacks, &config->stack_count);
}

/* ---- the set ---- */

struct view_set *config_views(const struct config *config, struct error *error)
{
    struct view_set *set = view_set_new(config->export_count == 0 && config->stack_count == 0);
    if (!set) {
        out_of_memory(error);
        return NULL;
    }
    if (add_stacks(config, set, error) && add_exports(config, set, error) &&
        view_set_resolve(set, error))
        return set;
    view_set_free(set);
    return NULL;
}

/* ---- what is seldom meant ---- */

static void warn_of_view(const struct view *view)
{
    struct buffer path;
    buffer_init(&path, SIZE_MAX);
    if (view_hidden(view, VIEW_HIDDEN_SORT, &path) && buffer_string(&path))
        log_warning("config", "hidden-order", log_text("view", view->id),
                    log_text("sorted_by", path.data),
                    log_text("effect", "the order of rows tells of a member that its fields hide"));
    buffer_clear(&path);
    if (view_hidden(view, VIEW_HIDDEN_KEY, &path) && buffer_string(&path))
        log_warning(
            "config", "hidden-key", log_text("view", view->id), log_text("keyed_by", path.data),
            log_text("effect",
                     "whoever asks for a key learns whether a row has it, though fields hide it"));
    buffer_fini(&path);
}

void config_warn_of_views(const struct view_set *views)
{
    const struct view *view;
    for (size_t i = 0; (view = view_set_at(views, i)); i++)
        warn_of_view(view);
}

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

void config_fini(struct config *config)
{
    for (size_t i = 0; i < config_setting_count; i++)
        if (setting_is_textual(&config_settings[i]))
            memory_free((char *)setting_text(config, &config_settings[i]));
    config_free_auth(config);
    config_free_exports(config);
}

/* ---- by name ---- */

/* Settings with a structure of their own, and how each is set from the file's value; that
 * replaces the former one. */
typedef bool (*config_setter)(struct config *config, const struct tree *value, struct error *error);

static const struct {
    const char *name;
    config_setter set;
} structures[] = {{"auth", config_set_auth},
                  {"log", config_set_log},
                  {"allowed_origins", config_set_origins},
                  {"exports", config_set_exports},
                  {"stacks", config_set_stacks}};

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
        return config_add_stack(config, span_of(value), error);
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
