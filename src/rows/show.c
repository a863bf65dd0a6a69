#include "rows/show.h"

bool frame_show(const struct view *view, struct span object, struct buffer *scratch,
                struct span *shown)
{
    *shown = object;
    if (!view->path_count)
        return true;
    buffer_clear(scratch);
    bool done = view_project(view, object, scratch);
    *shown = buffer_span(scratch);
    return done;
}

bool frame_show_append(const struct view *view, struct span append, struct buffer *scratch,
                       struct span *shown)
{
    *shown = append;
    if (!append.data || !view->path_count)
        return true;
    buffer_clear(scratch);
    bool done = view_append_paths(view, append, scratch);
    *shown = scratch->length ? buffer_span(scratch) : span_make(NULL, 0);
    return done;
}
