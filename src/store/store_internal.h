/*
 * Shared by the files of this folder: the statements, and the writer's picture of the counters.
 *
 * Invariant: writer.now and export.now describe the open transaction, .committed the state on disk.
 */
#ifndef STORE_STORE_INTERNAL_H
#define STORE_STORE_INTERNAL_H

#include "database/connection.h"
#include "sqlview/upkeep.h"
#include "store/note.h"
#include "store/store.h"

#include <stdio.h>

/* ---- statements ---- */

/* One slot per prepared statement of a connection, behind its own. */
enum statement {
    STATEMENT_LOG_READ = SQL_VIEW_STATEMENTS,
    STATEMENT_LOG_WRITE,
    STATEMENT_EXPORT_INSERT,
    STATEMENT_EXPORT_WRITE,
    STATEMENT_EXPORT_ALL,
    STATEMENT_EXPORT_BY_NAME,
    STATEMENT_EXPORT_OLDEST,
    STATEMENT_EXPORT_ORDER,
    STATEMENT_EXPORT_ORDER_TO,
    STATEMENT_EXPORT_ORDER_SOME,
    STATEMENT_EXPORT_UNORDER,
    STATEMENT_EXPORT_IS_ORDERED,
    STATEMENT_ENTITY_GET,
    STATEMENT_ENTITY_ORDER,
    STATEMENT_ENTITY_INSERT,
    STATEMENT_ENTITY_UPDATE,
    STATEMENT_ENTITY_UPDATE_LIMITED,
    STATEMENT_ENTITY_DELETE,
    STATEMENT_ENTITY_SCAN, /* two: same seq, or beyond */
    STATEMENT_ENTITY_SCAN_END = STATEMENT_ENTITY_SCAN + 1,
    STATEMENT_CHANGE_INSERT, /* three: one row, several, many */
    STATEMENT_CHANGE_INSERT_SEVERAL,
    STATEMENT_CHANGE_INSERT_MANY,
    STATEMENT_CHANGE_SEQ_EXISTS,
    STATEMENT_CHANGE_GONE,
    STATEMENT_CHANGE_FIND_SEQ,
    STATEMENT_CHANGE_WALK_SEQS,
    STATEMENT_CHANGE_SCAN, /* eight: one export or all, one key or all, with entities or without */
    STATEMENT_CHANGE_SCAN_END = STATEMENT_CHANGE_SCAN + 7,
    STATEMENT_CHANGE_SCAN_BACK,
    STATEMENT_CHANGE_FIND_TIME,
    STATEMENT_TOMBSTONE_GET,
    STATEMENT_TOMBSTONE_INSERT,
    STATEMENT_TOMBSTONE_DELETE,
    STATEMENT_TOMBSTONE_SCAN,
    STATEMENT_TOMBSTONE_CLEAR,
    STATEMENT_PRODUCER_GET,
    STATEMENT_PRODUCER_ADVANCE,
    STATEMENT_PRODUCER_PUT,
    STATEMENT_OWNER_COUNT, /* two, by enum store_owned */
    STATEMENT_OWNER_COUNT_END = STATEMENT_OWNER_COUNT + 1,
    STATEMENT_PRODUCER_REMOVE,
    STATEMENT_PRODUCER_TRIM,
    STATEMENT_PRODUCER_SCAN,
    STATEMENT_PRODUCER_SCAN_OWNED,
    STATEMENT_PRODUCER_MOVED,
    STATEMENT_KEY_GET,
    STATEMENT_KEY_PUT,
    STATEMENT_KEY_TRIM,
    STATEMENT_KEY_RESTAMP,
    STATEMENT_NOTE_PUT,
    STATEMENT_NOTE_TRIM,
    STATEMENT_NOTE_SCAN,
    STATEMENT_NOTE_NEXT,
    STATEMENT_NOTE_LAST,
    STATEMENT_TRIM_WALK,
    STATEMENT_TRIM_LOWEST,
    STATEMENT_TRIM_TEAR,
    STATEMENT_TRIM_DELETE,
    STATEMENT_TRIM_AHEAD,
    STATEMENT_TRIM_TOMBSTONES_WALK,
    STATEMENT_TRIM_TOMBSTONES_AHEAD,
    STATEMENT_TRIM_TOMBSTONES_DELETE,
    STATEMENT_TRIM_MEMBERSHIPS,
    STATEMENT_STAGE_FIND,
    STATEMENT_STAGE_INSERT,
    STATEMENT_STAGE_PROGRESS,
    STATEMENT_STAGE_NOTE_PROGRESS,
    STATEMENT_STAGE_NOTE_BUILT,
    STATEMENT_STAGE_LIVE,
    STATEMENT_STAGE_RETIRE,
    STATEMENT_STAGE_RETIRED,
    STATEMENT_STAGE_DELETE,
    STATEMENT_STAGE_READ,
    STATEMENT_STAGE_COUNT,
    STATEMENT_STAGE_ROWS,
    STATEMENT_SWEEP_ROWS,
    STATEMENT_SWEEP_TURNS,
    STATEMENT_ROW_PUT,
    STATEMENT_ROW_REMOVE,
    STATEMENT_ROW_AT,
    STATEMENT_ROW_SCAN, /* three: forward, backwards, backwards from the last */
    STATEMENT_ROW_SCAN_END = STATEMENT_ROW_SCAN + 2,
    STATEMENT_ROW_COUNT,
    STATEMENT_RECHECK_PUT,
    STATEMENT_RECHECK_REMOVE,
    STATEMENT_RECHECK_EXISTS,
    STATEMENT_RECHECK_AT,
    STATEMENT_RECHECK_SCAN,
    STATEMENT_MEMBERSHIP_PUT,
    STATEMENT_MEMBERSHIP_SCAN, /* two: by change, by number */
    STATEMENT_MEMBERSHIP_SCAN_END = STATEMENT_MEMBERSHIP_SCAN + 1,
    STATEMENT_ENTITY_BY_ID,
    STATEMENT_ENTITY_WALK, /* two: from the first, or behind a key */
    STATEMENT_ENTITY_WALK_END = STATEMENT_ENTITY_WALK + 1,
    STATEMENT_STAGE_SCAN, /* six: the directions of ROW_SCAN, each without data and with it */
    STATEMENT_STAGE_SCAN_END = STATEMENT_STAGE_SCAN + 5,
    STATEMENT_LIST_SCAN, /* two: without data and with it */
    STATEMENT_LIST_SCAN_END = STATEMENT_LIST_SCAN + 1,
    STATEMENT_VIEW_LIST,
    STATEMENT_SHAPE_NOTE,
    STATEMENT_SHAPE_SINCE,
    STATEMENT_REVOCATION_PUT,
    STATEMENT_REVOCATION_COUNT,
    STATEMENT_REVOCATION_TRIM,
    STATEMENT_REVOCATION_ALL,
    STATEMENT_USAGE_STATE_READ,
    STATEMENT_USAGE_STATE_WRITE,
    STATEMENT_USAGE_PUT,
    STATEMENT_USAGE_REMOVE,
    STATEMENT_USAGE_OLDEST,
    STATEMENT_USAGE_SCAN,
    STATEMENT_FILE_SCAN,
    STATEMENT_ENTITY_COUNT,
    STATEMENT_WATCHED_PUT,
    STATEMENT_WATCHED_RENEW,
    STATEMENT_WATCHED_GET,
    STATEMENT_WATCHED_ROW,
    STATEMENT_WATCHED_MOVE,
    STATEMENT_WATCHED_SCAN,
    STATEMENT_WATCHED_OLD,
    STATEMENT_WATCHED_WINDOWS,
    STATEMENT_WATCHED_ROWS,
    STATEMENT_WATCHED_SPOIL,
    STATEMENT_WATCHED_CLEAR,
    STATEMENT_WATCHED_FORGET,
    STATEMENT_WATCHED_TRIM_AGE,
    STATEMENT_WATCHED_TRIM_COUNT,
    STATEMENT_WATCHED_KEYS_PUT,
    STATEMENT_WATCHED_KEYS_PIN = STATEMENT_WATCHED_KEYS_PUT + 2,
    STATEMENT_WATCHED_KEYS_COUNT,
    STATEMENT_WATCHED_KEYS_OLDEST,
    STATEMENT_WATCHED_KEYS_FORGET,
    STATEMENT_WATCHED_KEYS_SCAN,
    STATEMENT_LABELLED_ROWS,
    STATEMENT_LABELLED_ROW,
    STATEMENT_LABELLED_CHANGES, /* two: by the label that a row has, and by the one that it left */
    STATEMENT_LABELLED_CHANGES_END = STATEMENT_LABELLED_CHANGES + 1,
    STATEMENT_LABELLED_CHANGE, /* two: without its entity, and with it */
    STATEMENT_LABELLED_CHANGE_END = STATEMENT_LABELLED_CHANGE + 1,
    STATEMENT_LABELLED_TOMBSTONES,
    STATEMENT_LABELLED_TOMBSTONE,
    STATEMENT_COUNT
};

/* ---- the writer and the readers ---- */

struct log_record {
    struct store_log_state state;
    int64_t tombstones;    /* rows in tombstone */
    int64_t watched_keys;  /* rows in watched_key that are not pinned, and from which change on */
    int64_t watched_floor; /* ... these and the log have all; -1: they are not noted */
};

/* The pending work on the eviction order of an export's rows. */
enum order_work {
    ORDER_NONE,
    ORDER_MAKE, /* a limit waits for it; rows that are written get their place at once */
    ORDER_CLEAR /* there is no limit any more */
};

/* The counters of one export, and its order_work, which is not stored. */
struct export_counters {
    enum order_work work;
    int64_t wanted_max;  /* ORDER_MAKE: the limit that waits */
    int64_t ordered_row; /* ORDER_MAKE: up to this entity.id it is done */
    int64_t entities, max_entities;
    int64_t last_change;
    struct seq last_seq;
    bool last_shared;
    struct seq head;      /* its greatest seq; means nothing while last_change is 0 */
    int64_t first_change; /* see struct store_export for these */
    int64_t floor_change;
    struct seq floor_seq; /* means nothing while floor_change is 0 */
    struct seq trimmed_seq;
    bool trimmed_shared;
    int64_t membership_floor;
};

struct export_record {
    char *name;
    size_t name_length;
    struct export_counters now, committed;
    uint32_t id;
    bool dirty;
    struct export_record *next_dirty;
};

/* Rows that the open transaction added to a stage, less those that it removed. */
struct stage_count {
    int64_t stage;
    int64_t rows;
};

/* The rows at the oldest end of the log, or of the tombstones, that are stamped later than now. */
struct ahead_rows {
    int64_t until; /* up to this number of a change; 0: not searched */
    bool ends;     /* a row that is not follows them, made at: */
    int64_t at;
};

enum { HELD_CHANGES = 256, HELD_TEXT_BYTES = 128 * 1024, HELD_GROUPS = 8 };

/* A group of changes of the open transaction, for the table; see append.c. */
struct held_group {
    struct connection_task task; /* first: its `run` finds the group by it */
    struct held_change {
        struct store_change row;
        bool torn;
    } rows[HELD_CHANGES];
    size_t count;
    size_t length; /* used of: */
    char texts[HELD_TEXT_BYTES];
};

/* The one that is filled, and those that the helper may be at work on. */
struct held_changes {
    struct held_group *groups[HELD_GROUPS];
    size_t at;
};

struct store_reader {
    struct connection connection;
};

struct store_writer {
    union {
        struct connection connection;
        struct store_reader reader; /* what reads, reads what it has written, too */
    };
    struct held_changes held;
    bool log_dirty;
    bool usage_dirty;
    struct log_record now, committed;
    struct store_usage_state usage_now, usage_committed;
    struct export_record **exports; /* export id - 1 is the index */
    size_t export_count, export_committed, export_capacity;
    struct map exports_by_name;
    struct export_record *dirty_exports; /* those that the transaction changed */
    /* The exports up to here have their SQL views; the others wait. */
    size_t viewed_exports, viewed_committed;
    struct sql_views views;
    struct ahead_rows ahead, tombstones_ahead;
    uint64_t producers_removed; /* steps that removed rows, kept or not */
    int64_t trimmed_at;         /* when trimming was last done, by its clock; 0: not yet */
    struct stage_count *stages;
    size_t stage_count, stage_capacity;
};

/* Whether a change may be made now / mark the open transaction as one to roll back. */
static inline bool writer_ready(const struct store_writer *writer, struct error *error)
{
    return connection_ready(&writer->connection, error);
}
static inline bool writer_break(struct store_writer *writer, struct error *error)
{
    return connection_break(&writer->connection, error);
}

/* export.c */
bool exports_load(struct store_writer *writer, struct error *error);
bool exports_write(struct store_writer *writer, struct error *error);
void exports_settle(struct store_writer *writer, bool committed);
void exports_free(struct store_writer *writer);
/* For counting into it (marked dirty), or NULL with an error if there is no such export. */
struct export_counters *export_change(struct store_writer *writer, uint32_t export_id,
                                      struct error *error);

/* Whether a written row gets a place in the eviction order. */
static inline bool export_is_ordered(const struct export_counters *counters)
{
    return counters->max_entities > 0 || counters->work == ORDER_MAKE;
}

/* append.c: bring held changes into the table; due before it is read in their transaction. */
bool changes_flush(struct store_writer *writer, struct error *error);
bool held_changes_init(struct held_changes *held);
void held_changes_fini(struct held_changes *held);
/* The changes that are held go with their transaction; the helper is done with the others. */
void held_changes_forget(struct held_changes *held);

/* derived_row.c: the differences of the open transaction. */
bool stage_counts_write(struct store_writer *writer, struct error *error);

/* watched_key.c: read its part of struct log_record. */
bool watched_keys_read(struct store_writer *writer, struct error *error);
/* Note the entities of changes that are about to be trimmed, from < id <= to; or, where
 * `memberships` is not 0, of the membership changes with a change from `from` on that go with the
 * next `memberships` of those before `to`. */
bool watched_keys_note(struct store_writer *writer, int64_t from, int64_t to, int64_t memberships,
                       struct error *error);
/* Those of changes before this one go, a few at a time. */
bool watched_keys_forget(struct store_writer *writer, int64_t before, int64_t step,
                         struct error *error);

/* note.c: what happened behind this change, or a later one / let notes go with the log. */
bool note_put(struct store_writer *writer, enum store_note_kind kind, int64_t change,
              struct span name, struct span owner, struct error *error);
bool notes_trim(struct store_writer *writer, struct error *error);

/* The bytes of a change in log_state.bytes. */
enum { CHANGE_OVERHEAD = 64 };
static inline int64_t change_bytes(size_t key, size_t patch, size_t append)
{
    return (int64_t)(key + patch + append) + CHANGE_OVERHEAD;
}

/* Read id, change, slot, idx, key from `column` on, and with_data the data behind them. */
bool entity_read_row(const struct query *query, int column, bool with_data,
                     struct store_entity *entity, struct error *error);

/* usage_event.c */
bool usage_state_write(struct connection *connection, const struct store_usage_state *state,
                       struct error *error);

/* ---- rows of some labels ---- */

/* Give one change, or one tombstone, if it is there; *stop: the callback wants no more. */
bool change_tell(struct store_reader *reader, int64_t id, bool with_entities,
                 store_each_change each, void *argument, bool *stop, struct error *error);
bool tombstone_tell(struct store_reader *reader, uint32_t export_id, struct span scope,
                    int64_t change,
                    bool (*each)(void *argument, const struct store_tombstone *tombstone),
                    void *argument, bool *stop, struct error *error);

#endif
