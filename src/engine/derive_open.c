/* At start: the stages of the configured views are found, made, built; the others retired. */
#include "engine/derive_internal.h"

#include <stdio.h>

static bool out_of_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "out of memory while preparing the views");
}

/* ---- what there is to keep ---- */

static struct derived_export *find_export(struct derive *derive, uint32_t id)
{
    for (size_t i = 0; i < derive->export_count; i++)
        if (derive->exports[i]->id == id)
            return derive->exports[i];
    struct derived_export *export = memory_new(sizeof *export);
    if (!export)
        return NULL;
    export->id = id;
    derive->exports[derive->export_count++] = export;
    return export;
}

static struct derived *find_kept(const struct derive *derive, const struct view_stage *stage)
{
    for (size_t i = 0; i < derive->view_stage_count; i++)
        if (derive->view_stages[i] == stage)
            return derive->kept_as[i];
    return NULL;
}

int64_t derive_stage_number(const struct derive *derive, const struct view_stage *stage)
{
    const struct derived *kept = derive ? find_kept(derive, stage) : NULL;
    return kept ? kept->id : 0;
}

static struct derived_slice *find_slice(struct derive *derive, const struct view_stage *stage)
{
    for (size_t i = 0; i < derive->slice_count; i++)
        if (derive->slices[i]->stage == stage)
            return derive->slices[i];
    struct derived *of = find_kept(derive, stage);
    struct derived_slice *slice = of ? memory_new(sizeof *slice) : NULL;
    if (!slice)
        return NULL;
    derive_slice_init(slice, stage, of);
    derive->slices[derive->slice_count++] = slice;
    return slice;
}

/* The view that the stage is for: its own, or one over it. */
static const char *view_of(const struct view_set *views, const struct view_stage *stage)
{
    const struct view *view;
    for (size_t i = 0; (view = view_set_at(views, i)); i++)
        for (const struct view_stage *at = view->stage; at; at = at->source)
            if (at == stage || at->by_label == stage)
                return view->id;
    return stage->export_name; /* all its rows by label */
}

static struct derived *add_stage(struct derive *derive, const struct view_set *views,
                                 const struct view_stage *stage, const struct store_stage *row)
{
    struct derived *derived = memory_new(sizeof *derived);
    if (!derived)
        return NULL;
    derived->stage = stage;
    derived->view = view_of(views, stage);
    derived->id = row->id;
    derived->built = row->built;
    derive_touch_init(derived);
    buffer_init(&derived->places, SIZE_MAX / 2);
    derive->stages[derive->stage_count++] = derived;
    derived->export = find_export(derive, row->export_id);
    derived->source = stage->source ? find_slice(derive, stage->source) : NULL;
    bool done = derived->export && (!stage->source || derived->source);
    return done ? derived : NULL;
}

static bool ensure_stage(struct derive *derive, const struct view_set *views,
                         const struct view_stage *stage, struct error *error)
{
    struct store_writer *store = derive->writer->store;
    struct store_stage row;
    struct derived *derived = NULL;
    uint32_t export_id;
    if (!store_export_ensure(store, span_of(stage->export_name), &export_id, error) ||
        !store_stage_ensure(store, span_of(stage->definition), export_id,
                            !stage->source && !stage->predicate, &row, error))
        return false;
    for (size_t i = 0; i < derive->stage_count; i++)
        if (derive->stages[i]->id == row.id)
            derived = derive->stages[i];
    if (!derived)
        derived = add_stage(derive, views, stage, &row);
    if (!derived)
        return out_of_memory(error);
    derive->timed = derive->timed || stage->timed;
    derive->view_stages[derive->view_stage_count] = stage;
    derive->kept_as[derive->view_stage_count++] = derived;
    return true;
}

static bool make_room(struct derive *derive, size_t count)
{
    derive->view_stages = memory_new(count * sizeof(void *));
    derive->kept_as = memory_new(count * sizeof(void *));
    derive->stages = memory_new(count * sizeof(void *));
    derive->slices = memory_new(count * sizeof(void *));
    derive->exports = memory_new(count * sizeof(void *));
    return derive->view_stages && derive->kept_as && derive->stages && derive->slices &&
           derive->exports;
}

static bool ensure_stages(struct derive *derive, const struct view_set *views, struct error *error)
{
    const struct view_stage *stage;
    size_t count = 0;
    while (views && view_set_stage_at(views, count))
        count++;
    if (!make_room(derive, count + 1))
        return out_of_memory(error);
    if (!store_begin(derive->writer->store, error))
        return false;
    bool done = true;
    for (size_t i = 0; done && i < count && (stage = view_set_stage_at(views, i)); i++)
        done = ensure_stage(derive, views, stage, error);
    done = done && (!derive->timed || (derive_read_now(derive, error) &&
                                       derive_store_now(derive, derive->now, error)));
    done = done && store_commit(derive->writer->store, error);
    if (!done)
        store_rollback(derive->writer->store);
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
        for (size_t j = 0; j < derive->slice_count; j++)
            if (derive->slices[j]->of == derived &&
                !derive_slice_load(derive, derive->slices[j], error))
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
        struct derived *derived = view->stage ? find_kept(derive, view->stage) : NULL;
        if (!view_is_standard(view))
            ids[(*count)++] = span_of(view->id);
        if (!derived)
            continue;
        if (!writer_define_view(derive->writer, view, derived->export->id, derived->id, error) ||
            !writer_note_shape(derive->writer, view, derived->export->id, false, error))
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
    bool done = store_stage_retire_others(derive->writer->store, ids, derive->stage_count, error);
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
    bool done = store_begin(derive->writer->store, error) &&
                define_views(derive, views, ids, &count, error) &&
                store_view_drop_others(derive->writer->store, ids, count, error) &&
                retire_others(derive, error) && store_commit(derive->writer->store, error);
    memory_free(ids);
    if (!done)
        store_rollback(derive->writer->store);
    return done;
}

static void attach_exports(struct derive *derive)
{
    size_t position = 0;
    struct export_state *export;
    while ((export = map_next(&derive->writer->exports, &position)))
        for (size_t i = 0; i < derive->export_count; i++)
            if (derive->exports[i]->id == export->id) {
                export->derived = derive->exports[i];
                export->derived->scope = export->scope;
            }
}

bool derive_open(struct writer *writer, const struct view_set *views, struct error *error)
{
    struct derive *derive = memory_new(sizeof *derive);
    if (!derive)
        return out_of_memory(error);
    writer->derive = derive;
    derive->writer = writer;
    derive->sweeping = true;
    buffer_init(&derive->was, SIZE_MAX / 2);
    buffer_init(&derive->is, SIZE_MAX / 2);
    if (!ensure_stages(derive, views, error) || !build_stages(derive, error) ||
        !take_over(derive, views, error))
        return false;
    attach_exports(derive);
    return true;
}

static void derived_free(struct derived *derived)
{
    derive_touch_clear(derived);
    map_fini(&derived->touches);
    buffer_fini(&derived->lowest);
    buffer_fini(&derived->places);
    memory_free(derived->due.ids);
    memory_free(derived->moves);
    memory_free(derived);
}

void derive_close(struct writer *writer)
{
    struct derive *derive = writer->derive;
    if (!derive)
        return;
    writer_derive_abandon(writer);
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
    buffer_fini(&derive->was);
    buffer_fini(&derive->is);
    memory_free(derive->ids.ids);
    memory_free(derive->texts);
    memory_free(derive->view_stages);
    memory_free(derive->kept_as);
    memory_free(derive->stages);
    memory_free(derive->slices);
    memory_free(derive->exports);
    memory_free(derive);
    writer->derive = NULL;
}
