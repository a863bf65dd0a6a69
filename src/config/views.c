/*
 * "exports", and the set of views that "exports" and "stacks" make: the stack files first, then the
 * exports, whose views may replace theirs or be over them. "exports": {"<export>":
 * {"max_entities": n, "max_array_length": n, "null_removes": boolean, "scope": path, "views":
 * {"<view>": definition}}}. An error names its path, as exports.Quake.views; the view folder reads
 * definitions of views.
 */
#include "config/config_internal.h"

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

bool config_set_exports(struct config *config, const struct tree *exports, struct error *error)
{
    config_free_exports(config);
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

/* ---- the set ---- */

struct tree *config_read_tree(int folder, const char *path, size_t limit, struct error *error)
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
