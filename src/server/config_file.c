/*
 * The configuration file: one JSON object, a member per setting.
 */
#include "server/config_internal.h"

#include <errno.h>
#include <stdio.h>

enum { FILE_LIMIT = 4 * 1024 * 1024, STEP = 64 * 1024 };

bool config_read_bytes(const char *path, struct buffer *text, struct error *error)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return error_set(error, ERROR_CONFIGURATION, "cannot be opened: %s", strerror(errno));
    char *room;
    size_t got = 1;
    while (got > 0 && (room = buffer_reserve(text, STEP))) {
        got = fread(room, 1, STEP, file);
        text->length += got;
    }
    bool unread = ferror(file) != 0;
    int reason = errno;
    fclose(file);
    if (text->failed)
        return error_set(error, ERROR_CONFIGURATION, "is larger than %zu bytes", text->limit);
    return !unread || error_set(error, ERROR_CONFIGURATION, "cannot be read: %s", strerror(reason));
}

static bool set_member(struct config *config, const char *name, const struct tree *value,
                       struct error *error)
{
    /* Editors find the published schema by this member; it is not a setting. */
    if (strcmp(name, "$schema") == 0 && tree_type(value) == TREE_STRING)
        return true;
    if (strcmp(name, "exports") == 0)
        return config_set_exports(config, value, error);
    if (strcmp(name, "stacks") == 0)
        return config_set_stacks(config, value, error);
    if (strcmp(name, "auth") == 0)
        return config_set_auth(config, value, error);
    if (strcmp(name, "allowed_origins") == 0)
        return config_set_origins(config, value, error);
    const struct setting *setting = setting_find(name);
    if (!setting || strchr(name, '.'))
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

struct tree *config_read_tree(const char *path, size_t limit, struct error *error)
{
    struct buffer text;
    struct tree *root = NULL;
    buffer_init(&text, limit);
    if (config_read_bytes(path, &text, error))
        root = tree_parse(buffer_span(&text), error);
    buffer_fini(&text);
    if (!root && error && error->code != ERROR_MEMORY)
        error->code = ERROR_CONFIGURATION;
    return root;
}

bool config_read_file(struct config *config, const char *path, struct error *error)
{
    struct tree *root = config_read_tree(path, FILE_LIMIT, error);
    bool done = root && set_members(config, root, error);
    tree_free(root);
    if (!done && error && error->code != ERROR_MEMORY)
        error->code = ERROR_CONFIGURATION;
    return done || error_prefix(error, "configuration file %s", path);
}
