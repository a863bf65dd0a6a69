/*
 * "exports" of the configuration: {"<export>": {"max_entities": n, "views": {"<view>": {"mode":
 * …, "fields": […], "keys": […]}}}}. What is wrong is named by its path, as exports.Quake.views.
 */
#include "server/config_internal.h"

#include <stdio.h>

#define LARGEST (((int64_t)1 << 53) - 1)

static bool wrong(struct error *error, const char *path, const char *what)
{
    return error_set(error, ERROR_CONFIGURATION, "setting \"%.300s\": %s", path, what);
}

static bool unknown_member(struct error *error, const char *path, const char *name,
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

static void free_texts(struct span *texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        memory_free((char *)texts[i].data);
    memory_free(texts);
}

static void free_export(struct config_export *export)
{
    for (size_t i = 0; i < export->view_count; i++) {
        struct config_view *view = &export->views[i];
        memory_free(view->name);
        free_texts(view->fields, view->field_count);
        free_texts(view->keys, view->key_count);
    }
    memory_free(export->views);
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

/* A list of texts. An empty one is refused, because it could be taken for "none" as well as for
 * "all". */
static bool read_texts(const struct tree *list, const char *path, struct span **texts,
                       size_t *count, struct error *error)
{
    size_t wanted = tree_type(list) == TREE_ARRAY ? tree_count(list) : 0;
    if (wanted == 0)
        return wrong(error, path, "must be a list of at least one text; leave it out for all");
    *texts = memory_new(wanted * sizeof(**texts));
    if (!*texts)
        return error_set(error, ERROR_MEMORY, "out of memory");
    for (size_t i = 0; i < wanted; i++) {
        const struct tree *element = tree_element(list, i);
        if (tree_type(element) != TREE_STRING)
            return wrong(error, path, "must hold texts only");
        struct span text = tree_string(element);
        char *copy = memory_copy_string(text.data, text.length);
        if (!copy)
            return error_set(error, ERROR_MEMORY, "out of memory");
        (*texts)[i] = span_make(copy, text.length);
        *count = i + 1;
    }
    return true;
}

static bool read_view_member(struct config_view *view, const char *path, const char *name,
                             const struct tree *value, struct error *error)
{
    static const char *const known[] = {"mode", "fields", "keys", NULL};
    char inner[320];
    snprintf(inner, sizeof(inner), "%s.%s", path, name);
    if (strcmp(name, "mode") == 0) {
        int mode = tree_type(value) == TREE_STRING
                       ? setting_word(config_mode_words, tree_string(value))
                       : -1;
        if (mode < 0)
            return wrong(error, inner, "must be state, list or append");
        view->mode = (enum view_mode)mode;
        return true;
    }
    if (strcmp(name, "fields") == 0)
        return read_texts(value, inner, &view->fields, &view->field_count, error);
    if (strcmp(name, "keys") == 0)
        return read_texts(value, inner, &view->keys, &view->key_count, error);
    return unknown_member(error, path, name, known);
}

static bool read_view(struct config_view *view, const char *path, const char *name,
                      const struct tree *value, struct error *error)
{
    char inner[256];
    snprintf(inner, sizeof(inner), "%s.%s", path, name);
    view->mode = VIEW_LIST;
    view->name = memory_copy_string(name, strlen(name));
    if (!view->name)
        return error_set(error, ERROR_MEMORY, "out of memory");
    if (tree_type(value) != TREE_OBJECT)
        return wrong(error, inner, "must be an object with mode, fields or keys");
    void *position = NULL;
    const char *member;
    const struct tree *content;
    while (tree_next(value, &position, &member, &content))
        if (!read_view_member(view, inner, member, content, error))
            return false;
    return true;
}

static bool read_views(struct config_export *export, const char *path, const struct tree *views,
                       struct error *error)
{
    if (tree_type(views) != TREE_OBJECT)
        return wrong(error, path, "must be an object of views by name");
    export->views = memory_new((tree_count(views) + 1) * sizeof(*export->views));
    if (!export->views)
        return error_set(error, ERROR_MEMORY, "out of memory");
    void *position = NULL;
    const char *name;
    const struct tree *value;
    while (tree_next(views, &position, &name, &value))
        if (!read_view(&export->views[export->view_count++], path, name, value, error))
            return false;
    return true;
}

static bool read_export(struct config_export *export, const char *name, const struct tree *value,
                        struct error *error)
{
    static const char *const known[] = {"max_entities", "views", NULL};
    char path[160], inner[192];
    snprintf(path, sizeof(path), "exports.%s", name);
    export->name = memory_copy_string(name, strlen(name));
    if (!export->name)
        return error_set(error, ERROR_MEMORY, "out of memory");
    if (tree_type(value) != TREE_OBJECT)
        return wrong(error, path, "must be an object with max_entities or views");
    void *position = NULL;
    const char *member;
    const struct tree *content;
    while (tree_next(value, &position, &member, &content)) {
        snprintf(inner, sizeof(inner), "%s.%s", path, member);
        if (strcmp(member, "views") == 0) {
            if (!read_views(export, inner, content, error))
                return false;
        } else if (strcmp(member, "max_entities") == 0) {
            export->max_entities = tree_integer(content, -1);
            if (export->max_entities < 0 || export->max_entities > LARGEST)
                return wrong(error, inner, "must be a whole number from 0 (no limit) to 2^53 - 1");
        } else {
            return unknown_member(error, path, member, known);
        }
    }
    return true;
}

bool config_set_exports(struct config *config, const struct tree *exports, struct error *error)
{
    config_free_exports(config);
    if (tree_type(exports) != TREE_OBJECT)
        return wrong(error, "exports", "must be an object of exports by name");
    config->exports = memory_new((tree_count(exports) + 1) * sizeof(*config->exports));
    if (!config->exports)
        return error_set(error, ERROR_MEMORY, "out of memory");
    void *position = NULL;
    const char *name;
    const struct tree *value;
    while (tree_next(exports, &position, &name, &value))
        if (!read_export(&config->exports[config->export_count++], name, value, error))
            return false;
    /* Names and paths are the view folder's to judge; building the set once asks it for all. */
    struct view_set *views = config_views(config, error);
    view_set_free(views);
    return views != NULL;
}
