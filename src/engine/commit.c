/*
 * Bringing a transaction into the database and telling the loop about it.
 *
 * Order: changes go into the log as they are made; each dirty entity is written once, at the end,
 * however often it changed; only when COMMIT has returned is anything published.
 */
#include "engine/engine_internal.h"

/* ---- exports ---- */

static struct export_state *export_new(const struct writer *writer, struct span name, uint32_t id)
{
    struct export_state *export = memory_alloc(sizeof *export + name.length);
    if (!export)
        return NULL;
    char *copy = (char *)(export + 1);
    memcpy(copy, name.data, name.length);
    *export =
        (struct export_state){.id = id,
                              .max_array = array_length_of(&writer->engine->array_lengths, name),
                              .name = span_make(copy, name.length)};
    return export;
}

void export_free(struct export_state *export)
{
    if (!export)
        return;
    INVARIANT(!export->cached); /* else an entity in the cache names it */
    eviction_free(export);
    export_forget_truncations(export);
    memory_free(export);
}

static bool note_new_export(struct writer *writer, const struct export_state *export)
{
    if (!array_reserve((void **)&writer->new_exports, writer->new_export_count,
                       &writer->new_export_capacity, sizeof *writer->new_exports))
        return false;
    char *name = memory_copy_string(export->name.data, export->name.length);
    if (!name)
        return false;
    writer->new_exports[writer->new_export_count++] =
        (struct store_export){.id = export->id, .name = span_make(name, export->name.length)};
    return true;
}

bool writer_export(struct writer *writer, struct span name, struct export_state **export,
                   struct error *error)
{
    const struct engine_options *options = &writer->engine->options;
    *export = map_get(&writer->exports, name);
    if (*export || !options->open_exports)
        return true;
    if (writer->exports.count >= options->max_exports)
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "export '%.*s' would be number %zu; raise max_exports or name the exports "
                         "in the configuration",
                         (int)name.length, name.data, writer->exports.count + 1);
    size_t waiting = writer->new_export_count - writer->new_exports_stored;
    uint32_t id = store_export_count(writer->store) + (uint32_t)waiting + 1;
    *export = export_new(writer, name, id);
    if (!*export || !note_new_export(writer, *export) || !map_add(&writer->exports, *export)) {
        memory_free(*export);
        *export = NULL;
        return error_set(error, ERROR_MEMORY, "out of memory while adding an export");
    }
    return true;
}

bool writer_store_exports(struct writer *writer, struct error *error)
{
    INVARIANT(writer->new_exports_stored <= writer->new_export_count);
    while (writer->new_exports_stored < writer->new_export_count) {
        const struct store_export *row = &writer->new_exports[writer->new_exports_stored];
        uint32_t id;
        if (!store_export_add(writer->store, row->name, &id, error))
            return false;
        if (id != row->id)
            return error_set(error, ERROR_INTERNAL, "export %u was stored as %u", row->id, id);
        writer->new_exports_stored++;
    }
    return true;
}

void writer_forget_exports(struct writer *writer, size_t first)
{
    INVARIANT(first <= writer->new_export_count);
    while (writer->new_export_count > first) {
        struct span name = writer->new_exports[--writer->new_export_count].name;
        struct export_state *export = map_remove(&writer->exports, name);
        if (export)
            entity_cache_drop_export(&writer->cache, export);
        export_free(export);
        memory_free((void *)name.data);
    }
    if (writer->new_exports_stored > first)
        writer->new_exports_stored = first;
}

/* ---- the log ---- */

/* What a row left, who could see it there must be told; what it came to, not any more. Nobody saw
 * what nobody may see. */
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
    for (size_t i = 0; i < writer->pending_count; i++) {
        struct pending_change *pending = &writer->pending[i];
        struct change *change = pending->change;
        INVARIANT(change->id == store_writer_log(writer->store)->last_change + 1);
        struct store_change row = {.id = change->id,
                                   .export_id = change->export_id,
                                   .operation = change->operation,
                                   .seq = {change->slot, change->index},
                                   .at = writer->now,
                                   .key = change_key(change),
                                   .patch = pending->log_patch,
                                   .append = pending->log_append,
                                   .scope = change_scope(change),
                                   .scope_left = change_scope_left(change)};
        if (!store_change_append(writer->store, &row, error) || !log_scopes(writer, &row, error))
            return false;
        if (!array_reserve((void **)&writer->changes, writer->change_count,
                           &writer->change_capacity, sizeof *writer->changes))
            return error_set(error, ERROR_MEMORY, "out of memory while logging a change");
        writer->changes[writer->change_count++] = change;
        counter_add(&writer->engine->metrics.evictions, change->operation == ROW_EVICT);
        pending->change = NULL;
    }
    writer->pending_count = 0;
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
    INVARIANT(!writer->pending_count); /* else a row would hold a change that the log lacks */
    for (struct entity *entity = writer->cache.dirty; entity; entity = entity->next_dirty) {
        INVARIANT(entity->dirty && !entity->draft && entity->change <= writer->last_change);
        if (!(entity->data ? flush_present : flush_deleted)(writer, entity, error))
            return false;
    }
    return true;
}

/* ---- telling the loop ---- */

static void commit_free(struct engine_commit *commit)
{
    for (size_t i = 0; i < commit->count; i++)
        change_unref(commit->changes[i]);
    for (size_t i = 0; i < commit->export_count; i++)
        memory_free((void *)commit->exports[i].name.data);
    derive_touched_free(commit->touches, commit->touch_count);
    memory_free(commit->changes);
    memory_free(commit->submissions);
    memory_free(commit->exports);
    memory_free(commit);
}

/* On the loop: the hub first, so that frames are on their way before their acknowledgement. */
static void commit_deliver(struct engine_event *event)
{
    struct engine_commit *commit = (struct engine_commit *)event;
    const struct engine_options *options = &commit->engine->options;
    if (options->on_commit && (commit->count || commit->export_count || commit->touch_count)) {
        options->on_commit(options->argument, commit);
        commit->count = 0;
    }
    for (size_t i = 0; i < commit->submission_count; i++)
        commit->submissions[i]->event.deliver(&commit->submissions[i]->event);
    commit_free(commit);
}

static size_t commit_memory(const struct engine_commit *commit)
{
    size_t bytes = sizeof *commit;
    for (size_t i = 0; i < commit->count; i++)
        bytes += change_memory(commit->changes[i]);
    for (size_t i = 0; i < commit->touch_count; i++)
        bytes += sizeof commit->touches[i] + commit->touches[i].place.length +
                 commit->touches[i].label.length;
    return bytes;
}

bool writer_prepare(struct writer *writer)
{
    if (!writer->commit)
        writer->commit = memory_new(sizeof *writer->commit);
    return writer->commit != NULL;
}

/* A transaction that was never begun, for lack of memory: its submissions are answered singly. */
static void answer_singly(struct writer *writer)
{
    for (size_t i = 0; i < writer->submission_count; i++)
        engine_post(writer->engine, &writer->submissions[i]->event);
    writer->submission_count = 0;
}

void writer_publish(struct writer *writer)
{
    struct engine_commit *commit = writer->commit;
    size_t count = writer->change_count;
    INVARIANT(!writer->pending_count && !writer->undo_count && !writer->drafts);
    INVARIANT(!writer->cache.dirty && !writer->evicting);
    INVARIANT(writer->last_change == store_writer_log(writer->store)->last_change);
    INVARIANT(!count || writer->changes[count - 1]->id == writer->last_change);
    INVARIANT(!count || writer->changes[0]->id == writer->last_change - (int64_t)count + 1);
    INVARIANT(writer->new_exports_stored == writer->new_export_count);
    if (!writer->change_count && !writer->submission_count && !writer->new_export_count &&
        !writer->touch_count)
        return;
    if (!commit) {
        answer_singly(writer);
        return;
    }
    writer->commit = NULL;
    *commit = (struct engine_commit){.event.deliver = commit_deliver,
                                     .engine = writer->engine,
                                     .changes = writer->changes,
                                     .count = writer->change_count,
                                     .submissions = writer->submissions,
                                     .submission_count = writer->submission_count,
                                     .last_change = writer->last_change,
                                     .head = writer->head,
                                     .exports = writer->new_exports,
                                     .export_count = writer->new_export_count,
                                     .touches = writer->touches,
                                     .touch_count = writer->touch_count,
                                     .committed_us = clock_monotonic_us()};
    commit->event.item.bytes = commit_memory(commit);
    writer->changes = NULL;
    writer->submissions = NULL;
    writer->new_exports = NULL;
    writer->touches = NULL;
    writer->touch_count = 0;
    writer->change_count = writer->change_capacity = 0;
    writer->submission_count = writer->submission_capacity = 0;
    writer->new_export_count = writer->new_export_capacity = writer->new_exports_stored = 0;
    if (!queue_put_wait(&writer->engine->commits, &commit->event.item))
        engine_post(writer->engine, &commit->event);
}

void writer_abandon(struct writer *writer, const struct error *error)
{
    for (size_t i = 0; i < writer->change_count; i++)
        change_unref(writer->changes[i]);
    writer->change_count = 0;
    while (writer->pending_count)
        change_unref(writer->pending[--writer->pending_count].change);
    for (size_t i = 0; i < writer->submission_count; i++) {
        struct submission *submission = writer->submissions[i];
        submission->error = *error;
        submission_reset(submission);
        batch_order_refuse(submission->order, submission);
    }
    derive_abandon(writer->derive);
    entity_cache_clear(&writer->cache);
    keyed_forget(writer);
    writer_forget_exports(writer, 0);
    writer_evict_reset(writer);
    while (writer->undo_count)
        text_unref(writer->undos[--writer->undo_count].data);
    writer->last_change = store_writer_log(writer->store)->last_change;
    writer->head = store_writer_log(writer->store)->head;
}
