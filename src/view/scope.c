/* Row scopes: the field of an export by which its rows are for everybody, for some, or for nobody.
 */
#include "view/view_internal.h"

void scope_free(struct view_scope *scope)
{
    if (!scope)
        return;
    view_path_fini(&scope->path);
    memory_free(scope->text);
    memory_free(scope);
}

struct view_scope *scope_new(const char *export_name, const struct tree *path, struct error *error)
{
    struct view_scope *scope = memory_new(sizeof *scope);
    struct buffer text;
    if (!scope) {
        error_set(error, ERROR_MEMORY, "no memory for a scope");
        return NULL;
    }
    scope->export_name = export_name;
    buffer_init(&text, SIZE_MAX);
    bool good = view_path_read(&scope->path, path, true, error);
    if (good) {
        view_path_print(&text, &scope->path);
        scope->text = buffer_string(&text) ? buffer_take(&text, NULL) : NULL;
        good = scope->text || error_set(error, ERROR_MEMORY, "no memory for a scope");
    }
    buffer_fini(&text);
    if (good)
        return scope;
    scope_free(scope);
    return NULL;
}

const struct view_stage *view_by_label(const struct view *view)
{
    if (!view->scope)
        return NULL;
    return view->stage ? view->stage->by_label : view->scope->by_label;
}

const char *view_scope_text(const struct view_scope *scope)
{
    return scope->text;
}

/* A text with dots may be one name, or several; an empty name leaves no trace in it. */
bool view_scope_begins_with(const struct view_scope *scope, struct span name)
{
    struct span dotted = scope->path.dotted;
    if (!dotted.data)
        return span_equal(scope->path.names[0], name);
    return !name.length || span_equal(dotted, name) ||
           (name.length < dotted.length && dotted.data[name.length] == '.' &&
            memcmp(dotted.data, name.data, name.length) == 0);
}

struct span view_scope_label(const struct view_scope *scope, struct span entity)
{
    struct span value = view_path_value(&scope->path, entity);
    if (!value.data || span_equal(value, span_of("null")) || span_equal(value, span_of("\"\"")))
        return span_of(VIEW_SCOPE_PUBLIC);
    if (value.data[0] == '"' && value.length <= VIEW_SCOPE_LONGEST)
        return value;
    return span_of(VIEW_SCOPE_NOBODY);
}
