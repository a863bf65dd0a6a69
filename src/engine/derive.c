/* Keeping derived views in the transaction of the change: who does what, and when. */
#include "engine/derive_internal.h"

enum { SWEEP_STEP = 2000 };

/* ---- what changed ---- */

void derive_touch_export(struct derive *derive, struct derived_export *export)
{
    if (export->touched)
        return;
    export->touched = true;
    export->next_touched = derive->touched;
    derive->touched = export;
}

void entity_keep_before(struct entity *entity)
{
    if (entity->dirty || !entity->export->derived)
        return;
    entity->before = text_ref(entity->data);
    entity->before_seq = entity->seq;
    entity->before_id = entity->data ? entity->id : 0;
}

static bool gather_entity(struct derive *derive, const struct entity *entity)
{
    struct derived_export *export = entity->export->derived;
    bool same = entity->before == entity->data && entity->before_id == entity->id &&
                seq_compare(entity->before_seq, entity->seq) == 0;
    if (!export || same || (!entity->before && !entity->data))
        return true;
    struct derive_step *step = derive_steps_add(&export->steps);
    if (!step)
        return false;
    derive_touch_export(derive, export);
    *step = (struct derive_step){.key = entity_key(entity),
                                 .before = text_span(entity->before),
                                 .after = text_span(entity->data),
                                 .before_seq = entity->before_seq,
                                 .after_seq = entity->seq,
                                 .before_id = entity->before_id,
                                 .after_id = entity->data ? entity->id : 0};
    return true;
}

static bool gather(struct derive *derive, struct error *error)
{
    for (struct entity *entity = derive->writer->cache.dirty; entity; entity = entity->next_dirty)
        if (!gather_entity(derive, entity))
            return error_set(error, ERROR_MEMORY, "out of memory while keeping a view");
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
    buffer_clear(&derived->places);
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
    stage_touches_free(derive->touches, derive->touch_count);
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
           store_stage_sweep(derive->writer->store, SWEEP_STEP, &derive->sweeping, error);
}

bool writer_derive(struct writer *writer, struct error *error)
{
    struct derive *derive = writer->derive;
    if (!derive)
        return true;
    if (!load_slices(derive, error) || !gather(derive, error) || !derive_advance(derive, error))
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

void writer_derived(struct writer *writer)
{
    struct derive *derive = writer->derive;
    if (!derive)
        return;
    derive->now = derive->next;
    if (derive->stores_now)
        derive->stored_now = derive->next;
    derive->pending = derive->next_pending;
    stage_touches_free(writer->touches, writer->touch_count);
    writer->touches = derive->touches;
    writer->touch_count = derive->touch_count;
    derive->touches = NULL;
    derive->touch_count = 0;
    clear(derive);
}

void writer_derive_abandon(struct writer *writer)
{
    struct derive *derive = writer->derive;
    if (!derive)
        return;
    clear(derive);
    derive->loaded = false;
    derive->sweeping = true; /* it may have seemed to be done */
}
