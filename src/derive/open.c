/* At start: the stages of the configured views are found, made, built; the others retired. */
#include "derive/derive_internal.h"

#include <stdio.h>

static bool out_of_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "out of memory while preparing the views");
}

/* ---- what is found by number or address ---- */

static struct span export_key(const void *value)
{
    const struct derived_export *export = value;
    return span_make((const char *)&export->id, sizeof export->id);
}

static struct span derived_key(const void *value)
{
    const struct derived *derived = value;
    return span_make((const char *)&derived->id, sizeof derived->id);
}

static struct span stage_key(const void *value)
{
    const struct kept_stage *kept = value;
    return span_make((const char *)&kept->stage, sizeof kept->stage);
}

static struct kept_stage *find_stage(const struct derive *derive, const struct view_stage *stage)
{
    return map_get(&derive->by_stage, span_make((const char *)&stage, sizeof stage));
}

/* One of the set's own. */
static struct kept_stage *stage_of_set(const struct derive *derive, const struct view_stage *stage)
{
    struct kept_stage *kept = find_stage(derive, stage);
    INVARIANT(kept != NULL);
    return kept;
}

static struct derived_export *find_export(const struct derive *derive, uint32_t id)
{
    return map_get(&derive->by_export, span_make((const char *)&id, sizeof id));
}

int64_t derive_stage_number(const struct derive *derive, const struct view_stage *stage)
{
    const struct kept_stage *kept = derive ? find_stage(derive, stage) : NULL;
    return kept && kept->kept ? kept->kept->id : 0;
}

/* ---- what there is to keep ---- */

static struct derived_export *ensure_export(struct derive *derive, uint32_t id)
{
    struct derived_export *export = find_export(derive, id);
    if (export)
        return export;
    export = memory_new(sizeof *export);
    if (!export)
        return NULL;
    export->id = id;
    if (!map_add(&derive->by_export, export)) {
        memory_free(export);
        return NULL;
    }
    derive->exports[derive->export_count++] = export;
    return export;
}

static struct derived_slice *ensure_slice(struct derive *derive, const struct view_stage *stage)
{
    struct kept_stage *source = stage_of_set(derive, stage);
    INVARIANT(source->kept != NULL); /* sources come first */
    if (source->slice)
        return source->slice;
    struct derived_slice *slice = memory_new(sizeof *slice);
    if (!slice)
        return NULL;
    derive_slice_init(slice, stage, source->kept);
    slice->next = source->kept->slices;
    source->kept->slices = slice;
    source->slice = slice;
    derive->slices[derive->slice_count++] = slice;
    return slice;
}

static void note_view(struct derive *derive, const struct view_stage *stage, const char *view)
{
    struct kept_stage *kept = stage ? find_stage(derive, stage) : NULL;
    if (kept && !kept->view)
        kept->view = view;
}

/* The first view that a stage is for: its own, or one over it. Below a stage that has one, all
 * have. */
static void note_views(struct derive *derive, const struct view_set *views)
{
    const struct view *view;
    for (size_t i = 0; (view = view_set_at(views, i)); i++)
        for (const struct view_stage *at = view->stage; at && !stage_of_set(derive, at)->view;
             at = at->source) {
            note_view(derive, at, view->id);
            note_view(derive, at->by_label, view->id);
        }
}

static bool note_stages(struct derive *derive, const struct view_set *views, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct kept_stage *kept = &derive->view_stages[derive->view_stage_count];
        kept->stage = view_set_stage_at(views, i);
        if (!map_add(&derive->by_stage, kept))
            return false;
        derive->view_stage_count++;
    }
    if (count)
        note_views(derive, views);
    for (size_t i = 0; i < count; i++) /* all the rows of an export by label */
        note_view(derive, derive->view_stages[i].stage, derive->view_stages[i].stage->export_name);
    return true;
}

static void add_to_export(struct derived_export *export, struct derived *derived)
{
    if (export->last_stage)
        export->last_stage->next_of_export = derived;
    else
        export->stages = derived;
    export->last_stage = derived;
}

static struct derived *add_stage(struct derive *derive, const struct kept_stage *kept,
                                 const struct store_stage *row)
{
    const struct view_stage *stage = kept->stage;
    struct derived *derived = memory_new(sizeof *derived);
    if (!derived)
        return NULL;
    derived->stage = stage;
    derived->view = kept->view;
    derived->id = row->id;
    derived->built = row->built;
    derive_touch_init(derived);
    buffer_init(&derived->sort_keys, SIZE_MAX / 2);
    derive->stages[derive->stage_count++] = derived;
    derived->export = ensure_export(derive, row->export_id);
    if (derived->export)
        add_to_export(derived->export, derived);
    derived->source = stage->source ? ensure_slice(derive, stage->source) : NULL;
    bool done = derived->export && (!stage->source || derived->source) &&
                map_add(&derive->by_number, derived);
    return done ? derived : NULL;
}

static bool ensure_stage(struct derive *derive, struct kept_stage *kept, struct error *error)
{
    const struct view_stage *stage = kept->stage;
    struct store_writer *store = derive->context.store;
    struct store_stage row;
    uint32_t export_id;
    if (!store_export_ensure(store, span_of(stage->export_name), &export_id, error) ||
        !store_stage_ensure(store, span_of(stage->definition), export_id,
                            !stage->source && !stage->predicate, &row, error))
        return false;
    kept->kept = map_get(&derive->by_number, span_make((const char *)&row.id, sizeof row.id));
    if (!kept->kept)
        kept->kept = add_stage(derive, kept, &row);
    if (!kept->kept)
        return out_of_memory(error);
    kept->next_of_kept = kept->kept->views;
    kept->kept->views = kept;
    derive->timed = derive->timed || stage->timed;
    if (stage->timed)
        derive_expect_turn(derive, kept->kept, 0);
    return true;
}

static bool make_room(struct derive *derive, size_t count)
{
    derive->view_stages = memory_new(count * sizeof *derive->view_stages);
    derive->stages = memory_new(count * sizeof(void *));
    derive->slices = memory_new(count * sizeof(void *));
    derive->exports = memory_new(count * sizeof(void *));
    return derive->view_stages && derive->stages && derive->slices && derive->exports;
}

static bool ensure_stages(struct derive *derive, const struct view_set *views, struct error *error)
{
    size_t count = 0;
    while (views && view_set_stage_at(views, count))
        count++;
    if (!make_room(derive, count + 1) || !note_stages(derive, views, count))
        return out_of_memory(error);
    if (!store_begin(derive->context.store, error))
        return false;
    bool done = true;
    for (size_t i = 0; done && i < count; i++)
        done = ensure_stage(derive, &derive->view_stages[i], error);
    done = done && (!derive->timed || (derive_read_now(derive, error) &&
                                       derive_store_now(derive, derive->now, error)));
    done = done && store_commit(derive->context.store, error);
    if (!done)
        store_rollback(derive->context.store);
    derive->stored_now = derive->now;
    return done;
}

/* ---- building ---- */

static bool build_stages(struct derive *derive, struct error *error)
{
    for (size_t i = 0; i < derive->stage_count; i++) {
        struct derived *derived = derive->stages[i];
        if (!derived->built && !derive_build(derive, derived, error))
            return error_prefix(error, "view %s", derived->view);
        for (struct derived_slice *slice = derived->slices; slice; slice = slice->next)
            if (!derive_slice_load(derive, slice, error))
                return false;
    }
    derive->loaded = true;
    return true;
}

/* ---- the SQL views, and what no view needs any more ---- */

static bool define_views(struct derive *derive, const struct view_set *views, struct span *ids,
                         size_t *count, struct error *error)
{
    const struct view *view;
    *count = 0;
    for (size_t i = 0; views && (view = view_set_at(views, i)); i++) {
        struct derived *derived = view->stage ? stage_of_set(derive, view->stage)->kept : NULL;
        if (!view_is_standard(view))
            ids[(*count)++] = span_of(view->id);
        if (!derived)
            continue;
        if (!define_view(derive->context.store, view, derived->export->id, derived->id, error) ||
            !define_shape(derive->context.store, view, derived->export->id, false, error))
            return false;
    }
    return true;
}

static bool retire_others(struct derive *derive, struct error *error)
{
    int64_t *ids = memory_new((derive->stage_count + 1) * sizeof *ids);
    if (!ids)
        return out_of_memory(error);
    for (size_t i = 0; i < derive->stage_count; i++)
        ids[i] = derive->stages[i]->id;
    bool done = store_stage_retire_others(derive->context.store, ids, derive->stage_count, error);
    memory_free(ids);
    return done;
}

/* In one transaction: until all is built, the SQL views show what they showed before. */
static bool take_over(struct derive *derive, const struct view_set *views, struct error *error)
{
    size_t count = 0;
    while (views && view_set_at(views, count))
        count++;
    struct span *ids = memory_new((count + 1) * sizeof *ids);
    if (!ids)
        return out_of_memory(error);
    bool done = store_begin(derive->context.store, error) &&
                define_views(derive, views, ids, &count, error) &&
                sql_views_drop_others(store_writer_state(derive->context.store).sql_views, ids,
                                      count, error) &&
                retire_others(derive, error) && store_commit(derive->context.store, error);
    memory_free(ids);
    if (!done)
        store_rollback(derive->context.store);
    return done;
}

struct derived_export *derive_export(struct derive *derive, uint32_t export_id,
                                     const struct view_scope *scope)
{
    struct derived_export *export = find_export(derive, export_id);
    if (export)
        export->scope = scope;
    return export;
}

static void derived_free(struct derived *derived)
{
    derive_touch_clear(derived);
    map_fini(&derived->touches);
    buffer_fini(&derived->lowest);
    buffer_fini(&derived->sort_keys);
    memory_free(derived->due.ids);
    memory_free(derived->moves);
    memory_free(derived);
}

void derive_close(struct derive *derive)
{
    if (!derive)
        return;
    derive_abandon(derive);
    for (size_t i = 0; i < derive->stage_count; i++)
        derived_free(derive->stages[i]);
    for (size_t i = 0; i < derive->slice_count; i++) {
        derive_slice_fini(derive->slices[i]);
        memory_free(derive->slices[i]);
    }
    for (size_t i = 0; i < derive->export_count; i++) {
        memory_free(derive->exports[i]->steps.items);
        memory_free(derive->exports[i]);
    }
    map_fini(&derive->by_stage);
    map_fini(&derive->by_number);
    map_fini(&derive->by_export);
    buffer_fini(&derive->was);
    buffer_fini(&derive->is);
    memory_free(derive->ids.ids);
    memory_free(derive->texts);
    memory_free(derive->view_stages);
    memory_free(derive->stages);
    memory_free(derive->slices);
    memory_free(derive->exports);
    memory_free(derive);
}

struct derive *derive_open(const struct derive_context *context, const struct view_set *views,
                           struct error *error)
{
    struct derive *derive = memory_new(sizeof *derive);
    if (!derive) {
        out_of_memory(error);
        return NULL;
    }
    derive->context = *context;
    if (!context->rows)
        derive->context.rows = DERIVE_ROWS;
    derive->sweeping = true;
    buffer_init(&derive->was, SIZE_MAX / 2);
    buffer_init(&derive->is, SIZE_MAX / 2);
    map_init(&derive->by_stage, stage_key);
    map_init(&derive->by_number, derived_key);
    map_init(&derive->by_export, export_key);
    if (ensure_stages(derive, views, error) && build_stages(derive, error) &&
        take_over(derive, views, error))
        return derive;
    derive_close(derive);
    return NULL;
}
