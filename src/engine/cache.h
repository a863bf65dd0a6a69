/*
 * The writer's cache of entities.
 *
 * Invariant: between transactions it holds only committed entities. After a failed commit it is
 * emptied, because its content may never have been committed.
 */
#ifndef ENGINE_CACHE_H
#define ENGINE_CACHE_H

#include "engine/engine.h"

struct draft;
struct export_state;

/* One entity as the open transaction sees it. */
struct entity {
    struct entity *newer, *older; /* by use */
    struct entity *next_dirty;
    struct export_state *export;
    int64_t id; /* row number, when stored */
    int64_t change;
    struct seq seq;
    int64_t at;        /* wall time of its last change in this transaction */
    struct text *data; /* NULL: there is no such entity */
    /* While dirty, if the export has derived views: the entity after the last transaction. */
    struct text *before;
    struct seq before_seq;
    int64_t before_id;   /* 0: it was not there */
    struct draft *draft; /* of the submission being applied; see draft.c */
    uint64_t noted;      /* number of the submission that noted its former state */
    bool stored;         /* it has a row */
    bool dirty;          /* differs from its row */
    uint32_t key_length;
    char key[]; /* the map's key: four bytes of export id, then the entity's key */
};

/* Where a dirty entity's row lies in the file. */
struct dirty_place {
    uint64_t order;
    struct entity *entity;
};

struct entity_cache {
    struct map map;
    struct entity *newest, *oldest;
    struct entity *dirty;
    struct dirty_place *places; /* memory for sorting them */
    size_t place_capacity;
    size_t bytes, max_bytes;
};

void entity_cache_init(struct entity_cache *cache, size_t max_bytes);
void entity_cache_fini(struct entity_cache *cache);
/* Find, and mark as just used; *entity is NULL if it is not cached. False if there is no memory
 * for the search: then the store's row may be older than the cache. */
bool entity_cache_find(struct entity_cache *cache, const struct export_state *export,
                       struct span key, struct entity **entity);
/* Have the processor fetch what finding these, at most ENTITY_FETCH, will read: in one go instead
 * of one by one. */
enum { ENTITY_FETCH = 16 };
void entity_cache_fetch(const struct entity_cache *cache, const struct export_state *export,
                        const struct span *keys, size_t count);
/* Add an entity that is not cached yet, without a row; NULL when out of memory. */
struct entity *entity_cache_add(struct entity_cache *cache, struct export_state *export,
                                struct span key);
/* Replace the data (the reference passes over; NULL: it is gone). */
void entity_cache_set_data(struct entity_cache *cache, struct entity *entity, struct text *data);
void entity_cache_mark_dirty(struct entity_cache *cache, struct entity *entity);
/* Put the dirty ones into the order in which their rows lie in the file, so that writing them goes
 * through its pages once. */
void entity_cache_sort_dirty(struct entity_cache *cache);
/* Between transactions: drop absent entities, and the least used beyond max_bytes. */
void entity_cache_settle(struct entity_cache *cache);
/* Drop the entities of an export that was new and never stored. */
void entity_cache_drop_export(struct entity_cache *cache, const struct export_state *export);
/* Drop everything. */
void entity_cache_clear(struct entity_cache *cache);

static inline struct span entity_key(const struct entity *entity)
{
    return span_make(entity->key + sizeof(uint32_t), entity->key_length - sizeof(uint32_t));
}

#endif
