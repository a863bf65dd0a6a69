/* The number in the ETag of a window that is read once: of what was asked, and of its state. */
#include "delivery/window_internal.h"

/* FNV-1a, 64 bits: tags must outlive the process, and the maps' hash is different in each. */
uint64_t tag_fold(uint64_t hash, struct span bytes)
{
    for (size_t i = 0; i < bytes.length; i++)
        hash = (hash ^ (unsigned char)bytes.data[i]) * UINT64_C(1099511628211);
    return hash;
}

static void fold_number(uint64_t *hash, int64_t number)
{
    *hash = tag_fold(*hash, span_make((const char *)&number, sizeof number));
}

static void fold_span(uint64_t *hash, struct span span)
{
    fold_number(hash, span.data ? (int64_t)span.length : -1);
    *hash = tag_fold(*hash, span);
}

/* The edition of what "fields" show of a row: tags of others hold for other texts. */
enum { FIELDS_EDITION = 2 };

static void fold_view(uint64_t *hash, const struct view *view)
{
    if (view->path_count)
        fold_number(hash, FIELDS_EDITION);
    fold_span(hash, span_of(view->id));
    fold_span(hash, span_of(view->stage ? view->stage->whole : NULL));
    fold_span(hash, span_of(view->scope ? view_scope_text(view->scope) : NULL));
    fold_number(hash, view->output);
    for (size_t i = 0; i < view->key_field_count; i++)
        fold_span(hash, view->key_field[i]);
    fold_span(hash, view->key_dotted);
    for (size_t i = 0; i < view->path_count; i++)
        fold_span(hash, view->paths[i]);
    for (size_t i = 0; i < view->key_count; i++)
        fold_span(hash, view->keys[i]);
}

uint64_t tag_of_view(const struct view *view)
{
    uint64_t hash = TAG_START;
    fold_view(&hash, view);
    return hash;
}

static void fold_spec(uint64_t *hash, const struct window_spec *spec)
{
    fold_view(hash, spec->view);
    fold_number(hash, spec->skip);
    fold_number(hash, spec->take);
    fold_span(hash, spec->key);
    fold_span(hash, spec->filter ? view_filter_text(spec->filter) : span_make(NULL, 0));
    fold_span(hash, spec->scope ? row_scope_name(spec->scope) : span_make(NULL, 0));
}

bool window_is_timed(const struct window *window)
{
    for (const struct view_stage *stage = window->spec.view->stage; stage; stage = stage->source)
        if (stage->timed)
            return true;
    return false;
}

/* Several changes may have one seq, so the change's own number is in it; in what time alone
 * changes, also which rows there are. */
uint64_t window_tag(const struct window *window, const struct seq *after,
                    const struct view_state *state)
{
    uint64_t hash = TAG_START;
    fold_spec(&hash, &window->spec);
    fold_number(&hash, after ? after->slot : -1);
    fold_number(&hash, after ? after->index : -1);
    fold_number(&hash, state->found ? state->export.last_change : 0);
    for (size_t i = 0; window_is_timed(window) && i < window->rows.count; i++)
        fold_span(&hash, window_row_key(window->rows.list[i]));
    fold_number(&hash, window_is_timed(window) && window->more);
    return hash;
}
