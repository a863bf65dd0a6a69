/* The number in the ETag of a window that is read once: of what was asked, and of its state. */
#include "rows/tag.h"
#include "window/reading.h"

static void fold_spec(uint64_t *hash, const struct window_spec *spec)
{
    tag_view(hash, spec->view);
    tag_number(hash, spec->skip);
    tag_number(hash, spec->take);
    tag_span(hash, spec->key);
    tag_span(hash, spec->query ? view_query_text(spec->query) : span_make(NULL, 0));
    tag_span(hash, spec->scope ? row_scope_name(spec->scope) : span_make(NULL, 0));
}

bool window_is_timed(const struct window *window)
{
    if (view_query_is_timed(window->spec.query))
        return true;
    for (const struct view_stage *stage = window->spec.stage; stage; stage = stage->source)
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
    tag_number(&hash, after ? after->slot : -1);
    tag_number(&hash, after ? after->index : -1);
    tag_number(&hash, state->found ? state->export.last_change : 0);
    for (size_t i = 0; window_is_timed(window) && i < window->content.rows.count; i++)
        tag_span(&hash, window_row_key(window->content.rows.list[i]));
    tag_number(&hash, window_is_timed(window) && window->content.more);
    return hash;
}
