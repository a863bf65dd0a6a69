/*
 * What the files of this folder share: a connection with its prepared statements, the migrations,
 * and the writer's picture of the counters.
 *
 * Invariants:
 *  1. A statement that lends a row to the caller (connection.lent) is reset before anything else
 *     runs on that connection: an open SELECT would keep the read position and block DDL.
 *  2. Once a statement of a write transaction failed, nothing more is run in it
 * (connection.broken): SQLite may have rolled back by itself, and what follows would commit one by
 * one.
 *  3. writer.now and export.now describe the open transaction, .committed what is on disk.
 */
#ifndef STORE_STORE_INTERNAL_H
#define STORE_STORE_INTERNAL_H

#include "store/store.h"

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/types.h>

/* ---- migrations ---- */

struct store_migration {
    int version; /* the schema version that it leads to */
    const char *name;
    const char *sql;
};
/* Generated from migrations/. */
extern const struct store_migration store_migrations[];
extern const size_t store_migration_count;

enum { STORE_APPLICATION_ID = 0x5354454c };

/* The most that a new file gives. SQLite gives its -wal and -shm the permissions of the database.
 */
enum { STORE_FILE_MODE = 0640 };

/* ---- connections ---- */

/* One slot per prepared statement of a connection; the texts stand beside the code that runs them.
 */
enum statement {
    STATEMENT_BEGIN,
    STATEMENT_COMMIT,
    STATEMENT_ROLLBACK,
    STATEMENT_LOG_READ,
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
    STATEMENT_ENTITY_GET_BY_ID,
    STATEMENT_ENTITY_ORDER,
    STATEMENT_ENTITY_INSERT,
    STATEMENT_ENTITY_UPDATE,
    STATEMENT_ENTITY_UPDATE_LIMITED,
    STATEMENT_ENTITY_DELETE,
    STATEMENT_ENTITY_SCAN, /* two: same seq, or beyond */
    STATEMENT_ENTITY_SCAN_END = STATEMENT_ENTITY_SCAN + 1,
    STATEMENT_CHANGE_INSERT,
    STATEMENT_CHANGE_SEQ_EXISTS,
    STATEMENT_CHANGE_GONE,
    STATEMENT_CHANGE_FIND_SEQ,
    STATEMENT_CHANGE_WALK_SEQS,
    STATEMENT_CHANGE_SCAN, /* eight: one export or all, one key or all, with entities or without */
    STATEMENT_CHANGE_SCAN_END = STATEMENT_CHANGE_SCAN + 7,
    STATEMENT_TOMBSTONE_GET,
    STATEMENT_TOMBSTONE_INSERT,
    STATEMENT_TOMBSTONE_DELETE,
    STATEMENT_TOMBSTONE_SCAN,
    STATEMENT_TOMBSTONE_CLEAR,
    STATEMENT_PRODUCER_GET,
    STATEMENT_PRODUCER_PUT,
    STATEMENT_PRODUCER_COUNT,
    STATEMENT_PRODUCER_REMOVE,
    STATEMENT_PRODUCER_TRIM,
    STATEMENT_PRODUCER_SCAN,
    STATEMENT_PRODUCER_SCAN_OWNED,
    STATEMENT_KEY_GET,
    STATEMENT_KEY_PUT,
    STATEMENT_KEY_COUNT,
    STATEMENT_KEY_TRIM,
    STATEMENT_KEY_RESTAMP,
    STATEMENT_META_GET,
    STATEMENT_META_PUT,
    STATEMENT_VIEW_FIND,
    STATEMENT_VIEW_OTHERS,
    STATEMENT_VIEW_PUT,
    STATEMENT_VIEW_DELETE,
    STATEMENT_VIEW_ALL,
    STATEMENT_VIEW_STRAY,
    STATEMENT_VIEW_UNEQUAL,
    STATEMENT_TRIM_WALK,
    STATEMENT_TRIM_LOWEST,
    STATEMENT_TRIM_TEAR,
    STATEMENT_TRIM_DELETE,
    STATEMENT_TRIM_AHEAD,
    STATEMENT_TRIM_TOMBSTONES_WALK,
    STATEMENT_TRIM_TOMBSTONES_AHEAD,
    STATEMENT_TRIM_TOMBSTONES_DELETE,
    STATEMENT_TRIM_FLIPS,
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
    STATEMENT_TURN_PUT,
    STATEMENT_TURN_REMOVE,
    STATEMENT_TURN_EXISTS,
    STATEMENT_TURN_AT,
    STATEMENT_TURN_SCAN,
    STATEMENT_FLIP_PUT,
    STATEMENT_FLIP_SCAN, /* two: by change, by number */
    STATEMENT_FLIP_SCAN_END = STATEMENT_FLIP_SCAN + 1,
    STATEMENT_ENTITY_BY_ID,
    STATEMENT_ENTITY_WALK, /* two: from the first, or behind a key */
    STATEMENT_ENTITY_WALK_END = STATEMENT_ENTITY_WALK + 1,
    STATEMENT_STAGE_SCAN, /* six: the directions of ROW_SCAN, each without data and with it */
    STATEMENT_STAGE_SCAN_END = STATEMENT_STAGE_SCAN + 5,
    STATEMENT_LIST_SCAN, /* two: without data and with it */
    STATEMENT_LIST_SCAN_END = STATEMENT_LIST_SCAN + 1,
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
    STATEMENT_SCHEMA_INSERT,
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

struct connection {
    sqlite3 *database;
    const char *path; /* as the operator named it, for messages; the store's */
    sqlite3_stmt *statements[STATEMENT_COUNT];
    sqlite3_stmt *lent;     /* its present row is borrowed by the caller; NULL: none */
    enum error_code broken; /* why the open transaction can only be rolled back; ERROR_NONE: fine */
    _Atomic bool *damaged;  /* set once SQLite finds damage here; the store's; NULL: nobody asks */
};

enum connection_kind { CONNECTION_MAIN, CONNECTION_WRITER, CONNECTION_READER };

/* Open with the settings of its kind. `connection` may be closed also after a failure. */
bool connection_open(struct connection *connection, struct store *store, enum connection_kind kind,
                     struct error *error);
void connection_close(struct connection *connection);
/* Run statements without results. */
bool connection_execute(struct connection *connection, const char *sql, struct error *error);
/* One integer that a PRAGMA or SELECT yields. */
bool connection_integer(struct connection *connection, const char *sql, int64_t *value,
                        struct error *error);
/* Tell the connection's last SQLite error in our terms, with the file and the remedy; marks the
 * transaction broken. Always returns false. */
bool connection_fail(struct connection *connection, int result, struct error *error);
/* End the transaction, if one is open, without keeping anything. Cannot fail. */
void connection_rollback(struct connection *connection);
/* Take back the row that was lent. */
void connection_settle(struct connection *connection);

/* One run of a prepared statement. Parameters are bound in their order; the bytes are borrowed and
 * must live until the run ends. A failed bind is told by query_run or query_row. */
struct query {
    struct connection *connection;
    sqlite3_stmt *statement;
    int bound;
    int result;
};
enum query_step { QUERY_ROW, QUERY_DONE, QUERY_FAILED };

/* Prepare on first use, ready for binding. */
bool query_start(struct query *query, struct connection *connection, enum statement which,
                 const char *sql, struct error *error);
void query_integer(struct query *query, int64_t value);
void query_text(struct query *query, struct span text);   /* absent: NULL */
void query_bytes(struct query *query, struct span bytes); /* as a BLOB; absent: NULL */
/* Run to its end; no rows wanted. */
bool query_run(struct query *query, struct error *error);
/* The next row. After QUERY_DONE and QUERY_FAILED the query is over. */
enum query_step query_row(struct query *query, struct error *error);
/* End it early. */
void query_end(struct query *query);
/* End it, but leave the present row readable until the connection is used again. */
void query_lend(struct query *query);
static inline int64_t query_column(const struct query *query, int column)
{
    return sqlite3_column_int64(query->statement, column);
}
/* Fails (like a step) when SQLite is out of memory for the text. NULL is an absent span. */
struct span query_column_text(const struct query *query, int column);
/* Of a BLOB; an empty one, and NULL, are an empty span. */
struct span query_column_bytes(const struct query *query, int column);

/* ---- the store, its writer and readers ---- */

enum { EPOCH_LENGTH = 36 };

struct former_epoch {
    char epoch[EPOCH_LENGTH + 1];
    int64_t last_change;
};

/* Which file a name leads to. */
struct file_identity {
    bool known;
    dev_t device;
    ino_t number;
};

struct store {
    char *path; /* as the operator named it */
    char *file; /* where that leads, symbolic links followed: lock and database agree on it */
    struct store_options options; /* its pointers are not kept */
    bool immutable;      /* read-only, in a folder where SQLite cannot put its shared-memory file */
    int lock;            /* descriptor of the lock file; -1: none */
    pid_t lock_owner;    /* who took it */
    struct inode *inode; /* of the database, see inode.c; NULL: not entered */
    bool locks_inode;
    struct file_identity wal, shm; /* as they were made, see presence.c */
    _Atomic bool damaged;          /* a connection met damage, or the file is not what it was */
    off_t seen_size;               /* of the database, when store_check_files looked last */
    /* What the last server noted there of the database, see identity.c; "": nothing. */
    char mark_epoch[EPOCH_LENGTH + 1];
    int64_t mark_change;
    bool mark_failed;
    bool is_noted; /* that this process has it open, in the database */
    char epoch[EPOCH_LENGTH + 1];
    struct former_epoch *former; /* newest first */
    size_t former_count;
    struct connection main;       /* open as long as the store: its close folds the WAL in */
    _Atomic uint32_t wal_pages;   /* frames in the WAL after the last commit or checkpoint */
    _Atomic uint64_t wal_commits; /* commits that brought it frames */
};

struct log_record {
    struct store_log_state state;
    int64_t tombstones;    /* rows in tombstone */
    int64_t watched_keys;  /* rows in watched_key that are not pinned, and from which change on */
    int64_t watched_floor; /* ... these and the log tell all; -1: they are not noted */
};

/* What is to be done for the eviction order of an export's rows. */
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
    int64_t flip_floor;
};

struct export_record {
    char *name;
    size_t name_length;
    struct export_counters now, committed;
    uint32_t id;
    bool dirty;
    struct export_record *next_dirty;
};

/* Rows that the open transaction gave a stage, less those that it took. */
struct stage_count {
    int64_t stage;
    int64_t rows;
};

/* The rows at the oldest end of the log, or of the tombstones, that are stamped later than now. */
struct ahead_rows {
    int64_t until; /* up to this number of a change; 0: not looked for */
    bool ends;     /* a row that is not follows them, made at: */
    int64_t at;
};

struct store_writer {
    struct store *store;
    struct connection connection;
    bool open; /* a transaction is */
    bool log_dirty;
    bool usage_dirty;
    struct log_record now, committed;
    struct store_usage_state usage_now, usage_committed;
    struct export_record **exports; /* export id - 1 is the place */
    size_t export_count, export_committed, export_capacity;
    struct map exports_by_name;
    struct export_record *dirty_exports; /* those that the transaction changed */
    /* The exports up to here have their SQL views, with the others it is waited. */
    size_t viewed_exports, viewed_committed;
    struct buffer due_views; /* ids of views, each ended by a NUL, whose SQL views are to be made */
    size_t due_view_count;
    bool schema_behind; /* SQL views that this connection does not know were made by it */
    struct ahead_rows ahead, tombstones_ahead;
    int64_t given_before; /* wal_file_given when the transaction began */
    int64_t largest;      /* what a transaction of it gave at most */
    int64_t trimmed_at; /* by the clock that trimming goes by, when it was last done; 0: not yet */
    struct stage_count *stages;
    size_t stage_count, stage_capacity;
};

struct store_reader {
    struct store *store;
    struct connection connection;
};

/* Whether a change may be made now: a transaction is open and unbroken. */
bool writer_ready(struct store_writer *writer, struct error *error);
/* Mark the open transaction as one to roll back; for failures that SQLite does not know of. */
bool writer_break(struct store_writer *writer, struct error *error);

/* log_state.c */
bool log_record_read(struct connection *connection, struct log_record *record, struct error *error);
bool log_record_write(struct connection *connection, const struct log_record *record,
                      struct error *error);

/* export.c */
struct span export_record_name(const void *record); /* for a map */
bool exports_load(struct store_writer *writer, struct error *error);
bool exports_write(struct store_writer *writer, struct error *error);
void exports_commit(struct store_writer *writer);
void exports_rollback(struct store_writer *writer);
void exports_free(struct store_writer *writer);
/* For counting into it (marked dirty), or NULL with an error when there is no such export. */
struct export_counters *export_change(struct store_writer *writer, uint32_t export_id,
                                      struct error *error);

/* evict_order.c: whether a row that is written gets a place in the eviction order. */
bool export_is_ordered(const struct export_counters *counters);

/* epoch.c: read them, after making the first one, or a new one for a copy. */
bool epoch_read(struct store *store, struct error *error);

/* identity.c: whether the file is the one that the last server had. *cause: why it is not; NULL: it
 * is, as far as can be told. Note which it is, and that it is open, in the open transaction; and at
 * an orderly stop that it was one. */
bool identity_check(struct store *store, int64_t last_change, const char **cause,
                    struct error *error);
bool identity_note(struct store *store, struct error *error);
void identity_stop(struct store *store);
/* The note in the lock file, which must be held: of the last server, and of this one. */
void identity_read_mark(struct store *store);
void identity_write_mark(struct store *store, int64_t change);

/* stage_count.c */
bool stage_count_add(struct store_writer *writer, int64_t stage, int64_t rows, struct error *error);
bool stage_counts_write(struct store_writer *writer, struct error *error);

/* watched_key.c: read what of it stands in struct log_record. */
bool watched_keys_read(struct store_writer *writer, struct error *error);
/* Of the changes on their way out, from < id <= to, and of the flips with a change from `from` on
 * that go with the next `limit` of those before `to`, note the entities. */
bool watched_keys_note(struct store_writer *writer, int64_t from, int64_t to, struct error *error);
bool watched_keys_note_flips(struct store_writer *writer, int64_t from, int64_t to, int64_t limit,
                             struct error *error);
/* Those of changes before this one go, a few at a time. */
bool watched_keys_forget(struct store_writer *writer, int64_t before, int64_t step,
                         struct error *error);

/* change.c: what a change counts in log_state.bytes. */
int64_t change_bytes(size_t key, size_t patch, size_t append);

/* Read id, change, slot, idx, key from `column` on, and with_data the data behind them. */
bool entity_read_row(const struct query *query, int column, bool with_data,
                     struct store_entity *entity, struct error *error);
/* As store_entity_walk and store_scan_keys. */
bool entity_walk(struct connection *connection, uint32_t export_id, struct span after,
                 int64_t limit, store_each_entity each, void *argument, struct error *error);

/* derived_row.c: the place of the row number `skip` (from 0) behind where a scan begins; absent in
 * *place when there are fewer. It is copied. */
bool row_place_at(struct connection *connection, int64_t stage, struct span from, bool backwards,
                  int64_t skip, struct buffer *place, bool *found, struct error *error);

/* usage_event.c */
bool usage_state_read(struct connection *connection, struct store_usage_state *state,
                      struct error *error);
bool usage_state_write(struct connection *connection, const struct store_usage_state *state,
                       struct error *error);

/* meta.c */
bool meta_get(struct connection *connection, const char *name, struct buffer *value, bool *found,
              struct error *error);
bool meta_put(struct connection *connection, const char *name, struct span value,
              struct error *error);

/* sql_view.c: the three views that each export has, if they are not there; one of them by its
 * number, also where it is another now; the number of a view's name among them, or -1. */
bool sql_views_create_standard(struct store_writer *writer, struct span name, uint32_t export_id,
                               struct error *error);
bool sql_view_set_standard(struct store_writer *writer, struct span export_name, int kind,
                           uint32_t export_id, struct error *error);
int sql_view_standard(struct span id);
/* The first line of each SQL view, by which it is known again. Files of former versions hold these
 * texts: add to them, never change one. */
#define SQL_VIEW_LIST_COMMENT "-- The entities, newest first."
#define SQL_VIEW_STATE_COMMENT "-- The entities in order of key."
#define SQL_VIEW_APPEND_COMMENT                                                                    \
    "-- The log as it is kept, oldest first. data: the patch as it came; "                         \
    "at: milliseconds since 1970 UTC."
#define SQL_VIEW_SHOWN_COMMENT "-- The entities that this view shows, newest first."
#define SQL_VIEW_DERIVED_COMMENT "-- The rows of this view, in its order."
/* The SQL views, by `name`, that this program made, as their text shows, but that stand for no
 * view: a former version left them. */
#define SQL_VIEW_STRAYS                                                                            \
    "FROM sqlite_schema, (SELECT '" SQL_VIEW_LIST_COMMENT "' AS comment UNION ALL "                \
    "SELECT '" SQL_VIEW_STATE_COMMENT "' UNION ALL SELECT '" SQL_VIEW_APPEND_COMMENT "' "          \
    "UNION ALL SELECT '" SQL_VIEW_SHOWN_COMMENT "' "                                               \
    "UNION ALL SELECT '" SQL_VIEW_DERIVED_COMMENT "') WHERE type = 'view' "                        \
    "AND instr(name, '/') > 0 AND name NOT IN (SELECT name FROM sql_view) "                        \
    "AND instr(sql, 'CREATE VIEW \"' || replace(name, '\"', '\"\"') || '\" AS' || char(10) "       \
    "|| comment || char(10) || 'SELECT ') = 1"
/* Append a name of SQL, quoted. */
void sql_add_identifier(struct buffer *sql, struct span name);

/* sql_name.c: make or replace the SQL view of a view, under the name that is due to it; only what
 * differs is written. */
bool sql_view_set(struct store_writer *writer, struct span id, struct span body,
                  struct error *error);
/* Append name and body of its SQL view, each ended by a NUL; nothing, if it has none. */
bool sql_view_row(struct store_writer *writer, struct span id, struct buffer *row,
                  struct error *error);
bool sql_view_is_known(struct store_writer *writer, struct span id, bool *known,
                       struct error *error);

/* sql_make.c: note that the SQL view of this id is to be made with the transaction, of its row in
 * sql_view as it is then; false when out of memory. Make them / the transaction is rolled back. */
bool sql_view_is_due(struct store_writer *writer, struct span id);
bool sql_views_make_due(struct store_writer *writer, struct error *error);
void sql_views_forget_due(struct store_writer *writer);
/* Drop the SQL view of this name, if it is there. */
bool sql_view_drop(struct store_writer *writer, struct span name, struct error *error);

/* projection.c: append the SQL expression that yields `data` with only these members. */
bool projection_sql(struct buffer *sql, const struct span *paths, size_t count);
/* Append a text as a literal of SQL. */
void sql_add_literal(struct buffer *sql, struct span text);

/* The text of ERROR_FILE_LIMIT, with the path of the database. */
#define STORE_FILE_LIMIT_TEXT                                                                      \
    "%s or its -wal may not grow: the process has a limit for the size of files, or the file "     \
    "system has. Nothing of the transaction was kept. Raise the limit (ulimit -f, LimitFSIZE= of " \
    "the unit, prlimit --fsize), or use another file system"

/* wal_file.c: the name of the file system whose write-ahead logs join their writes, a layer on the
 * one that is SQLite's default when this is first called; NULL: SQLite has none of its own. */
const char *wal_file_layer(void);
/* Before a COMMIT of this connection; and after it failed, its transaction rolled back: nothing of
 * it is to be found when the file is opened after a crash. false: it may be. */
void wal_file_expect(sqlite3 *database);
/* Bytes that this connection ever gave its log to write. */
int64_t wal_file_given(sqlite3 *database);
/* Why its last write there failed, as in errno; 0: it did not. */
int wal_file_cause(sqlite3 *database);
/* Whether it began the log anew since the last call, and then the log's mark: its header's salts.
 */
enum { WAL_SALT_AT = 16, WAL_SALT_SIZE = 8, WAL_HEADER_SIZE = 32 };
bool wal_file_began(sqlite3 *database, char salt[WAL_SALT_SIZE]);
bool wal_file_take_back(sqlite3 *database);

/* connection.c: open a database for reading without its write-ahead log. As with sqlite3_open_v2,
 * *database is to be closed also after a failure. */
int open_alone(const char *file, sqlite3 **database);

/* wal_base.c: note what the write-ahead log that this connection has begun follows, if it has begun
 * one since the last call: a database whose last change is this one. And refuse a database that a
 * noted log cannot follow, because it is older. */
void wal_base_note(struct store *store, sqlite3 *database, int64_t change);
/* The log as it is once the store is open, whoever began it. */
void wal_base_open(struct store *store);
bool wal_base_check(struct store *store, struct error *error);

/* lock.c */
bool lock_take(struct store *store, struct error *error);
void lock_drop(struct store *store);

/* inode.c: before the first connection, refuse a file that another server has under any name, one
 * with several names (to a writer), and one whose write-ahead log is another database's. Keeps
 * descriptors of the file until inode_leave, which comes after the last connection was closed;
 * inode_leave is also due after a failure. */
bool inode_enter(struct store *store, struct error *error);
void inode_leave(struct store *store);

struct file_identity inode_identity(const struct store *store);
/* A descriptor of the database; -1: none. It may be read and never closed. */
int inode_descriptor(const struct store *store);

/* presence.c: note the files that SQLite has open, once it has. */
void presence_note(struct store *store);
/* Before the last connection closes, which removes the write-ahead log by its name: keep a file
 * that is not ours. */
void presence_before_close(struct store *store);

/* migration.c: bring the file to the version of the last of these, each in its transaction. */
bool migrate(struct connection *connection, const struct store_migration *migrations, size_t count,
             int64_t version, const char *backup, struct error *error);

/* ---- rows of some labels ---- */

/* Tell one change, or one tombstone, if it is there; *stop: the callback wants no more. */
bool change_tell(struct store_reader *reader, int64_t id, bool with_entities,
                 store_each_change each, void *argument, bool *stop, struct error *error);
bool tombstone_tell(struct store_reader *reader, uint32_t export_id, struct span scope,
                    int64_t change,
                    bool (*each)(void *argument, const struct store_tombstone *tombstone),
                    void *argument, bool *stop, struct error *error);

#endif
