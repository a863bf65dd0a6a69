/* What a window has, and what its refreshes cost, for who watches the server. */
#include "window/reading.h"
#include "window/window.h"

/* ---- on a reader ---- */

struct window_clock window_clock_start(const struct store_reader *reader)
{
    return (struct window_clock){clock_monotonic_us(), store_rows_read(reader)};
}

struct window_measure window_measure(const struct window *window, const struct store_reader *reader,
                                     struct window_clock start)
{
    const struct window_rows *rows = &window->content.rows;
    struct window_measure measure = {.rows = rows->count, .bytes = window->content.removals.bytes};
    for (size_t i = 0; i < rows->count; i++)
        measure.bytes +=
            sizeof(struct window_row) + rows->list[i]->key_length + rows->list[i]->sort_key_length;
    if (window->matching ==
        MATCHES_KEPT) /* a refresh has them alone; a part of filling, the lock */
        measure.matches = window->matches->rows.count;
    measure.rows_read = store_rows_read(reader) - start.rows;
    measure.us = clock_monotonic_us() - start.us;
    return measure;
}

/* ---- on the loop ---- */

void window_count(struct window *window, const struct window_measure *measure)
{
    struct window_cost *cost = &window->cost;
    cost->refreshes++;
    cost->rows_read += measure->rows_read;
    cost->us += measure->us;
    cost->last = *measure;
}

struct roster *hub_windows_listed(struct hub *hub)
{
    return &hub->windows->listed;
}

struct asked_facts window_spec_asked(const struct window_spec *spec)
{
    bool is_cut = !spec->key.data && spec->take != VIEW_ALL;
    return (struct asked_facts){.view = span_of(spec->view->id),
                                .key = spec->key,
                                .query = view_query_traits(spec->query).text,
                                .take = is_cut ? spec->take : -1,
                                .skip = spec->skip};
}

/* The content may be a reader's now: what it was is in the cost. */
struct window_facts hub_window_facts(struct roster_item *item)
{
    const struct window *window = LINK_OWNER(struct window, in_listed, item);
    const struct window_spec *spec = &window->spec;
    const struct window_cost *cost = &window->cost;
    uint64_t since_us = clock_monotonic_us() - window->refreshed_us;
    return (struct window_facts){
        .number = item->number,
        .asked = window_spec_asked(spec),
        .is_scoped = spec->scope != NULL,
        .scope = spec->scope ? view_epoch_scope(spec->view, spec->scope) : 0,
        .is_v2 = spec->encoding != NULL,
        .members = window->member_count,
        .rows = cost->last.rows,
        .matches = cost->last.matches,
        .bytes = cost->last.bytes + (window->frame_log_on ? window->frame_log.bytes : 0) +
                 text_span(window->snapshot.text).length,
        .sharing = window->matches ? window->matches->references : 0,
        .refreshes = cost->refreshes,
        .rows_read = cost->rows_read,
        .last_us = cost->last.us,
        .total_us = cost->us,
        .refreshed_ms = window->refreshed_us ? clock_wall_ms() - (int64_t)(since_us / 1000) : -1};
}
