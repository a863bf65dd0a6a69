/*
 * Bringing a transaction into the database. Changes go into the log as they are made; each dirty
 * entity is written once, at the end, however often it changed.
 */
#include "engine/engine_internal.h"

/* ---- the log ---- */

/* A row that changed scope leaves a tombstone in the old scope; one in the new scope goes. A row
 * that nobody may see leaves none. */
static bool log_scopes(struct writer *writer, const struct store_change *change,
                       struct error *error)
{
    bool gone = row_is_gone(change->operation);
    struct span left = gone ? change->scope : change->scope_left;
    struct span nobody = span_of(VIEW_SCOPE_NOBODY);
    if (!change->scope.data)
        return true;
    if (left.data && !span_equal(left, nobody) &&
        !store_tombstone_put(writer->store, change->export_id, change->key, left, change->id,
                             change->seq, change->at, error))
        return false;
    return gone || change->operation == ROW_PATCH ||
           store_tombstone_remove(writer->store, change->export_id, change->key, change->scope,
                                  error);
}

bool writer_log_pending(struct writer *writer, struct error *error)
{
    for (size_t i = 0; i < writer->applying.pending_count; i++) {
        struct pending_change *pending = &writer->applying.pending[i];
        struct change *change = pending->change;
        INVARIANT(change->id == store_writer_state(writer->store).log->last_change + 1);
        struct store_change row = {.id = change->id,
                                   .export_id = change->export_id,
                                   .operation = change->operation,
                                   .seq = {change->slot, change->index},
                                   .at = writer->open.now,
                                   .key = change_key(change),
                                   .patch = pending->log_patch,
                                   .append = pending->log_append,
                                   .scope = change_scope(change),
                                   .scope_left = change_scope_left(change)};
        if (!store_change_append(writer->store, &row, error) || !log_scopes(writer, &row, error))
            return false;
        if (!array_reserve((void **)&writer->open.changes, writer->open.change_count,
                           &writer->open.change_capacity, sizeof *writer->open.changes))
            return error_set(error, ERROR_MEMORY, "out of memory while logging a change");
        writer->open.changes[writer->open.change_count++] = change;
        counter_add(&writer->engine->metrics.evictions, change->operation == ROW_EVICT);
        pending->change = NULL;
    }
    writer->applying.pending_count = 0;
    return true;
}

/* ---- entities ---- */

static bool flush_deleted(struct writer *writer, struct entity *entity, struct error *error)
{
    uint32_t export_id = entity->export->id;
    if (entity->stored && !store_entity_delete(writer->store, export_id, entity->id, error))
        return false;
    entity->stored = false;
    if (entity->change == 0 || entity->export->scope)
        return true; /* never was there: an undone creation; or it is noted already */
    return store_tombstone_put(writer->store, export_id, entity_key(entity), span_make(NULL, 0),
                               entity->change, entity->seq, entity->at, error);
}

static bool flush_present(struct writer *writer, struct entity *entity, struct error *error)
{
    uint32_t export_id = entity->export->id;
    struct store_entity row = {.id = entity->id,
                               .change = entity->change,
                               .seq = entity->seq,
                               .key = entity_key(entity),
                               .data = text_span(entity->data)};
    if (entity->stored)
        return store_entity_update(writer->store, export_id, &row, error);
    if (!store_entity_insert(writer->store, export_id, &row, error) ||
        (!entity->export->scope &&
         !store_tombstone_remove(writer->store, export_id, row.key, span_make(NULL, 0), error)))
        return false;
    entity->id = row.id;
    entity->stored = true;
    return true;
}

bool writer_flush(struct writer *writer, struct error *error)
{
    /* Else a row would hold a change that the log lacks. */
    INVARIANT(!writer->applying.pending_count);
    entity_cache_sort_dirty(&writer->cache);
    for (struct entity *entity = writer->cache.dirty; entity; entity = entity->next_dirty) {
        INVARIANT(entity->dirty && !entity->draft && entity->change <= writer->open.last_change);
        if (entity->next_dirty)
            __builtin_prefetch(entity->next_dirty->data);
        if (!(entity->data ? flush_present : flush_deleted)(writer, entity, error))
            return false;
    }
    return true;
}
