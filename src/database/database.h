/*
 * database: one SQLite file that stays whole and ours. It finds the file, locks it under its name
 * and its inode, distinguishes it from its copies, migrates its tables, joins the writes of its
 * write-ahead log, moves that log, watches over the files, and copies them. The meaning of the
 * tables is the store's; folders that run SQL also include database/connection.h.
 *
 * Threads: a struct database may be shared; each connection and each checkpointer belongs to the
 * one thread that uses it.
 *
 * Invariants (checked by the tests database_*):
 *  1. One program writes a file, whatever name it has for it: the lock file and the inode are
 *     locked for as long as the database is open for writing. Readers never block the writer.
 *  2. A write-ahead log is only put over the database that it follows.
 *  3. An epoch is one history: a copy that is opened for writing gets another epoch first, unless
 *     what is written to it comes from a log.
 *  4. No name leads to half a copy: a backup has its name only when it is whole and on disk.
 */
#ifndef DATABASE_DATABASE_H
#define DATABASE_DATABASE_H

#include "base/base.h"

struct database;
struct database_checkpointer;

enum database_synchronous {
    DATABASE_SYNCHRONOUS_FULL,
    DATABASE_SYNCHRONOUS_NORMAL,
    DATABASE_SYNCHRONOUS_OFF
};

/* The bytes of deleted rows: FAST zeroes them if the page is written anyway, FULL also in freed
 * pages, OFF leaves them until something else is written there. */
enum database_erase { DATABASE_ERASE_FAST, DATABASE_ERASE_FULL, DATABASE_ERASE_OFF };

/* The log that a database follows. Its history is that of the log, so its epoch is made from what
 * decides it, and copies keep it. */
struct database_log {
    const char *stream;   /* its name */
    int64_t created;      /* when the stream was made; 0: not known, what the file says is right */
    const char *settings; /* a digest of the settings that decide what its messages do */
    const char *epoch;    /* of all that; 36 characters. NULL: `created` is not known */
};

/* The server whose log of changes a replica copies. The replica's history is that server's, and so
 * is its epoch. */
struct database_origin {
    const char *url;
    const char *epoch; /* NULL: not known; what the file says is right */
    /* The databases that it is a copy of, for a new file: {"EPOCH":last_change,…}. NULL: not
     * known, and a file that is to begin is refused */
    const char *former;
};

enum { DATABASE_READER_MEBIBYTES = 16 };
struct database_options {
    const char *path;
    const struct database_log *log;       /* NULL: none. Read by database_open alone */
    const struct database_origin *origin; /* NULL: it is no replica. Read by database_open alone */
    /* A digest of the settings that decide what a change in the log does to an entity; NULL: not
     * known. Read by database_open alone */
    const char *merging;
    bool keeps_log; /* without `log`, or `origin`: a file that follows one goes on to do so. For
                     * commands that change nothing which its log decides */
    enum database_synchronous synchronous; /* FULL: a commit is on disk when it returns */
    enum database_erase erase;
    uint32_t cache_mebibytes;  /* page cache of the writer; 0: 64 */
    uint32_t reader_mebibytes; /* of each other connection; 0: DATABASE_READER_MEBIBYTES */
    int64_t wal_keep_bytes;    /* a WAL that starts over is cut to this; 0: it keeps its size */
    bool read_only; /* for offline commands: no lock, no migration, no writer; works beside a server
                     */
    const char *backup_before_migration; /* copy the file there before a migration; NULL: no copy */
};

/* ---- the file ---- */

/*
 * Open or create the database: lock it, check that it is stele's, migrate it. NULL with a clear
 * error that names the file and the remedy: ERROR_DATABASE_NEWER (written by a newer program),
 * ERROR_DATABASE_IN_USE (another server has it), ERROR_DATABASE (not a database, not stele's,
 * damaged, its folder missing or unwritable), ERROR_DISK_FULL, ERROR_CONFIGURATION (it has another
 * history than options->log or options->origin, or is a replica with other options->merging).
 */
struct database *database_open(const struct database_options *options, struct error *error);
/* Connections and checkpointers must be closed before. The last close applies the WAL and
 * removes it. */
void database_close(struct database *database);
/* What it is now. Any thread. */
enum { DATABASE_WAL_PAGE_BYTES = 4096 + 24 /* in the file */ };
struct database_state {
    const char *path;      /* as it was given, */
    const char *file;      /* ... and behind symbolic links */
    const char *epoch;     /* the uuid of its life, 36 characters, */
    const char *file_uuid; /* ... and of this file: no other with that epoch has it */
    int64_t log_created;   /* of the log that it follows, see struct database_log; 0: none */
    bool is_replica;       /* its changes come from another server */
    int64_t merging_since; /* the newest change when the options' `merging` began to hold */
    uint32_t wal_pages;    /* in the WAL that its next commit follows, */
    uint64_t wal_commits;  /* ... and commits so far that wrote there */
};
/* The texts live as long as the database. */
struct database_state database_state(const struct database *database);
/* Whether the names of the database and its write-ahead log still lead to the open files,
 * nothing was put over the database, and no connection has met damage. Else ERROR_DATABASE_GONE,
 * with what happened and the command that saves the data, or ERROR_DATABASE_DAMAGED. One thread. */
bool database_check_files(struct database *database, struct error *error);
/* Of these, whether nothing was put over the database, alone. Else ERROR_DATABASE_DAMAGED; told
 * once. The same thread. */
bool database_check_content(struct database *database, struct error *error);
/* Whether this database is a copy of one of that epoch. Until *last_change the two have the same
 * log; cursors from behind that are of no use here. Without an epoch (NULL): whether there are any
 * such databases, and until when all of them agree. */
bool database_former_epoch(const struct database *database, const char *epoch,
                           int64_t *last_change);
/* The epochs of all of these, in turn; NULL: there are no more. Any thread. */
const char *database_former_at(const struct database *database, size_t index, int64_t *last_change);

enum { DATABASE_UUID_SIZE = 37 };
/* A fresh random uuid: 36 characters and a NUL. Any thread. */
void database_new_uuid(char *text);

/* Route SQLite's allocations through base/memory (fault injection); before anything is opened.
 * Called once by database_open itself; harmless to call again. */
void database_setup(void);

/* ---- its room ---- */

/* Reserve room in the file system for so many bytes more of the WAL, between transactions. Else
 * ERROR_DISK_FULL or ERROR_FILE_LIMIT. If the file system cannot reserve, its free room must
 * suffice. */
bool database_reserve(const struct database *database, int64_t bytes, struct error *error);
/* The present files and their disk, for metrics; unknown sizes are -1. */
struct database_sizes {
    int64_t database_bytes, wal_bytes;
    int64_t free_bytes, disk_bytes; /* free room there; the whole disk */
};
void database_read_sizes(const struct database *database, struct database_sizes *sizes);

/* ---- its write-ahead log ---- */

/* A connection of its own that moves the WAL into the database, PASSIVE, when it has grown
 * beyond `pages`, or `anyhow`; otherwise database_checkpoint does nothing. Any thread but one at a
 * time. *left: how many pages of the WAL are not moved, with those committed meanwhile. */
struct database_checkpointer *database_checkpointer_open(struct database *database, uint32_t pages,
                                                         struct error *error);
void database_checkpointer_close(struct database_checkpointer *checkpointer);
bool database_checkpoint(struct database_checkpointer *checkpointer, bool anyhow, uint32_t *left,
                         struct error *error);
/* Whether database_checkpoint would do something now. */
bool database_checkpoint_due(const struct database_checkpointer *checkpointer);
/* Move the remaining pages and cut the WAL's file to nothing. Waits so long for readers, during
 * which the writer must not commit; *done false: somebody still uses it, and nothing is cut. */
bool database_wal_give_back(struct database_checkpointer *checkpointer, int wait_ms, bool *done,
                            struct error *error);
/* Size of the WAL file in bytes now. */
int64_t database_wal_bytes(const struct database *database);

/* ---- copies ---- */

/*
 * A copy of the database of one state, also beside its server: one file without a write-ahead log,
 * under its name only when it is whole, on disk and checked. A server that is started on a copy has
 * an epoch of its own (see database_former_epoch).
 */
struct database_backup_options {
    const char *from, *to;
    bool replace;      /* `to` may exist; else that is an error */
    bool nameless;     /* it gets no name, and is not put on disk: result->descriptor has it */
    bool check;        /* SQLite's quick check of the copy */
    int64_t wal_limit; /* give up when the WAL grows by more meanwhile; 0: no limit */
    /* Now and then; false: give up. May be NULL. */
    bool (*progress)(void *argument, int64_t done_bytes, int64_t bytes);
    void *argument;
};
struct database_backup_result {
    int64_t bytes, page_bytes;
    bool any; /* there was ever a change */
    struct seq head;
    int64_t last_change;
    int64_t wal_growth; /* bytes, while it was made */
    int descriptor;     /* of a nameless copy, which the caller closes; else -1 */
};
/* false: there is no copy, and nothing is left of it. ERROR_DISK_FULL, ERROR_DATABASE_IN_USE
 * (another backup writes there), and the errors of database_open. */
bool database_backup(const struct database_backup_options *options,
                     struct database_backup_result *result, struct error *error);
/* Remove what a copy to that name left that was killed. */
void database_backup_clean(const char *to);

/*
 * The same of bytes that come from elsewhere, in order: a copy that another server made. NULL with
 * an error: the file is there, or cannot be made.
 */
struct database_arrival;
struct database_arrival *database_arrive(const char *to, bool replace, struct error *error);
/* It will have so many bytes: whether there is room for them. */
bool database_arrival_expect(struct database_arrival *arrival, int64_t bytes, struct error *error);
bool database_arrival_write(struct database_arrival *arrival, struct span bytes,
                            struct error *error);
/* The descriptor of what has arrived; to read, with pread. */
int database_arrival_descriptor(const struct database_arrival *arrival);
/* All has come: look at it, unless not `check`, and give it its name. ERROR_DATABASE: it is no
 * database of stele, or damaged. */
bool database_arrival_keep(struct database_arrival *arrival, bool check,
                           struct database_backup_result *result, struct error *error);
/* Unless it was kept, nothing is left of it. NULL is fine. */
void database_arrival_free(struct database_arrival *arrival);

#endif
