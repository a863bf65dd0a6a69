/* What of an entity, a patch and its append paths a view shows. */
#include "view/view.h"

#include <stdlib.h>

static int compare_spans(const void *a, const void *b)
{
    const struct span *left = a, *right = b;
    return span_compare(*left, *right);
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
