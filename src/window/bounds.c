/*
 * Windows with a filter over a view that is cut, but not short: between which sort keys of the
 * stage the cut lies. Its ends are found by stepping over the index, not by reading rows; what they
 * went over since is looked at by the filter, which is as much as changed and not as much as there
 * is.
 */
#include "window/reading.h"

void window_bounds_init(struct window_bounds *bounds)
{
    bounds->nothing = bounds->open = false;
    buffer_init(&bounds->low, UINT32_MAX);
    buffer_init(&bounds->high, UINT32_MAX);
}

void window_bounds_fini(struct window_bounds *bounds)
{
    buffer_fini(&bounds->low);
    buffer_fini(&bounds->high);
}

static bool find_low(struct window_bounds *bounds, struct store_reader *reader, int64_t stage,
                     int64_t skip, struct error *error)
{
    bool found = true;
    buffer_clear(&bounds->low);
    if (skip > 0 && !store_read_rank(reader, stage, span_make(NULL, 0), false, skip - 1,
                                     &bounds->low, &found, error))
        return false;
    bounds->nothing = !found;
    return true;
}

static bool find_high(struct window_bounds *bounds, struct store_reader *reader, int64_t stage,
                      const struct view_cut *cut, struct error *error)
{
    bool found = false;
    /* From the row before the first on, when there is one. */
    int64_t rank = cut->skip > 0 ? cut->take : cut->take - 1;
    struct span from = cut->skip > 0 ? buffer_span(&bounds->low) : span_make(NULL, 0);
    buffer_clear(&bounds->high);
    bounds->nothing = bounds->nothing || cut->take == 0;
    if (!bounds->nothing && cut->take != VIEW_ALL &&
        !store_read_rank(reader, stage, from, false, rank, &bounds->high, &found, error))
        return false;
    bounds->open = !found;
    return true;
}

bool window_bounds_read(struct window_bounds *bounds, struct store_reader *reader, int64_t stage,
                        const struct view_cut *cut, struct error *error)
{
    return find_low(bounds, reader, stage, cut->skip, error) &&
           find_high(bounds, reader, stage, cut, error);
}

static bool is_behind(const struct window_bounds *bounds, struct span sort_key)
{
    return !bounds->open && span_compare(sort_key, buffer_span(&bounds->high)) > 0;
}

static bool is_before(const struct window_bounds *bounds, struct span sort_key)
{
    return bounds->low.length && span_compare(sort_key, buffer_span(&bounds->low)) <= 0;
}

bool window_bounds_have(const struct window_bounds *bounds, struct span sort_key)
{
    return !bounds->nothing && !is_before(bounds, sort_key) && !is_behind(bounds, sort_key);
}

bool window_bounds_end(const struct window_bounds *bounds, struct span sort_key)
{
    return bounds->nothing || is_behind(bounds, sort_key);
}

/* ---- one row ---- */

/* Look an entity up in the view's stage. Its texts are the reader's no more afterwards. */
static bool look_up(const struct window *window, struct store_reader *reader, int64_t stage,
                    const struct store_entity *entity, struct buffer *sort_key, bool *found,
                    struct error *error)
{
    buffer_init(sort_key, UINT32_MAX);
    if (!view_stage_sort_key(window->spec.stage, entity->key, entity->data, entity->seq, sort_key))
        return error_set(error, ERROR_MEMORY, "out of memory while reading a view");
    int64_t id;
    bool done = store_read_row(reader, stage, buffer_span(sort_key), &id, error);
    *found = id != 0;
    return done;
}

bool window_stage_has(const struct window *window, struct store_reader *reader, int64_t stage,
                      const struct store_entity *entity, bool *found, struct error *error)
{
    struct buffer sort_key;
    bool done = look_up(window, reader, stage, entity, &sort_key, found, error);
    buffer_fini(&sort_key);
    return done;
}

bool window_view_has(const struct window *window, struct store_reader *reader, int64_t stage,
                     const struct store_entity *entity, bool *found, struct error *error)
{
    struct buffer sort_key;
    struct window_bounds bounds;
    struct view_cut cut = window_view_cut(window);
    window_bounds_init(&bounds);
    bool done = look_up(window, reader, stage, entity, &sort_key, found, error);
    if (done && *found && window_is_cut(window)) {
        done = window_bounds_read(&bounds, reader, stage, &cut, error);
        *found = done && window_bounds_have(&bounds, buffer_span(&sort_key));
    }
    window_bounds_fini(&bounds);
    buffer_fini(&sort_key);
    return done;
}

/* ---- what came in ---- */

struct newcomers {
    const struct window_bounds *was, *is;
    store_each_row each;
    void *argument;
};

static bool see(void *argument, struct span sort_key, const struct store_entity *entity)
{
    struct newcomers *newcomers = argument;
    if (window_bounds_end(newcomers->is, sort_key) || window_bounds_have(newcomers->was, sort_key))
        return false;
    return newcomers->each(newcomers->argument, sort_key, entity);
}

static bool scan_from(struct newcomers *newcomers, struct store_reader *reader, int64_t stage,
                      const struct buffer *after, struct error *error)
{
    struct span from = after->length ? buffer_span(after) : span_make(NULL, 0);
    return store_scan_stage(reader, stage, from, 0, -1, false, true, see, newcomers, error) &&
           error->code == ERROR_NONE;
}

bool window_bounds_newcomers(const struct window_bounds *was, const struct window_bounds *is,
                             struct store_reader *reader, int64_t stage, store_each_row each,
                             void *argument, struct error *error)
{
    struct newcomers newcomers = {.was = was, .is = is, .each = each, .argument = argument};
    if (is->nothing)
        return true;
    /* Each scan ends where `was` begins or `is` ends. */
    if (!scan_from(&newcomers, reader, stage, &is->low, error))
        return false;
    if (was->nothing || was->open || is_before(is, buffer_span(&was->high)))
        return true;
    return scan_from(&newcomers, reader, stage, &was->high, error);
}
