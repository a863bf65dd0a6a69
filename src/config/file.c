/*
 * The configuration file: one JSON object, a member per setting.
 */
#include "config/config_internal.h"

enum { FILE_LIMIT = 4 * 1024 * 1024 };

static bool set_member(struct config *config, const char *name, const struct tree *value,
                       struct error *error)
{
    /* Editors find the published schema by this member; it is not a setting. */
    if (strcmp(name, "$schema") == 0 && tree_type(value) == TREE_STRING)
        return true;
    config_setter set = config_structure(name);
    if (set)
        return set(config, value, error);
    const struct setting *setting = setting_find(name);
    if (!setting || setting->member)
        return setting_unknown(name, error);
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
