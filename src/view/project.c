/* The part of an entity, a patch and its append paths that a view shows. */
#include "view/view_internal.h"

#include <stdlib.h>

static int compare_spans(const void *a, const void *b)
{
    const struct span *left = a, *right = b;
    return span_compare(*left, *right);
}

bool view_is_standard(const struct view *view)
{
    const char *name = strrchr(view->id, '/');
    return !view->stage && !view->path_count && !view->key_count && name &&
           (!strcmp(name, "/list") || !strcmp(name, "/state") || !strcmp(name, "/append"));
}

bool view_shows(const struct view *view, struct span key)
{
    return view->key_count == 0 ||
           bsearch(&key, view->keys, view->key_count, sizeof key, compare_spans) != NULL;
}

bool view_project(const struct view *view, struct span object, struct buffer *out)
{
    if (view->path_count == 0)
        return buffer_add_span(out, object);
    return doc_project(out, object, view->paths, view->path_count);
}

bool view_path_is_below(struct span path, struct span above)
{
    return path.length > above.length && path.data[above.length] == '.' &&
           memcmp(path.data, above.data, above.length) == 0;
}

bool view_names_path(const struct view *view, struct span path)
{
    if (view->path_count == 0 || span_equal(path, span_of("_seq")))
        return true;
    for (size_t i = 0; i < view->path_count; i++)
        if (span_equal(path, view->paths[i]))
            return true;
    return false;
}

bool view_shows_path(const struct view *view, struct span path)
{
    if (view_names_path(view, path))
        return true;
    for (size_t i = 0; i < view->path_count; i++)
        if (view_path_is_below(path, view->paths[i]))
            return true;
    return false;
}

bool view_shows_names(const struct view *view, const struct span *names, size_t count)
{
    struct buffer path;
    bool shown = false;
    buffer_init(&path, SIZE_MAX);
    for (size_t i = 0; i < count && !shown; i++) {
        if (i > 0)
            buffer_add_char(&path, '.');
        buffer_add_span(&path, names[i]);
        shown = path.failed || view_names_path(view, buffer_span(&path));
    }
    buffer_fini(&path);
    return shown;
}

bool view_hidden_sort(const struct view *view, struct buffer *out)
{
    const struct view_stage *stage = view->stage;
    for (; stage; stage = stage->source) {
        const struct view_path *path = &((const struct stage *)stage)->sort;
        if (path->count == 0 || view_shows_names(view, path->names, path->count))
            continue;
        for (size_t i = 0; i < path->count; i++) {
            buffer_add_string(out, i ? "." : "");
            buffer_add_span(out, path->raw[i]);
        }
        return true;
    }
    return false;
}

bool view_hidden_key(const struct view *view, struct buffer *out)
{
    if (view->output != VIEW_KEYED ||
        view_shows_names(view, view->key_field, view->key_field_count))
        return false;
    for (size_t i = 0; i < view->key_field_count; i++) {
        buffer_add_string(out, i ? "." : "");
        buffer_add_span(out, view->key_field[i]);
    }
    return true;
}

/*
 * The next string of a canonical array, with its quotes, from *position on; absent at the end. In
 * canonical text a quote inside a string always has a backslash before it, and between strings
 * there is only a comma.
 */
static struct span next_string(struct span array, size_t *position)
{
    const char *end = array.data + array.length;
    const char *start = memchr(array.data + *position, '"', array.length - *position);
    if (!start)
        return span_make(NULL, 0);
    const char *at = start + 1;
    while (at < end && *at != '"')
        at += *at == '\\' ? 2 : 1;
    if (at >= end)
        return span_make(NULL, 0);
    *position = (size_t)(at + 1 - array.data);
    return span_make(start, (size_t)(at + 1 - start));
}

bool view_append_paths(const struct view *view, struct span append, struct buffer *out)
{
    size_t position = 0, shown = 0;
    struct span path;
    while (append.data && (path = next_string(append, &position)).data) {
        struct span bare = span_make(path.data + 1, path.length - 2);
        if (view->path_count == 0 || doc_path_shown(bare, view->paths, view->path_count)) {
            buffer_add_char(out, shown++ ? ',' : '[');
            buffer_add_span(out, path);
        }
    }
    if (shown)
        buffer_add_char(out, ']');
    return !out->failed;
}
