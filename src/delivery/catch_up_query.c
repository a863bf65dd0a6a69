/*
 * Pages of catching up, the reading side: what comes behind a cursor, in one short transaction.
 *
 * An entity is sent where its newest change stands in the log: at an older change of it the row
 * says that a later one comes, within this page or a later one.
 */
#include "delivery/catch_up_internal.h"
#include "rows/scoped_scan.h"
#include "rows/view_state.h"

/* ---- the frames of each key that a page of events has sent, to a client that lacks some ---- */

enum told { TOLD_NOTHING, TOLD_EVENTS, TOLD_WHOLE };

struct told_key {
    enum told told;
    size_t length;
    char key[];
};

static struct span told_name(const void *value)
{
    const struct told_key *key = value;
    return span_make(key->key, key->length);
}

static void free_told(struct catch_up_page *page)
{
    size_t position = 0;
    struct told_key *key;
    while ((key = map_next(&page->told, &position)))
        memory_free(key);
    map_fini(&page->told);
}

static enum told told_of(const struct catch_up_page *page, struct span key)
{
    const struct told_key *known = map_get(&page->told, key);
    return known ? known->told : TOLD_NOTHING;
}

static bool note_told(struct catch_up_page *page, struct span key, enum told told)
{
    struct told_key *known = map_get(&page->told, key);
    if (known) {
        known->told = told;
        return true;
    }
    known = memory_alloc(sizeof *known + key.length);
    if (known) {
        *known = (struct told_key){.told = told, .length = key.length};
        memcpy(known->key, key.data, key.length);
        if (map_add(&page->told, known))
            return true;
        memory_free(known);
    }
    return error_set(page->error, ERROR_MEMORY, "out of memory while catching up");
}

/* ---- from the log ---- */

/*
 * In a scoped view an entity that is not visible now is a delete wherever a change took it out of
 * sight: a client that saw it then may hold it, and gets the delete nowhere else.
 */
static bool put_out_of_sight(struct catch_up_page *page, const struct store_change *change)
{
    const struct catch_up_request *request = &page->request;
    struct sight sight = row_scope_log_sight(request->scope, change);
    bool before =
        sight.before || (request->was && row_scope_log_sight(request->was, change).before);
    return !before || sight.after ||
           catch_up_put_leaving(&page->frames, ROW_REMOVE, change->key, change->seq);
}

static bool put_present(struct catch_up_page *page, const struct store_change *change,
                        const struct store_entity *entity)
{
    const struct catch_up_request *request = &page->request;
    bool hidden =
        request->scope && !(entity && row_scope_shows(request->scope, request->view, entity->data));
    if (request->part != CATCH_UP_ALL && (request->part == CATCH_UP_ROWS) != (entity && !hidden))
        return true;
    if (hidden)
        return put_out_of_sight(page, change);
    if (entity)
        return entity->change != change->id || catch_up_put_whole(&page->frames, entity);
    return !row_is_gone(change->operation) ||
           catch_up_put_leaving(&page->frames, ROW_DELETE, change->key, change->seq);
}

/*
 * A patch of an entity that the client may lack: the entity itself comes, once. If it is gone
 * since, or out of sight, that comes later in the log.
 */
static bool put_first_patch(struct catch_up_page *page, const struct store_change *change,
                            const struct store_entity *entity)
{
    bool whole = told_of(page, change->key) == TOLD_WHOLE;
    return whole || !entity ||
           (catch_up_put_whole(&page->frames, entity) && note_told(page, change->key, TOLD_WHOLE));
}

static bool put_partial_event(struct catch_up_page *page, const struct store_change *change,
                              const struct store_entity *entity)
{
    enum told told = told_of(page, change->key);
    if (change->operation == ROW_PATCH && told != TOLD_EVENTS)
        return put_first_patch(page, change, entity);
    return catch_up_put_event(&page->frames, change, false, entity) &&
           note_told(page, change->key,
                     row_is_gone(change->operation) ? TOLD_NOTHING : TOLD_EVENTS);
}

static bool put_event(struct catch_up_page *page, const struct store_change *change,
                      const struct store_entity *entity)
{
    const struct catch_up_request *request = &page->request;
    struct sight sight = row_scope_log_sight(request->scope, change);
    if (request->query && (row_is_gone(change->operation) || !sight.after ||
                           !view_query_holds(request->query, change->patch, 0)))
        return true;
    if (!sight.after)
        return !sight.before || catch_up_put_event(&page->frames, change, true, NULL);
    /* The present state must not show in a former one. */
    if (entity && !row_scope_shows(request->scope, request->view, entity->data))
        entity = NULL;
    return request->partial ? put_partial_event(page, change, entity)
                            : catch_up_put_event(&page->frames, change, false, entity);
}

/* Whether this event counts for who came with a cursor that the log does not hold. */
static bool is_wanted_event(const struct catch_up_request *request,
                            const struct store_change *change)
{
    return !request->only_greater || change->id > request->resume_target ||
           seq_compare(change->seq, request->greater) > 0;
}

/* Bytes so far, and whether anything was put. */
static size_t page_length(const struct catch_up_frames *frames)
{
    const struct snapshot_drafts *rows = &frames->rows;
    size_t batch = rows->sink.rows ? rows->list[0].rows.json.length : 0;
    return frames->frames.out.length + rows->deletes.length + batch;
}

static bool is_full(const struct catch_up_page *page)
{
    const struct catch_up_request *request = &page->request;
    return page_length(&page->frames) >= request->page_bytes || page->limit_hit ||
           (request->as_list && page->frames.listed >= request->most);
}

/*
 * Whether a limited resume may end behind this change, so that it goes on from its seq. If other
 * changes share the seq, the next page begins before the first of them. So they must lie behind the
 * start of this page, or the pages make no progress; and this page must have them all, or the next
 * one repeats new changes. A seq of which a part was trimmed is no cursor. For one key the changes
 * behind it do not matter, because they are mostly of other keys.
 */
static bool may_end(struct catch_up_page *page, const struct store_change *change)
{
    const struct catch_up_request *request = &page->request;
    struct store_seq_range *group = &page->group;
    bool known = group->first && seq_compare(page->group_seq, change->seq) == 0;
    page->group_seq = change->seq;
    if (!known && !store_find_seq(page->reader, page->export_id, change->seq, group, page->error))
        return false;
    bool shared = group->first != group->last;
    return !group->torn && (request->key.data || group->last == change->id) &&
           (!shared || group->first - 1 > request->resume_from);
}

/* Changes that share the cursor's seq come again, and do not count against the limit. */
static void count_against_limit(struct catch_up_page *page, const struct store_change *change,
                                bool put)
{
    if (page->resume_limit < 0)
        return;
    if (put && page->resume_limit > 0 && change->id > page->request.ambiguous_until)
        page->resume_limit--;
    page->limit_hit = page->resume_limit == 0 && may_end(page, change);
}

/* One row of the log; false stops the scan. */
static bool put_change(void *argument, const struct store_change *change,
                       const struct store_entity *entity)
{
    struct catch_up_page *page = argument;
    const struct catch_up_request *request = &page->request;
    if (is_full(page) || page->looks == 0)
        return false;
    page->looks -= page->looks > 0;
    size_t before = page_length(&page->frames);
    if (view_shows(request->view, change->key)) {
        bool done = true;
        if (request->style != CATCH_UP_EVENTS)
            done = put_present(page, change, entity);
        else if (is_wanted_event(request, change))
            done = put_event(page, change, entity);
        if (!done)
            return false;
    }
    page->to = change->id;
    page->resume_seq = change->seq;
    count_against_limit(page, change, page_length(&page->frames) > before);
    return page->error->code == ERROR_NONE;
}

/*
 * Events lead from one state to the next, so those of an append view may end at the change that was
 * the newest when it began. Rows are present states: with one that changed behind the last page is
 * missing, or too new, what it was before. They end at the head of the very transaction that read
 * the last of them, and nowhere else.
 */
static bool ends_at_target(const struct catch_up_request *request)
{
    if (request->part == CATCH_UP_GONE) /* the rows behind it are not told by this page */
        return request->from <= request->resume_target;
    return request->resuming && request->style == CATCH_UP_EVENTS &&
           request->from < request->resume_target;
}

/* Rows of other exports lie between. But none of ours lies behind the export's newest, so a
 * cursor there reads nothing at all. If rows are found by label, those of other labels do not
 * count against the bound of a page. */
static bool read_log(struct catch_up_page *page, struct store_reader *reader,
                     const struct view_state *state)
{
    const struct catch_up_request *request = &page->request;
    /* Of an export that is fed little the cursor may be older than the log, which lacks nothing. */
    int64_t floor = state->log.floor_change;
    int64_t from = request->from > floor ? request->from : floor;
    int64_t newest = state->export.last_change;
    if (request->as_list && newest > request->last)
        newest = request->last;
    int64_t until = newest;
    page->reader = reader;
    page->export_id = state->export.id;
    if (until - from > request->scan_rows && !request->scope)
        until = from + request->scan_rows;
    if (ends_at_target(request) && until > request->resume_target)
        until = request->resume_target;
    page->to = request->from;
    page->looks = request->scope ? request->scan_rows : -1;
    if (until > from && (!scoped_scan_changes((struct scoped){request->scope, request->was}, reader,
                                              state->export.id, request->key, from, until, true,
                                              put_change, page, page->error) ||
                         page->error->code != ERROR_NONE))
        return false;
    if (!is_full(page) && page->looks != 0) /* nothing behind the last row was for this view */
        page->to = until < newest ? until : state->log.last_change;
    return true;
}

/* Unless the page is at the head, only whole events lead to a state that was. */
static bool has_ended(struct catch_up_page *page, const struct view_state *state)
{
    const struct catch_up_request *request = &page->request;
    bool reached = ends_at_target(request) && page->to == request->resume_target;
    bool was = page->frames.true_from <= request->resume_target;
    if (reached && !was)
        page->target = state->log.last_change;
    return request->resuming && (page->at_head || page->limit_hit || (reached && was));
}

/* ---- one key ---- */

/* One key needs no log: the entity itself says when it changed last. */
static bool read_one(struct catch_up_page *page, struct store_reader *reader,
                     const struct view_state *state)
{
    const struct catch_up_request *request = &page->request;
    struct catch_up_frames *frames = &page->frames;
    struct store_entity entity;
    struct store_tombstone tombstone;
    bool found;
    page->to = state->log.last_change;
    if (!view_shows(request->view, request->key))
        return true;
    if (!store_read_entity(reader, state->export.id, request->key, &entity, &found, page->error))
        return false;
    /* The same answer whether there is none, or was, or one that must not be seen. */
    if (request->scope && !(found && row_scope_shows(request->scope, request->view, entity.data)))
        return catch_up_put_leaving(frames, ROW_REMOVE, request->key, view_state_cursor(state));
    if (found)
        return entity.change <= request->from || catch_up_put_whole(frames, &entity);
    if (!store_read_tombstone(reader, state->export.id, request->key, &tombstone, &found,
                              page->error))
        return false;
    if (found)
        return tombstone.change <= request->from ||
               catch_up_put_leaving(frames, ROW_DELETE, request->key, tombstone.seq);
    /* Deleted so long ago that it is forgotten, or never there: telling it again does no harm. */
    return request->from >= state->log.tombstone_floor ||
           catch_up_put_leaving(frames, ROW_DELETE, request->key, page->resume_seq);
}

/* ---- the page ---- */

static bool read_rows(struct catch_up_page *page, struct store_reader *reader)
{
    const struct catch_up_request *request = &page->request;
    struct view_state state;
    if (!view_state_read(&state, request->view, reader, page->error))
        return false;
    bool by_key = request->key.data && request->style != CATCH_UP_EVENTS;
    page->frames.head = state.log.last_change;
    page->expired = !by_key && state.found && request->from < state.export.floor_change;
    if (page->expired)
        return true;
    if (!state.found)
        page->to = state.log.last_change;
    else if (!(by_key ? read_one : read_log)(page, reader, &state))
        return false;
    page->at_head = page->to >= state.log.last_change;
    if (page->at_head && state.found && state.export.last_change > 0)
        page->resume_seq = view_state_cursor(&state);
    page->ended = has_ended(page, &state);
    return true;
}

bool catch_up_query(struct catch_up_page *page, struct store_reader *reader)
{
    page->resume_limit = page->request.resume_limit;
    page->resume_seq = page->request.resume_seq;
    page->target = page->request.resume_target;
    catch_up_frames_init(&page->frames, &page->request, page->error);
    map_init(&page->told, told_name);
    if (!store_read_begin(reader, page->error))
        return false;
    bool done = read_rows(page, reader);
    store_read_end(reader);
    free_told(page);
    page->rows = (uint64_t)page->frames.rows.sink.rows;
    bool is_told = page->at_head || (page->request.is_cut && page->to >= page->target);
    page->tells_state = done && page->request.tells_state && is_told;
    page->frames.rows.without_cursor &= !page->tells_state;
    return done &&
           (page->expired || catch_up_frames_end(&page->frames, page->ended || page->tells_state,
                                                 page->resume_seq, &page->text));
}
