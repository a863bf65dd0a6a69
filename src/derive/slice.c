/*
 * A slice: the rows of a stage between two thresholds. After a transaction they are moved by as
 * many rows as came or went below them, so that it costs what changed and not what there is. Rows
 * that a threshold goes over entered or left the slice, though nothing became of them.
 */
#include "derive/derive_internal.h"

static bool out_of_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "out of memory while keeping a view");
}

static void threshold_init(struct threshold *threshold, int64_t rank, bool unlimited)
{
    *threshold = (struct threshold){.rank = rank, .unlimited = unlimited, .end = unlimited};
    buffer_init(&threshold->sort_key, SIZE_MAX / 2);
}

static bool threshold_copy(struct threshold *to, const struct threshold *from)
{
    to->end = from->end;
    to->below = from->below;
    buffer_clear(&to->sort_key);
    return buffer_add_span(&to->sort_key, buffer_span(&from->sort_key));
}

static bool is_below(const struct threshold *threshold, struct span sort_key)
{
    return threshold->end || span_compare(sort_key, buffer_span(&threshold->sort_key)) < 0;
}

void derive_slice_init(struct derived_slice *slice, const struct view_stage *stage,
                       struct derived *of)
{
    const struct view_cut *cut = &stage->cut;
    bool all = cut->last || cut->take == VIEW_ALL || cut->take > INT64_MAX - cut->skip;
    *slice = (struct derived_slice){.stage = stage, .of = of};
    threshold_init(&slice->low, cut->skip, false);
    threshold_init(&slice->was_low, cut->skip, false);
    threshold_init(&slice->high, all ? INT64_MAX : cut->skip + cut->take, all);
    threshold_init(&slice->was_high, 0, all);
    buffer_init(&slice->sort_keys, SIZE_MAX / 2);
    of->feeds = true;
}

void derive_slice_fini(struct derived_slice *slice)
{
    buffer_fini(&slice->low.sort_key);
    buffer_fini(&slice->was_low.sort_key);
    buffer_fini(&slice->high.sort_key);
    buffer_fini(&slice->was_high.sort_key);
    buffer_fini(&slice->sort_keys);
    memory_free(slice->crossings);
    memory_free(slice->steps.items);
}

static bool in_range(const struct threshold *low, const struct threshold *high,
                     struct span sort_key)
{
    return !is_below(low, sort_key) && is_below(high, sort_key);
}

bool derive_slice_has(const struct derived_slice *slice, struct span sort_key)
{
    return in_range(&slice->low, &slice->high, sort_key);
}

void derive_slice_clear(struct derived_slice *slice)
{
    slice->crossing_count = 0;
    slice->steps.count = 0;
    buffer_clear(&slice->sort_keys);
}

/* ---- walking over rows ---- */

struct walk {
    struct derived_slice *slice;
    struct threshold *threshold;
    int64_t wanted; /* rows to go over; forward, the one behind them is the new threshold */
    int64_t count;
    bool backwards, quiet; /* quiet: nobody needs to know what was gone over */
    bool stands;           /* the threshold stands at a row */
    bool failed;
};

static bool note_crossing(struct derived_slice *slice, struct span sort_key, int64_t id)
{
    if (!array_reserve((void **)&slice->crossings, slice->crossing_count, &slice->crossing_capacity,
                       sizeof *slice->crossings))
        return false;
    slice->crossings[slice->crossing_count++] =
        (struct crossing){.id = id, .at = slice->sort_keys.length, .length = sort_key.length};
    return buffer_add_span(&slice->sort_keys, sort_key);
}

static bool stand_at(struct threshold *threshold, struct span sort_key)
{
    buffer_clear(&threshold->sort_key);
    return buffer_add_span(&threshold->sort_key, sort_key);
}

static bool walk_over(void *argument, struct span sort_key, int64_t id)
{
    struct walk *walk = argument;
    bool over = walk->count < walk->wanted;
    walk->count += over;
    if (over && !walk->quiet && !note_crossing(walk->slice, sort_key, id))
        walk->failed = true;
    walk->stands = walk->backwards ? walk->count == walk->wanted : !over;
    if (walk->stands && !stand_at(walk->threshold, sort_key))
        walk->failed = true;
    return !walk->failed;
}

static bool walk(struct derive *derive, struct walk *walk, struct span from, struct error *error)
{
    int64_t limit = walk->wanted + !walk->backwards;
    return (store_row_scan(derive->context.store, walk->slice->of->id, from, walk->backwards, 0,
                           limit, walk_over, walk, error) &&
            !walk->failed) ||
           (walk->failed && out_of_memory(error));
}

/* Bring a threshold to its rank, after `below` was counted anew. */
static bool settle(struct derive *derive, struct derived_slice *slice, struct threshold *threshold,
                   struct error *error)
{
    struct buffer from;
    if (threshold->unlimited)
        return true;
    int64_t off = threshold->below - threshold->rank;
    if (off == 0 || (off < 0 && threshold->end))
        return true;
    struct walk over = {.slice = slice,
                        .threshold = threshold,
                        .wanted = off > 0 ? off : -off,
                        .backwards = off > 0};
    buffer_init(&from, SIZE_MAX / 2);
    bool done = threshold->end || buffer_add_span(&from, buffer_span(&threshold->sort_key)) ||
                out_of_memory(error);
    done = done &&
           walk(derive, &over, threshold->end ? span_make(NULL, 0) : buffer_span(&from), error);
    buffer_fini(&from);
    threshold->end = !over.stands;
    threshold->below += over.backwards ? -over.count : over.count;
    return done;
}

/* ---- the last row alone ---- */

struct last_row {
    struct threshold *threshold;
    int64_t id;
    bool failed;
};

static bool see_last(void *argument, struct span sort_key, int64_t id)
{
    struct last_row *last = argument;
    last->id = id;
    last->failed = !stand_at(last->threshold, sort_key);
    return false;
}

static bool find_last(struct derive *derive, struct derived_slice *slice, int64_t *id,
                      struct error *error)
{
    struct last_row last = {.threshold = &slice->low};
    if (!store_row_scan(derive->context.store, slice->of->id, span_make(NULL, 0), true, 0, 1,
                        see_last, &last, error))
        return false;
    *id = last.id;
    slice->low.end = last.id == 0;
    return !last.failed || out_of_memory(error);
}

/* The row that was the last one, if it still is there, and the one that is. */
static bool move_last(struct derive *derive, struct derived_slice *slice, struct error *error)
{
    int64_t was = 0, is;
    struct span sort_key = buffer_span(&slice->was_low.sort_key);
    if (!find_last(derive, slice, &is, error) ||
        (!slice->was_low.end && !store_read_row(store_writer_reader(derive->context.store),
                                                slice->of->id, sort_key, &was, error)))
        return false;
    return ((!was || note_crossing(slice, sort_key, was)) &&
            (!is || note_crossing(slice, buffer_span(&slice->low.sort_key), is))) ||
           out_of_memory(error);
}

/* ---- loading ---- */

static bool load(struct derive *derive, struct derived_slice *slice, struct threshold *threshold,
                 struct error *error)
{
    threshold->end = threshold->unlimited;
    threshold->below = 0;
    buffer_clear(&threshold->sort_key);
    if (threshold->unlimited || threshold->rank == 0)
        return true;
    struct walk over = {
        .slice = slice, .threshold = threshold, .wanted = threshold->rank, .quiet = true};
    bool done = walk(derive, &over, span_make(NULL, 0), error);
    threshold->end = !over.stands;
    threshold->below = over.count;
    return done;
}

bool derive_slice_load(struct derive *derive, struct derived_slice *slice, struct error *error)
{
    int64_t id;
    if (slice->stage->cut.last)
        return find_last(derive, slice, &id, error);
    return load(derive, slice, &slice->low, error) && load(derive, slice, &slice->high, error);
}

/* ---- after a transaction ---- */

static struct span sort_key_was(const struct derived *derived, const struct derive_move *move)
{
    return span_make(derived->sort_keys.data + move->was_at, move->was_length);
}

static struct span sort_key_is(const struct derived *derived, const struct derive_move *move)
{
    return span_make(derived->sort_keys.data + move->is_at, move->is_length);
}

static void count_below(const struct derived *derived, struct threshold *threshold)
{
    for (size_t i = 0; i < derived->move_count; i++) {
        const struct derive_move *move = &derived->moves[i];
        threshold->below -= move->was_length && is_below(threshold, sort_key_was(derived, move));
        threshold->below += move->is_length && is_below(threshold, sort_key_is(derived, move));
    }
}

static bool move_thresholds(struct derive *derive, struct derived_slice *slice, struct error *error)
{
    if (!threshold_copy(&slice->was_low, &slice->low) ||
        !threshold_copy(&slice->was_high, &slice->high))
        return out_of_memory(error);
    if (slice->stage->cut.last)
        return move_last(derive, slice, error);
    count_below(slice->of, &slice->low);
    count_below(slice->of, &slice->high);
    return settle(derive, slice, &slice->low, error) && settle(derive, slice, &slice->high, error);
}

/* Leave out of a step what was or is not in the slice; false when nothing is left. */
static bool narrow(struct derive_step *step, bool was_in, bool is_in)
{
    if (!was_in) {
        step->before = span_make(NULL, 0);
        step->before_id = 0;
    }
    if (!is_in) {
        step->after = span_make(NULL, 0);
        step->after_id = 0;
    }
    return was_in || is_in;
}

static bool add_step(struct derived_slice *slice, const struct derive_step *step)
{
    struct derive_step *added = derive_steps_add(&slice->steps);
    if (added)
        *added = *step;
    return added != NULL;
}

static bool tell_moves(struct derive *derive, struct derived_slice *slice, struct error *error)
{
    const struct derived *of = slice->of;
    derive->ids.count = 0;
    for (size_t i = 0; i < of->move_count; i++) {
        const struct derive_move *move = &of->moves[i];
        struct derive_step step = move->step;
        bool was_in =
            move->was_length && in_range(&slice->was_low, &slice->was_high, sort_key_was(of, move));
        bool is_in = move->is_length && derive_slice_has(slice, sort_key_is(of, move));
        if ((move->is_length && !id_set_add(&derive->ids, step.after_id)) ||
            (narrow(&step, was_in, is_in) && !add_step(slice, &step)))
            return out_of_memory(error);
    }
    return true;
}

static bool tell_crossing(struct derive *derive, struct derived_slice *slice,
                          const struct crossing *crossing, struct error *error)
{
    struct span sort_key = span_make(slice->sort_keys.data + crossing->at, crossing->length);
    bool was_in = in_range(&slice->was_low, &slice->was_high, sort_key);
    bool is_in = derive_slice_has(slice, sort_key), found;
    struct derive_step step;
    /* Both thresholds may have gone over it; it is told once. */
    if (was_in == is_in || id_set_has(&derive->ids, crossing->id))
        return true;
    if (!derive_fetch(derive, crossing->id, &step, &found, error))
        return false;
    if (!found)
        return error_set(error, ERROR_INTERNAL, "stage %lld has a row without an entity",
                         (long long)slice->of->id);
    narrow(&step, was_in, is_in);
    return add_step(slice, &step) || out_of_memory(error);
}

bool derive_slice_update(struct derive *derive, struct derived_slice *slice, struct error *error)
{
    if (slice->of->move_count == 0)
        return true;
    if (!move_thresholds(derive, slice, error) || !tell_moves(derive, slice, error))
        return false;
    id_set_sort(&derive->ids);
    for (size_t i = 0; i < slice->crossing_count; i++)
        if (!tell_crossing(derive, slice, &slice->crossings[i], error))
            return false;
    return true;
}
