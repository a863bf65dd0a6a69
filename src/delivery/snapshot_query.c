/* Snapshots, the reading side: the rows behind a point, in one short transaction. */
#include "delivery/snapshot_internal.h"
#include "rows/scoped_scan.h"
#include "rows/view_state.h"

#include <stdlib.h>

static bool lacks_memory(struct snapshot_query *query)
{
    return error_set(&query->error, ERROR_MEMORY, "out of memory while building a snapshot");
}

enum {
    LOOKED_FOR_SHOWN = 10, /* rows that are not shown cost less, */
    LIMITED_AT_ONCE = 20   /* ... and a limited snapshot looks at so many more at once */
};

/*
 * The newest rows are those of one state only when one transaction read them: what changes between
 * two is sent again, but it would have moved others over the limit. So a limited snapshot is read
 * at once, deletes included, up to more than any screen shows.
 */
static int64_t most_looked_at(const struct snapshot_query *query)
{
    return query->max_rows * (query->drafts.point.limit >= 0 ? LIMITED_AT_ONCE : 1);
}

static bool has_enough(const struct snapshot_query *query)
{
    const struct snapshot_drafts *drafts = &query->drafts;
    if (drafts->point.limit >= 0)
        return drafts->full_bytes >= HUB_LIMITED_BYTES;
    return drafts->sink.rows >= query->max_rows || drafts->full_bytes >= HUB_SNAPSHOT_BYTES;
}

/* In a scoped view all rows are looked at, and the visible ones added. */
static bool add_scoped(struct snapshot_query *query, const struct store_entity *row)
{
    struct snapshot_drafts *drafts = &query->drafts;
    bool shown = row_scope_shows(query->scope, drafts->sink.view, row->data);
    if (drafts->point.limit == 0 && !query->was)
        return false;
    if (query->looked >= LOOKED_FOR_SHOWN * most_looked_at(query)) {
        query->stopped = true;
        return false;
    }
    query->looked++;
    query->seen = row->seq;
    buffer_clear(&query->seen_key);
    if (!buffer_add_span(&query->seen_key, row->key))
        return lacks_memory(query);
    if (shown)
        return drafts->point.limit == 0 || row_sink_put(&drafts->sink, row) || lacks_memory(query);
    return !query->was || !row_scope_shows(query->was, drafts->sink.view, row->data) ||
           row_sink_remove(&drafts->sink, row->key) || lacks_memory(query);
}

/* One row; false stops the scan. */
static bool add_row(void *argument, const struct store_entity *row)
{
    struct snapshot_query *query = argument;
    struct snapshot_drafts *drafts = &query->drafts;
    if (has_enough(query)) {
        query->stopped = true;
        return false;
    }
    if (query->scope)
        return add_scoped(query, row);
    return row_sink_put(&drafts->sink, row) || lacks_memory(query);
}

/* ---- deletes ---- */

/* Whether an entity that is seen was among the rows: they are the newest ones, up to a limit. */
static bool was_among_rows(const struct snapshot_point *point, struct seq seq, struct span key)
{
    return point->limit < 0 ||
           (point->rows > 0 && list_position_compare(seq, key, &point->bound) <= 0);
}

static bool note_left(struct snapshot_query *query, struct span key)
{
    uint32_t length = (uint32_t)key.length;
    buffer_add(&query->left, &length, sizeof length);
    return buffer_add_span(&query->left, key);
}

/* A delete that a client with rows from before may have missed. Rows that were deleted since the
 * snapshot's first transaction are told behind it, with all other changes since. */
static bool add_delete(void *argument, const struct store_tombstone *tombstone)
{
    struct snapshot_query *query = argument;
    const struct snapshot_point *point = &query->drafts.point;
    bool due = tombstone->at >= query->deleted_since && tombstone->change <= point->change;
    query->drafts.point.deletes = tombstone->change;
    query->deletes++;
    bool seen = row_scope_sees(query->scope, tombstone->scope) ||
                (query->was && row_scope_sees(query->was, tombstone->scope));
    if (!due || !seen || !view_shows(query->drafts.sink.view, tombstone->key))
        return true;
    if (query->scope)
        return note_left(query, tombstone->key) || lacks_memory(query);
    return row_sink_remove(&query->drafts.sink, tombstone->key) || lacks_memory(query);
}

/* A row that left one scope may be seen in another, and be among the rows. */
static bool add_left(struct snapshot_query *query, struct store_reader *reader, uint32_t export_id)
{
    struct span left = buffer_span(&query->left);
    while (left.length) {
        uint32_t length;
        memcpy(&length, left.data, sizeof length);
        struct span key = span_make(left.data + sizeof length, length);
        struct store_entity entity;
        bool found;
        left = span_make(key.data + length, left.length - sizeof length - length);
        if (!store_read_entity(reader, export_id, key, &entity, &found, &query->error))
            return false;
        bool stays = found && row_scope_shows(query->scope, query->drafts.sink.view, entity.data) &&
                     was_among_rows(&query->drafts.point, entity.seq, key);
        if (!stays && !row_sink_remove(&query->drafts.sink, key))
            return lacks_memory(query);
    }
    return true;
}

/* The next of them; point.deletes becomes 0 behind the last. */
static bool read_deletes(struct snapshot_query *query, struct store_reader *reader,
                         uint32_t export_id)
{
    struct snapshot_point *point = &query->drafts.point;
    struct store_tombstone tombstone;
    bool found;
    if (query->key.data && query->scope) {
        point->deletes = 0; /* read_key tells it */
        return true;
    }
    if (query->key.data) {
        if (!store_read_tombstone(reader, export_id, query->key, &tombstone, &found,
                                  &query->error) ||
            (found && !add_delete(query, &tombstone)))
            return false;
    } else if (!scoped_scan_tombstones((struct scoped){query->scope, query->was}, reader, export_id,
                                       point->deletes, most_looked_at(query), add_delete, query,
                                       &query->error) ||
               query->error.code != ERROR_NONE || !add_left(query, reader, export_id)) {
        return false;
    }
    if (query->deletes < most_looked_at(query) || query->key.data)
        point->deletes = 0;
    else
        query->stopped = true;
    return true;
}

/* ---- rows ---- */

static bool read_key(struct snapshot_query *query, struct store_reader *reader, uint32_t export_id,
                     struct span key)
{
    struct store_entity entity;
    bool found;
    if (!store_read_entity(reader, export_id, key, &entity, &found, &query->error))
        return false;
    if (query->scope && query->key.data &&
        !(found && row_scope_shows(query->scope, query->drafts.sink.view, entity.data)))
        /* The same answer whether there is none, or was, or one that must not be seen. */
        return row_sink_remove(&query->drafts.sink, key) || lacks_memory(query);
    return !found || !view_shows(query->drafts.sink.view, key) || add_row(query, &entity) ||
           query->error.code == ERROR_NONE;
}

/* A view of named keys: in the order of any list, so their positions are sorted before. */
static int newest_first(const void *a, const void *b)
{
    const struct store_position *one = a, *other = b;
    int order = seq_compare(other->seq, one->seq);
    return order ? order : span_compare(one->key, other->key);
}

static bool read_named_keys(struct snapshot_query *query, struct store_reader *reader,
                            uint32_t export_id)
{
    const struct view *view = query->drafts.sink.view;
    const struct snapshot_point *from = &query->drafts.point;
    struct store_position *rows = memory_new(view->key_count * sizeof *rows);
    size_t count = 0;
    bool done = rows != NULL || lacks_memory(query);
    for (size_t i = 0; done && i < view->key_count; i++) {
        struct store_entity entity;
        bool found;
        done = store_read_entity(reader, export_id, view->keys[i], &entity, &found, &query->error);
        /* Behind the point where the last job stopped. */
        if (done && found &&
            (!from->begun || list_position_compare(entity.seq, view->keys[i], &from->at) > 0))
            rows[count++] = (struct store_position){entity.seq, view->keys[i]};
    }
    if (done)
        qsort(rows, count, sizeof *rows, newest_first);
    for (size_t i = 0; done && i < count && !query->stopped && (from->limit != 0 || query->was);
         i++)
        done = read_key(query, reader, export_id, rows[i].key);
    memory_free(rows);
    return done;
}

static bool add_labelled(void *argument, struct span point, const struct store_entity *row)
{
    (void)point;
    return add_row(argument, row);
}

/* The visible rows, by label: rows of other labels cost nothing. */
static bool read_labelled(struct snapshot_query *query, struct store_reader *reader, int64_t stage,
                          const struct store_position *at)
{
    struct buffer behind;
    buffer_init(&behind, UINT32_MAX);
    bool done = !at || view_seq_sort_key(at->key, at->seq, &behind) || lacks_memory(query);
    done = done &&
           scoped_scan_rows((struct scoped){query->scope, query->was}, reader, stage,
                            buffer_span(&behind), -1, add_labelled, query, &query->error) &&
           query->error.code == ERROR_NONE;
    buffer_fini(&behind);
    return done;
}

static bool read_rows(struct snapshot_query *query, struct store_reader *reader, uint32_t export_id)
{
    const struct snapshot_point *from = &query->drafts.point;
    if (query->key.data)
        return read_key(query, reader, export_id, query->key);
    if (query->drafts.sink.view->key_count)
        return read_named_keys(query, reader, export_id);
    /* The point moves on with the rows: what it was is kept until the scan is over. */
    struct list_position begin = list_position_ref(&from->at);
    struct store_position at = {begin.seq, text_span(begin.key)};
    int64_t limit = query->scope ? -1 : from->limit, stage;
    const struct store_position *behind = from->begun ? &at : NULL;
    bool done =
        scoped_find_rows((struct scoped){query->scope, query->was},
                         view_by_label(query->drafts.sink.view), reader, &stage, &query->error);
    if (done && stage)
        done = read_labelled(query, reader, stage, behind);
    else
        done = done &&
               store_scan_entities(reader, export_id, behind, limit, add_row, query, &query->error);
    done = done && query->error.code == ERROR_NONE;
    list_position_unref(&begin);
    return done;
}

/* ---- the transaction ---- */

/* Everything from one state of the database. */
static bool read_state(struct snapshot_query *query, struct store_reader *reader)
{
    struct snapshot_point *point = &query->drafts.point;
    struct view_state state;
    if (!view_state_read(&state, query->drafts.sink.view, reader, &query->error))
        return false;
    if (point->latest == 0) {
        if (point->change == 0)
            point->change = state.log.last_change;
        point->seq = view_state_cursor(&state);
        /* Behind bodies nothing is to be told: a client forgets what is not among the rows. */
        point->deletes = query->drafts.sink.encoding ? 0 : INT64_MAX;
    }
    point->latest = state.log.last_change;
    if (!state.found)
        return true;
    if (!point->rows_read && !read_rows(query, reader, state.export.id))
        return false;
    if (query->stopped)
        return !query->looked ||
               snapshot_drafts_pass(&query->drafts, query->seen, buffer_span(&query->seen_key)) ||
               lacks_memory(query);
    if (!snapshot_drafts_rows_read(&query->drafts))
        return lacks_memory(query);
    return !point->deletes || read_deletes(query, reader, state.export.id);
}

/* Nothing is compressed while the transaction is open. */
bool snapshot_query_run(struct snapshot_query *query, struct store_reader *reader)
{
    if (!store_read_begin(reader, &query->error))
        return false;
    bool done = read_state(query, reader);
    store_read_end(reader);
    return done && (snapshot_drafts_end(&query->drafts, !query->stopped) || lacks_memory(query));
}
