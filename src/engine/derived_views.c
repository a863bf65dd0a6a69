/* Derived views on the writer: what they need of it, and what they are told. */
#include "engine/engine_internal.h"

static int64_t now_ms(void *writer)
{
    return engine_times(((struct writer *)writer)->engine).now;
}

static void pass_gate(void *writer)
{
    checkpoints_pass(&((struct writer *)writer)->engine->checkpoints);
}

bool writer_open_views(struct writer *writer, const struct view_set *views, struct error *error)
{
    struct derive_context context = {
        .store = writer->store,
        .now_ms = now_ms,
        .pass_gate = pass_gate,
        .give_up = writer->engine->options.give_up,
        .rows = writer->engine->options.derived_rows,
        .stages_visited = &writer->engine->metrics.stages_visited,
        .argument = writer,
    };
    size_t position = 0;
    struct export_state *export;
    writer->derive = derive_open(&context, views, error);
    if (!writer->derive)
        return false;
    while ((export = map_next(&writer->exports, &position)))
        export->derived = derive_export(writer->derive, export->id, export->scope);
    return true;
}

static bool note_entity(struct derive *derive, const struct entity *entity)
{
    if (!entity->export->derived)
        return true;
    bool same = entity->before == entity->data && entity->before_id == entity->id &&
                seq_compare(entity->before_seq, entity->seq) == 0;
    if (same || (!entity->before && !entity->data))
        return true;
    const struct derive_change change = {.key = entity_key(entity),
                                         .before = entity->before,
                                         .after = entity->data,
                                         .before_seq = entity->before_seq,
                                         .after_seq = entity->seq,
                                         .before_id = entity->before_id,
                                         .after_id = entity->data ? entity->id : 0};
    return derive_note(derive, entity->export->derived, &change);
}

bool writer_derive(struct writer *writer, struct error *error)
{
    if (!writer->derive)
        return true;
    for (struct entity *entity = writer->cache.dirty; entity; entity = entity->next_dirty)
        if (!note_entity(writer->derive, entity))
            return error_set(error, ERROR_MEMORY, "out of memory while keeping a view");
    return derive_update(writer->derive, writer->open.last_change, error);
}
