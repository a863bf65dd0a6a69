/*
 * Rows of a window's view, in its order, whatever has that order: a stage, the list of an export,
 * or, of scoped rows, the stage that has them by label.
 */
#include "rows/scoped_scan.h"
#include "window/reading.h"

struct listing {
    store_each_row each;
    void *argument;
};

static bool each_of_list(void *argument, const struct store_entity *row)
{
    const struct listing *listing = argument;
    return listing->each(listing->argument, span_make(NULL, 0), row);
}

bool window_find_labelled(const struct window *window, struct store_reader *reader,
                          int64_t *by_label, struct error *error)
{
    const struct window_spec *spec = &window->spec;
    const struct view_stage *stage =
        spec->stage == spec->view->stage ? view_by_label(spec->view) : spec->stage->by_label;
    return scoped_find_rows((struct scoped){spec->scope, NULL}, stage, reader, by_label, error);
}

bool window_scan(struct window_reading *reading, int64_t by_label, const struct view_cut *part,
                 bool with_data, store_each_row each, void *argument)
{
    const struct window_spec *spec = &reading->window->spec;
    struct error *error = &reading->result->error;
    struct span start = span_make(NULL, 0);
    struct listing listing = {each, argument};
    bool done = by_label ? scoped_scan_rows((struct scoped){spec->scope, NULL}, reading->reader,
                                            by_label, start, -1, each, argument, error)
                : spec->stage
                    ? store_scan_stage(reading->reader, reading->stage, start, part->skip,
                                       part->take, part->last, with_data, each, argument, error)
                    : store_scan_list(reading->reader, reading->state->export.id, part->skip,
                                      part->take, with_data, each_of_list, &listing, error);
    return done && error->code == ERROR_NONE;
}

/* ---- beside the rows of a window that keeps no matches ---- */

struct seen {
    struct window_reading *reading;
    int64_t at, first, end, left;
    store_each_row each;
    void *argument;
    bool *too_many;
};

static bool each_visible(void *argument, struct span sort_key, const struct store_entity *row)
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
    return seen->at++ < seen->first || seen->each(seen->argument, sort_key, row);
}

bool window_scan_seen(struct window_reading *reading, int64_t first, int64_t end,
                      store_each_row each, void *argument, bool *too_many)
{
    static const struct view_cut all = {.take = VIEW_ALL};
    struct seen seen = {.reading = reading,
                        .first = first,
                        .end = end,
                        .left = WINDOW_SCAN,
                        .each = each,
                        .argument = argument,
                        .too_many = too_many};
    int64_t by_label;
    return window_find_labelled(reading->window, reading->reader, &by_label,
                                &reading->result->error) &&
           window_scan(reading, by_label, &all, true, each_visible, &seen);
}
