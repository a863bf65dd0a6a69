/*
 * The configuration file: one JSON object, a member per setting.
 */
#include "server/config_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { FILE_LIMIT = 4 * 1024 * 1024, STEP = 64 * 1024 };

/* One more byte than the limit is read, so that a file of just that size is not too large. */
static bool read_all(FILE *file, struct buffer *bytes)
{
    size_t got = 1;
    while (got > 0 && bytes->length < bytes->limit) {
        size_t left = bytes->limit - bytes->length, step = left < STEP ? left : STEP;
        char *room = buffer_reserve(bytes, step);
        if (!room)
            return false;
        got = fread(room, 1, step, file);
        bytes->length += got;
    }
    return got == 0 || fgetc(file) == EOF;
}

/* What the bytes are does not depend on the editor that wrote them. */
static void drop_bom(struct buffer *bytes)
{
    struct span text = span_without_bom(buffer_span(bytes));
    if (text.length == bytes->length)
        return;
    memmove(bytes->data, text.data, text.length);
    bytes->length = text.length;
}

static FILE *open_file(int folder, const char *path)
{
    int descriptor = openat(folder, path, O_RDONLY | O_CLOEXEC);
    FILE *file = descriptor >= 0 ? fdopen(descriptor, "rb") : NULL;
    if (!file && descriptor >= 0)
        close(descriptor);
    return file;
}

bool config_read_bytes(int folder, const char *path, struct buffer *bytes, struct error *error)
{
    FILE *file = open_file(folder, path);
    if (!file)
        return error_set(error, ERROR_CONFIGURATION, "cannot be opened: %s", error_reason(errno));
    bool whole = read_all(file, bytes);
    bool unread = ferror(file) != 0;
    int reason = errno;
    fclose(file);
    if (unread)
        return error_set(error, ERROR_CONFIGURATION, "cannot be read: %s", error_reason(reason));
    if (bytes->failed)
        return error_set(error, ERROR_MEMORY, "out of memory while reading it");
    drop_bom(bytes);
    return whole || error_set(error, ERROR_CONFIGURATION, "is larger than %zu bytes", bytes->limit);
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

struct tree *config_read_tree(int folder, const char *path, size_t limit, struct error *error)
{
    struct buffer text;
    struct tree *root = NULL;
    buffer_init(&text, limit);
    if (config_read_bytes(folder, path, &text, error))
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
