/*
 * Windows over scoped rows: of each window, the rows that its members may see. If only the scope
 * leaves rows out, mostly many are visible, and the view is read in its order until there are
 * enough ("scanning"). A window for which that is far keeps its matches instead, as filters do.
 */
#include "rows/scoped_scan.h"
#include "window/reading.h"

/* A match is small, and for what they see users need not ask as they do for what they filter. */
enum { SCOPE_MATCHES = 10 };

int64_t window_match_limit(const struct window *window, int64_t max_rows)
{
    bool only_scoped =
        window->spec.scope && !window_is_sorted(window) && !view_query_filters(window->spec.query);
    return only_scoped && max_rows < INT64_MAX / SCOPE_MATCHES ? max_rows * SCOPE_MATCHES
                                                               : max_rows;
}

bool window_stop_scanning(struct window_reading *reading)
{
    if (!reading->exhausted)
        return true;
    reading->window->matches.state = MATCHES_WANTED;
    reading->result->refill = true;
    return false;
}

/* ---- beside the rows of a scanning window ---- */

struct seen {
    struct window_reading *reading;
    int64_t at, first, end, left;
    store_each_entity each;
    void *argument;
    bool *too_many;
};

static bool each_row(void *argument, const struct store_entity *row)
{
    struct seen *seen = argument;
    const struct window_spec *spec = &seen->reading->window->spec;
    if (seen->at >= seen->end)
        return false;
    if (--seen->left < 0) {
        *seen->too_many = true;
        return false;
    }
    if (!row_scope_shows(spec->scope, spec->view, row->data))
        return true;
    return seen->at++ < seen->first || seen->each(seen->argument, row);
}

static bool each_stage_row(void *argument, struct span sort_key, const struct store_entity *row)
{
    (void)sort_key;
    return each_row(argument, row);
}

bool window_scan_seen(struct window_reading *reading, int64_t first, int64_t end,
                      store_each_entity each, void *argument, bool *too_many)
{
    const struct view_stage *stage = reading->window->spec.stage;
    struct error *error = &reading->result->error;
    struct seen seen = {.reading = reading,
                        .first = first,
                        .end = end,
                        .left = WINDOW_SCAN,
                        .each = each,
                        .argument = argument,
                        .too_many = too_many};
    struct scoped scoped = {reading->window->spec.scope, NULL};
    int64_t by_label;
    if (!scoped_find_rows(scoped, window_by_label(reading->window), reading->reader, &by_label,
                          error))
        return false;
    bool done = by_label ? scoped_scan_rows(scoped, reading->reader, by_label, span_make(NULL, 0),
                                            -1, each_stage_row, &seen, error)
                : stage  ? store_scan_stage(reading->reader, reading->stage, span_make(NULL, 0), 0,
                                            -1, false, true, each_stage_row, &seen, error)
                         : store_scan_list(reading->reader, reading->state->export.id, 0, -1, true,
                                           each_row, &seen, error);
    return done && error->code == ERROR_NONE;
}

/* ---- who comes with a cursor ---- */

bool window_judge_moved(struct window_reading *reading, struct window_rows *keys)
{
    const struct window_spec *spec = &reading->window->spec;
    for (size_t i = 0; i < keys->count; i++) {
        struct window_row *row = keys->list[i];
        struct store_entity entity;
        bool found;
        if (row->fate != FATE_REPLACED)
            continue;
        if (!store_read_entity(reading->reader, reading->state->export.id, window_row_key(row),
                               &entity, &found, &reading->result->error))
            return false;
        bool seen = found && row_scope_shows(spec->scope, spec->view, entity.data);
        row->fate = seen ? FATE_LEFT : FATE_CARRIED;
    }
    return true;
}
