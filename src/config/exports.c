/*
 * "exports" of the configuration: {"<export>": {"max_entities": n, "max_array_length": n,
 * "null_removes": boolean, "scope": path, "views": {"<view>": definition}}}. What is wrong is named
 * by its path, as exports.Quake.views; definitions of views are the view folder's to read.
 */
#include "config/config_internal.h"

#include <stdio.h>

#define LARGEST (((int64_t)1 << 53) - 1)
#define LONGEST_ARRAY ((int64_t)1000000000)

bool config_wrong(struct error *error, const char *path, const char *what)
{
    return error_set(error, ERROR_CONFIGURATION, "setting \"%.300s\": %s", path, what);
}

bool config_unknown_member(struct error *error, const char *path, const char *name,
                           const char *const *known)
{
    struct nearest nearest = {.given = name};
    for (size_t i = 0; known[i]; i++)
        nearest_offer(&nearest, known[i]);
    struct buffer text;
    buffer_init(&text, 256);
    setting_print_words(&text, known);
    const char *allowed = buffer_string(&text);
    if (nearest.name)
        error_set(error, ERROR_CONFIGURATION,
                  "setting \"%.200s\" has no \"%.60s\"; did you mean \"%s\"?", path, name,
                  nearest.name);
    else
        error_set(error, ERROR_CONFIGURATION, "setting \"%.200s\" has no \"%.60s\"; allowed: %s",
                  path, name, allowed ? allowed : "");
    buffer_fini(&text);
    return false;
}

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

void config_free_exports(struct config *config)
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
    return (view->name && view->definition) || error_set(error, ERROR_MEMORY, "out of memory");
}

static bool read_views(struct config_export *export, const char *path, const struct tree *views,
                       struct error *error)
{
    if (tree_type(views) != TREE_OBJECT)
        return config_wrong(error, path, "must be an object of views by name");
    export->views = memory_new((tree_count(views) + 1) * sizeof(*export->views));
    if (!export->views)
        return error_set(error, ERROR_MEMORY, "out of memory");
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
        return error_set(error, ERROR_MEMORY, "out of memory");
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
                return error_set(error, ERROR_MEMORY, "out of memory");
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

bool config_set_exports(struct config *config, const struct tree *exports, struct error *error)
{
    config_free_exports(config);
    if (tree_type(exports) != TREE_OBJECT)
        return config_wrong(error, "exports", "must be an object of exports by name");
    config->exports = memory_new((tree_count(exports) + 1) * sizeof(*config->exports));
    if (!config->exports)
        return error_set(error, ERROR_MEMORY, "out of memory");
    void *position = NULL;
    const char *name;
    const struct tree *value;
    while (tree_next(exports, &position, &name, &value))
        if (!read_export(&config->exports[config->export_count++], name, value, error))
            return false;
    /* Names and definitions are the view folder's to judge. Sources may be in a stack file, which
     * need not be known yet. */
    struct view_set *set = view_set_new(false);
    bool good = set ? config_add_exports(config, set, error)
                    : error_set(error, ERROR_MEMORY, "out of memory");
    view_set_free(set);
    return good;
}
