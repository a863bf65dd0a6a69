/*
 * Applying one submission: mutations are merged in memory, one after the other, into the entities
 * of the writer's cache, and their changes noted as pending. Nothing of it is in the log yet, so
 * a submission that turns out to be unacceptable is undone by putting the entities back.
 */
#include "engine/producers.h"

enum { MERGED_DEPTH = 1024 }; /* more than max_depth may ever be */

/* ---- undo ---- */

/* Once per entity and submission: only what it was before the first change matters. */
bool writer_undo_note(struct writer *writer, struct entity *entity, struct error *error)
{
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
    struct span before = export_label(entity->export, entity->data);
    texts->scope = data ? export_label(entity->export, data) : before;
    if (data && before.data && !span_equal(before, texts->scope))
        texts->scope_left = before;
}

bool writer_record(struct writer *writer, struct entity *entity, enum change_operation operation,
                   struct seq seq, struct text *data, struct span patch, struct span append,
                   uint64_t received_us, struct error *error)
{
    /* Otherwise the patch is the whole entity already; a large one is fetched when it is wanted. */
    bool keep = operation == CHANGE_PATCH && data && data->length <= KEPT_ENTITY;
    bool was_there = entity->data != NULL;
    struct change *change = NULL;
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
    change->entity_id = entity->id;
    change->received_us = received_us;
    writer->pending[writer->pending_count++] = (struct pending_change){.change = change};
    entity_keep_before(entity);
    entity_cache_set_data(&writer->cache, entity, data);
    entity->change = change->id;
    entity->seq = seq;
    entity->at = writer->now;
    entity_cache_mark_dirty(&writer->cache, entity);
    eviction_note(entity, was_there);
    return true;
}

/* Its own, or one behind the greatest that there is. */
static struct seq next_seq(struct writer *writer, const struct mutation *mutation)
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

/* ---- patch and upsert ---- */

/* ["a","b.c"]: the paths that a client must append at, those that were sent whole left out. */
static bool print_append(struct buffer *out, const struct mutation *mutation)
{
    buffer_clear(out);
    for (size_t i = 0; i < mutation->append_count; i++) {
        if (mutation->appends[i].full)
            continue;
        buffer_add_string(out, out->length ? ",\"" : "[\"");
        buffer_add_span(out, mutation->appends[i].path);
        buffer_add_char(out, '"');
    }
    if (out->length)
        buffer_add_char(out, ']');
    return !out->failed;
}

/* {"a":3}: for the log, the length of each array after the change. By it a replay can tell what
 * the array was then: the first so many elements of what it is now, or something overwritten. */
static bool print_log_append(struct buffer *out, const struct mutation *mutation)
{
    buffer_clear(out);
    for (size_t i = 0; i < mutation->append_count; i++) {
        if (!mutation->appends[i].length)
            continue;
        buffer_add_string(out, out->length ? ",\"" : "{\"");
        buffer_add_span(out, mutation->appends[i].path);
        buffer_printf(out, "\":%u", mutation->appends[i].length);
    }
    if (out->length)
        buffer_add_char(out, '}');
    return !out->failed;
}

/* Note in the pending change what its log row holds, in memory that outlives this mutation. */
static bool keep_for_log(struct writer *writer, struct submission *submission,
                         const struct mutation *mutation, struct error *error)
{
    struct pending_change *pending = &writer->pending[writer->pending_count - 1];
    const struct doc *doc = &submission->doc;
    uint32_t max_array = writer->engine->options.max_array_length;
    pending->log_patch = doc_text(doc, mutation->patch);
    if (max_array && doc->longest_array > max_array) {
        buffer_clear(&writer->patch);
        if (!doc_print_cut(doc, mutation->patch, max_array, &writer->patch))
            return error_set(error, ERROR_MEMORY, "out of memory while printing a patch");
        pending->log_patch = submission_keep(submission, buffer_span(&writer->patch));
    }
    if (mutation->append_count && mutation->operation == MUTATION_PATCH) {
        if (!print_log_append(&writer->log_append, mutation))
            return error_set(error, ERROR_MEMORY, "out of memory while printing append paths");
        if (writer->log_append.length)
            pending->log_append = submission_keep(submission, buffer_span(&writer->log_append));
    }
    if (!pending->log_patch.data ||
        (writer->log_append.length && mutation->append_count &&
         mutation->operation == MUTATION_PATCH && !pending->log_append.data))
        return error_set(error, ERROR_MEMORY, "out of memory while keeping a patch");
    return true;
}

/* What subscribers get as the change's data: the whole entity if it is new or replaced. */
static bool print_for_subscribers(struct writer *writer, const struct doc *doc,
                                  const struct mutation *mutation, bool whole,
                                  struct span printed_seq, struct error *error)
{
    uint32_t max_array = writer->engine->options.max_array_length;
    buffer_clear(&writer->patch);
    buffer_clear(&writer->append);
    if (mutation->operation == MUTATION_PATCH && mutation->append_count &&
        !print_append(&writer->append, mutation))
        return error_set(error, ERROR_MEMORY, "out of memory while printing append paths");
    if (whole)
        return true;
    return merge_print_patch(&writer->patch, doc, mutation->patch, mutation->appends,
                             mutation->append_count, max_array, printed_seq,
                             buffer_span(&writer->merged), error);
}

/*
 * A patch that moves a row to another scope is made a replacement, in the log too: to some who see
 * the row from now on it is new, and the log alone must be able to tell them.
 */
static bool replace_moved(struct writer *writer, const struct entity *entity, struct span seq,
                          bool *moved, struct error *error)
{
    const struct view_scope *scope = entity->export->scope;
    struct span before = view_scope_label(scope, text_span(entity->data));
    struct doc doc;
    uint32_t whole;
    *moved = !span_equal(before, view_scope_label(scope, buffer_span(&writer->merged)));
    if (!*moved)
        return true;
    doc_init(&doc, UINT32_MAX, UINT32_MAX);
    buffer_clear(&writer->patch);
    bool done = doc_parse(&doc, buffer_span(&writer->merged), MERGED_DEPTH, &whole, error) &&
                merge_object(&writer->patch, span_make(NULL, 0), &doc, whole, NULL, 0,
                             writer->engine->options.max_array_length, seq, error);
    doc_fini(&doc);
    buffer_clear(&writer->merged);
    return done && (buffer_add_span(&writer->merged, buffer_span(&writer->patch)) ||
                    error_set(error, ERROR_MEMORY, "out of memory while merging"));
}

static bool keep_whole_for_log(struct writer *writer, struct submission *submission,
                               struct error *error)
{
    struct pending_change *pending = &writer->pending[writer->pending_count - 1];
    pending->log_patch = submission_keep(submission, buffer_span(&writer->merged));
    return pending->log_patch.data ||
           error_set(error, ERROR_MEMORY, "out of memory while keeping a patch");
}

static bool apply_patch(struct writer *writer, struct submission *submission,
                        const struct mutation *mutation, struct entity *entity, struct error *error)
{
    const struct doc *doc = &submission->doc;
    bool existed = entity->data != NULL;
    bool replaces = mutation->operation == MUTATION_UPSERT;
    bool whole = replaces || !existed, moved = false;
    char printed[SEQ_SIZE];
    struct seq seq = next_seq(writer, mutation);
    struct span seq_text = span_make(printed, seq_print(printed, seq));
    buffer_clear(&writer->merged);
    if (!merge_object(&writer->merged, replaces ? span_make(NULL, 0) : text_span(entity->data), doc,
                      mutation->patch, replaces ? NULL : mutation->appends,
                      replaces ? 0 : mutation->append_count,
                      writer->engine->options.max_array_length, seq_text, error) ||
        (entity->export->scope && !whole &&
         !replace_moved(writer, entity, seq_text, &moved, error)) ||
        !print_for_subscribers(writer, doc, mutation, whole || moved, seq_text, error))
        return false;
    whole = whole || moved;
    struct text *data = text_new(writer->merged.data, writer->merged.length);
    if (!data)
        return error_set(error, ERROR_MEMORY, "out of memory while merging");
    enum change_operation operation = !existed            ? CHANGE_CREATE
                                      : replaces || moved ? CHANGE_UPSERT
                                                          : CHANGE_PATCH;
    struct span append =
        writer->append.length && !moved ? buffer_span(&writer->append) : span_make(NULL, 0);
    if (!writer_record(writer, entity, operation, seq, data,
                       whole ? buffer_span(&writer->merged) : buffer_span(&writer->patch), append,
                       submission->received_us, error))
        return false;
    return moved ? keep_whole_for_log(writer, submission, error)
                 : keep_for_log(writer, submission, mutation, error);
}

static bool apply_delete(struct writer *writer, struct submission *submission,
                         const struct mutation *mutation, struct entity *entity,
                         struct error *error)
{
    return writer_record(writer, entity, CHANGE_DELETE, next_seq(writer, mutation), NULL,
                         span_make(NULL, 0), span_make(NULL, 0), submission->received_us, error);
}

/* ---- mutations, batches, the submission ---- */

static bool apply_mutation(struct writer *writer, struct submission *submission,
                           const struct mutation *mutation, struct error *error)
{
    struct export_state *export = NULL;
    if (!writer_export(writer, mutation->export_name, &export, error))
        return false;
    if (!export)
        return writer_note_unknown(writer, submission, mutation->export_name, error);
    struct entity *entity = writer_entity(writer, export, mutation->key, error);
    if (!entity)
        return false;
    if (mutation->operation == MUTATION_DELETE && !entity->data) {
        submission->ignored++;
        return true;
    }
    if (!writer_undo_note(writer, entity, error))
        return false;
    bool existed = entity->data != NULL;
    bool done = mutation->operation == MUTATION_DELETE
                    ? apply_delete(writer, submission, mutation, entity, error)
                    : apply_patch(writer, submission, mutation, entity, error);
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
    return code == ERROR_DISK_FULL || code == ERROR_DISK_FAILED || code == ERROR_DATABASE;
}

/* Put everything back as it was before the submission. */
static void refuse(struct writer *writer, struct submission *submission, int64_t last_change,
                   struct seq head, const struct error *problem)
{
    undo_all(writer);
    writer_forget_exports(writer, writer->new_exports_stored);
    writer->last_change = last_change;
    writer->head = head;
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
           (*replayed || (batch_order_admit(submission->order, submission, error) &&
                          apply_batches(writer, submission, table, error) &&
                          keyed_store(writer, submission, error)));
}

bool writer_apply(struct writer *writer, struct submission *submission, struct error *error)
{
    int64_t last_change = writer->last_change;
    struct seq head = writer->head;
    struct error problem = {.code = ERROR_NONE};
    struct producer_table table;
    bool going = true, replayed = false;
    writer->submission_number++;
    writer->submission_bytes = 0;
    if (!producer_table_init(&table, submission))
        error_set(&problem, ERROR_MEMORY, "out of memory while applying a request");
    else if (apply_whole(writer, submission, &table, &replayed, &problem) && !replayed)
        going = writer_store_exports(writer, error) && writer_log_pending(writer, error) &&
                producers_store(writer, &table, error);
    if (problem.code != ERROR_NONE) {
        refuse(writer, submission, last_change, head, &problem);
        if (is_store_failure(problem.code)) {
            *error = problem;
            going = false;
        }
    }
    writer->transaction_bytes += writer->submission_bytes;
    undo_forget(writer);
    producer_table_fini(&table);
    return going;
}
