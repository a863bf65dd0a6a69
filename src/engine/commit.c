/*
 * Telling the loop what a transaction did, once it is on disk; or forgetting it.
 */
#include "engine/engine_internal.h"

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

static void note_published(const struct engine_commit *commit, uint64_t delivered)
{
    uint64_t published = clock_monotonic_us();
    for (size_t i = 0; i < commit->submission_count; i++) {
        commit->submissions[i]->times.delivered_us = delivered;
        commit->submissions[i]->times.published_us = published;
    }
}

/* On the loop: the hub first, so that frames are on their way before their acknowledgement. */
static void commit_deliver(struct engine_event *event)
{
    struct engine_commit *commit = (struct engine_commit *)event;
    const struct engine_options *options = &commit->engine->options;
    uint64_t delivered = options->notes_times ? clock_monotonic_us() : 0;
    if (options->on_commit && (commit->count || commit->export_count || commit->touch_count)) {
        options->on_commit(options->argument, commit);
        commit->count = 0;
    }
    if (options->notes_times)
        note_published(commit, delivered);
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
        bytes += sizeof commit->touches[i] + commit->touches[i].sort_key.length +
                 commit->touches[i].label.length;
    return bytes;
}

/* A transaction that was never begun, for lack of memory: its submissions are answered singly. */
static void answer_singly(struct writer *writer)
{
    for (size_t i = 0; i < writer->open.submission_count; i++)
        engine_post(writer->engine, &writer->open.submissions[i]->event);
    writer->open.submission_count = 0;
}

void writer_publish(struct writer *writer)
{
    struct engine_commit *commit = writer->open.commit;
    size_t count = writer->open.change_count;
    INVARIANT(!writer->applying.pending_count && !writer->applying.undo_count &&
              !writer->applying.drafts);
    INVARIANT(!writer->cache.dirty && !writer->eviction.listed);
    INVARIANT(writer->open.last_change == store_writer_state(writer->store).log->last_change);
    INVARIANT(!count || writer->open.changes[count - 1]->id == writer->open.last_change);
    INVARIANT(!count ||
              writer->open.changes[0]->id == writer->open.last_change - (int64_t)count + 1);
    INVARIANT(writer->open.new_exports_stored == writer->open.new_export_count);
    if (!writer->open.change_count && !writer->open.submission_count &&
        !writer->open.new_export_count && !writer->open.touch_count)
        return;
    if (!commit) {
        answer_singly(writer);
        return;
    }
    writer->open.commit = NULL;
    *commit = (struct engine_commit){.event.deliver = commit_deliver,
                                     .engine = writer->engine,
                                     .changes = writer->open.changes,
                                     .count = writer->open.change_count,
                                     .submissions = writer->open.submissions,
                                     .submission_count = writer->open.submission_count,
                                     .last_change = writer->open.last_change,
                                     .head = writer->open.head,
                                     .exports = writer->open.new_exports,
                                     .export_count = writer->open.new_export_count,
                                     .touches = writer->open.touches,
                                     .touch_count = writer->open.touch_count,
                                     .committed_us = clock_monotonic_us()};
    commit->event.item.bytes = commit_memory(commit);
    writer->open.changes = NULL;
    writer->open.submissions = NULL;
    writer->open.new_exports = NULL;
    writer->open.touches = NULL;
    writer->open.touch_count = 0;
    writer->open.change_count = writer->open.change_capacity = 0;
    writer->open.submission_count = writer->open.submission_capacity = 0;
    writer->open.new_export_count = writer->open.new_export_capacity =
        writer->open.new_exports_stored = 0;
    if (!queue_put(&writer->engine->commits, &commit->event.item, QUEUE_WAITS))
        engine_post(writer->engine, &commit->event);
}

void writer_abandon(struct writer *writer, const struct error *error)
{
    for (size_t i = 0; i < writer->open.change_count; i++)
        change_unref(writer->open.changes[i]);
    writer->open.change_count = 0;
    while (writer->applying.pending_count)
        change_unref(writer->applying.pending[--writer->applying.pending_count].change);
    for (size_t i = 0; i < writer->open.submission_count; i++) {
        struct submission *submission = writer->open.submissions[i];
        submission->error = *error;
        submission_reset(submission);
        batch_order_refuse(submission->order, submission);
    }
    derive_abandon(writer->derive);
    entity_cache_clear(&writer->cache);
    keyed_forget(writer);
    known_producers_forget(&writer->known);
    writer_forget_exports(writer, 0);
    writer_evict_end(writer, false);
    position_end(writer, false);
    writer_undo_end(writer, false);
    writer->open.last_change = store_writer_state(writer->store).log->last_change;
    writer->open.head = store_writer_state(writer->store).log->head;
}
