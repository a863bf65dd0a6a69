/* Shared by the files of engine. Never included from outside. */
#ifndef ENGINE_INTERNAL_H
#define ENGINE_INTERNAL_H

#include "base/invariant.h"
#include "engine/array_length.h"
#include "engine/cache.h"
#include "engine/disk.h"
#include "engine/engine.h"
#include "engine/read_queue.h"

/* ---- exports as the writer knows them ---- */

/* A stored entity as the eviction order has it. */
struct evictable {
    int64_t id, change;
};

struct recent_change {
    struct entity *entity;
    int64_t change;
};

enum { EVICTION_AHEAD = 32 };

/* The progress of the search for the least recently changed entity; see eviction.c. */
struct eviction {
    struct evictable ahead[EVICTION_AHEAD]; /* next .. count: read from the store, not passed yet */
    size_t next, count;
    int64_t passed; /* change of the last one that was taken from `ahead` */
    bool exhausted; /* the store has none behind `passed`, until the transaction ends */
    /* The changes of the open transaction, from recent_first on. */
    struct recent_change *recent;
    size_t recent_first, recent_count, recent_capacity;
    bool listed; /* in writer->eviction.listed */
    struct export_state *next_listed;
    /* As it was before the submission `noted`. */
    uint64_t noted;
    struct {
        int64_t live, passed;
        size_t recent_first, recent_count;
    } was;
};

struct export_state {
    uint32_t id;
    struct derived_export *derived; /* what its derived views need to know; NULL: it has none */
    const struct view_scope *scope; /* the field that scopes its rows; NULL: none */
    int64_t max_entities;           /* 0: unlimited */
    int64_t live;                   /* entities, as the open transaction has left them */
    struct eviction eviction;
    uint32_t max_array; /* elements that arrays are cut to; 0: they are not */
    bool null_removes;  /* see struct engine_export_options */
    char **cut_paths;   /* of arrays that the log told were cut */
    size_t cut_path_count;
    size_t cached;    /* entities in the cache */
    struct span name; /* its bytes follow this struct */
};

/* ---- the writer ---- */

/* A change of the open transaction that is not in the log yet, and what its log row holds. */
struct pending_change {
    struct change *change; /* one reference */
    struct span log_patch; /* borrowed from the submission */
    struct span log_append;
};

enum {
    KEPT_ENTITY = 16 * 1024,              /* entities up to this size travel with their change */
    SUBMISSION_BYTES = 128 * 1024 * 1024, /* of the changes of one request, at most */
    TRANSACTION_BYTES = 32 * 1024 * 1024  /* a transaction of several requests ends beyond this */
};

/* An entity before the submission that is being applied. */
struct undo {
    struct entity *entity;
    struct text *data; /* one reference */
    int64_t change, at;
    struct seq seq;
};

enum { UNKNOWN_EXPORTS_TOLD = 100 /* names in the log, at most */ };

/* An array that the submission being applied had cut, for the first time. */
struct truncation {
    struct export_state *export;
    struct span path; /* the submission's */
};

enum { TRUNCATIONS = 16 };

/* Requests that wait because they merge much; see large.c. */
struct large_wait {
    struct map senders; /* struct put_off by sender */
    struct lane_ring ring;
    uint64_t until_us;  /* no other is begun before, while others write */
    uint64_t others_us; /* when something of somebody else was applied last; 0: never */
    uint64_t sender;    /* of the last large one */
    bool releasing;     /* what is applied has waited for its turn */
    bool granted;       /* the request at hand was told that it may pass */
    bool passes;        /* the submission being applied may be large, */
    bool stopped;       /* ... it is, and may not */
    bool ran;           /* one was applied in the open transaction, */
    bool ends;          /* ... which takes nothing more */
};

/* The changes that subscribers may have been shown without a note (watched_gaps.c): of views
 * that do not coalesce, and of those that do. */
enum { ENGINE_WATCHED_LISTS = 2 };
struct engine_gaps {
    struct engine_watched_gap list[ENGINE_WATCHED_GAPS];
    size_t count;
};

/* The work and the changes of the open transaction so far, and its report at the end. */
struct open_transaction {
    int64_t last_change; /* ids and seqs that it has given out */
    struct seq head;
    int64_t now;  /* its time, ms */
    size_t bytes; /* that the requests in it changed and merged */
    struct change **changes;
    size_t change_count, change_capacity;
    struct change_slab *slab; /* where its changes are made */
    struct submission **submissions;
    size_t submission_count, submission_capacity;
    struct store_export *new_exports; /* names are heap copies */
    size_t new_export_count, new_export_capacity;
    size_t new_exports_stored;      /* the others wait until their submission is accepted */
    struct engine_commit *commit;   /* made before the transaction, so that telling cannot fail */
    struct derive_touched *touches; /* of the transaction that was just committed */
    size_t touch_count;
};

/* The submission being applied. */
struct applying {
    uint64_t number;
    int64_t first_change; /* the last change before it */
    size_t bytes;         /* that its changes take so far */
    size_t merged;        /* of large entities that were read or written for it, */
    size_t decided;       /* ... as it counts where every node must count alike */
    struct pending_change *pending;
    size_t pending_count, pending_capacity;
    struct undo *undos;
    size_t undo_count, undo_capacity;
    struct draft *drafts; /* of entities that it patches more than once */
    struct truncation truncations[TRUNCATIONS];
    size_t truncation_count;
};

/* Reused for one mutation after the other. */
struct scratch {
    struct buffer merged, patch, append, log_append;
    struct buffer rest;  /* an entity less what a mutation takes out */
    struct doc stripped; /* a patch without its nulls */
};

/* The times of the writer's own work between requests; monotonic. */
struct upkeep {
    uint64_t pass_us;   /* a failed pass_time is not tried again before */
    uint64_t schema_us; /* when SQL views were made last */
    uint64_t trim_us;   /* of the last look at the log's age */
    size_t views_begun; /* exports of the batch that has been begun, still without theirs */
};

/* See position.c; -1: none. */
struct log_position {
    int64_t stored;   /* on disk */
    int64_t sequence; /* as the open transaction has it */
    int64_t at;       /* the time of that message */
};

/* See known_producers.c. */
struct known_producers {
    struct map map;
    struct known_producer *moved; /* that the open transaction moved on, not written yet */
    uint64_t removed;             /* rows that were gone when the first was remembered */
};

struct writer {
    struct engine *engine;
    struct store_writer *store;
    struct entity_cache cache;
    struct map exports;    /* struct export_state by name */
    struct map key_counts; /* see keyed.c */
    struct known_producers known;
    struct derive *derive;   /* how derived views are kept; NULL until they are opened */
    struct queue_item *jobs; /* struct write_job: of the open transaction */
    struct large_wait large;
    struct log_position position;
    struct open_transaction open;
    struct applying applying;
    struct scratch scratch;
    struct {
        struct export_state *listed; /* limited exports that the open transaction changed */
        bool over_limit;             /* an export may hold more than its max_entities */
        bool order_waits;            /* the eviction order of an export may be unfinished */
    } eviction;
    struct {
        char *unknown_exports[UNKNOWN_EXPORTS_TOLD]; /* heap copies */
        size_t unknown_count;
        size_t truncations;
    } told; /* in the log, since the start */
    struct upkeep upkeep;
    struct engine_gaps gaps[ENGINE_WATCHED_LISTS];
};

bool writer_init(struct writer *writer, struct engine *engine, struct error *error);
void writer_fini(struct writer *writer);
/* The writer thread. */
void *writer_main(void *writer);

/* The files of the writer, upper ones first: calls go down this list. */

/* apply.c: merge one submission in memory: all of it, or nothing and submission->error, or nothing
 * and writer->large.stopped. Returns false only when the transaction cannot go on (the store
 * failed: `error`). */
bool writer_apply(struct writer *writer, struct submission *submission, struct error *error);

/* position.c. Read it at the start; whether a submission may be applied, because it is no message
 * of the log, or the next one; move on behind a message that is done with; write it, in the open
 * transaction; the end of that. */
bool position_load(struct writer *writer, struct error *error);
bool position_admits(struct writer *writer, const struct submission *submission,
                     struct error *error);
void position_advance(struct writer *writer, struct submission *submission);
bool position_store(struct writer *writer, struct error *error);
void position_end(struct writer *writer, bool committed);

/* copied.c: whether changes of another server's log come behind the newest here / they made what
 * they made there, in a submission that may be none of these / note its producers and what
 * happened beside, which goes with them. */
bool copied_admits(struct writer *writer, const struct submission_message *message,
                   struct error *error);
bool copied_ends(struct writer *writer, const struct submission *submission, struct error *error);
bool copied_store_rest(struct writer *writer, const struct submission *submission,
                       struct error *error);
/* Read what an earlier run noted for engine_alone_since. */
bool copied_open(struct engine *engine, struct error *error);

/* evict.c: the least recently changed entity of an export goes behind the change that made one too
 * many, with its seq. */
bool writer_evict_behind(struct writer *writer, struct export_state *export, struct seq seq,
                         uint64_t received_us, struct error *error);
/* A step towards limits that are new or were lowered, in the open transaction. */
bool writer_evict(struct writer *writer, struct error *error);

/* apply_patch.c: merge one patch or upsert, and record what it does. */
bool writer_apply_patch(struct writer *writer, struct submission *submission,
                        const struct mutation *mutation, struct entity *entity,
                        struct error *error);

/* draft.c. Whether a patch can be merged into a draft, and need not be into the text. */
bool writer_may_draft(const struct writer *writer, const struct submission *submission,
                      const struct mutation *mutation, const struct entity *entity);
/* The entity's draft, made if need be; NULL when out of memory. */
struct merge_draft *writer_draft(struct writer *writer, struct entity *entity, struct error *error);
/* The label of the row; all patches of the draft left it alone. */
struct span entity_draft_label(const struct entity *entity);
/* Print the text as it is now into writer->scratch.merged / make it the entity's data; the draft
 * ends. */
bool writer_draft_print(struct writer *writer, struct entity *entity, struct error *error);
bool writer_draft_end(struct writer *writer, struct entity *entity, struct error *error);
/* It ends, and what was merged in it is forgotten. */
void writer_draft_drop(struct writer *writer, struct entity *entity);
/* All of the submission: made their entities' data, or dropped (that cannot fail). */
bool writer_drafts_end(struct writer *writer, bool drop, struct error *error);

/* record.c. Before the submission changes an entity: remember what it is / at its end: put all back
 * as it was before it, or (`undo` false) leave it as it is. */
bool writer_undo_note(struct writer *writer, struct entity *entity, struct error *error);
void writer_undo_end(struct writer *writer, bool undo);
/* Make a change record of `entity`'s step to `data` (a reference that passes over, NULL: deleted)
 * and note it as pending. */
bool writer_record(struct writer *writer, struct entity *entity, enum row_operation operation,
                   struct seq seq, struct text *data, struct span patch, struct span append,
                   uint64_t received_us, struct error *error);
/* The mutation's own seq, or one behind the greatest that there is. */
struct seq writer_next_seq(struct writer *writer, const struct mutation *mutation);

/* exports.c. Free one that is in no map any more. */
void export_free(struct export_state *export);
/* Whom a row of the export is for, of its data (NULL: there is none): a label as in view.h, or
 * absent. */
struct span export_label(const struct export_state *export, const struct text *data);
/* Find or make; *export stays NULL when the mutation's export is not shown. A new one is in the
 * store only after writer_store_exports, when the submission was accepted. */
bool writer_export(struct writer *writer, struct span name, struct export_state **export,
                   struct error *error);
bool writer_store_exports(struct writer *writer, struct error *error);
/* Forget the transaction's new exports from that one on, and what is cached of them. */
void writer_forget_exports(struct writer *writer, size_t first);

/* eviction.c. Before the submission's first change in the export: remember where it stands / go
 * back there. */
void eviction_remember(struct export_state *export, uint64_t submission_number);
void eviction_undo(struct export_state *export);
/* Room for one more change, false when out of memory; then note that it was made. */
bool eviction_reserve(struct writer *writer, struct export_state *export);
void eviction_note(struct entity *entity, bool was_there);
/* The least recently changed one, which is passed then; NULL with an error when there is none. */
struct entity *eviction_oldest(struct writer *writer, struct export_state *export,
                               struct error *error);
static inline bool export_is_over(const struct export_state *export)
{
    return export->max_entities && export->live > export->max_entities;
}
/* Take limit and number of entities of one export from the store / give it another limit, which the
 * store has already. */
void export_read_limit(struct writer *writer, struct export_state *export);
void export_set_limit(struct writer *writer, struct export_state *export, int64_t max_entities);
/* The transaction is committed / it is not: take all limits and numbers from the store again. */
void writer_evict_end(struct writer *writer, bool committed);

/* entities.c: find in cache or store; NULL with an error when that failed. An entity without data
 * is one that does not exist. */
struct entity *writer_entity(struct writer *writer, struct export_state *export, struct span key,
                             struct error *error);
/* The stored entity `id`, if change `change` is still its last; else *entity is NULL. */
bool writer_entity_unchanged(struct writer *writer, struct export_state *export, int64_t id,
                             int64_t change, struct entity **entity, struct error *error);
/* So many bytes of an entity were written for the submission / the entity is about to change. */
void writer_note_merged(struct writer *writer, size_t bytes);
void writer_note_touched(struct writer *writer, const struct entity *entity);

/* large.c. Between two submissions: whether one that turns out to be large may pass; how long none
 * may, `most` ms at most (there are some that wait); whether so many wait that no more are taken.
 */
void large_init(struct large_wait *large);
void large_fini(struct large_wait *large);
bool large_may_pass(const struct writer *writer);
int large_rest_ms(const struct writer *writer, int most);
bool large_is_full(const struct writer *writer);
/* So many bytes of an entity are about to be merged for the submission: false, and it is stopped,
 * when that makes it large and it may not pass. */
bool large_admits(struct writer *writer, size_t bytes, struct error *error);
/* It was applied / the transaction that was begun then has ended. */
void large_note(struct writer *writer, const struct submission *submission);
void large_settle(struct writer *writer, uint64_t begun);
/* Whether the submission has to wait behind one of its sender / it has to wait as the first of
 * them, false when out of memory. It waits then. */
bool large_follows(struct writer *writer, struct submission *submission);
bool large_put_off(struct writer *writer, struct submission *submission);
/* The waiting requests of the sender whose turn it is, in order; NULL: none. */
struct queue_item *large_release(struct writer *writer);

/* truncation.c: a mutation of the submission had an array cut / the submission was accepted, so its
 * cut arrays are told. */
void writer_note_truncation(struct writer *writer, struct submission *submission,
                            struct export_state *export, struct span path);
void writer_tell_truncations(struct writer *writer);

/* flush.c: bring what is pending into the log, dirty entities into their rows. */
bool writer_log_pending(struct writer *writer, struct error *error);
bool writer_flush(struct writer *writer, struct error *error);

/* commit.c: post what the transaction did, after it is on disk. */
void writer_publish(struct writer *writer);
/* Forget the transaction: all its submissions get `error`. */
void writer_abandon(struct writer *writer, const struct error *error);

/* known_producers.c: begin with none / forget them, with a transaction that failed / write those
 * that moved, before it ends and before rows are removed in it. */
void known_producers_init(struct known_producers *known);
void known_producers_forget(struct known_producers *known);
bool known_producers_store(struct writer *writer, struct error *error);

/* keyed.c: what is remembered of keys of requests; to be forgotten with a transaction that failed.
 */
void keyed_init(struct writer *writer);
void keyed_forget(struct writer *writer);

/* unknown_export.c: a mutation is for an export that is not shown. Notes it in the submission, and
 * in the log once per name; false where such a submission is to be refused. */
bool writer_note_unknown(struct writer *writer, struct submission *submission, struct span name,
                         struct error *error);

/* write_job.c: run the jobs that wait, in the open transaction: ahead of its mutations those that
 * come first (`all` false), behind them the others. */
bool writer_run_jobs(struct writer *writer, bool all, struct error *error);
/* Answer the jobs that were taken, run or not: they are on disk (NULL), or not. */
void writer_answer_jobs(struct writer *writer, const struct error *error);
/* Whether there are any, those taken that wait. */
bool writer_has_jobs(struct writer *writer);

/* sql_views.c: in the open transaction, make the SQL views of its new exports, or of a batch of
 * those that wait, if it is time. */
enum sql_views_made { VIEWS_OWN, VIEWS_BATCH };
bool writer_make_views(struct writer *writer, enum sql_views_made which, struct error *error);
/* At a stop, make those that are still due in a transaction; the next start makes what cannot be
 * made now. */
void writer_make_last_views(struct writer *writer);
/* For how long it is not time for those that wait, in ms, `most` at most. */
int writer_views_rest(const struct writer *writer, int most);

/* engine_clock.c: begin with what the database knows, on the writer's connection; note there
 * what is trusted, in the open transaction. */
enum engine_clock_save {
    CLOCK_SAVE_FIRST, /* only if it was not noted since it was opened, or set for good */
    CLOCK_SAVE_DUE,   /* now and then, too */
    CLOCK_SAVE_NOW
};
bool engine_clock_open(struct engine *engine, struct error *error);
bool engine_clock_save(struct engine *engine, enum engine_clock_save when, struct error *error);

/* watched_gaps.c: note what the last end left unnoted of what subscribers saw, in a transaction of
 * its own, before the writer's thread starts. */
bool engine_note_watched(struct engine *engine, struct error *error);
/* Behind which change somebody may ask for all that changed, and for what is pinned; INT64_MAX:
 * nobody. On the writer. */
struct engine_watched {
    int64_t changes, pinned;
};
bool engine_watched_from(struct engine *engine, struct engine_watched *watched,
                         struct error *error);

/* derived_views.c: find, make and build what derived views need, before the thread starts. */
bool writer_open_views(struct writer *writer, const struct view_set *views, struct error *error);
/* Bring derived rows up to the open transaction and to the present second; behind writer_flush. */
bool writer_derive(struct writer *writer, struct error *error);

/* ---- the engine ---- */

struct reader_thread {
    pthread_t thread;
    struct engine *engine;
    struct store_reader *reader;
    bool takes_long;            /* it runs long jobs, too */
    uint64_t no_pause_until_us; /* for the write-ahead log to start over: the last was in vain */
};

/* Which time it is, asked by all threads. */
struct engine_clock {
    pthread_mutex_t mutex;
    struct clock_watch watch;
    int64_t saved_at; /* boot clock, when it was noted in the database; 0: not yet */
};

/* Posted once, when the writer has ended. */
struct drained_event {
    struct engine_event event;
    struct engine *engine;
};

struct engine {
    struct engine_options options; /* pointers into the caller's memory are cleared after open */
    struct engine_facts facts;
    _Atomic int64_t alone_since; /* see engine_alone_since; the writer's, once there is one */
    struct map configured;       /* options.exports by name, while it opens */
    /* The queues that the loop fills and empties. */
    struct queue intake;  /* submissions */
    struct queue writes;  /* write jobs */
    struct queue commits; /* to the loop; the writer waits when it is full */
    struct queue events;  /* to the loop; bounded by what asks for them */
    struct drained_event drained;
    /* The writer and its thread. */
    struct writer writer;
    pthread_t writer_thread;
    bool writer_started;
    struct disk disk;
    /* The readers. */
    struct read_queue reads;
    struct reader_thread *readers;
    uint32_t readers_started;
    struct checkpoints checkpoints;
    struct array_lengths array_lengths; /* as it was opened */
    /* Any thread. */
    struct engine_clock clock;
    _Atomic unsigned holders;                /* see engine_note_holder */
    int64_t longest_wal;                     /* pages; more are engine_wal_is_long */
    _Atomic uint64_t writer_since_us;        /* the writer's present step; 0: none */
    _Atomic size_t large_count, large_bytes; /* that wait in writer.large */
    struct engine_metrics metrics;
};

bool engine_start_readers(struct engine *engine, struct error *error);
void engine_stop_readers(struct engine *engine);

#endif
