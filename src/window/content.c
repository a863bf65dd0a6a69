/* The content and the spec of a window: its rows, and small questions about them. */
#include "window/reading.h"

struct window_row *window_row_new(struct span key, struct span sort_key, int64_t change)
{
    struct window_row *row = memory_alloc(sizeof *row + key.length + sort_key.length);
    if (!row)
        return NULL;
    *row = (struct window_row){.change = change,
                               .key_length = (uint32_t)key.length,
                               .sort_key_length = (uint32_t)sort_key.length};
    memcpy(row->bytes, key.data, key.length);
    if (sort_key.length)
        memcpy(row->bytes + key.length, sort_key.data, sort_key.length);
    return row;
}

bool window_rows_add(struct window_rows *rows, struct window_row *row)
{
    INVARIANT(rows->count <= rows->capacity);
    if (rows->count == rows->capacity) {
        size_t capacity = rows->capacity ? rows->capacity * 2 : 16;
        struct window_row **list = memory_resize(rows->list, capacity * sizeof(*list));
        if (!list)
            return false;
        rows->list = list;
        rows->capacity = capacity;
    }
    rows->list[rows->count++] = row;
    return true;
}

struct window_row *window_rows_note(struct window_rows *rows, struct span key, int mark)
{
    struct window_row *row = window_row_new(key, span_make(NULL, 0), 0);
    if (!row || !window_rows_add(rows, row)) {
        memory_free(row);
        return NULL;
    }
    row->mark = mark;
    return row;
}

void window_rows_fini(struct window_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        memory_free(rows->list[i]);
    memory_free(rows->list);
    *rows = (struct window_rows){.list = NULL};
}

struct span window_row_map_key(const void *row)
{
    return window_row_key(row);
}

bool window_rows_index(const struct window_rows *rows, struct map *map)
{
    map_init(map, window_row_map_key);
    for (size_t i = 0; i < rows->count; i++)
        if (!map_add(map, rows->list[i]))
            return false;
    return true;
}

struct view_cut window_view_cut(const struct window *window)
{
    const struct view_stage *stage = window->spec.stage;
    return stage ? stage->cut : (struct view_cut){.take = VIEW_ALL};
}

bool window_may_have_more(const struct window *window)
{
    const struct window_spec *spec = &window->spec;
    struct view_cut cut = window_view_cut(window);
    return spec->take != VIEW_ALL && !spec->key.data && !cut.last &&
           (cut.take == VIEW_ALL || cut.take - spec->skip > spec->take);
}

bool window_filters_all(const struct window *window)
{
    if (window_is_cut(window) && window->spec.is_short)
        return false;
    if (window_is_keyed_by_field(window))
        return true;
    return (window_is_sorted(window) || view_query_traits(window->spec.query).filters ||
            window->spec.view->key_count || window->spec.scope) &&
           !window->spec.key.data;
}

bool window_keeps_matches(const struct window *window)
{
    return window_filters_all(window) && window->matching != MATCHES_PASSED &&
           (window->name || window->matching == MATCHES_KEPT);
}

/* Subscribers of a view that is keyed by a field name the field's value as their key. */
static bool passes_key_field(const struct window *window, struct span data)
{
    struct buffer text;
    buffer_init(&text, UINT32_MAX);
    bool equal = view_key_text(window->spec.view, data, &text) &&
                 span_equal(buffer_span(&text), window->spec.key);
    buffer_fini(&text);
    return equal;
}

bool window_sees(const struct window *window, struct span key, struct span data)
{
    const struct window_spec *spec = &window->spec;
    return view_shows(spec->view, key) && row_scope_shows(spec->scope, spec->view, data);
}

bool window_passes(const struct window *window, struct span key, struct span data)
{
    const struct window_spec *spec = &window->spec;
    if (!window_sees(window, key, data))
        return false;
    if (window_is_keyed_by_field(window)) {
        if (!passes_key_field(window, data))
            return false;
    } else if (spec->key.data && !span_equal(spec->key, key)) {
        return false;
    }
    return view_query_holds(spec->query, data, window->time.now);
}

/* ---- what it is of ---- */

bool window_may_scan(const struct window *window)
{
    const struct window_spec *spec = &window->spec;
    return spec->scope && window_filters_all(window) && !window_is_cut(window) &&
           !window_is_sorted(window) && !view_query_traits(spec->query).filters &&
           !spec->view->key_count && !window_is_keyed_by_field(window);
}

bool window_part(const struct window *window, int64_t *take, int64_t *skip)
{
    const struct window_spec *spec = &window->spec;
    struct view_cut cut = window_view_cut(window);
    *skip = spec->skip;
    *take = spec->take;
    if (cut.last || (cut.take != VIEW_ALL && cut.take < *take))
        *take = cut.last ? 1 : cut.take;
    return !spec->key.data && spec->take != VIEW_ALL;
}
