/*
 * The views of a configuration: those of its stack files first, then its own, which may replace
 * them or be over them.
 */
#include "config/config_internal.h"

enum { STACK_LIMIT = 64 * 1024 * 1024 };

static bool out_of_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "out of memory");
}

/* ---- "stacks" ---- */

void config_free_stacks(struct config *config)
{
    for (size_t i = 0; i < config->stack_count; i++)
        memory_free(config->stacks[i]);
    memory_free(config->stacks);
    config->stacks = NULL;
    config->stack_count = 0;
}

bool config_add_stack(struct config *config, struct span path, struct error *error)
{
    if (path.length == 0 || memchr(path.data, 0, path.length))
        return error_set(error, ERROR_CONFIGURATION,
                         "setting \"stacks\" cannot have this path; allowed: the path of a file");
    char **stacks = memory_resize(config->stacks, (config->stack_count + 1) * sizeof(*stacks));
    if (!stacks)
        return out_of_memory(error);
    config->stacks = stacks;
    stacks[config->stack_count] = memory_copy_string(path.data, path.length);
    if (!stacks[config->stack_count])
        return out_of_memory(error);
    config->stack_count++;
    return true;
}

bool config_set_stacks(struct config *config, const struct tree *stacks, struct error *error)
{
    config_free_stacks(config);
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

/* ---- the set ---- */

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

bool config_add_exports(const struct config *config, struct view_set *set, struct error *error)
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

struct view_set *config_views(const struct config *config, struct error *error)
{
    struct view_set *set = view_set_new(config->export_count == 0 && config->stack_count == 0);
    if (!set) {
        out_of_memory(error);
        return NULL;
    }
    if (add_stacks(config, set, error) && config_add_exports(config, set, error) &&
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
    if (view_hidden_sort(view, &path) && buffer_string(&path))
        log_warning("config", "hidden-order", log_text("view", view->id),
                    log_text("sorted_by", path.data),
                    log_text("effect", "the order of rows tells of a member that its fields hide"));
    buffer_clear(&path);
    if (view_hidden_key(view, &path) && buffer_string(&path))
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
