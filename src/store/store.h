/*
 * store: the tables of a database, and all queries of them. It knows bytes and integers, neither
 * JSON nor views: entity and patch texts pass through unread.
 *
 * Threads: each store_writer and store_reader belongs to the one thread that uses it. There is one
 * writer per file, in all processes (see database.h); readers never block it.
 *
 * Invariants (checked by store_check and the tests):
 *  1. change.id grows by one with every change and is never reused, also after trimming.
 *  2. entity.change is the id of the entity's last change; it never exceeds log_state.last_change.
 *  3. log_state.head is the greatest seq ever committed; log_state.floor_seq the greatest trimmed.
 *  4. Entity, change, tombstone, producer and counters of one mutation commit together.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/row_operation.h"
#include "database/database.h"

struct sql_views;
struct store_writer;
struct store_reader;

/* ---- rows ---- */

/* Spans in rows are borrowed from the statement: valid until the next call on that writer or
 * reader, or until the callback returns. */
struct store_entity {
    int64_t id; /* rowid: the entity's number, reused only after a delete */
    int64_t change;
    struct seq seq;
    struct span key;
    struct span data; /* canonical JSON text */
};

struct store_change {
    int64_t id;
    uint32_t export_id;
    enum row_operation operation;
    struct seq seq;
    int64_t at; /* wall clock, ms */
    struct span key;
    struct span patch;  /* as the producer sent it; absent for deletes */
    struct span append; /* {"path":length after the change, …}; absent when none */
    /* The label of the row in an export with scoped rows, else absent: after the change (of a
     * delete: before it), and before the change, if that was another. Its meaning is the
     * engine's. */
    struct span scope, scope_left;
};

struct store_export {
    uint32_t id;
    struct span name;
    int64_t entities;         /* rows now */
    int64_t last_change;      /* id of its last change, 0 when none */
    struct seq last_seq;      /* and that change's seq */
    bool last_seq_shared;     /* another change of this export had that seq too */
    struct seq head;          /* the greatest seq of all its changes */
    int64_t first_change;     /* id of its first change; 0 if none, or not known */
    int64_t floor_change;     /* its newest change that was trimmed; 0 when none. Then: */
    struct seq floor_seq;     /* the greatest seq among its trimmed changes */
    struct seq trimmed_seq;   /* the seq of floor_change, */
    bool trimmed_seq_shared;  /* ... which another of the trimmed may have had too */
    int64_t membership_floor; /* the newest change that a trimmed membership change was noted with;
                                 -1 when none */
    int64_t max_entities;     /* 0: unlimited */
};

struct store_log_state {
    int64_t last_change;     /* id of the newest change ever; 0 when none */
    struct seq head;         /* greatest seq ever; {0,0} when none */
    bool any;                /* whether there was ever a change */
    int64_t floor_change;    /* changes up to this id are trimmed; 0 when none */
    struct seq floor_seq;    /* greatest seq among the trimmed */
    int64_t cursor_floor;    /* cursors at changes before this id are refused (see
                                store_writer_refuse_cursors) */
    int64_t tombstone_floor; /* deletes up to this change id may be missing from the tombstones */
    int64_t rows, bytes;     /* of the log as kept */
    int64_t last_membership; /* number of the newest membership change ever; 0 when none */
};

/* ---- writing ---- */

struct store_writer *store_writer_open(struct database *store, struct error *error);
void store_writer_close(struct store_writer *writer);

/* BEGIN IMMEDIATE / COMMIT / ROLLBACK. After a failed commit the transaction is rolled back, and
 * ERROR_DISK_FULL or ERROR_DISK_FAILED has the reason; the caller must drop everything that it
 * cached of it. */
bool store_begin(struct store_writer *writer, struct error *error);
bool store_commit(struct store_writer *writer, struct error *error);
void store_rollback(struct store_writer *writer);

/* Find or create an export and its three SQL views "<name>/list", "/state", "/append" (columns
 * key, seq, data; newest first for list). In a transaction. */
bool store_export_ensure(struct store_writer *writer, struct span name, uint32_t *export_id,
                         struct error *error);
/* The same, but the SQL views of a new export are due, to be made in a later transaction: making
 * them changes the schema, and then every other connection reads all of it again. Make those of so
 * many exports, the oldest first. In a transaction; a start makes those
 * that a former writer left. */
bool store_export_add(struct store_writer *writer, struct span name, uint32_t *export_id,
                      struct error *error);
bool store_sql_views_make(struct store_writer *writer, size_t exports, struct error *error);
/* Make the three SQL views of every existing export, if they are not there: the file may come
 * from a version that did not note its SQL views. In a transaction. */
bool store_exports_define_views(struct store_writer *writer, struct error *error);
/* Set max_entities of an export (0: unlimited) and prepare its eviction order; may take a while on
 * a large export the first time. In steps, the first limit of an export with rows holds only after
 * store_export_order has brought all of them in order; waiting limits are forgotten when the writer
 * is closed. In a transaction. */
bool store_export_limit(struct store_writer *writer, uint32_t export_id, int64_t max_entities,
                        bool in_steps, struct error *error);
/* A step of an order that waits, up to `limit` rows, in a transaction. *rows: how many were read.
 */
bool store_export_order(struct store_writer *writer, uint32_t export_id, int64_t limit,
                        int64_t *rows, struct error *error);
/* Entities of a limited export in the order of their last changes, those behind change `after`, at
 * most `limit`. A callback that returns false stops early (no error); it must not use the writer.
 */
bool store_export_oldest(struct store_writer *writer, uint32_t export_id, int64_t after,
                         int64_t limit, bool (*each)(void *argument, int64_t id, int64_t change),
                         void *argument, struct error *error);
/* As this writer sees it: rows of the export, its limit, and its newest change. All 0 where there
 * is no such export. */
struct store_export_counts {
    int64_t entities, max_entities;
    int64_t last_change;
    struct seq last_seq;
    bool order_waits; /* to be made, or cleared after its limit was lifted, maybe by a former writer
                       */
};
struct store_export_counts store_export_counts(const struct store_writer *writer,
                                               uint32_t export_id);
/* Each SQL view of stele with its body. */
bool store_read_sql_views(struct store_reader *reader,
                          bool (*each)(void *argument, struct span id, struct span body),
                          void *argument, struct error *error);

/* Note what a view shows: a text that changes whenever that does. If it is new or has changed,
 * the view begins at its export's newest change (see store_read_shape_since). A new one begins just
 * before it, because nobody can have an older cursor of it; `ever`: a new one was always so. In a
 * transaction. */
bool store_view_note_shape(struct store_writer *writer, struct span id, uint32_t export_id,
                           struct span shape, bool ever, struct error *error);

/* Insert (gives entity->id) / update by id / delete by id. Counters follow by themselves. */
bool store_entity_insert(struct store_writer *writer, uint32_t export_id,
                         struct store_entity *entity, struct error *error);
bool store_entity_update(struct store_writer *writer, uint32_t export_id,
                         const struct store_entity *entity, struct error *error);
bool store_entity_delete(struct store_writer *writer, uint32_t export_id, int64_t id,
                         struct error *error);
/* Append to the log. change->id must be last_change + 1. Advances last_change, head and the
 * export's last_change, last_seq and last_seq_shared. */
bool store_change_append(struct store_writer *writer, const struct store_change *change,
                         struct error *error);
/* The seq of the newest delete or eviction of a key, as far back as the log goes. */
bool store_change_gone(struct store_writer *writer, uint32_t export_id, struct span key,
                       struct seq *seq, bool *found, struct error *error);
/* Note / forget that a key was deleted, or left `scope` (absent: rows are not scoped), by change
 * `change_id` at `at` (ms). Forgetting a missing tombstone does nothing. */
bool store_tombstone_put(struct store_writer *writer, uint32_t export_id, struct span key,
                         struct span scope, int64_t change_id, struct seq seq, int64_t at,
                         struct error *error);
bool store_tombstone_remove(struct store_writer *writer, uint32_t export_id, struct span key,
                            struct span scope, struct error *error);
/* Forget all tombstones of all exports. */
bool store_tombstones_clear(struct store_writer *writer, struct error *error);
/* Small values by name in `meta`: settings that a later start must know. */
bool store_meta_put(struct store_writer *writer, const char *name, struct span value,
                    struct error *error);
/* From now on refuse cursors at changes up to last_change, because a setting changed their
 * meaning. */
bool store_writer_refuse_cursors(struct store_writer *writer, struct error *error);

/* ---- the spool of usage events ---- */

struct store_usage_event {
    int64_t id;           /* grows, and is never used again */
    int64_t at;           /* wall clock, ms */
    struct span event_id; /* a uuid */
    struct span event;    /* JSON */
};

struct store_usage_state {
    int64_t rows, bytes; /* of the spool */
    int64_t dropped;     /* events that were dropped for newer ones, ever */
};

/* Append an event, which gets its uuid here. `event_id` and `id` of the argument do not count. */
bool store_usage_put(struct store_writer *writer, const struct store_usage_event *event,
                     struct error *error);
/* Remove the delivered events first … last (ids). */
bool store_usage_remove(struct store_writer *writer, int64_t first, int64_t last,
                        struct error *error);
/* Drop the oldest, at most `step` of them, while there are more than so many rows or bytes. */
bool store_usage_trim(struct store_writer *writer, int64_t rows, int64_t bytes, int64_t step,
                      struct error *error);
/* Events behind `after`, oldest first, at most `limit`. A callback that returns false stops the
 * scan early (no error). */
bool store_read_usage(struct store_reader *reader, int64_t after, int64_t limit,
                      bool (*each)(void *argument, const struct store_usage_event *event),
                      void *argument, struct error *error);
bool store_read_usage_state(struct store_reader *reader, struct store_usage_state *state,
                            struct error *error);

/* ---- revoked tokens ---- */

enum { STORE_MAX_REVOCATIONS = 100 * 1000, STORE_MAX_TOKEN_ID = 512 /* bytes */ };

struct store_revocation {
    struct span token_id; /* jti */
    int64_t expires_at;   /* seconds; the end of its token, 0: unknown */
    int64_t at;           /* wall clock, ms: the time of the revocation */
};

/* Keep a revocation; if it is there, keep the later end. *kept false: it is a new one and there
 * are STORE_MAX_REVOCATIONS. In a transaction. */
bool store_revocation_put(struct store_writer *writer, const struct store_revocation *revocation,
                          bool *kept, struct error *error);
/* Revocations outlive their tokens, so that a clock that is wrong for a while lets no token work
 * again. */
enum { STORE_REVOCATION_GRACE = 7 * 24 * 3600 }; /* seconds */
/* Forget those whose tokens ran out so long before `now` (seconds), at most `step`; *more says
 * whether there may be others. In a transaction. */
bool store_revocation_trim(struct store_writer *writer, int64_t now, int64_t step, bool *more,
                           struct error *error);
/* Keep a revocation; where there is no room for it, those make some whose tokens have run out by
 * `now`, at most `step`. In a transaction. */
bool store_revocation_keep(struct store_writer *writer, const struct store_revocation *revocation,
                           int64_t now, int64_t step, bool *kept, struct error *error);
/* Every one, in order of jti. A callback that returns false stops the scan early (no error). */
bool store_read_revocations(struct store_reader *reader,
                            bool (*each)(void *argument, const struct store_revocation *revocation),
                            void *argument, struct error *error);

/* ---- writing: trimming ---- */

struct store_retention {
    int64_t rows;             /* keep at most these many changes; 0: no limit */
    int64_t age_ms;           /* and none older; 0: no limit */
    int64_t bytes;            /* and at most these many bytes of them; 0: no limit */
    int64_t tombstone_age_ms; /* tombstones older than this go */
    int64_t tombstone_rows;   /* and beyond this many, the oldest */
};
/* One small step of trimming (at most `step` changes and tombstones, and a bounded number of
 * membership changes, in the open transaction). *more says whether there is more to do. Records the
 * floors. If some changes of a seq are trimmed and some kept, the kept ones are marked, so that
 * store_find_seq knows. A row stamped later than `now`, by a clock that was wrong, is as old as the
 * row behind it. Entities that changed behind the change `watched` (INT64_MAX: nobody will ask) are
 * kept in watched_key. */
bool store_trim(struct store_writer *writer, const struct store_retention *retention, int64_t now,
                int64_t step, int64_t watched, bool *more, struct error *error);

/* ---- reading ---- */

struct store_reader *store_reader_open(struct database *store, struct error *error);
void store_reader_close(struct store_reader *reader);
/* A read transaction: everything between sees one state. Keep it short (an old reader pins the
 * WAL). store_read_end never fails. */
bool store_read_begin(struct store_reader *reader, struct error *error);
void store_read_end(struct store_reader *reader);
/* The rows, of tables and indexes, that it has read so far. */
uint64_t store_rows_read(const struct store_reader *reader);

bool store_read_log(struct store_reader *reader, struct store_log_state *state,
                    struct error *error);
/* *found is false if there is none of that name. The name span is the caller's own. */
bool store_read_export(struct store_reader *reader, struct span name, struct store_export *export,
                       bool *found, struct error *error);
/* Every export, in order of id. A callback that returns false stops the scan early (no error). */
bool store_read_exports(struct store_reader *reader,
                        bool (*each)(void *argument, const struct store_export *export),
                        void *argument, struct error *error);
/* The entity by key, or by number in one export (0: in any); *found says whether it is there. Its
 * data is borrowed. */
bool store_read_entity(struct store_reader *reader, uint32_t export_id, struct span key,
                       struct store_entity *entity, bool *found, struct error *error);
bool store_read_entity_by_id(struct store_reader *reader, uint32_t export_id, int64_t id,
                             struct store_entity *entity, bool *found, struct error *error);
/* The ids of an export's entities in order of key, without the first `skip`, at most `limit`
 * (negative: all). A callback that returns false stops the scan early (no error). */
bool store_scan_key_order(struct store_reader *reader, uint32_t export_id, int64_t skip,
                          int64_t limit, bool (*each)(void *argument, int64_t id), void *argument,
                          struct error *error);

typedef bool (*store_each_entity)(void *argument, const struct store_entity *entity);

/* Entities in the order of a list: the newest seq first, and of one seq the least key first; at
 * most `limit` (negative: all). `after`: those behind that position (exclusive), NULL: from the
 * first. */
struct store_position {
    struct seq seq;
    struct span key; /* of the entity */
};
bool store_scan_entities(struct store_reader *reader, uint32_t export_id,
                         const struct store_position *after, int64_t limit, store_each_entity each,
                         void *argument, struct error *error);

/* Changes with from < id <= to of one export (0: of all), in order of id, at most `limit` rows
 * (negative: all). `entity` is the present entity of that key, or NULL if it is gone (only
 * `with_entities`, else always NULL). `key`: only that key, absent: all. */
typedef bool (*store_each_change)(void *argument, const struct store_change *change,
                                  const struct store_entity *entity);
bool store_scan_changes(struct store_reader *reader, uint32_t export_id, struct span key,
                        int64_t from, int64_t to, int64_t limit, bool with_entities,
                        store_each_change each, void *argument, struct error *error);

/* Those of one key with from < id <= to, in the order of the ids backwards: the newest first. */
bool store_scan_back(struct store_reader *reader, uint32_t export_id, struct span key, int64_t from,
                     int64_t to, store_each_change each, void *argument, struct error *error);
/* The newest change of an export with from < id <= to that was committed at this time (ms) or
 * before; *id is 0 if there is none. */
bool store_find_time(struct store_reader *reader, uint32_t export_id, int64_t at, int64_t from,
                     int64_t to, int64_t *id, struct error *error);

/* The place of a seq in the log, among one export's changes. */
struct store_seq_range {
    int64_t first, last; /* ids of the first and last change with it; 0 when there is none */
    bool torn;           /* changes with this seq were trimmed already */
};
bool store_find_seq(struct store_reader *reader, uint32_t export_id, struct seq seq,
                    struct store_seq_range *range, struct error *error);
/*
 * A search for the first change (lowest id) of an export whose seq is greater than a given one, in
 * steps of at most `limit` rows, each of which may have a transaction of its own. Begin with that
 * seq and export_id UINT32_MAX, all else zero; go on until `done`.
 */
struct store_seq_walk {
    struct seq seq; /* how far it got, in order of seq and export */
    uint32_t export_id;
    int64_t first; /* the best match so far; 0: none */
    bool done;
};
bool store_walk_seqs(struct store_reader *reader, uint32_t export_id, struct store_seq_walk *walk,
                     int64_t limit, struct error *error);

/* Tombstones of an export with change id < `before`, newest first, at most `limit`. A callback that
 * returns false stops the scan early (no error). */
struct store_tombstone {
    struct span key;
    struct span scope; /* that the row was in; empty where rows are not scoped */
    int64_t change;
    struct seq seq;
    int64_t at;
};
bool store_scan_tombstones(struct store_reader *reader, uint32_t export_id, int64_t before,
                           int64_t limit,
                           bool (*each)(void *argument, const struct store_tombstone *tombstone),
                           void *argument, struct error *error);
/* The tombstone of a key, if rows are not scoped. */
bool store_read_tombstone(struct store_reader *reader, uint32_t export_id, struct span key,
                          struct store_tombstone *tombstone, bool *found, struct error *error);
/* The SQL views, in order of name, with the rows that each has. A callback that returns false stops
 * the scan early (no error). Counts by scanning: for offline commands. */
bool store_read_views(struct store_reader *reader,
                      bool (*each)(void *argument, const char *id, int64_t rows), void *argument,
                      struct error *error);
/* The newest change when a view began to show its present content: a client with a cursor up to
 * there may hold something else. 0: it always did. */
bool store_read_shape_since(struct store_reader *reader, struct span id, int64_t *since,
                            struct error *error);
bool store_read_meta(struct store_reader *reader, const char *name, struct buffer *value,
                     bool *found, struct error *error);

/* Entities of an export as its list shows them: newest seq first, of one seq by key; without the
 * first `skip` of them, at most `limit` (negative: all). Without `with_data` the entity's data is
 * absent and not read. A skipped entity costs a step of the index. */
bool store_scan_list(struct store_reader *reader, uint32_t export_id, int64_t skip, int64_t limit,
                     bool with_data, store_each_entity each, void *argument, struct error *error);
/* Entities of an export in order of key, whole, behind `after` (absent: from the first), at most
 * `limit` (negative: all). The callback may use the reader and its writer, but not this function;
 * false stops early (no error). */
bool store_scan_keys(struct store_reader *reader, uint32_t export_id, struct span after,
                     int64_t limit, store_each_entity each, void *argument, struct error *error);
/* Entities in the order in which they lie in the file, behind number *after and up to `limit` of
 * all exports, *looked of them; `each` gets those of this export. False from `each` ends it, and
 * *after is the one before then. */
bool store_scan_file(struct store_reader *reader, uint32_t export_id, int64_t *after, int64_t limit,
                     int64_t *looked, store_each_entity each, void *argument, struct error *error);
/* Entities of all exports. */
bool store_read_entity_count(struct store_reader *reader, int64_t *count, struct error *error);
/* ---- upkeep ---- */

/* What this writer sees, uncommitted changes included. */
struct store_writer_state {
    struct store_reader *reader; /* it reads what this writer sees; borrowed */
    const struct store_log_state *log;
    uint32_t exports;            /* their number; the next one gets the number behind */
    size_t sql_views_due;        /* exports that wait for theirs */
    struct sql_views *sql_views; /* the other SQL views, to be defined in its transactions */
    const struct store_usage_state *usage;
    int64_t largest; /* the bytes that its largest transaction so far wrote into the WAL; of a
                        failed one, as far as it came */
    uint64_t producers_removed; /* grows with each step that removes rows of producers */
};
struct store_writer_state store_writer_state(struct store_writer *writer);
/* To read on the writer's thread; needs no transaction, and must not begin one. */
static inline struct store_reader *store_writer_reader(struct store_writer *writer)
{
    return store_writer_state(writer).reader;
}
/* Whether the tables, columns, indexes and triggers are those that stele makes. Else
 * ERROR_DATABASE_UNUSABLE, which names one that differs: no commit can succeed any more. A bare
 * ERROR_DATABASE and the like: the schema could not be read. */
bool store_check_schema(struct store_writer *writer, struct error *error);

/* SQLite's own integrity check and the invariants above that need no JSON. `found` gets each
 * finding (one line of text). Returns false only if the check could not run. */
bool store_check(struct store_reader *reader, void (*found)(void *argument, const char *line),
                 void *argument, struct error *error);

/* ---- rows of some labels ---- */

/*
 * The same as store_scan_changes and _tombstones (of stages: store_scan_labelled), but only rows
 * with one of these labels, by an index: rows of others cost nothing. A change counts also by the
 * former label of its row. `each` may use the reader, but not these three.
 */
struct store_labels {
    const struct span *list; /* different ones, without a byte 0 */
    size_t count;
};
bool store_scan_labelled_changes(struct store_reader *reader, uint32_t export_id,
                                 const struct store_labels *labels, int64_t from, int64_t to,
                                 int64_t limit, bool with_entities, store_each_change each,
                                 void *argument, struct error *error);
bool store_scan_labelled_tombstones(struct store_reader *reader, uint32_t export_id,
                                    const struct store_labels *labels, int64_t before,
                                    int64_t limit,
                                    bool (*each)(void *argument,
                                                 const struct store_tombstone *tombstone),
                                    void *argument, struct error *error);

#endif
