/*
 * stele: the public C API.
 *
 * A store is one database file with everything around it: the thread that commits, the threads that
 * read, and a loop thread that serves subscribers, in this process and, if wanted, over the
 * network. A committed mutation is merged, logged and on disk. A subscriber gets only committed
 * changes.
 *
 * Threads. Every function may be called on any thread, several at a time, unless it says otherwise.
 * Callbacks of subscriptions and of stele_apply_async come on the loop thread. They must not block,
 * because all other work of the loop waits meanwhile. Inside a callback only stele_apply_async,
 * stele_subscribe, stele_unsubscribe, stele_stop and the functions about errors may be called;
 * functions that wait refuse with "invalid-parameter" there.
 *
 * Errors. A function that can fail returns false or NULL and fills the stele_error that it was
 * given, which may be NULL. Texts are UTF-8 throughout. A required argument that is NULL, is not
 * UTF-8, or is longer than the store accepts is an "invalid-parameter" or "too-large" that names
 * the argument.
 *
 * One process may have several stores; one file can be open in one process only.
 *
 * fork. A store belongs to the process that opened it. In a child of fork() it has no threads:
 * there the functions that can fail do so ("invalid-parameter"), and stele_stop, stele_close and
 * stele_unsubscribe do nothing. A child may open stores of its own. A child blocks nothing either:
 * as soon as the parent has closed a store, its file and its addresses can be opened again,
 * although the child inherited the descriptors and lives on.
 *
 * The process. These stay as they are: signal handlers, SIGPIPE among them, the signal mask of the
 * host's threads, the working directory, the umask, the locale and the environment. The library's
 * own threads block all signals. Opening a store changes only this: its log goes to standard error,
 * by the log settings; a store that listens raises the soft limit on descriptors if its connections
 * need more; libcurl and OpenSSL are initialised if they are needed.
 *
 * Versions. Structs that a program fills begin with their size and start from their initializer. A
 * later version may add fields behind the last one; a program that was built with an older header
 * works as before. A program that sets a field which the library in use does not know is refused.
 * Other structs and functions do not change.
 */
#ifndef STELE_STELE_H
#define STELE_STELE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define STELE_API __attribute__((visibility("default")))
#else
#define STELE_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- errors ---- */

typedef struct stele_error {
    char code[32];     /* as on the wire, e.g. "queue-full"; "" for no error */
    bool retryable;    /* the same call may succeed later */
    char message[512]; /* the cause and the remedy */
} stele_error;

/* The message of an error, "no error" if there is none; for callers that cannot read the struct.
 * Borrowed from `error`; NULL is allowed. */
STELE_API const char *stele_error_message(const stele_error *error);

/* The version of the library in use, e.g. "0.1.0"; a constant. */
STELE_API const char *stele_version(void);

/* ---- a store ---- */

typedef struct stele stele;

/* Start from STELE_OPTIONS_INIT and set the fields you need. stele_open copies texts. */
typedef struct stele_options {
    size_t struct_size;      /* sizeof(stele_options), so that later versions recognise this one */
    const char *database;    /* the file; NULL: that of the configuration file */
    const char *config_file; /* NULL: none */
    const char *const *settings; /* "name=value", each over the configuration file */
    size_t setting_count;
    const char *listen; /* HOST:PORT for subscribers and producers, port 0 picks one, "" for none */
    const char *health; /* HOST:PORT for health and metrics, likewise */
    bool serve; /* if listen or health is NULL: true, the address of the settings; false, none */
    bool use_environment; /* read STELE_… and ARETE_… names, below the file */
    bool insecure;        /* allow addresses that other machines can reach */
} stele_options;

#define STELE_OPTIONS_INIT                                                                         \
    {                                                                                              \
        sizeof(stele_options), NULL, NULL, NULL, 0, NULL, NULL, false, false, false                \
    }

/*
 * Open or create the store, start its threads and bind its sockets. When this returns, it is ready.
 * NULL with an error that names the setting, file or address and the remedy: "configuration-error",
 * "database-in-use", "database-newer", "database-error", "network-error" and others.
 * The log settings hold for the whole process: the store opened last decides.
 */
STELE_API stele *stele_open(const stele_options *options, stele_error *error);

/* The bound address, e.g. "127.0.0.1:41873"; "" if there is none. Lives as long as the store. */
STELE_API const char *stele_address(const stele *store);
STELE_API const char *stele_health_address(const stele *store);
/* The database file. Lives as long as the store. */
STELE_API const char *stele_database(const stele *store);

/*
 * Serve in the foreground: wait until the store has stopped, by stele_stop or because it could not
 * go on. true after a clean stop: nothing new was accepted, queued requests were committed and
 * answered, and clients were notified. The store must still be closed.
 */
STELE_API bool stele_run(stele *store, stele_error *error);

/*
 * Read the configuration again, from the sources of stele_open: the environment if it was asked
 * for, the configuration file, and over them the settings and fields of the options. All of it is
 * checked first, with the files that it names; false means that nothing has changed. true means
 * that the settings that can change in a running store are in force: limits, log settings, keys and
 * tokens, the certificate of TLS. The log names every other setting that differs, which needs a
 * restart. Relative paths begin in the working directory of stele_open. Waits for the loop thread.
 * Errors: "configuration-error", "shutting-down", "out-of-memory".
 */
STELE_API bool stele_reload(stele *store, stele_error *error);

/* Ask for a clean stop and return at once. May be called any number of times, on any thread and
 * from a signal handler. The stop waits until queued requests are on disk, and two seconds for
 * network clients that do not read. */
STELE_API void stele_stop(stele *store);

/* Stop if need be, wait for the end, and free the store and all its subscriptions. Waiting calls
 * return with "shutting-down"; no new call may start. NULL is allowed. Not from a callback. */
STELE_API void stele_close(stele *store);

/* ---- feeding ---- */

/* The result of mutations. */
typedef struct stele_result {
    uint64_t applied;   /* changed an entity */
    uint64_t ignored;   /* for an export that no view shows */
    uint64_t duplicate; /* of a batch that had been committed before */
    char seq[48];       /* cursor of the last change, e.g. "7:000000000001"; "" when none */
    uint64_t stale;     /* with "if":"newer", and the entity was at least as new */
    uint64_t truncated; /* of the applied: those that cost an array elements (max_array_length) */
} stele_result;

/*
 * Apply mutations and wait until they are on disk. `lines` is `length` bytes (NULL for none) of
 * newline-separated JSON, a mutation or a batch a line, the same as in POST /v1/mutations:
 *   {"export":"Quake","key":"k1","patch":{"mag":4.5}}
 * All of it is one transaction: either everything is applied or nothing. `result` may be NULL.
 * Errors: "invalid-message" or "invalid-parameter" (names the line), "too-large"
 * (max_request_bytes); "disk-full", "disk-failed", "shutting-down" (nothing was applied; try again
 * later); "outcome-unknown" (the disk failed in the middle of it: after a crash it may be there or
 * not, whole either way; with a producer's batch number it can be sent again without harm).
 */
STELE_API bool stele_apply(stele *store, const char *lines, size_t length, stele_result *result,
                           stele_error *error);

/* Called once, on the loop thread. `error` is NULL when the mutations are on disk; both live
 * until it returns. */
typedef void (*stele_applied)(void *argument, const stele_result *result, const stele_error *error);

/*
 * The same without waiting; `lines` is copied. true: `done`, which must not be NULL, will be
 * called, once. false at once: "queue-full" if the requests without an answer, with some hundred
 * bytes for each, would exceed queue_bytes; their answers make room again. Also "too-large",
 * "shutting-down" or "out-of-memory". An accepted request is not refused later because the store is
 * busy. Requests of one thread are applied in their order.
 */
STELE_API bool stele_apply_async(stele *store, const char *lines, size_t length, stele_applied done,
                                 void *argument, stele_error *error);

/* The state of a producer. */
typedef struct stele_producer {
    int64_t batch;   /* its last committed batch; -1: none so far */
    char seq[48];    /* cursor of the newest change of its batches; "" when none */
    int64_t time_ms; /* when that batch was committed: milliseconds since 1970 UTC */
    char mark[260];  /* the mark of that batch; "" for none */
} stele_producer;

/*
 * Read the state of a producer, to go on behind it after a restart. An unknown name is no error:
 * its batch is -1. Waits for a reader. Errors: "shutting-down", "queue-full" (too many reads wait),
 * "database-error", "out-of-memory".
 */
STELE_API bool stele_producer_position(stele *store, const char *name, stele_producer *producer,
                                       stele_error *error);

/* ---- querying ---- */

typedef struct stele_row {
    const char *key; /* `key_length` bytes, and a NUL behind them */
    size_t key_length;
    const char *seq;  /* cursor of the entity's last change, NUL-terminated */
    const char *data; /* the entity as the view shows it: `data_length` bytes of JSON and a NUL */
    size_t data_length;
} stele_row;

/* Called for each row, on the calling thread; the row lives until it returns. false: enough. It
 * may take its time, and may call other functions of this library, except stele_close. */
typedef bool (*stele_row_callback)(void *argument, const stele_row *row);

/*
 * Read a view, e.g. "Quake/list" or "Quake/strongest". The rows, texts and order are those of its
 * SQL view and of HTTP. A list has its newest seq first, of one seq the least key; all rows of a
 * state view are in order of key; an append view has the rows of its list. `key` NULL: all rows,
 * else only that one; of a view that is keyed by a field, the row whose field has that value, under
 * it. `limit`: at most so many rows, negative: all. Waits until the callback has had the last row.
 *
 * The set of rows, and their order, are of one moment; up to 1,000 rows (or 1 MiB of them) are of
 * that moment too. A longer view is read page by page: every row that is there from beginning to
 * end comes once, in that order, as it is when its page is read. A row that comes into the view
 * meanwhile is left out. A row that is deleted or leaves the view before its turn is left out. A
 * row that is deleted and comes again may be left out or come again. The order takes 8 bytes a row
 * while the query runs, and nothing else grows with the view.
 *
 * Errors: "view-not-found", "database-error", "shutting-down", "out-of-memory"; "queue-full" (too
 * many reads wait). Rows may have come before an error.
 */
STELE_API bool stele_query(stele *store, const char *view, const char *key, int64_t limit,
                           stele_row_callback row, void *argument, stele_error *error);

/* The part of a view to read. Start from STELE_QUERY_INIT. */
typedef struct stele_query_options {
    size_t struct_size;
    const char *view;    /* as for stele_query */
    const char *key;     /* as for stele_query */
    const char *filters; /* only rows with these values: a JSON object, {"dotted.path":value}, as on
                            the wire; NULL: all */
    int64_t skip;        /* so many of these rows are left out first */
    int64_t take;        /* and the next so many come; negative: all */
    const char *where; /* only rows of which this predicate holds, JSON as on the wire; NULL: all */
    const char *sort;  /* a list of keys to sort them by, JSON as on the wire; NULL: the view's own
                          order. Without an index at most max_window_rows of them, else
                          "too-large" */
} stele_query_options;

#define STELE_QUERY_INIT                                                                           \
    {                                                                                              \
        sizeof(stele_query_options), NULL, NULL, NULL, 0, -1, NULL, NULL                           \
    }

/* The position of a view when its rows were read: to go on from, as `after` and `epoch` of a
 * subscription. Changes during the read of a long view then come again, whole. */
typedef struct stele_position {
    char seq[48];   /* "0:000000000000" for a view that was never fed */
    char epoch[64]; /* of the database, of the visible row scopes, of the view's definition */
} stele_position;

/* The same as stele_query, for a part of the view. `position` may be NULL; it is filled before
 * the first row comes. Errors also: "invalid-parameter" (the filters, the predicate,
 * the order), "too-large". */
STELE_API bool stele_query_view(stele *store, const stele_query_options *options,
                                stele_row_callback row, void *argument, stele_position *position,
                                stele_error *error);

/* ---- backup ---- */

/* Start from STELE_BACKUP_INIT. */
typedef struct stele_backup_options {
    size_t struct_size;
    const char *file;  /* the copy, which gets this name when it is complete, on disk and checked */
    bool replace;      /* the file may exist already */
    bool unchecked;    /* do not check the copy */
    int64_t wal_limit; /* give up when the write-ahead log, which cannot be emptied meanwhile, grew
                          by more bytes; 0: never */
    /* Called now and then on the calling thread; false: give up. NULL: no progress. */
    bool (*progress)(void *argument, int64_t done_bytes, int64_t total_bytes);
    void *argument;
} stele_backup_options;

#define STELE_BACKUP_INIT                                                                          \
    {                                                                                              \
        sizeof(stele_backup_options), NULL, false, false, INT64_C(4) << 30, NULL, NULL             \
    }

typedef struct stele_backup_result {
    int64_t bytes; /* of the copy */
    char seq[48];  /* cursor of the last change in it; "" for none */
} stele_backup_result;

/*
 * Copy the database while the store goes on in every way. The copy is one state, not older than
 * mutations applied before the call, and one file without companions. A store that is opened on it
 * has an epoch of its own, and accepts cursors up to the copy. `result` may be NULL. When this
 * fails there is no copy. Errors: "database-error" (also: the file exists), "disk-full",
 * "database-in-use" (another backup writes there), "shutting-down", "out-of-memory".
 */
STELE_API bool stele_backup(stele *store, const stele_backup_options *options,
                            stele_backup_result *result, stele_error *error);

/* ---- subscribing ---- */

typedef struct stele_subscription stele_subscription;

/* Start from STELE_SUBSCRIBE_INIT. The fields have the meaning of the wire. */
typedef struct stele_subscribe_options {
    size_t struct_size;
    const char *view;  /* e.g. "Quake/list" */
    const char *key;   /* only this entity; NULL: all */
    const char *after; /* resume behind this seq; NULL: from a fresh snapshot */
    const char *epoch; /* the epoch that came with the cursor; NULL: not checked */
    bool no_snapshot;
    int64_t snapshot_limit; /* rows at most; negative: all */
    /* A window: only rows with these values ({"dotted.path":value}, NULL: all), in the view's
     * order without the first `skip`, then the first `take` (0 or less: the view's own limit). Its
     * rows come and go as the window moves over the view. */
    const char *filters;
    int64_t take;
    int64_t skip;
    /* Also of a window, as JSON: a predicate that must hold of its rows, and a list of keys that
     * they are sorted by, as on the wire; NULL: none. */
    const char *where;
    const char *sort;
} stele_subscribe_options;

#define STELE_SUBSCRIBE_INIT                                                                       \
    {                                                                                              \
        sizeof(stele_subscribe_options), NULL, NULL, NULL, NULL, false, -1, NULL, 0, 0, NULL, NULL \
    }

/* Called for each frame, on the loop thread: `length` bytes of JSON as on the wire,
 * uncompressed, and a NUL behind them; they live until it returns. */
typedef void (*stele_frame)(void *argument, const char *json, size_t length);

/*
 * Subscribe to a view. Frames come in order: "subscribed", the snapshot in batches, then the
 * changes. A refused request, e.g. for an unknown view, gets one frame {"type":"error",…}. A slow
 * callback costs no memory: the store reads missing frames from the log later. Returns at once;
 * NULL with "invalid-parameter" (a text, the query), "shutting-down" or "out-of-memory". End it
 * with stele_unsubscribe, or leave that to stele_close.
 */
STELE_API stele_subscription *stele_subscribe(stele *store, const stele_subscribe_options *options,
                                              stele_frame frame, void *argument,
                                              stele_error *error);

/* End a subscription and free it: no callback comes after this returns. Allowed inside a
 * callback, also its own. NULL is allowed. */
STELE_API void stele_unsubscribe(stele_subscription *subscription);

#ifdef __cplusplus
}
#endif

#endif
