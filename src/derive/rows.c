/*
 * The rows of one stage. The former rows follow from the former entity, so nothing is read to find
 * them; a row is written only when its sort key or its entity differs.
 */
#include "derive/derive_internal.h"

static bool out_of_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "out of memory while keeping a view");
}

/* Whether the entity has a row as of `now`; then its sort key. */
static bool sort_key(const struct derived *derived, const struct derive_step *step, bool after,
                     int64_t now, struct buffer *out, bool *has, struct error *error)
{
    struct span text = after ? step->after : step->before;
    buffer_clear(out);
    *has = text.data && view_stage_holds(derived->stage, text, now);
    return !*has ||
           view_stage_sort_key(derived->stage, step->key, text,
                               after ? step->after_seq : step->before_seq, out) ||
           out_of_memory(error);
}

/* As of when the rows tell of the entity as it was: see the invariants. */
static bool as_of(struct derive *derive, const struct derived *derived,
                  const struct derive_step *step, int64_t *now, struct error *error)
{
    bool waits = false;
    *now = derive->now;
    if (!derive->pending || !derived->stage->timed || !step->before.data ||
        view_stage_rechecks(derived->stage, step->before, derive->now - 1) != derive->now)
        return true;
    if (!store_recheck_exists(derive->context.store, derived->id, derive->now, step->before_id,
                              &waits, error))
        return false;
    *now -= waits;
    return true;
}

static int64_t recheck_of(const struct derived *derived, struct span text, int64_t now)
{
    return text.data ? view_stage_rechecks(derived->stage, text, now) : INT64_MAX;
}

/* All that go first: a number that was given up may be another entity's by now. */
static bool remove_turns(struct derive *derive, struct derived *derived,
                         const struct derive_steps *steps, struct error *error)
{
    for (size_t i = 0; i < steps->count; i++) {
        const struct derive_step *step = &steps->items[i];
        int64_t now;
        bool found;
        if (!as_of(derive, derived, step, &now, error))
            return false;
        int64_t at = recheck_of(derived, step->before, now);
        if (at == INT64_MAX)
            continue;
        if (!store_recheck_remove(derive->context.store, derived->id, at, step->before_id, &found,
                                  error))
            return false;
        if (!found)
            return error_set(error, ERROR_INTERNAL, "stage %lld has no turn where one must be",
                             (long long)derived->id);
    }
    return true;
}

static bool put_recheck(struct derive *derive, struct derived *derived, int64_t at, int64_t id,
                        struct error *error)
{
    if (at == INT64_MAX)
        return true;
    derive_expect_turn(derive, derived, at);
    return store_recheck_put(derive->context.store, derived->id, at, id, error);
}

static bool put_turns(struct derive *derive, struct derived *derived,
                      const struct derive_steps *steps, struct error *error)
{
    for (size_t i = 0; i < steps->count; i++)
        if (!put_recheck(derive, derived, recheck_of(derived, steps->items[i].after, derive->next),
                         steps->items[i].after_id, error))
            return false;
    return true;
}

static bool note_move(struct derived *derived, const struct derive_step *step, struct span was,
                      struct span is)
{
    if (!array_reserve((void **)&derived->moves, derived->move_count, &derived->move_capacity,
                       sizeof *derived->moves))
        return false;
    size_t at = derived->sort_keys.length;
    derived->moves[derived->move_count++] = (struct derive_move){.step = *step,
                                                                 .was_at = at,
                                                                 .was_length = was.length,
                                                                 .is_at = at + was.length,
                                                                 .is_length = is.length};
    buffer_add_span(&derived->sort_keys, was);
    return buffer_add_span(&derived->sort_keys, is);
}

static bool apply_step(struct derive *derive, struct derived *derived,
                       const struct derive_step *step, int64_t before, struct error *error)
{
    struct store_writer *store = derive->context.store;
    bool had, has;
    if (!sort_key(derived, step, false, before, &derive->was, &had, error) ||
        !sort_key(derived, step, true, derive->next, &derive->is, &has, error))
        return false;
    struct span was = buffer_span(&derive->was), is = buffer_span(&derive->is);
    if (!had && !has)
        return true;
    bool same = had && has && span_equal(was, is) && step->before_id == step->after_id;
    if (had && !same && !store_row_remove(store, derived->id, was, error))
        return false;
    if (has && !same && !store_row_put(store, derived->id, is, step->after_id, error))
        return false;
    if ((step->unchanged && same) || derived->stage->scope)
        return true; /* nothing new, or for no view to show */
    if (step->unchanged &&
        !store_membership_put(store, derive->last_change, derived->export->id, step->key, error))
        return false;
    bool noted = (!had || derive_touch(derived, step->before, was)) &&
                 (!has || derive_touch(derived, step->after, is)) &&
                 (!derived->feeds || note_move(derived, step, was, is));
    return noted || out_of_memory(error);
}

bool derive_apply(struct derive *derive, struct derived *derived, const struct derive_steps *steps,
                  struct error *error)
{
    bool timed = derived->stage->timed;
    for (size_t i = 0; i < steps->count; i++) {
        int64_t before;
        if (!as_of(derive, derived, &steps->items[i], &before, error) ||
            !apply_step(derive, derived, &steps->items[i], before, error))
            return false;
    }
    /* The rows come first: by the rechecks that are left it is told which are behind. */
    if (!timed || steps->count == 0)
        return true;
    derive->looked = true;
    return remove_turns(derive, derived, steps, error) && put_turns(derive, derived, steps, error);
}

bool derive_build_row(struct derive *derive, struct derived *derived,
                      const struct store_entity *entity, struct error *error)
{
    struct derive_step step = {.key = entity->key,
                               .after = entity->data,
                               .after_seq = entity->seq,
                               .after_id = entity->id};
    bool has;
    /* The entity is lent by the store: everything is asked of it before the store is used again. */
    int64_t at = derived->stage->timed ? recheck_of(derived, entity->data, derive->now) : INT64_MAX;
    if (!sort_key(derived, &step, true, derive->now, &derive->is, &has, error))
        return false;
    if (has && !store_row_put(derive->context.store, derived->id, buffer_span(&derive->is),
                              step.after_id, error))
        return false;
    return put_recheck(derive, derived, at, step.after_id, error);
}
