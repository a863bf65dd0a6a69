/*
 * The invariants of the engine fire: in a writer on a real file whose thread is never started, so
 * this one does its work.
 */
#include "engine/producers.h"
#include "test.h"

#include "engine_fixture.h"

#include "invariant_fixture.h"

/* ---- what is broken ---- */

static struct fixture fixture;
static struct engine *engine;
static struct writer *writer;
static struct export_state *export;
static struct entity *first, *second; /* in this order of use */
static struct error error;
static struct outcome outcome;

static struct submission *make_submission(const char *text)
{
    return fixture_submission(text, &outcome);
}

static void make(void)
{
    fixture_open(&fixture);
    assert_int_equal(fixture_apply(&fixture, "Q a patch {\"n\":1}\nQ b patch {\"n\":1}").applied,
                     2);
    fixture_close(&fixture);
    engine = memory_new(sizeof *engine);
    engine->options = fixture.options;
    assert_true(array_lengths_take(&engine->array_lengths, &engine->options, &error));
    assert_true(queue_init(&engine->intake, 100, 1 << 20) &&
                queue_init(&engine->commits, 100, 1 << 20));
    engine->facts.database = database_open(&engine->options.store, &error);
    assert_non_null(engine->facts.database);
    writer = &engine->writer;
    assert_true(writer_init(writer, engine, &error) && store_begin(writer->store, &error));
    assert_true(writer_export(writer, span_of("Q"), &export, &error));
    first = writer_entity(writer, export, span_of("a"), &error);
    second = writer_entity(writer, export, span_of("b"), &error);
    assert_true(first->data && second->data);
}

static void apply(const char *text)
{
    writer_apply(writer, make_submission(text), &error);
}

/* ---- what a submission begins with, and does ---- */

enum {
    PENDING_LEFT,
    UNDO_LEFT,
    EXPORT_LEFT,
    LOG_AHEAD,
    NOTED_AHEAD,
    CHANGE_AHEAD,
    DRAFT_UNNOTED,
    LABEL_WITHOUT_DRAFT,
    DRAFT_OF_ANOTHER,
    PRINTED_WITHOUT_DRAFT,
    ARRAY_BEYOND,
    PRODUCERS_BEYOND,
    PRODUCER_COMES_BACK,
    BATCH_BACK
};

static void break_apply(int fault)
{
    void *draft_of_nobody[8] = {NULL};
    make();
    switch (fault) {
    case PENDING_LEFT:
        writer->applying.pending_count = 1;
        apply("Q a patch {\"n\":2}");
        break;
    case UNDO_LEFT:
        writer->applying.undo_count = 1;
        apply("Q a patch {\"n\":2}");
        break;
    case EXPORT_LEFT:
        writer->open.new_export_count = 1;
        apply("Q a patch {\"n\":2}");
        break;
    case LOG_AHEAD:
        writer->open.last_change--;
        apply("Q a patch {\"n\":2}");
        break;
    case NOTED_AHEAD:
        first->noted = 1000;
        apply("Q a patch {\"n\":2}");
        break;
    case CHANGE_AHEAD:
        first->change = 1000;
        apply("Q a patch {\"n\":2}");
        break;
    case DRAFT_UNNOTED:
        writer->applying.number = 5;
        writer_draft(writer, first, &error);
        break;
    case LABEL_WITHOUT_DRAFT:
        entity_draft_label(first);
        break;
    case DRAFT_OF_ANOTHER:
        first->draft = (struct draft *)draft_of_nobody;
        writer_draft_drop(writer, first);
        break;
    case PRINTED_WITHOUT_DRAFT:
        writer_draft_print(writer, first, &error);
        break;
    case ARRAY_BEYOND: {
        void *array = NULL;
        size_t capacity = 1;
        array_reserve(&array, 2, &capacity, 1);
        break;
    }
    case PRODUCERS_BEYOND: {
        struct submission *submission = make_submission("@p 1\nQ a patch {\"n\":2}");
        struct producer_table table;
        struct producer_state *state;
        bool repeated;
        assert_true(producer_table_init(&table, submission));
        table.count = submission->batch_count + 1;
        producer_admit(writer, submission, &submission->batches[1], &table, &state, &repeated,
                       &error);
        break;
    }
    case PRODUCER_COMES_BACK: {
        struct store_producer row;
        bool found;
        apply("@p 1\nQ a patch {\"n\":2}");
        apply("@p 2\nQ a patch {\"n\":3}");
        assert_true(store_producer_remove(writer->store, span_of("p"), &error));
        known_producer_read(writer, span_of("p"), &row, &found, &error);
        break;
    }
    case BATCH_BACK: {
        struct producer_state state = {.row.batch = 5};
        const struct submission_batch batch = {.number = 5};
        producer_advance(&state, make_submission("Q a patch {\"n\":2}"), &batch, true);
        break;
    }
    }
}

/* ---- the cache ---- */

enum { NEWEST_LOST, OLDEST_LOST, CACHED_UNCOUNTED, DROPS_BEYOND, SETS_BEYOND, CLEAN_LISTED, LOSES };

static void break_cache(int fault)
{
    struct entity_cache *cache;
    struct entity *found;
    make();
    cache = &writer->cache;
    switch (fault) {
    case NEWEST_LOST:
        first->newer = NULL;
        cache->max_bytes = 1; /* else nobody looks at the order */
        entity_cache_find(cache, export, span_of("a"), &found);
        break;
    case OLDEST_LOST:
        cache->oldest = NULL;
        cache->max_bytes = 1;
        entity_cache_find(cache, export, span_of("a"), &found);
        break;
    case CACHED_UNCOUNTED:
        export->cached = 0;
        entity_cache_clear(cache);
        break;
    case DROPS_BEYOND:
        cache->bytes = 1;
        entity_cache_clear(cache);
        break;
    case SETS_BEYOND:
        cache->bytes = 1;
        entity_cache_set_data(cache, first, NULL);
        break;
    case CLEAN_LISTED:
        entity_cache_mark_dirty(cache, first);
        first->dirty = false;
        entity_cache_settle(cache);
        break;
    case LOSES:
        cache->max_bytes = 1;
        first->stored = false;
        entity_cache_settle(cache);
        break;
    }
}

/* ---- eviction ---- */

enum {
    AHEAD_BEYOND,
    ORDER_BACK,
    REMEMBERED_BACK,
    RECENT_BEYOND,
    UNDONE_FIRST_AHEAD,
    UNDONE_COUNT_AHEAD,
    UNRESERVED,
    UNLISTED
};

static void break_eviction(int fault)
{
    const struct seq seq = {0, 0};
    make();
    struct eviction *eviction = &export->eviction;
    export->max_entities = 1;
    switch (fault) {
    case AHEAD_BEYOND:
        eviction->next = 1;
        writer_evict_behind(writer, export, seq, 0, &error);
        break;
    case ORDER_BACK:
        eviction->ahead[0] = (struct evictable){.id = 1, .change = 1};
        eviction->count = 1;
        eviction->passed = 1;
        writer_evict_behind(writer, export, seq, 0, &error);
        break;
    case REMEMBERED_BACK:
        eviction->noted = 2;
        eviction_remember(export, 1);
        break;
    case RECENT_BEYOND:
        eviction->recent_first = 1;
        eviction_remember(export, 1);
        break;
    case UNDONE_FIRST_AHEAD:
        eviction->was.recent_first = 1;
        eviction_undo(export);
        break;
    case UNDONE_COUNT_AHEAD:
        eviction->was.recent_count = 1;
        eviction_undo(export);
        break;
    case UNRESERVED:
        eviction_note(first, true);
        break;
    case UNLISTED:
        writer->eviction.listed = export;
        writer_evict_end(writer, true);
        break;
    }
}

/* ---- large requests ---- */

enum { PUT_OFF_UNSTOPPED, NOTED_STOPPED, RELEASED_UNCOUNTED, RELEASED_BYTES, SENDERS_LEFT };

static void break_large(int fault)
{
    make();
    struct submission *submission = make_submission("Q a patch {\"n\":2}");
    submission->event.item.bytes = 10;
    writer->large.stopped = fault != PUT_OFF_UNSTOPPED;
    if (fault == NOTED_STOPPED)
        large_note(writer, submission);
    large_put_off(writer, submission);
    if (fault == RELEASED_UNCOUNTED)
        engine->large_count = 0;
    if (fault == RELEASED_BYTES)
        engine->large_bytes = 9;
    if (fault == SENDERS_LEFT)
        large_fini(&writer->large);
    else
        large_release(writer);
}

/* ---- a transaction, and what is told of it ---- */

enum {
    EXPORT_CACHED,
    STORED_BEYOND,
    FORGETS_BEYOND,
    LOGS_GAP,
    FLUSHES_PENDING,
    FLUSHES_CLEAN,
    TELLS_UNDO,
    TELLS_DIRTY,
    TELLS_EVICTING,
    TELLS_UNLOGGED,
    TELLS_OTHER_LAST,
    TELLS_OTHER_FIRST,
    TELLS_UNSTORED
};

static struct change *make_change(int64_t id)
{
    const struct change_texts texts = {.key = span_of("a")};
    struct change *change = change_new(&writer->open.slab, &texts);
    change->id = id;
    return change;
}

static void break_commit(int fault)
{
    static struct pending_change pending[1];
    struct change *changes[2];
    make();
    switch (fault) {
    case EXPORT_CACHED:
        export_free(export);
        break;
    case STORED_BEYOND:
        writer->open.new_exports_stored = 1;
        writer_store_exports(writer, &error);
        break;
    case FORGETS_BEYOND:
        writer_forget_exports(writer, 1);
        break;
    case LOGS_GAP:
        pending[0].change = make_change(writer->open.last_change + 2);
        writer->applying.pending = pending;
        writer->applying.pending_count = 1;
        writer_log_pending(writer, &error);
        break;
    case FLUSHES_PENDING:
        writer->applying.pending_count = 1;
        writer_flush(writer, &error);
        break;
    case FLUSHES_CLEAN:
        writer->cache.dirty = first;
        writer_flush(writer, &error);
        break;
    case TELLS_UNDO:
        writer->applying.undo_count = 1;
        writer_publish(writer);
        break;
    case TELLS_DIRTY:
        entity_cache_mark_dirty(&writer->cache, first);
        writer_publish(writer);
        break;
    case TELLS_EVICTING:
        writer->eviction.listed = export;
        writer_publish(writer);
        break;
    case TELLS_UNLOGGED:
        writer->open.last_change++;
        writer_publish(writer);
        break;
    case TELLS_OTHER_LAST:
    case TELLS_OTHER_FIRST:
        changes[0] = make_change(writer->open.last_change);
        changes[1] = make_change(writer->open.last_change + (fault == TELLS_OTHER_LAST));
        writer->open.changes = changes;
        writer->open.change_count = 2;
        writer_publish(writer);
        break;
    case TELLS_UNSTORED:
        writer->open.new_export_count = 1;
        writer_publish(writer);
        break;
    }
}

/* ---- lanes, the queue of reads, and what is handed over ---- */

enum { LAST_NOT_LAST, TAKES_FROM_EMPTY, LANE_NOT_LAST, TAKES_FROM_EMPTY_RING };

static void break_lanes(int fault)
{
    static struct lane_ring ring;
    struct queue_item one = {.bytes = 1}, two = one, three = one;
    struct lane lane = {.first = NULL}, other;
    switch (fault) {
    case LAST_NOT_LAST:
        lane_add(&lane, &one);
        one.next = &two;
        lane_add(&lane, &three);
        break;
    case TAKES_FROM_EMPTY:
        lane_take(&lane);
        break;
    case LANE_NOT_LAST:
        lane_ring_add(&ring, 1, &one);
        ring.first->next = &other;
        lane_ring_add(&ring, 2, &two);
        break;
    case TAKES_FROM_EMPTY_RING:
        lane_ring_take(&ring);
        break;
    }
}

enum { BRIEF_UNCOUNTED, BRIEF_BEYOND, PUT_BEYOND, LONG_UNCOUNTED, ENDS_FILLED };

static void break_reads(int fault)
{
    static struct read_queue queue;
    struct read_job job = {.is_long = fault == LONG_UNCOUNTED};
    assert_true(read_queue_init(&queue, 2));
    read_queue_put(&queue, &job);
    switch (fault) {
    case BRIEF_UNCOUNTED:
        queue.brief_count = 0;
        break;
    case BRIEF_BEYOND:
        queue.brief_count = 2;
        break;
    case PUT_BEYOND:
        queue.count = 3;
        read_queue_put(&queue, &job);
        break;
    case LONG_UNCOUNTED:
        queue.count = 0;
        break;
    case ENDS_FILLED:
        read_queue_fini(&queue);
        break;
    }
    read_queue_take(&queue, true);
}

enum { STARTS_ALONE, ENDS_STARTED, TELLS_OF_NO_ERROR };

static void break_checkpoints(int fault)
{
    make();
    engine->disk.database = engine->facts.database;
    switch (fault) {
    case STARTS_ALONE:
        checkpoints_start(&engine->checkpoints, 100, &error);
        break;
    case ENDS_STARTED:
        assert_true(checkpoints_init(&engine->checkpoints));
        engine->checkpoints.database = engine->facts.database;
        engine->checkpoints.metrics = &engine->metrics;
        engine->checkpoints.intake = &engine->disk.state;
        assert_true(checkpoints_start(&engine->checkpoints, 100, &error));
        checkpoints_fini(&engine->checkpoints);
        break;
    case TELLS_OF_NO_ERROR:
        disk_error(&engine->disk, ERROR_NONE, &error);
        break;
    }
}

enum {
    SUBMITS_UNANSWERED,
    FOLLOWS_ITSELF,
    ORDERS_AND_FEEDS,
    READS_NOTHING,
    WRITES_NOTHING,
    POSTS_NOTHING,
    HOLDS_LESS_THAN_NOTHING
};

static void break_handing_over(int fault)
{
    struct read_job read = {.is_long = false};
    struct write_job write = {.run = NULL};
    struct engine_event event = {.deliver = NULL};
    make();
    struct submission *submission = make_submission("Q a patch {\"n\":2}");
    submission->event.deliver = NULL;
    switch (fault) {
    case SUBMITS_UNANSWERED:
        engine_submit(engine, submission, &error);
        break;
    case FOLLOWS_ITSELF:
        submission->message = (struct submission_message){.sequence = 1, .previous = 1};
        writer_apply(writer, submission, &error);
        break;
    case ORDERS_AND_FEEDS:
        submission->message = (struct submission_message){.sequence = 1, .previous = -1};
        submission->command.kind = COMMAND_REVOKE;
        writer_apply(writer, submission, &error);
        break;
    case READS_NOTHING:
        engine_read(engine, &read);
        break;
    case WRITES_NOTHING:
        engine_write(engine, &write);
        break;
    case POSTS_NOTHING:
        engine_post(engine, &event);
        break;
    case HOLDS_LESS_THAN_NOTHING:
        engine_note_holder(engine, false);
        break;
    }
}

static const struct broken_case cases[] = {
    {break_apply, PENDING_LEFT, "!writer->applying.pending_count && !writer->applying.undo_count"},
    {break_apply, UNDO_LEFT, "!writer->applying.pending_count && !writer->applying.undo_count"},
    {break_apply, EXPORT_LEFT,
     "!writer->applying.drafts && writer->open.new_exports_stored == "
     "writer->open.new_export_count"},
    {break_apply, LOG_AHEAD,
     "writer->open.last_change == store_writer_state(writer->store).log->last_change"},
    {break_apply, NOTED_AHEAD, "entity->noted <= writer->applying.number"},
    {break_apply, CHANGE_AHEAD, "entity->change <= writer->open.last_change"},
    {break_apply, DRAFT_UNNOTED, "entity->data && entity->noted == writer->applying.number"},
    {break_apply, LABEL_WITHOUT_DRAFT, "entity->draft && entity->draft->entity == entity"},
    {break_apply, DRAFT_OF_ANOTHER, "draft->entity == entity && writer->applying.drafts"},
    {break_apply, PRINTED_WITHOUT_DRAFT, "entity->draft && entity->data"},
    {break_apply, ARRAY_BEYOND, "count <= *capacity"},
    {break_apply, PRODUCERS_BEYOND, "table->count <= submission->batch_count"},
    {break_apply, PRODUCER_COMES_BACK, "!known->moved"},
    {break_apply, BATCH_BACK, "state->row.batch < batch->number"},

    {break_cache, NEWEST_LOST, "(entity->newer ? entity->newer->older : cache->newest) == entity"},
    {break_cache, OLDEST_LOST, "(entity->older ? entity->older->newer : cache->oldest) == entity"},
    {break_cache, CACHED_UNCOUNTED, "!entity->draft && entity->export->cached > 0"},
    {break_cache, DROPS_BEYOND, "cache->bytes >= entity_memory(entity)"},
    {break_cache, SETS_BEYOND, "cache->bytes >= entity_memory(entity)"},
    {break_cache, CLEAN_LISTED, "entity->dirty && !entity->draft"},
    {break_cache, LOSES, "!entity->dirty && (entity->stored || !entity->data)"},

    {break_eviction, AHEAD_BEYOND,
     "eviction->next <= eviction->count && eviction->count <= EVICTION_AHEAD"},
    {break_eviction, ORDER_BACK, "eviction->passed < next->change"},
    {break_eviction, REMEMBERED_BACK, "eviction->noted < submission_number"},
    {break_eviction, RECENT_BEYOND, "eviction->recent_first <= eviction->recent_count"},
    {break_eviction, UNDONE_FIRST_AHEAD, "eviction->was.recent_first <= eviction->recent_first"},
    {break_eviction, UNDONE_COUNT_AHEAD, "eviction->was.recent_count <= eviction->recent_count"},
    {break_eviction, UNRESERVED,
     "eviction->recent_count < eviction->recent_capacity && eviction->listed"},
    {break_eviction, UNLISTED, "export->eviction.listed"},

    {break_large, PUT_OFF_UNSTOPPED, "writer->large.stopped"},
    {break_large, NOTED_STOPPED, "!large->stopped"},
    {break_large, RELEASED_UNCOUNTED, "atomic_load(&writer->engine->large_count) > 0"},
    {break_large, RELEASED_BYTES, "atomic_load(&writer->engine->large_bytes) >= item->bytes"},
    {break_large, SENDERS_LEFT, "!large->senders.count"},

    {break_commit, EXPORT_CACHED, "!export->cached"},
    {break_commit, STORED_BEYOND,
     "writer->open.new_exports_stored <= writer->open.new_export_count"},
    {break_commit, FORGETS_BEYOND, "first <= writer->open.new_export_count"},
    {break_commit, LOGS_GAP,
     "change->id == store_writer_state(writer->store).log->last_change + 1"},
    {break_commit, FLUSHES_PENDING, "!writer->applying.pending_count"},
    {break_commit, FLUSHES_CLEAN,
     "entity->dirty && !entity->draft && entity->change <= writer->open.last_change"},
    {break_commit, TELLS_UNDO,
     "!writer->applying.pending_count && !writer->applying.undo_count && !writer->applying.drafts"},
    {break_commit, TELLS_DIRTY, "!writer->cache.dirty && !writer->eviction.listed"},
    {break_commit, TELLS_EVICTING, "!writer->cache.dirty && !writer->eviction.listed"},
    {break_commit, TELLS_UNLOGGED,
     "writer->open.last_change == store_writer_state(writer->store).log->last_change"},
    {break_commit, TELLS_OTHER_LAST,
     "!count || writer->open.changes[count - 1]->id == writer->open.last_change"},
    {break_commit, TELLS_OTHER_FIRST,
     "!count || writer->open.changes[0]->id == writer->open.last_change - (int64_t)count + 1"},
    {break_commit, TELLS_UNSTORED,
     "writer->open.new_exports_stored == writer->open.new_export_count"},

    {break_lanes, LAST_NOT_LAST, "!lane->first || !lane->last->next"},
    {break_lanes, TAKES_FROM_EMPTY, "item"},
    {break_lanes, LANE_NOT_LAST, "lane->first && (!ring->first || !ring->last->next)"},
    {break_lanes, TAKES_FROM_EMPTY_RING, "lane"},
    {break_reads, BRIEF_UNCOUNTED, "queue->brief_count > 0"},
    {break_reads, BRIEF_BEYOND,
     "queue->brief_count <= queue->count && queue->count <= queue->max_count"},
    {break_reads, PUT_BEYOND,
     "queue->brief_count <= queue->count && queue->count <= queue->max_count"},
    {break_reads, LONG_UNCOUNTED, "!job || queue->count > 0"},
    {break_reads, ENDS_FILLED, "!queue->count"},

    {break_checkpoints, STARTS_ALONE,
     "checkpoints->database && checkpoints->metrics && checkpoints->intake"},
    {break_checkpoints, ENDS_STARTED, "!checkpoints->checkpointer"},
    {break_checkpoints, TELLS_OF_NO_ERROR, "state != ERROR_NONE"},

    {break_handing_over, SUBMITS_UNANSWERED, "submission->event.deliver"},
    {break_handing_over, FOLLOWS_ITSELF, "message->previous < message->sequence"},
    {break_handing_over, ORDERS_AND_FEEDS,
     "submission->message.sequence && !submission->mutation_count"},
    {break_handing_over, READS_NOTHING, "job->run && job->event.deliver"},
    {break_handing_over, WRITES_NOTHING, "job->run && job->event.deliver"},
    {break_handing_over, POSTS_NOTHING, "event->deliver"},
    {break_handing_over, HOLDS_LESS_THAN_NOTHING, "begins || before > 0"},
};

static void make_file(void)
{
    fixture_init(&fixture);
}

static void remove_file(void)
{
    fixture_fini(&fixture);
}

TEST(all_fire)
{
    assert_all_broken(cases, sizeof cases / sizeof *cases, make_file, remove_file);
}
