/*
 * Applying one submission: mutations are merged in memory, one after the other, into the entities
 * of the writer's cache, and their changes noted as pending. Nothing of it is in the log yet, so
 * a submission that turns out to be unacceptable is undone by putting the entities back.
 */
#include "engine/producers.h"

/* ---- undo ---- */

/* Once per entity and submission: only what it was before the first change matters. */
bool writer_undo_note(struct writer *writer, struct entity *entity, struct error *error)
{
    INVARIANT(entity->noted <= writer->submission_number);
    eviction_remember(entity->export, writer->submission_number);
    if (entity->noted == writer->submission_number)
        return true;
    if (!array_reserve((void **)&writer->undos, writer->undo_count, &writer->undo_capacity,
                       sizeof *writer->undos))
        return error_set(error, ERROR_MEMORY, "out of memory while merging");
    entity->noted = writer->submission_number;
    writer->undos[writer->undo_count++] = (struct undo){.entity = entity,
                                                        .data = text_ref(entity->data),
                                                        .change = entity->change,
                                                        .at = entity->at,
                                                        .seq = entity->seq};
    return true;
}

static void undo_forget(struct writer *writer)
{
    while (writer->undo_count)
        text_unref(writer->undos[--writer->undo_count].data);
}

static void undo_all(struct writer *writer)
{
    while (writer->undo_count) {
        struct undo *undo = &writer->undos[--writer->undo_count];
        entity_cache_set_data(&writer->cache, undo->entity, undo->data);
        undo->entity->change = undo->change;
        undo->entity->seq = undo->seq;
        undo->entity->at = undo->at;
        eviction_undo(undo->entity->export);
    }
    while (writer->pending_count)
        change_unref(writer->pending[--writer->pending_count].change);
}

/* ---- what a mutation needs ---- */

static struct entity *cache_row(struct writer *writer, struct export_state *export,
                                const struct store_entity *row, struct error *error)
{
    struct text *data = text_new(row->data.data, row->data.length);
    writer_note_merged(writer, row->data.length);
    struct entity *entity = data ? entity_cache_add(&writer->cache, export, row->key) : NULL;
    if (!entity) {
        text_unref(data);
        error_set(error, ERROR_MEMORY, "out of memory while reading an entity");
        return NULL;
    }
    entity_cache_set_data(&writer->cache, entity, data);
    entity->id = row->id;
    entity->change = row->change;
    entity->seq = row->seq;
    entity->stored = true;
    return entity;
}

struct entity *writer_entity(struct writer *writer, struct export_state *export, struct span key,
                             struct error *error)
{
    struct entity *entity;
    if (!entity_cache_find(&writer->cache, export, key, &entity)) {
        error_set(error, ERROR_MEMORY, "out of memory while looking for an entity");
        return NULL;
    }
    if (entity) {
        counter_add(&writer->engine->metrics.cache_hits, 1);
        return entity;
    }
    counter_add(&writer->engine->metrics.cache_misses, 1);
    struct store_entity row;
    bool found;
    if (!store_entity_get(writer->store, export->id, key, &row, &found, error))
        return NULL;
    if (found)
        return cache_row(writer, export, &row, error);
    entity = entity_cache_add(&writer->cache, export, key);
    if (!entity)
        error_set(error, ERROR_MEMORY, "out of memory while reading an entity");
    return entity;
}

bool writer_entity_unchanged(struct writer *writer, struct export_state *export, int64_t id,
                             int64_t change, struct entity **entity, struct error *error)
{
    struct store_entity row;
    bool found;
    *entity = NULL;
    if (!store_entity_by_id(writer->store, id, &row, &found, error))
        return false;
    /* A number may be another entity's by now, a change never. */
    if (!found || row.change != change)
        return true;
    if (!entity_cache_find(&writer->cache, export, row.key, entity))
        return error_set(error, ERROR_MEMORY, "out of memory while looking for an entity");
    if (!*entity)
        return (*entity = cache_row(writer, export, &row, error)) != NULL;
    if (!(*entity)->data || (*entity)->change != change)
        *entity = NULL;
    return true;
}

struct span export_label(const struct export_state *export, const struct text *data)
{
    return export->scope && data ? view_scope_label(export->scope, text_span(data))
                                 : span_make(NULL, 0);
}

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

bool writer_record(struct writer *writer, struct entity *entity, enum row_operation operation,
                   struct seq seq, struct text *data, struct span patch, struct span append,
                   uint64_t received_us, struct error *error)
{
    /* Otherwise the patch is the whole entity already; a large one is fetched when it is wanted. */
    bool keep = operation == ROW_PATCH && data && data->length <= KEPT_ENTITY;
    bool was_there = entity->data != NULL;
    struct change *change = NULL;
    INVARIANT(entity->change <= writer->last_change);
    struct change_texts texts = {.key = entity_key(entity),
                                 .patch = patch,
                                 .append = append,
                                 .entity = keep ? text_span(data) : span_make(NULL, 0)};
    if (entity->export->scope)
        note_scopes(entity, data, &texts);
    if (array_reserve((void **)&writer->pending, writer->pending_count, &writer->pending_capacity,
                      sizeof *writer->pending) &&
        eviction_reserve(writer, entity->export))
        change = change_new(&writer->slab, &texts);
    if (!change) {
        text_unref(data);
        return error_set(error, ERROR_MEMORY, "out of memory while recording a change");
    }
    writer->submission_bytes += change_memory(change);
    change->operation = operation;
    change->export_id = entity->export->id;
    change->id = ++writer->last_change;
    change->slot = seq.slot;
    change->index = seq.index;
    change->previous_change = entity->data ? entity->change : 0;
    change->previous_slot = entity->seq.slot;
    change->previous_index = entity->seq.index;
    change->received_us = received_us;
    writer->pending[writer->pending_count++] = (struct pending_change){.change = change};
    entity_keep_before(entity);
    if (data != entity->data)
        writer_draft_drop(writer, entity);
    entity_cache_set_data(&writer->cache, entity, data);
    entity->change = change->id;
    entity->seq = seq;
    entity->at = writer->now;
    entity_cache_mark_dirty(&writer->cache, entity);
    eviction_note(entity, was_there);
    return true;
}

struct seq writer_next_seq(struct writer *writer, const struct mutation *mutation)
{
    struct seq seq = mutation->seq;
    if (!mutation->has_seq) {
        /* No producer's slot is the last, and nobody counts through all indexes of that one. */
        seq = writer->head;
        if (seq.index < INT64_MAX)
            seq.index++;
        else if (seq.slot < INT64_MAX)
            seq = (struct seq){seq.slot + 1, 0};
    }
    if (seq_compare(seq, writer->head) > 0)
        writer->head = seq;
    return seq;
}

/* ---- mutations, batches, the submission ---- */

static bool apply_delete(struct writer *writer, struct submission *submission,
                         const struct mutation *mutation, struct entity *entity,
                         struct error *error)
{
    return writer_record(writer, entity, ROW_DELETE, writer_next_seq(writer, mutation), NULL,
                         span_make(NULL, 0), span_make(NULL, 0), submission->received_us, error);
}

/*
 * Whether the mutation is only for what is older than it, and the entity is not, or was deleted or
 * evicted by something that is not, as far as the log reaches back.
 */
static bool find_stale(struct writer *writer, const struct mutation *mutation,
                       const struct entity *entity, bool *stale, struct error *error)
{
    struct seq known = entity->seq;
    /* Without a change of its own in this transaction, only the store knows what became of it. */
    bool found = entity->change != 0;
    *stale = false;
    if (!mutation->newer)
        return true;
    if (!found &&
        !store_change_gone(writer->store, entity->export->id, mutation->key, &known, &found, error))
        return false;
    *stale = found && seq_compare(mutation->seq, known) <= 0;
    return true;
}

/* Whether it can only take away from what is not there. A delete that is for what is older is noted
 * all the same. */
static bool finds_nothing(const struct submission *submission, const struct mutation *mutation,
                          const struct entity *entity)
{
    if (entity->data)
        return false;
    if (mutation->operation == ROW_DELETE)
        return !mutation->newer;
    return mutation->unset_count && !submission->doc.nodes[mutation->patch].count;
}

static bool apply_mutation(struct writer *writer, struct submission *submission,
                           const struct mutation *mutation, struct error *error)
{
    struct export_state *export = NULL;
    if (!large_admits(writer, 0, error) || !writer_may_merge(writer, error))
        return false;
    if (!writer_export(writer, mutation->export_name, &export, error))
        return false;
    if (!export)
        return writer_note_unknown(writer, submission, mutation->export_name, error);
    struct entity *entity = writer_entity(writer, export, mutation->key, error);
    if (!entity)
        return false;
    bool stale;
    if (!find_stale(writer, mutation, entity, &stale, error))
        return false;
    /* It leaves no trace, unless something older is to find one. */
    if (stale || finds_nothing(submission, mutation, entity)) {
        ++*(stale ? &submission->stale : &submission->ignored);
        return true;
    }
    if (!writer_undo_note(writer, entity, error))
        return false;
    bool existed = entity->data != NULL;
    bool done = mutation->operation == ROW_DELETE
                    ? apply_delete(writer, submission, mutation, entity, error)
                    : writer_apply_patch(writer, submission, mutation, entity, error);
    done = done && (existed || writer_evict_behind(writer, export, entity->seq,
                                                   submission->received_us, error));
    if (!done)
        return error_prefix(error, "mutation of %.*s '%.*s'", (int)mutation->export_name.length,
                            mutation->export_name.data,
                            mutation->key.length > 64 ? 64 : (int)mutation->key.length,
                            mutation->key.data);
    if (writer->submission_bytes > SUBMISSION_BYTES)
        return error_set(error, ERROR_TOO_LARGE,
                         "what the request changes takes more than %d MiB; send it in parts",
                         SUBMISSION_BYTES >> 20);
    submission->applied++;
    submission->has_seq = true;
    submission->seq = entity->seq;
    return true;
}

static bool apply_batch(struct writer *writer, struct submission *submission,
                        const struct submission_batch *batch, struct producer_table *table,
                        struct error *error)
{
    struct producer_state *producer;
    bool repeated;
    int64_t last_change = writer->last_change;
    if (!producer_admit(writer, submission, batch, table, &producer, &repeated, error))
        return false;
    for (size_t i = 0; !repeated && i < batch->count; i++)
        if (!apply_mutation(writer, submission, &submission->mutations[batch->first + i], error))
            return false;
    if (producer && !repeated)
        producer_advance(producer, submission, batch, writer->last_change > last_change);
    return true;
}

static bool apply_batches(struct writer *writer, struct submission *submission,
                          struct producer_table *table, struct error *error)
{
    for (size_t i = 0; i < submission->batch_count; i++)
        if (!apply_batch(writer, submission, &submission->batches[i], table, error))
            return false;
    return true;
}

/* Errors of the store end the transaction; all others only refuse the submission. */
static bool is_store_failure(enum error_code code)
{
    return code == ERROR_DISK_FULL || code == ERROR_DISK_FAILED || code == ERROR_FILE_LIMIT ||
           code == ERROR_DATABASE || code == ERROR_DATABASE_DAMAGED;
}

/* Put everything back as it was before the submission. */
static void take_back(struct writer *writer, int64_t last_change, struct seq head)
{
    writer_drafts_drop(writer);
    undo_all(writer);
    writer_forget_exports(writer, writer->new_exports_stored);
    writer->last_change = last_change;
    writer->head = head;
}

static void refuse(struct submission *submission, const struct error *problem)
{
    bool tells_last = submission->has_last && problem->code == ERROR_OUT_OF_ORDER;
    submission_reset(submission);
    submission->has_last = tells_last;
    submission->error = *problem;
    batch_order_refuse(submission->order, submission);
}

/* Merge all of it, and note what belongs to it. */
static bool apply_whole(struct writer *writer, struct submission *submission,
                        struct producer_table *table, bool *replayed, struct error *error)
{
    return keyed_admit(writer, submission, replayed, error) &&
           (*replayed ||
            (batch_order_admit(submission->order, submission, error) &&
             apply_batches(writer, submission, table, error) && writer_drafts_end(writer, error) &&
             keyed_store(writer, submission, error)));
}

bool writer_apply(struct writer *writer, struct submission *submission, struct error *error)
{
    int64_t last_change = writer->last_change;
    struct seq head = writer->head;
    struct error problem = {.code = ERROR_NONE};
    struct producer_table table;
    bool going = true, replayed = false;
    INVARIANT(!writer->pending_count && !writer->undo_count);
    INVARIANT(!writer->drafts && writer->new_exports_stored == writer->new_export_count);
    INVARIANT(writer->last_change == store_writer_log(writer->store)->last_change);
    writer->submission_number++;
    writer->submission_bytes = writer->submission_merged = 0;
    writer->submission_first = last_change;
    writer->truncation_count = 0;
    writer->large.stopped = false;
    if (!producer_table_init(&table, submission))
        error_set(&problem, ERROR_MEMORY, "out of memory while applying a request");
    else if (apply_whole(writer, submission, &table, &replayed, &problem) && !replayed)
        going = writer_store_exports(writer, error) && writer_log_pending(writer, error) &&
                producers_store(writer, &table, error);
    if (problem.code != ERROR_NONE)
        take_back(writer, last_change, head);
    if (writer->large.stopped) {
        submission_reset(submission);
    } else if (problem.code != ERROR_NONE) {
        refuse(submission, &problem);
        if (is_store_failure(problem.code)) {
            *error = problem;
            going = false;
        }
    } else {
        writer_tell_truncations(writer);
    }
    writer->transaction_bytes += writer->submission_bytes + writer->submission_merged;
    undo_forget(writer);
    producer_table_fini(&table);
    return going;
}
