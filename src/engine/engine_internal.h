/* What the files of engine share among themselves. Never included from outside. */
#ifndef ENGINE_INTERNAL_H
#define ENGINE_INTERNAL_H

#include "engine/engine.h"

/* ---- exports as the writer knows them ---- */

struct export_state {
    uint32_t id;
    int64_t max_entities;
    bool touched;        /* changed in the open transaction */
    struct seq last_seq; /* of its newest change in it */
    struct span name;    /* its bytes follow this struct */
};

/* ---- the writer's cache of entities ---- */

/*
 * One entity as the open transaction sees it. Between transactions the cache holds only what is
 * committed; after a failed commit it is emptied, because what it holds may never have happened.
 */
struct entity {
    struct entity *newer, *older; /* by use */
    struct entity *next_dirty;
    struct export_state *export;
    int64_t id; /* row number, when stored */
    int64_t change;
    struct seq seq;
    int64_t at;        /* wall time of its last change in this transaction */
    struct text *data; /* NULL: there is no such entity */
    uint64_t noted;    /* number of the submission that noted what it was before */
    bool stored;       /* it has a row */
    bool dirty;        /* differs from its row */
    uint32_t key_length;
    char key[]; /* the map's key: four bytes of export id, then the entity's key */
};

struct entity_cache {
    struct map map;
    struct entity *newest, *oldest;
    struct entity *dirty;
    size_t bytes, max_bytes;
};

void entity_cache_init(struct entity_cache *cache, size_t max_bytes);
void entity_cache_fini(struct entity_cache *cache);
/* Find, and mark as just used; NULL when it is not cached. */
struct entity *entity_cache_find(struct entity_cache *cache, const struct export_state *export,
                                 struct span key);
/* Add an entity that is not cached yet, without a row; NULL when out of memory. */
struct entity *entity_cache_add(struct entity_cache *cache, struct export_state *export,
                                struct span key);
/* Replace the data (the reference passes over; NULL: it is gone). */
void entity_cache_set_data(struct entity_cache *cache, struct entity *entity, struct text *data);
void entity_cache_mark_dirty(struct entity_cache *cache, struct entity *entity);
/* Between transactions: drop what is not there, and the least used beyond max_bytes. */
void entity_cache_settle(struct entity_cache *cache);
/* Drop everything. */
void entity_cache_clear(struct entity_cache *cache);

static inline struct span entity_key(const struct entity *entity)
{
    return span_make(entity->key + sizeof(uint32_t), entity->key_length - sizeof(uint32_t));
}

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

/* What an entity was before the submission that is being applied. */
struct undo {
    struct entity *entity;
    struct text *data; /* one reference */
    int64_t change, at;
    struct seq seq;
};

struct writer {
    struct engine *engine;
    struct store_writer *store;
    struct entity_cache cache;
    struct map exports; /* struct export_state by name */
    /* The open transaction: ids and seqs that it has given out so far. */
    int64_t last_change;
    struct seq head;
    struct change **changes;
    size_t change_count, change_capacity;
    struct change_slab *slab; /* where its changes are made */
    struct submission **submissions;
    size_t submission_count, submission_capacity;
    struct engine_commit *commit;     /* made before the transaction, so that telling cannot fail */
    struct store_export *new_exports; /* names are heap copies */
    size_t new_export_count, new_export_capacity;
    /* The submission being applied. */
    struct pending_change *pending;
    size_t pending_count, pending_capacity;
    struct undo *undos;
    size_t undo_count, undo_capacity;
    uint64_t submission_number;                      /* of the one being applied */
    size_t submission_bytes;                         /* that its changes take so far */
    size_t transaction_bytes;                        /* and those of the open transaction */
    struct buffer merged, patch, append, log_append; /* reused */
    int64_t now;                                     /* wall time of this transaction, ms */
    uint64_t last_trim_us; /* monotonic, of the last look at the log's age */
    uint64_t probe_us;     /* when the failing disk is tried next */
};

bool writer_init(struct writer *writer, struct engine *engine, struct error *error);
void writer_fini(struct writer *writer);
/* The writer thread. */
void *writer_main(void *writer);

/* apply.c: merge one submission in memory: all of it, or nothing and submission->error. Returns
 * false only when the transaction cannot go on (the store failed: `error`). */
bool writer_apply(struct writer *writer, struct submission *submission, struct error *error);
/* Find or create; *export stays NULL when the mutation's export is not shown. */
bool writer_export(struct writer *writer, struct span name, struct export_state **export,
                   struct error *error);
/* Find in cache or store; NULL with an error when that failed. An entity without data is one that
 * does not exist. */
struct entity *writer_entity(struct writer *writer, struct export_state *export, struct span key,
                             struct error *error);
/* Make a change record of `entity`'s step to `data` (a reference that passes over, NULL: deleted)
 * and note it as pending. */
bool writer_record(struct writer *writer, struct entity *entity, enum change_operation operation,
                   struct seq seq, struct text *data, struct span patch, struct span append,
                   uint64_t received_us, struct error *error);

/* commit.c: bring what is pending into the log, dirty entities into their rows. */
bool writer_log_pending(struct writer *writer, struct error *error);
bool writer_flush(struct writer *writer, struct error *error);
/* Delete the least recently changed of exports that hold too many. */
bool writer_evict(struct writer *writer, struct error *error);
/* Make room to tell of a transaction, before it is begun; false when out of memory. */
bool writer_prepare(struct writer *writer);
/* Post what the transaction did, after it is on disk. */
void writer_publish(struct writer *writer);
/* Forget the transaction: all its submissions get `error`. */
void writer_abandon(struct writer *writer, const struct error *error);

/* Make room for one more element in a growing array; false when out of memory. */
bool array_reserve(void **array, size_t count, size_t *capacity, size_t size);

/* ---- the engine ---- */

struct reader_thread {
    pthread_t thread;
    struct engine *engine;
    struct store_reader *reader;
};

/* Posted once, when the writer has ended. */
struct drained_event {
    struct engine_event event;
    struct engine *engine;
};

struct engine {
    struct engine_options options; /* pointers into the caller's memory are cleared after open */
    struct store *store;
    struct writer writer;
    pthread_t writer_thread;
    struct reader_thread *readers;
    uint32_t readers_started;
    bool writer_started, checkpointer_started;
    struct queue intake;  /* submissions */
    struct queue reads;   /* read jobs */
    struct queue commits; /* to the loop; the writer waits when it is full */
    struct queue events;  /* to the loop; bounded by what asks for them */
    /* Checkpoints: their thread, and the gate at which the writer lets it pass. */
    pthread_t checkpoint_thread;
    struct store_checkpointer *checkpointer;
    pthread_mutex_t gate;
    pthread_cond_t gate_changed;
    bool gate_wanted, gate_open, stopping;
    _Atomic bool gate_near; /* a checkpoint is nearly through: transactions are kept short */
    struct drained_event drained;
    _Atomic int disk_state;
    int64_t last_change; /* at open, like head */
    struct seq head;
    struct engine_metrics metrics;
};

/* Between two transactions: let a checkpoint that waits have the database for itself. */
void engine_pass_gate(struct engine *engine);
bool engine_start_readers(struct engine *engine, struct error *error);
bool engine_start_checkpointer(struct engine *engine, struct error *error);
void engine_stop_readers(struct engine *engine);
void engine_stop_checkpointer(struct engine *engine);

#endif
