/* Keeping derived views in the transaction of the change: who does what, and when. */
#include "derive/derive_internal.h"

enum { SWEEP_STEP = 2000 };

/* ---- what changed ---- */

bool derive_note(struct derive *derive, struct derived_export *export,
                 const struct derive_change *change)
{
    struct derive_step *step = derive_steps_add(&export->steps);
    if (!step)
        return false;
    derive_touch_export(derive, export);
    *step = (struct derive_step){.key = change->key,
                                 .before = text_span(change->before),
                                 .after = text_span(change->after),
                                 .before_seq = change->before_seq,
                                 .after_seq = change->after_seq,
                                 .before_id = change->before_id,
                                 .after_id = change->after_id};
    return true;
}

/* ---- one transaction ---- */

static void clear_stage(struct derive *derive, struct derived *derived)
{
    derive_note_visit(derive);
    for (struct derived_slice *slice = derived->slices; slice; slice = slice->next)
        derive_slice_clear(slice);
    derive_touch_clear(derived);
    derived->due.count = 0;
    derived->move_count = 0;
    buffer_clear(&derived->sort_keys);
}

static void clear(struct derive *derive)
{
    while (derive->touched) {
        struct derived_export *export = derive->touched;
        derive->touched = export->next_touched;
        export->touched = false;
        export->steps.count = 0;
        for (struct derived *derived = export->stages; derived; derived = derived->next_of_export)
            clear_stage(derive, derived);
    }
    while (derive->text_count)
        text_unref(derive->texts[--derive->text_count]);
    derive_touched_free(derive->touches, derive->touch_count);
    derive->touches = NULL;
    derive->touch_count = 0;
    derive->looked = false;
}

static bool load_slices(struct derive *derive, struct error *error)
{
    for (size_t i = 0; !derive->loaded && i < derive->slice_count; i++)
        if (!derive_slice_load(derive, derive->slices[i], error))
            return false;
    derive->loaded = true;
    return true;
}

static bool update_stage(struct derive *derive, struct derived *derived, struct error *error)
{
    const struct derive_steps *steps =
        derived->source ? &derived->source->steps : &derived->export->steps;
    derive_note_visit(derive);
    if (!derive_apply(derive, derived, steps, error) ||
        !derive_take_turns(derive, derived, steps, error))
        return false;
    struct derived_slice *slice = derived->slices;
    while (slice && derive_slice_update(derive, slice, error))
        slice = slice->next;
    return !slice;
}

static bool update_export(struct derive *derive, const struct derived_export *export,
                          struct error *error)
{
    struct derived *derived = export->stages;
    while (derived && update_stage(derive, derived, error))
        derived = derived->next_of_export;
    return !derived;
}

static bool sweep(struct derive *derive, struct error *error)
{
    return !derive->sweeping ||
           store_stage_sweep(derive->context.store, SWEEP_STEP, &derive->sweeping, error);
}

bool derive_update(struct derive *derive, int64_t last_change, struct error *error)
{
    derive->last_change = last_change;
    if (!load_slices(derive, error) || !derive_advance(derive, error))
        return false;
    for (const struct derived_export *export = derive->touched; export;
         export = export->next_touched)
        if (!update_export(derive, export, error))
            return false;
    /* While nothing with now() was looked at, the rows are as right as of before. */
    derive->stores_now = derive->looked && derive->next != derive->stored_now;
    if (derive->stores_now && !derive_store_now(derive, derive->next, error))
        return false;
    return derive_note_touches(derive, error) && sweep(derive, error);
}

struct derive_touched *derive_committed(struct derive *derive, size_t *count)
{
    struct derive_touched *touches = derive->touches;
    derive->now = derive->next;
    if (derive->stores_now)
        derive->stored_now = derive->next;
    derive->pending = derive->next_pending;
    *count = derive->touch_count;
    derive->touches = NULL;
    derive->touch_count = 0;
    clear(derive);
    return touches;
}

void derive_abandon(struct derive *derive)
{
    if (!derive)
        return;
    clear(derive);
    derive->loaded = false;
    derive->sweeping = true; /* it may have seemed to be done */
}
