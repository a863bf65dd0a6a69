/*
 * Serving a subscription from the log in the database: after a cursor was presented, and for who
 * fell behind the ring. Each page is one short transaction, read when the last one was taken.
 *
 * What a page holds of the changes behind the cursor:
 *   WHOLE   each entity that changed, once, at its present state, as an upsert (or a delete), in
 *           the order of the entities' last changes: so every frame's seq is a good cursor;
 *   RESUME  the same as snapshot rows; only the batch that ends it carries a cursor, so a client
 *           that is cut off before it asks again from where it was;
 *   EVENTS  (append views) every change, in order, as it was.
 *
 * An entity is sent where its newest change stands in the log: at an older change of it the row
 * says that a later one comes, within this page or a later one.
 */
#include "server/hub_internal.h"

enum { EVENT_DEPTH = 1024 }; /* more than max_depth may ever be */

enum style { STYLE_WHOLE, STYLE_RESUME, STYLE_EVENTS };

struct catch_up_job {
    struct read_job read;
    struct hub *hub;
    struct subscription *subscription; /* NULL once it is gone */
    const struct view *view;
    enum wire_mode mode;
    char *key; /* NULL: all */
    bool is_resolve, done, returned;
    _Atomic bool forgotten; /* nobody waits any more: the readers skip it */
    struct error error;
    /* asked */
    struct seq after;
    int64_t from;
    enum style style;
    bool resuming;
    int64_t resume_target, resume_limit, ambiguous_until;
    bool only_greater;
    struct seq greater, resume_seq;
    uint32_t max_array;
    /* found */
    bool accepted, expired, ended, at_head, limit_hit;
    int64_t to;
    struct buffer out, shown, paths;
    struct wire_batch rows;
    struct doc doc;
    struct text *frames;
};

/* ---- a page: one row ---- */

static bool lacks_memory(struct catch_up_job *job)
{
    error_set(&job->error, ERROR_MEMORY, "out of memory while catching up");
    return false;
}

static bool show(struct catch_up_job *job, struct span object, struct span *shown)
{
    *shown = object;
    if (!job->view->path_count)
        return true;
    buffer_clear(&job->shown);
    bool done = view_project(job->view, object, &job->shown);
    *shown = buffer_span(&job->shown);
    return done;
}

static bool put_frame(struct catch_up_job *job, enum wire_operation operation, struct span key,
                      struct span data, struct span append, struct span seq)
{
    struct wire_change frame = {.mode = job->mode,
                                .view = span_of(job->view->id),
                                .operation = operation,
                                .key = key,
                                .data = data,
                                .append = append,
                                .seq = seq};
    return wire_change(&job->out, &frame) || lacks_memory(job);
}

/*
 * Whether a frame's seq is a cursor to go on from: not while resuming, and not in an append view,
 * where going on means events: one of them may lie before this seq, merged into a row to come.
 */
static struct span cursor_of(const struct catch_up_job *job, struct seq seq, char *text)
{
    if (job->style == STYLE_RESUME || job->mode == WIRE_APPEND)
        return span_make(NULL, 0);
    return frame_seq(text, seq);
}

static bool put_whole(struct catch_up_job *job, const struct store_entity *entity)
{
    char seq[SEQ_SIZE];
    struct span shown;
    if (!show(job, entity->data, &shown))
        return lacks_memory(job);
    if (job->style == STYLE_RESUME)
        return wire_batch_row(&job->rows, entity->key, shown) || lacks_memory(job);
    return put_frame(job, WIRE_UPSERT, entity->key, shown, span_make(NULL, 0),
                     cursor_of(job, entity->seq, seq));
}

static bool put_delete(struct catch_up_job *job, struct span key, struct seq seq)
{
    char text[SEQ_SIZE];
    return put_frame(job, WIRE_DELETE, key, span_make(NULL, 0), span_make(NULL, 0),
                     cursor_of(job, seq, text));
}

static bool is_delete(const struct store_change *change)
{
    return change->operation == STORE_DELETE || change->operation == STORE_EVICT;
}

static bool put_present(struct catch_up_job *job, const struct store_change *change,
                        const struct store_entity *entity)
{
    if (entity)
        return entity->change != change->id || put_whole(job, entity);
    return !is_delete(change) || put_delete(job, change->key, change->seq);
}

/* ---- a page: one event ---- */

/* The log's {"path":length, …} as what merge_print_patch wants, and the frame's append paths. */
static bool read_appends(struct catch_up_job *job, const struct store_change *change, uint32_t root,
                         struct merge_append *appends, size_t count)
{
    bool ambiguous = change->id <= job->ambiguous_until;
    buffer_clear(&job->paths);
    uint32_t node = count ? doc_first(&job->doc, root) : DOC_NONE;
    for (size_t i = 0; i < count; i++, node = job->doc.nodes[node].end) {
        int64_t length = 0;
        doc_integer(&job->doc, node, &length);
        bool full = ambiguous || (job->max_array && length >= (int64_t)job->max_array);
        appends[i] = (struct merge_append){
            .path = doc_key(&job->doc, node), .length = (uint32_t)length, .full = full};
        if (full)
            continue;
        buffer_add_string(&job->paths, job->paths.length ? ",\"" : "[\"");
        buffer_add_span(&job->paths, appends[i].path);
        buffer_add_char(&job->paths, '"');
    }
    if (job->paths.length)
        buffer_add_char(&job->paths, ']');
    return !job->paths.failed;
}

/*
 * An array that is full, or a change that the client may have had already, is sent as what the
 * array was after it: the first so many elements of what it is now. If it was overwritten since,
 * that change comes later in this replay, and what is sent here does not matter.
 */
static bool print_event(struct catch_up_job *job, const struct store_change *change,
                        const struct store_entity *entity, struct buffer *data, struct span *append)
{
    char seq[SEQ_SIZE];
    uint32_t patch, paths = DOC_NONE;
    doc_clear(&job->doc);
    if (!doc_parse(&job->doc, change->patch, EVENT_DEPTH, &patch, &job->error) ||
        (change->append.data && !doc_parse(&job->doc, change->append, 2, &paths, &job->error)))
        return false;
    size_t count = paths == DOC_NONE ? 0 : job->doc.nodes[paths].count;
    struct merge_append *appends = memory_new((count + 1) * sizeof *appends);
    bool created = change->operation == STORE_CREATE;
    struct span merged = entity && !created ? entity->data : span_of("{}");
    bool done = appends && read_appends(job, change, paths, appends, count) &&
                merge_print_patch(data, &job->doc, patch, appends, count, job->max_array,
                                  frame_seq(seq, change->seq), merged, &job->error);
    memory_free(appends);
    *append = job->paths.length ? buffer_span(&job->paths) : span_make(NULL, 0);
    return done || (job->error.code == ERROR_NONE && lacks_memory(job));
}

/*
 * The seq of an event that the client may have had already must not take it back behind others
 * that it had: among those, only the client's own cursor is told.
 */
static struct span event_cursor(const struct catch_up_job *job, const struct store_change *change,
                                char *text)
{
    bool had = change->id < job->ambiguous_until;
    if (had && seq_compare(change->seq, job->greater) != 0)
        return span_make(NULL, 0);
    return frame_seq(text, change->seq);
}

static bool put_event(struct catch_up_job *job, const struct store_change *change,
                      const struct store_entity *entity)
{
    char seq[SEQ_SIZE];
    struct buffer data, paths;
    struct span append, shown;
    if (is_delete(change))
        return put_frame(job, WIRE_DELETE, change->key, span_make(NULL, 0), span_make(NULL, 0),
                         event_cursor(job, change, seq));
    buffer_init(&data, UINT32_MAX);
    buffer_init(&paths, UINT32_MAX);
    bool done =
        print_event(job, change, entity, &data, &append) && show(job, buffer_span(&data), &shown);
    if (done && append.data && job->view->path_count) {
        done = view_append_paths(job->view, append, &paths);
        append = paths.length ? buffer_span(&paths) : span_make(NULL, 0);
    }
    bool upsert = change->operation == STORE_UPSERT;
    done = done && put_frame(job, upsert ? WIRE_UPSERT : WIRE_PATCH, change->key, shown,
                             upsert ? span_make(NULL, 0) : append, event_cursor(job, change, seq));
    buffer_fini(&data);
    buffer_fini(&paths);
    return done || (job->error.code == ERROR_NONE && lacks_memory(job));
}

/* Whether this event counts for who came with a cursor that the log does not hold. */
static bool is_wanted_event(const struct catch_up_job *job, const struct store_change *change)
{
    return !job->only_greater || change->id > job->resume_target ||
           seq_compare(change->seq, job->greater) > 0;
}

static bool put_change(void *argument, const struct store_change *change,
                       const struct store_entity *entity)
{
    struct catch_up_job *job = argument;
    bool done = true;
    if (job->out.length + job->rows.json.length >= job->hub->options.page_bytes || job->limit_hit)
        return false;
    if (view_shows(job->view, change->key)) {
        size_t before = job->out.length + job->rows.rows;
        if (job->style != STYLE_EVENTS)
            done = put_present(job, change, entity);
        else if (is_wanted_event(job, change))
            done = put_event(job, change, entity);
        bool put = job->out.length + job->rows.rows > before;
        if (put && job->resume_limit > 0 && --job->resume_limit == 0)
            job->limit_hit = true;
    }
    if (!done)
        return false;
    job->to = change->id;
    job->resume_seq = change->seq;
    return true;
}

/* ---- a page: the transaction ---- */

static bool read_log(struct catch_up_job *job, struct store_reader *reader, uint32_t export_id,
                     const struct store_log_state *log)
{
    int64_t until = log->last_change;
    if (until - job->from > HUB_SCAN)
        until = job->from + HUB_SCAN;
    struct span key = job->key ? span_of(job->key) : span_make(NULL, 0);
    job->to = job->from;
    if (!store_scan_changes(reader, export_id, key, job->from, until, -1, true, put_change, job,
                            &job->error) ||
        job->error.code != ERROR_NONE)
        return false;
    bool full = job->out.length + job->rows.json.length >= job->hub->options.page_bytes;
    if (!full && !job->limit_hit)
        job->to = until; /* nothing behind the last row was for this view */
    return true;
}

/* One key needs no log: the entity itself says when it changed last. */
static bool read_one(struct catch_up_job *job, struct store_reader *reader, uint32_t export_id,
                     const struct store_log_state *log)
{
    struct store_entity entity;
    struct store_tombstone tombstone;
    struct span key = span_of(job->key);
    bool found;
    job->to = log->last_change;
    if (!view_shows(job->view, key))
        return true;
    if (!store_read_entity(reader, export_id, key, &entity, &found, &job->error))
        return false;
    if (found)
        return entity.change <= job->from || put_whole(job, &entity);
    if (!store_read_tombstone(reader, export_id, key, &tombstone, &found, &job->error))
        return false;
    if (found)
        return tombstone.change <= job->from || put_delete(job, key, tombstone.seq);
    /* Deleted so long ago that it is forgotten, or never there: telling it again does no harm. */
    return job->from >= log->tombstone_floor || put_delete(job, key, job->resume_seq);
}

static bool read_state(struct catch_up_job *job, struct store_reader *reader)
{
    struct store_log_state log;
    struct store_export export;
    bool found;
    if (!store_read_log(reader, &log, &job->error) ||
        !store_read_export(reader, span_of(job->view->export_name), &export, &found, &job->error))
        return false;
    bool by_key = job->key && job->style != STYLE_EVENTS;
    job->expired = !by_key && job->from < log.floor_change;
    if (job->expired)
        return true;
    if (!found)
        job->to = log.last_change;
    else if (!(by_key ? read_one : read_log)(job, reader, export.id, &log))
        return false;
    job->at_head = job->to >= log.last_change;
    if (job->at_head && found && export.last_change > 0)
        job->resume_seq = export.last_seq;
    /* In an append view a whole row may stand for later events too, so only the head will do. */
    bool whole_events = job->mode == WIRE_APPEND && job->style != STYLE_EVENTS;
    bool reached = job->to >= job->resume_target && !whole_events;
    job->ended = job->resuming && (job->at_head || reached || job->limit_hit);
    return true;
}

/* Close the page: RESUME's rows become a batch; what ends a resume carries the cursor. */
static bool print_page(struct catch_up_job *job)
{
    char seq[SEQ_SIZE];
    bool done = true;
    if (job->rows.rows || job->ended) {
        struct wire_gzip *gzip =
            job->rows.json.length + 64 >= WIRE_GZIP_MINIMUM ? wire_gzip_new() : NULL;
        struct span cursor = job->ended ? frame_seq(seq, job->resume_seq) : span_make(NULL, 0);
        done = wire_batch_end(&job->rows, job->ended, cursor, gzip, &job->out);
        wire_gzip_free(gzip);
    }
    if (done && job->out.length) {
        job->frames = text_new(job->out.data, job->out.length);
        done = job->frames != NULL;
    }
    return done || lacks_memory(job);
}

static void run_page(struct read_job *read, struct store_reader *reader)
{
    struct catch_up_job *job = (struct catch_up_job *)read;
    if (atomic_load(&job->forgotten))
        return;
    if (!wire_batch_start(&job->rows, job->mode, span_of(job->view->id)) && !lacks_memory(job))
        return;
    if (!store_read_begin(reader, &job->error))
        return;
    bool done = read_state(job, reader);
    store_read_end(reader);
    job->done = done && (job->expired || print_page(job));
}

/* ---- looking a cursor up ---- */

/* The seq stands in the log: what follows in commit order. If several changes have it, the client
 * may have had only some of them, so they come again, and may be had already. */
static void accept_found(struct catch_up_job *job, const struct store_log_state *log,
                         const struct store_seq_place *place)
{
    /* 0:0 is also the cursor of an export that had nothing yet. */
    bool shared = place->count > 1 || (job->after.slot == 0 && job->after.index == 0);
    job->from = shared ? place->first - 1 : place->first;
    job->ambiguous_until = shared ? place->last : 0;
    job->accepted = !place->torn && job->from >= log->cursor_floor;
}

/* The seq is not in the log, but not older than its floor: whatever has a greater one. */
static bool accept_greater(struct catch_up_job *job, struct store_reader *reader,
                           const struct store_log_state *log, uint32_t export_id)
{
    int64_t first;
    if (log->floor_change > 0 && seq_compare(job->after, log->floor_seq) <= 0)
        return true;
    if (!store_find_after_seq(reader, export_id, job->after, &first, &job->error))
        return false;
    job->from = first ? first - 1 : log->last_change;
    job->only_greater = true;
    job->greater = job->after;
    job->accepted = job->from >= log->cursor_floor;
    return true;
}

static bool resolve(struct catch_up_job *job, struct store_reader *reader)
{
    struct store_log_state log;
    struct store_export export;
    struct store_seq_place place;
    bool found;
    if (!store_read_log(reader, &log, &job->error) ||
        !store_read_export(reader, span_of(job->view->export_name), &export, &found, &job->error))
        return false;
    job->to = log.last_change;
    if (!found || seq_compare(job->after, log.head) > 0)
        return true;
    if (!store_find_seq(reader, export.id, job->after, &place, &job->error))
        return false;
    if (place.count) {
        accept_found(job, &log, &place);
        return true;
    }
    if (export.last_change && seq_compare(job->after, export.last_seq) == 0) {
        /* The newest of the export, trimmed by age: nothing came since. */
        job->from = export.last_change > log.floor_change ? export.last_change : log.floor_change;
        job->accepted = !export.last_seq_shared && job->from >= log.cursor_floor;
        return true;
    }
    return accept_greater(job, reader, &log, export.id);
}

static void run_resolve(struct read_job *read, struct store_reader *reader)
{
    struct catch_up_job *job = (struct catch_up_job *)read;
    if (atomic_load(&job->forgotten) || !store_read_begin(reader, &job->error))
        return;
    job->done = resolve(job, reader);
    store_read_end(reader);
}

/* ---- on the loop ---- */

static void job_free(struct catch_up_job *job)
{
    buffer_fini(&job->out);
    buffer_fini(&job->shown);
    buffer_fini(&job->paths);
    wire_batch_fini(&job->rows);
    doc_fini(&job->doc);
    text_unref(job->frames);
    memory_free(job->key);
    memory_free(job);
}

void catch_up_refuse(struct subscription *subscription)
{
    struct hub *hub = subscription->feed->hub;
    counter_add(&hub->metrics.resumes_refused, 1);
    subscription_announce(subscription, 0);
    if (subscription->with_snapshot) {
        subscription_start_snapshot(subscription);
        return;
    }
    subscription->knowledge = (struct knowledge){.full = false};
    subscription_start_live(subscription, hub->ring.last);
}

static void resolved(struct subscription *subscription, const struct catch_up_job *job)
{
    struct hub *hub = subscription->feed->hub;
    if (!job->accepted) {
        catch_up_refuse(subscription);
        return;
    }
    bool append = subscription->feed->mode == WIRE_APPEND;
    counter_add(&hub->metrics.resumes, 1);
    subscription_announce(subscription, 1);
    /* Who wants no snapshot, or a part of one, may never have had all, so what it holds cannot be
     * told; but in an append view a cursor asks for events, and says that all before were had. */
    bool whole = subscription->with_snapshot && subscription->limit < 0;
    subscription->knowledge =
        (struct knowledge){.full = whole || append, .begun = true, .since = job->from};
    subscription->resuming = subscription->with_snapshot;
    subscription->resume_limit = subscription->limit;
    subscription->resume_from = job->from;
    subscription->resume_target = job->to;
    subscription->resume_seq = job->after;
    subscription->ambiguous_until = append ? job->ambiguous_until : 0;
    subscription->only_greater = append && job->only_greater;
    subscription->greater = job->after;
    subscription_start_catch_up(subscription, job->from);
}

static void fail(struct subscription *subscription, const struct catch_up_job *job)
{
    log_error("hub", "catch-up-failed", "view=\"%s\" error=\"%s\"", job->view->id,
              job->error.message);
    subscriber_error(subscription->subscriber, &job->error, false);
    subscription_close(subscription);
}

static void deliver(struct engine_event *event)
{
    struct catch_up_job *job = (struct catch_up_job *)event;
    struct subscription *subscription = job->subscription;
    job->returned = true;
    if (!subscription) {
        job_free(job);
        return;
    }
    if (job->is_resolve || !job->done) {
        subscription->job = NULL;
        if (job->done)
            resolved(subscription, job);
        else
            fail(subscription, job);
        job_free(job);
        return;
    }
    subscriber_ready(subscription);
}

static struct catch_up_job *job_new(struct subscription *subscription,
                                    void (*run)(struct read_job *, struct store_reader *))
{
    const struct key_group *group = subscription->group;
    struct catch_up_job *job = memory_new(sizeof *job);
    if (!job)
        return NULL;
    job->read.event.deliver = deliver;
    job->read.run = run;
    job->hub = subscription->feed->hub;
    job->subscription = subscription;
    job->view = subscription->feed->view;
    job->mode = subscription->feed->mode;
    buffer_init(&job->out, UINT32_MAX);
    buffer_init(&job->shown, UINT32_MAX);
    buffer_init(&job->paths, UINT32_MAX);
    wire_batch_init(&job->rows, UINT32_MAX);
    doc_init(&job->doc, UINT32_MAX, UINT32_MAX);
    job->key = group ? memory_copy_string(group->key, group->key_length) : NULL;
    if (!group || job->key)
        return job;
    job_free(job);
    return NULL;
}

static bool job_start(struct subscription *subscription, struct catch_up_job *job)
{
    subscription->job = job;
    if (engine_read(job->hub->engine, &job->read))
        return true;
    subscription->job = NULL;
    job_free(job);
    return false;
}

bool catch_up_resolve(struct subscription *subscription, struct seq after)
{
    struct catch_up_job *job = job_new(subscription, run_resolve);
    if (!job)
        return false;
    job->is_resolve = true;
    job->after = after;
    return job_start(subscription, job);
}

/*
 * What overlaps a snapshot is whole in any view. So it is for who listens to an append view
 * without knowing all its keys and falls behind: an event of an unknown key would be a patch of
 * something that was never sent.
 */
static enum style choose_style(const struct subscription *subscription)
{
    if (subscription->overlaps)
        return STYLE_RESUME;
    if (subscription->feed->mode == WIRE_APPEND)
        return subscription->knowledge.full ? STYLE_EVENTS : STYLE_WHOLE;
    return subscription->resuming ? STYLE_RESUME : STYLE_WHOLE;
}

static bool read_page(struct subscription *subscription)
{
    struct catch_up_job *job = job_new(subscription, run_page);
    if (!job)
        return false;
    job->from = subscription->cursor;
    job->style = choose_style(subscription);
    job->resuming = subscription->resuming;
    job->resume_target = subscription->resume_target;
    job->resume_limit = subscription->resuming ? subscription->resume_limit : -1;
    job->resume_seq = subscription->resume_seq;
    job->ambiguous_until = subscription->ambiguous_until;
    job->only_greater = subscription->only_greater;
    job->greater = subscription->greater;
    job->max_array = engine_max_array_length(job->hub->engine);
    return job_start(subscription, job);
}

/* The resume was cut at its limit: on to the present. What changed in between is not known to the
 * client, and comes whole when it changes next. */
static void skip_to_present(struct subscription *subscription, int64_t reached)
{
    int64_t head = subscription->feed->hub->ring.last;
    if (head < reached)
        head = reached; /* the reader was ahead of the loop */
    subscription->knowledge = (struct knowledge){.begun = true,
                                                 .since = head,
                                                 .resumed_from = subscription->resume_from,
                                                 .resumed_to = reached};
    subscription_start_live(subscription, head);
}

static void advance(struct subscription *subscription, const struct catch_up_job *job)
{
    subscription->cursor = job->to;
    subscription->resume_seq = job->resume_seq;
    subscription->resume_limit = job->resume_limit;
    if (job->ended)
        subscription->resuming = subscription->overlaps = false;
    if (job->to >= subscription->resume_target)
        subscription->only_greater = false;
    if (job->limit_hit)
        skip_to_present(subscription, job->to);
    else if (job->at_head)
        subscription_start_live(subscription, job->to);
    else
        subscriber_ready(subscription);
}

struct span catch_up_pull(struct subscription *subscription)
{
    struct catch_up_job *job = subscription->job;
    struct span nothing = span_make(NULL, 0);
    if (!job) {
        struct error error;
        if (read_page(subscription))
            return nothing;
        error_set(&error, ERROR_QUEUE_FULL,
                  "too many are catching up at once, or memory is short; subscribe again later");
        subscriber_error(subscription->subscriber, &error, false);
        subscription_close(subscription);
        return nothing;
    }
    if (!job->returned)
        return nothing;
    subscription->job = NULL;
    if (job->expired) {
        catch_up_refuse(subscription);
        job_free(job);
        return nothing;
    }
    struct text *frames = job->frames;
    job->frames = NULL;
    advance(subscription, job);
    job_free(job);
    return frames ? subscriber_send(subscription->subscriber, frames) : nothing;
}

void catch_up_forget(struct subscription *subscription)
{
    struct catch_up_job *job = subscription->job;
    subscription->job = NULL;
    if (!job)
        return;
    job->subscription = NULL;
    atomic_store(&job->forgotten, true);
    if (job->returned)
        job_free(job);
}
