/*
 * engine: the writer thread that turns submissions into committed transactions, and the reader
 * threads that query the database. All results come back to the loop thread as events, through one
 * queue.
 *
 *   loop --submission--> [queue] --> writer: merge, log, commit --> [events] --> loop
 *   loop --read job----> [queue] --> readers: run(job)          --> [events] --> loop
 *
 * Promises: a commit event is posted only after its transaction is on disk (as `synchronous`
 * says). Submissions are applied in the order in which they were put; each wholly or not at all;
 * those that arrive while a commit is under way share the next one.
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "backlog/backlog.h"
#include "base/clock_watch.h"
#include "database/database.h"
#include "derive/derive.h"
#include "engine/batch_order.h"
#include "store/store.h"
#include "view/view.h"
#include "json/json.h"

#include <stdatomic.h>

struct engine;

/* ---- events: how the threads answer the loop ---- */

/* Embed it first. `deliver` is called once on the loop thread, which may free the event in it. */
struct engine_event {
    struct queue_item item;
    void (*deliver)(struct engine_event *event);
};

/* ---- submissions: what producers send ---- */

struct mutation {
    struct span export_name; /* raw */
    struct span key;         /* raw, as entities are keyed */
    enum row_operation operation;
    uint32_t patch;               /* node in the submission's document; DOC_NONE for deletes */
    struct merge_append *appends; /* canonical paths */
    size_t append_count;
    /* Canonical paths of members that go first, sorted by span_compare; with patches only. */
    const struct span *unset;
    size_t unset_count;
    bool has_seq;
    bool newer; /* only if its seq, which it has then, is above the entity's */
    struct seq seq;
};

/* A run of mutations with one producer's batch number (or none). */
struct submission_batch {
    struct span producer; /* absent: not named, never a duplicate */
    int64_t number;
    struct span mark; /* kept with the number, and returned; absent: none */
    bool has_previous;
    int64_t previous; /* the batch that must be the last committed one */
    bool has_after;
    int64_t after;       /* the last committed one must be this or a later one */
    size_t first, count; /* into mutations */
};

enum {
    SUBMISSION_UNKNOWN = 8, /* names in an answer, at most */
    SUBMISSION_ANSWER_BYTES = 64 * 1024
};

struct submission;

/* When what was done for a submission, for who traces it: monotonic µs; 0: not, or not noted. The
 * first two are its submitter's, the others the engine's, by the option notes_times. */
struct submission_times {
    uint64_t decoding_us, decoded_us;
    uint64_t begun_us, committed_us;     /* its transaction */
    uint64_t delivered_us, published_us; /* of the commit to the loop; on_commit has returned */
    /* What was in the transaction. */
    size_t requests, changes;
    int64_t last_change;
};

/* The Idempotency-Key that a request came with. */
struct submission_key {
    struct span text; /* absent: none */
    unsigned char digest[32];
    /* Print the answer to keep, on the writer thread. */
    bool (*print)(const struct submission *submission, struct buffer *out);
};

/* The producer whose batch is the position in the log that the database follows (position.c). No
 * request may feed as this one. */
#define ENGINE_LOG_PRODUCER "@log"

/* The message of that log that a submission is. */
struct submission_message {
    int64_t sequence; /* 0: it is none */
    int64_t previous; /* that of the message before it; -1: it is the first */
    int64_t at; /* when the log took it, milliseconds since 1970 UTC: the time of its changes */
    /* Its mutations are changes of another server's log, to be made here as they were there, and
     * nothing else: `sequence` is the id of the last one, `previous` of the one before the first.
     * Operations are as the log has them, evictions too. */
    bool copied;
    bool is_alone; /* ... and what is beside them is not known: see engine_alone_since */
};

struct store_note;
struct store_producer;

/* What a message of the log does that is no mutation (command.c). */
struct submission_command {
    enum { COMMAND_NONE, COMMAND_REVOKE, COMMAND_FORGET } kind;
    struct span name;   /* the id of a token that is revoked, or a producer to forget */
    int64_t expires_at; /* of the token, in seconds; 0: unknown */
    /* results */
    bool done; /* there was room for it; it was there, and is the owner's */
    const struct store_producer *producer; /* as it was */
};

/*
 * One request: applied in one transaction, whole or not at all. Filled by `source` (or a test),
 * handed to engine_submit, and given back through `event.deliver` with the results.
 * The spans point into `doc` or into memory of submission_keep; both live as long as it does.
 */
struct submission {
    struct engine_event event; /* event.item.bytes: its size, as the queue's cap counts it */
    struct doc doc;
    struct mutation *mutations;
    size_t mutation_count, mutation_capacity;
    struct submission_batch *batches;
    size_t batch_count, batch_capacity;
    struct submission_chunk *chunks;
    uint64_t received_us;
    /* The writer's memory of refused batches of this pipeline (see batch_order.h), or NULL. The
     * submitter keeps it alive until the submission comes back. */
    struct batch_order *order;
    void *context; /* the submitter's */
    struct submission_times times;
    struct span traceparent; /* as it was sent; absent: none. The submitter's */
    /* Submissions of one sender, a connection say, are applied in the order in which they were
     * submitted; those of different senders need not be. Waiting ones take turns by owner (see
     * access/shares.h). */
    uint64_t sender, share_owner;
    /* The subject that sends it; absent: there is no authentication; empty: the program that
     * embeds stele. */
    struct span owner;
    struct submission_key key;
    /* With an error that is set before: it is refused for that. */
    struct submission_message message;
    /* Of copied changes: what their producers are behind them. Kept by submission_keep and the
     * like. */
    const struct store_producer *copied_producers;
    size_t copied_producer_count;
    const struct store_note *copied_notes; /* and what happened beside them; their ids are unused */
    size_t copied_note_count;
    struct submission_command command; /* of a message; then there are no mutations */
    /* results */
    struct error error; /* code ERROR_NONE: committed */
    /* Of a message: its sequence is used up, because it was committed, or refused for what it
     * holds. Else it must come again, and all behind it are refused until then. */
    bool message_taken;
    uint64_t applied, ignored, duplicate;
    uint64_t stale;     /* mutations with "if":"newer" that were not */
    uint64_t truncated; /* of the applied: those that cost an array elements, by max_array_length */
    bool has_seq;
    struct seq seq; /* of its last change */
    /* A batch of a producer was a repetition, or was refused for its predecessor: the last
     * committed one, -1 if there is none. */
    bool has_last;
    int64_t last_batch;
    struct span last_mark;
    struct span unknown_exports[SUBMISSION_UNKNOWN]; /* whose mutations were ignored */
    size_t unknown_count;
    struct span answer; /* the answer of the first commit under its key */
};

/* Forget the results except the error: the submission is not applied. */
void submission_reset(struct submission *submission);

/* NULL when out of memory. `max_nodes` bounds the JSON values in it. */
struct submission *submission_new(size_t max_text, uint32_t max_nodes);
void submission_free(struct submission *submission);
/* A copy that lives as long as the submission; an absent span when out of memory. */
struct span submission_keep(struct submission *submission, struct span bytes);
/* One more mutation / batch, zeroed; NULL when out of memory. Borrowed until the next call. */
struct mutation *submission_add(struct submission *submission);
struct submission_batch *submission_add_batch(struct submission *submission);
/* Zeroed memory that lives as long as the submission; NULL when out of memory. */
void *submission_zeroed(struct submission *submission, size_t size);
/* Heap bytes, as the queue counts them. */
size_t submission_memory(const struct submission *submission);

/* ---- commits: what the loop learns ---- */

struct engine_commit {
    struct engine_event event;
    struct engine *engine;
    struct change **changes; /* in order of id; references are the receiver's to take or drop */
    size_t count;
    struct submission **submissions; /* delivered after the changes were handed on */
    size_t submission_count;
    int64_t last_change;
    struct seq head;
    struct store_export *exports; /* those that this commit created; names owned by the commit */
    size_t export_count;
    /* Each touched stage. There may be touches without changes: by time alone. */
    struct derive_touched *touches;
    size_t touch_count;
    uint64_t committed_us; /* monotonic */
};

/* ---- writing beside the mutations ---- */

/*
 * A write that is no mutation. `run` is called on the writer thread in an open transaction, which
 * may hold mutations and other jobs, too. So it must be short, and false only if the store failed,
 * which fails all of them. Then `event.deliver` on the loop; with ERROR_NONE its writes are on
 * disk.
 *
 * A job that says how mutations are applied comes `first`: ahead of those that are handed over
 * after it. The order of all others among mutations is open.
 */
struct write_job {
    struct engine_event event;
    bool first;
    bool ran; /* the engine's */
    bool (*run)(struct write_job *job, struct store_writer *store, struct error *error);
    struct error error;
};

/* Facts of the file, by name (store_meta_put), for the notes of what subscribers have seen: no
 * subscriber saw anything of a later change that was not noted (ENGINE_WATCHED_ALL: of any); the
 * second is for views that coalesce. A start begins them again with its newest change. */
#define ENGINE_WATCHED_CHANGE "watched_change"
#define ENGINE_WATCHED_COALESCED "watched_coalesced"
#define ENGINE_WATCHED_ALL "all"

/* The gap after an end without ENGINE_WATCHED_ALL: subscribers of then may have seen something
 * of the changes behind `from` up to `to`, the last one, that was not noted. The entities that
 * changed in a gap are pinned (store_scan_watched_keys). Until STORE_WATCHED_CHANGES changes came
 * behind `from`, it is known which changed since, even if the log is shorter
 * (store_read_watched_floor). */
struct engine_watched_gap {
    int64_t from, to;
    int64_t at; /* when the engine was opened again: wall clock */
};
enum { ENGINE_WATCHED_GAPS = 16 }; /* the oldest of more become one */

/* The gaps of which no more than the time since `since` has passed, the oldest first. */
bool engine_watched_gaps(struct store_reader *reader, bool coalesces, int64_t since,
                         struct engine_watched_gap list[ENGINE_WATCHED_GAPS], size_t *count,
                         struct error *error);

/* ---- reading ---- */

/*
 * A query for the readers. `run` is called on a reader thread with a reader that has no open
 * transaction; then `event.deliver` on the loop.
 */
struct read_job {
    struct engine_event event;
    void (*run)(struct read_job *job, struct store_reader *reader);
    uint64_t
        owner; /* the owner whose turn it takes among the readers (see read_queue.h); 0: nobody's */
    bool is_long; /* others may go first: it is a part of work that takes many jobs */
};

/* ---- the engine ---- */

struct engine_export_options {
    struct span name;
    int64_t max_entities;  /* 0: unlimited */
    bool own_array_length; /* it has a max_array_length of its own, 0: unlimited */
    uint32_t max_array_length;
    bool null_removes; /* a null member of a patch removes the member, as RFC 7396 has it */
};

struct engine_options {
    struct database_options store;
    bool open_exports; /* exports appear when they are first fed */
    uint32_t max_exports;
    bool refuse_unknown_exports;  /* else mutations for them are ignored */
    int64_t max_producers;        /* names of a subject; 0: unlimited */
    int64_t max_idempotency_keys; /* of a subject; 0: unlimited */
    const struct engine_export_options *exports;
    size_t export_count;
    /* Whether opening must end between two steps of building views; the flag outlives
     * engine_open. NULL: never. */
    const atomic_bool *give_up;
    const struct view_set *views;    /* must outlive the engine, with all its stages */
    size_t derived_rows;             /* of a derived view, that one transaction builds or takes
                                        back; 0: DERIVE_ROWS */
    uint32_t max_array_length;       /* 0: unlimited */
    size_t max_entity_bytes;         /* a merge that would be larger refuses the request */
    size_t max_merge_bytes;          /* of large entities that a request reads; 0: unlimited */
    size_t queue_bytes, queue_count; /* cap on waiting submissions */
    size_t commit_mutations;         /* cap on mutations per transaction */
    size_t cache_bytes;              /* entities kept in memory by the writer */
    size_t events_bytes;             /* the writer waits when the loop is this far behind */
    struct store_retention retention;
    uint32_t checkpoint_pages;
    int64_t max_wal_bytes; /* of the write-ahead log; beyond it no mutations are accepted. 0:
                              unlimited */
    uint32_t readers;
    bool notes_times; /* of submissions: struct submission_times */
    bool copies; /* the changes come from another server's log, its evictions too: it evicts nothing
                  */
    /* Called on the loop thread, from engine_deliver, for every commit. Takes over the references
     * in commit->changes. */
    void (*on_commit)(void *argument, struct engine_commit *commit);
    void *argument;
    /* The wall clock, milliseconds since 1970 UTC; NULL: the system's. Any thread. */
    int64_t (*wall_ms)(void *argument);
    /* The clock that counts from the start of the machine, milliseconds. NULL: the system's, but
     * with an own wall_ms none, so that every jump of wall_ms is accepted. */
    int64_t (*boot_ms)(void *argument);
    void *wall_argument; /* of both */
    /* Called on any thread when there are events: e.g. uv_async_send. */
    void (*wake)(void *argument);
    /* Called on the loop thread once the intake is closed and everything queued is committed. */
    void (*on_drained)(void *argument);
    void *wake_argument; /* of both */
};

/* Opens the database (see database_open for the refusals), defines the SQL views, builds new
 * derived views (which may take a while; an interrupted build keeps its progress), and starts the
 * threads. `options` and what it points to are copied as needed. */
struct engine *engine_open(const struct engine_options *options, struct error *error);
/* Hand a submission over; false at once, and it stays the caller's, with ERROR_QUEUE_FULL,
 * ERROR_SHUTTING_DOWN, or the error of engine_state. Any thread. */
bool engine_submit(struct engine *engine, struct submission *submission, struct error *error);
/* Hand a read job over; false when shutting down or too many wait (it stays the caller's). */
bool engine_read(struct engine *engine, struct read_job *job);
/* Hand a write job over; false when closing or too many wait (it stays the caller's). Jobs are
 * still accepted after engine_drain, until engine_close, which runs waiting ones. Any thread. */
bool engine_write(struct engine *engine, struct write_job *job);
/* Give exports another max_entities; exports that are not named keep theirs. Entities beyond it
 * go step by step. It holds for everything handed over after it, if it can be written to disk; the
 * log reports a failure. false: it was not handed over. */
bool engine_limit(struct engine *engine, const struct engine_export_options *exports, size_t count,
                  struct error *error);
/* Post an event of the caller's own, to be delivered on the loop thread. Any thread. */
void engine_post(struct engine *engine, struct engine_event *event);
/* Deliver all waiting events. On the loop thread. */
void engine_deliver(struct engine *engine);
/* Close the intake: queued submissions are still committed and answered, then on_drained.
 * Returns at once. */
void engine_drain(struct engine *engine);
/* Stop the threads (waits for them), deliver the remaining events, close the database. Loop
 * thread. */
void engine_close(struct engine *engine);

/*
 * The time, milliseconds since 1970 UTC, as far as the wall clock is trusted (see
 * docs/durability.md): `now`, the present, for stored times; and `due`, the time by which rows go
 * because of their age. That is never ahead of the present, and waits while the clock is in doubt.
 * Any thread.
 */
struct clock_times engine_times(struct engine *engine);

/* The database as it was when the engine opened it. Any thread. */
struct engine_metrics;
struct engine_facts {
    struct database *database;
    const char *epoch, *file_uuid; /* see struct database_state */
    bool shares_epoch;             /* with the other nodes of its log, or its source */
    int64_t last_change;           /* committed */
    struct seq head;               /* the greatest */
    int64_t cursor_floor;          /* see store_log_state */
    int64_t log_position;          /* the last message of the log that it follows; -1: none */
    int64_t max_wal_bytes;         /* see struct engine_options */
    const struct engine_metrics *metrics;
};
const struct engine_facts *engine_facts(const struct engine *engine);
/* Of a stage of the options' views its number in the database, which no other ever gets; 0: it has
 * none, or there is no stage. Any thread. */
int64_t engine_stage_number(const struct engine *engine, const struct view_stage *stage);
/* See database_former_epoch. */
bool engine_former_epoch(const struct engine *engine, const char *epoch, int64_t *last_change);
/* From behind which change on there were copied changes without what is beside them (producers,
 * keys of requests, revoked tokens), so that this copy cannot take the place of its source; -1:
 * from none. The file knows it as long as it has the epoch of then. Any thread. */
int64_t engine_alone_since(const struct engine *engine);
/* The length to which arrays of the export are cut; 0: they are not. Any thread. */
uint32_t engine_max_array_length(const struct engine *engine, struct span export_name);

/* How the engine is, now. Any thread. */
struct engine_state {
    /* ERROR_NONE while the database accepts writes; else ERROR_DISK_FULL, ERROR_DISK_FAILED,
     * ERROR_FILE_LIMIT, ERROR_WAL_LIMIT, ERROR_DATABASE_GONE, ERROR_DATABASE_DAMAGED or
     * ERROR_DATABASE_UNUSABLE. */
    enum error_code disk;
    /* Several checkpoints in a row failed: writes to the write-ahead log succeed, those to the
     * database's own file do not. */
    bool checkpoints_fail;
    size_t queue_count, queue_bytes; /* submissions that wait */
    uint64_t writer_busy_us; /* for which the writer has worked on its step; 0: it waits for work */
};
struct engine_state engine_state(struct engine *engine);
/* Whether the write-ahead log is longer than checkpoints leave it, so that whoever would read one
 * state for long should wait until it has started over. Any thread. */
bool engine_wal_is_long(const struct engine *engine);
/* Jobs read one state together from now on, or do not any more: meanwhile no long job pauses for
 * the log, which could not start over. Any thread. */
void engine_note_holder(struct engine *engine, bool begins);
/* Visits the exports that existed at open. Before the threads are busy: right after engine_open. */
bool engine_each_export(struct engine *engine,
                        bool (*each)(void *argument, const struct store_export *export),
                        void *argument, struct error *error);

struct engine_metrics {
    struct counter mutations_applied, mutations_ignored, mutations_duplicate, mutations_refused;
    struct counter mutations_stale, mutations_truncated;
    struct counter commits, commit_failures, changes, evictions;
    struct counter cache_hits, cache_misses;
    struct counter stages_visited; /* of derived views, by transactions and between them */
    struct counter read_jobs, trimmed_changes, checkpoints, checkpoint_failures;
    struct histogram commit_duration; /* from begin to durable */
    struct histogram commit_latency;  /* from a request's arrival to its commit */
};

/* ---- offline ---- */

/* `stele check`: the store's own check, and a comparison of every entity with the merge of its
 * log, as far back as the log goes. Findings, a line each, to `found`. false: the check could not
 * run. */
bool engine_check(const char *path, void (*found)(void *argument, const char *line), void *argument,
                  struct error *error);
#endif
