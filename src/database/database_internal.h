/* Shared by the files of this folder. Never included from outside, except by its tests. */
#ifndef DATABASE_DATABASE_INTERNAL_H
#define DATABASE_DATABASE_INTERNAL_H

#include "database/connection.h"

#include <stdatomic.h>
#include <stdio.h>
#include <sys/types.h>

/* ---- migrations ---- */

struct database_migration {
    int version; /* the schema version that it leads to */
    const char *name;
    const char *sql;
};
/* Generated from migrations/. */
extern const struct database_migration database_migrations[];
extern const size_t database_migration_count;

enum { DATABASE_APPLICATION_ID = 0x5354454c };

/* The permissions of a new file, at most. SQLite gives its -wal and -shm the permissions of the
 * database. */
enum { DATABASE_FILE_MODE = 0640 };

/* ---- the database ---- */

enum { EPOCH_LENGTH = 36 };

struct former_epoch {
    char epoch[EPOCH_LENGTH + 1];
    int64_t last_change;
};

/* The file that a name leads to. */
struct file_identity {
    bool known;
    dev_t device;
    ino_t number;
};

struct database {
    char *path; /* as the operator named it */
    char *file; /* where that leads, symbolic links followed: lock and database agree on it */
    struct database_options options; /* its pointers are not kept */
    bool immutable;      /* read-only, in a folder where SQLite cannot put its shared-memory file */
    int lock;            /* descriptor of the lock file; -1: none */
    pid_t lock_owner;    /* the process that took it */
    struct inode *inode; /* of the database, see inode.c; NULL: not entered */
    bool locks_inode;
    struct file_identity wal, shm; /* as they were made, see inode.c */
    _Atomic bool damaged;          /* a connection met damage, or the file was changed under us */
    off_t seen_size;               /* of the database, when database_check_files looked last */
    /* The last server's note about the database in the lock file, see lock.c; "": nothing. */
    char mark_epoch[EPOCH_LENGTH + 1];
    int64_t mark_change;
    bool mark_failed;
    bool is_replica; /* see struct database_state */
    bool is_noted;   /* that this process has it open, in the database */
    char epoch[EPOCH_LENGTH + 1], file_uuid[EPOCH_LENGTH + 1];
    int64_t log_created;         /* of the log that it follows; 0: none */
    int64_t merging_since;       /* see struct database_state */
    struct former_epoch *former; /* newest first */
    size_t former_count;
    struct connection main;       /* open as long as the database: its close folds the WAL in */
    _Atomic uint32_t wal_pages;   /* frames in the WAL after the last commit or checkpoint */
    _Atomic uint64_t wal_commits; /* commits that brought it frames */
};

/* statements.c: end the loan of the row / finalize the statements, and free their places. */
void connection_take_row(struct connection *connection);
void statements_free(struct connection *connection);
/* helper.c: wait until its tasks are done; false: one failed, which breaks the transaction / end
 * its thread, before the handle is closed. */
bool helper_finish(struct connection *connection, struct error *error);
void helper_stop(struct connection *connection);

/* connection.c: open a database for reading without its write-ahead log. As with sqlite3_open_v2,
 * *sqlite is to be closed also after a failure. */
int open_alone(const char *file, sqlite3 **sqlite);

/* log_history.c: a new file begins the history of a log / one that there is must have it, else
 * ERROR_CONFIGURATION / one that is opened without a log leaves it: then *cause says so. */
bool log_history_begin(struct database *database, const struct database_log *log,
                       struct error *error);
bool log_history_check(struct database *database, const struct database_log *log,
                       struct error *error);
bool log_history_left(struct database *database, const char **cause, struct error *error);
/* Whether the file follows a log. */
bool log_history_there(struct database *database, bool *there, struct error *error);

/* origin.c: the file is a replica of that server from here on; else ERROR_CONFIGURATION, it has
 * another history. */
bool origin_take(struct database *database, const struct database_origin *origin, bool is_new,
                 struct error *error);
/* Whether the file is a replica. */
bool origin_there(struct database *database, bool *there, struct error *error);
/* Note the settings that decide what changes do, and since when. */
bool merging_note(struct database *database, int64_t last_change, struct error *error);

/* backup_file.c: the file of a copy, first under a temporary name. */
struct backup_file {
    const char *to; /* as the operator named it */
    char *partial;  /* the temporary name beside it */
    int descriptor; /* of that, locked; -1: none */
    int lock;       /* of a database that is to be replaced; -1: there is none */
    bool replace;
    bool made; /* remove it at the end */
};
/* Make the temporary name. false: no memory, or it is too long. */
bool backup_file_name(struct backup_file *file);
/* Make an empty file under it, with the permissions of the database (NULL: of a new
 * one); or refuse, with the obstacle. The file of an interrupted backup is reused. */
bool backup_file_make(struct backup_file *file, const struct database *database,
                      struct error *error);
/* Filling up the disk would stop the server, if it is the same one: better to say it before. */
bool backup_file_has_room(const struct backup_file *file, int64_t bytes, struct error *error);
/* Everything on disk, then its real name, and that on disk too. */
bool backup_file_keep(struct backup_file *file, struct error *error);
/* Remove it unless it was kept, and free the names. */
void backup_file_fini(struct backup_file *file);

/* epoch.c: read them, after making the first one, or a new one for a copy. */
bool epoch_read(struct database *database, struct error *error);

/* The text of ERROR_FILE_LIMIT, with the path of the database. */
#define DATABASE_FILE_LIMIT_TEXT                                                                   \
    "%s or its -wal may not grow: the process has a limit for the size of files, or the file "     \
    "system has. Nothing of the transaction was kept. Raise the limit (ulimit -f, LimitFSIZE= of " \
    "the unit, prlimit --fsize), or use another file system"

/* wal_file.c: the name of the file system whose write-ahead logs join their writes, a layer on the
 * one that is SQLite's default when this is first called; NULL: SQLite has none of its own. */
const char *wal_file_layer(void);
/* Before a COMMIT of this connection; and after a failed one, whose transaction was rolled back:
 * nothing of it is found when the file is opened after a crash. false: something may be. */
void wal_file_expect(sqlite3 *database);
struct wal_file_state {
    int64_t given; /* bytes that this connection ever gave its log to write */
    int cause;     /* why its last write there failed, as in errno; 0: it did not */
};
struct wal_file_state wal_file_state(sqlite3 *database);
/* Whether it started the log over since the last call, and then the log's mark: its header's
 * salts. */
enum { WAL_SALT_AT = 16, WAL_SALT_SIZE = 8, WAL_HEADER_SIZE = 32 };
bool wal_file_began(sqlite3 *database, char salt[WAL_SALT_SIZE]);
bool wal_file_take_back(sqlite3 *database);

/* wal_base.c: note which database the write-ahead log follows, if this connection has started
 * the log since the last call: a database whose last change is this one. And refuse a database that
 * a noted log cannot follow, because it is older. */
void wal_base_note(struct database *database, sqlite3 *sqlite, int64_t change);
/* The log when the database opens, whoever started it. */
void wal_base_open(struct database *database);
bool wal_base_check(struct database *database, struct error *error);

/* lock.c */
bool lock_take(struct database *database, struct error *error);
void lock_drop(struct database *database);
/* Note in the lock file, if it is held, which database this is, and its newest change. */
void lock_write_mark(struct database *database, int64_t change);

/* inode.c: before the first connection, refuse a file that another server has under any name, one
 * with several names (to a writer), and one whose write-ahead log is another database's. Keeps
 * descriptors of the file until inode_leave, which comes after the last connection was closed;
 * inode_leave is also due after a failure. */
bool inode_enter(struct database *database, struct error *error);
void inode_leave(struct database *database);

/* Note the files that SQLite has open, once it has. */
void presence_note(struct database *database);
/* Before the last connection closes, which removes the write-ahead log by its name: keep a file
 * that is not stele's. */
void presence_before_close(struct database *database);

/* migration.c: bring the file to the version of the last of these, each in its transaction. */
bool migrate(struct connection *connection, const struct database_migration *migrations,
             size_t count, int64_t version, const char *backup, struct error *error);

#endif
