/*
 * The changes that a submission makes: recorded as pending, and taken back when the submission
 * turns out to be unacceptable. Nothing of it is in the log until then.
 */
#include "engine/engine_internal.h"

/* ---- undo ---- */

/* Once per entity and submission: only what it was before the first change matters. */
bool writer_undo_note(struct writer *writer, struct entity *entity, struct error *error)
{
    INVARIANT(entity->noted <= writer->applying.number);
    eviction_remember(entity->export, writer->applying.number);
    if (entity->noted == writer->applying.number)
        return true;
    if (!array_reserve((void **)&writer->applying.undos, writer->applying.undo_count,
                       &writer->applying.undo_capacity, sizeof *writer->applying.undos))
        return error_set(error, ERROR_MEMORY, "out of memory while merging");
    entity->noted = writer->applying.number;
    writer_note_touched(writer, entity);
    writer->applying.undos[writer->applying.undo_count++] =
        (struct undo){.entity = entity,
                      .data = text_ref(entity->data),
                      .change = entity->change,
                      .at = entity->at,
                      .seq = entity->seq};
    return true;
}

static void put_back(struct writer *writer, struct undo *undo)
{
    entity_cache_set_data(&writer->cache, undo->entity, undo->data);
    undo->entity->change = undo->change;
    undo->entity->seq = undo->seq;
    undo->entity->at = undo->at;
    eviction_undo(undo->entity->export);
}

void writer_undo_end(struct writer *writer, bool undo)
{
    while (writer->applying.undo_count) {
        struct undo *last = &writer->applying.undos[--writer->applying.undo_count];
        if (undo)
            put_back(writer, last);
        else
            text_unref(last->data);
    }
    while (undo && writer->applying.pending_count)
        change_unref(writer->applying.pending[--writer->applying.pending_count].change);
}

/* ---- changes ---- */

/* Of a delete, what was counts as its scope. */
static void note_scopes(const struct entity *entity, const struct text *data,
                        struct change_texts *texts)
{
    if (entity->draft) {
        texts->scope = entity_draft_label(entity);
        return;
    }
    struct span before = export_label(entity->export, entity->data);
    texts->scope = data ? export_label(entity->export, data) : before;
    if (data && before.data && !span_equal(before, texts->scope))
        texts->scope_left = before;
}

/* Before an entity changes for the first time in a transaction: remember what it is. */
static void keep_before(struct entity *entity)
{
    if (entity->dirty || !entity->export->derived)
        return;
    entity->before = text_ref(entity->data);
    entity->before_seq = entity->seq;
    entity->before_id = entity->data ? entity->id : 0;
}

bool writer_record(struct writer *writer, struct entity *entity, enum row_operation operation,
                   struct seq seq, struct text *data, struct span patch, struct span append,
                   uint64_t received_us, struct error *error)
{
    /* Otherwise the patch is the whole entity already; a large one is fetched when it is wanted. */
    bool keep = operation == ROW_PATCH && data && data->length <= KEPT_ENTITY;
    bool was_there = entity->data != NULL;
    struct change *change = NULL;
    INVARIANT(entity->change <= writer->open.last_change);
    struct change_texts texts = {.key = entity_key(entity),
                                 .patch = patch,
                                 .append = append,
                                 .entity = keep ? text_span(data) : span_make(NULL, 0)};
    if (entity->export->scope)
        note_scopes(entity, data, &texts);
    if (array_reserve((void **)&writer->applying.pending, writer->applying.pending_count,
                      &writer->applying.pending_capacity, sizeof *writer->applying.pending) &&
        eviction_reserve(writer, entity->export))
        change = change_new(&writer->open.slab, &texts);
    if (!change) {
        text_unref(data);
        return error_set(error, ERROR_MEMORY, "out of memory while recording a change");
    }
    writer->applying.bytes += change_memory(change);
    change->operation = operation;
    change->export_id = entity->export->id;
    change->id = ++writer->open.last_change;
    change->slot = seq.slot;
    change->index = seq.index;
    change->previous_change = entity->data ? entity->change : 0;
    change->previous_slot = entity->seq.slot;
    change->previous_index = entity->seq.index;
    change->received_us = received_us;
    writer->applying.pending[writer->applying.pending_count++] =
        (struct pending_change){.change = change};
    keep_before(entity);
    if (data != entity->data)
        writer_draft_drop(writer, entity);
    entity_cache_set_data(&writer->cache, entity, data);
    entity->change = change->id;
    entity->seq = seq;
    entity->at = writer->open.now;
    entity_cache_mark_dirty(&writer->cache, entity);
    eviction_note(entity, was_there);
    return true;
}

struct seq writer_next_seq(struct writer *writer, const struct mutation *mutation)
{
    struct seq seq = mutation->seq;
    if (!mutation->has_seq) {
        /* No producer's slot is the last, and nobody counts through all indexes of that one. */
        seq = writer->open.head;
        if (seq.index < INT64_MAX)
            seq.index++;
        else if (seq.slot < INT64_MAX)
            seq = (struct seq){seq.slot + 1, 0};
    }
    if (seq_compare(seq, writer->open.head) > 0)
        writer->open.head = seq;
    return seq;
}
