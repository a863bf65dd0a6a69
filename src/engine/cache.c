/*
 * The writer's cache of entities. Dirty entities are never dropped: until the transaction ends
 * the cache is the only place that knows them.
 */
#include "engine/engine_internal.h"

#include <stdlib.h>

enum {
    MOST_LISTS = 32, /* sorted ones, each twice as long as the one before */
    CACHE_LINE = 64,
    ENTITY_LINES = 6 /* of an entity's text, that are fetched: most are not longer */
};

static struct span entity_map_key(const void *value)
{
    const struct entity *entity = value;
    return span_make(entity->key, entity->key_length);
}

static size_t entity_memory(const struct entity *entity)
{
    size_t data = entity->data ? sizeof *entity->data + entity->data->length : 0;
    return sizeof *entity + entity->key_length + data;
}

void entity_cache_init(struct entity_cache *cache, size_t max_bytes)
{
    *cache = (struct entity_cache){.max_bytes = max_bytes};
    map_init(&cache->map, entity_map_key);
}

static void entity_unlink(struct entity_cache *cache, struct entity *entity)
{
    INVARIANT((entity->newer ? entity->newer->older : cache->newest) == entity);
    INVARIANT((entity->older ? entity->older->newer : cache->oldest) == entity);
    *(entity->newer ? &entity->newer->older : &cache->newest) = entity->older;
    *(entity->older ? &entity->older->newer : &cache->oldest) = entity->newer;
}

static void entity_link(struct entity_cache *cache, struct entity *entity)
{
    entity->newer = NULL;
    entity->older = cache->newest;
    *(cache->newest ? &cache->newest->newer : &cache->oldest) = entity;
    cache->newest = entity;
}

static void entity_drop(struct entity_cache *cache, struct entity *entity)
{
    INVARIANT(!entity->draft && entity->export->cached > 0);
    INVARIANT(cache->bytes >= entity_memory(entity));
    map_remove(&cache->map, entity_map_key(entity));
    entity_unlink(cache, entity);
    entity->export->cached--;
    cache->bytes -= entity_memory(entity);
    text_unref(entity->data);
    text_unref(entity->before);
    memory_free(entity);
}

/* They were used just now, so the walk from the newest is short. */
void entity_cache_drop_export(struct entity_cache *cache, const struct export_state *export)
{
    struct entity **link = &cache->dirty, *older;
    while (*link) {
        if ((*link)->export == export)
            *link = (*link)->next_dirty;
        else
            link = &(*link)->next_dirty;
    }
    for (struct entity *entity = cache->newest; entity && export->cached; entity = older) {
        older = entity->older;
        if (entity->export == export)
            entity_drop(cache, entity);
    }
}

void entity_cache_clear(struct entity_cache *cache)
{
    cache->dirty = NULL;
    while (cache->oldest)
        entity_drop(cache, cache->oldest);
}

void entity_cache_fini(struct entity_cache *cache)
{
    entity_cache_clear(cache);
    map_fini(&cache->map);
    memory_free(cache->places);
}

/* While there is room for as much again, nothing is dropped soon, and the order by use may wait. */
static bool is_roomy(const struct entity_cache *cache)
{
    return cache->bytes < cache->max_bytes / 2;
}

/* Build the map's key on the stack when it is short, which keys nearly always are. */
enum { SHORT_KEY = 256 };

static size_t print_key(char *bytes, const struct export_state *export, struct span key)
{
    memcpy(bytes, &export->id, sizeof export->id);
    memcpy(bytes + sizeof export->id, key.data, key.length);
    return sizeof export->id + key.length;
}

/* What is to be read next is where this leads to, so it goes step by step for all. */
void entity_cache_fetch(const struct entity_cache *cache, const struct export_state *export,
                        const struct span *keys, size_t count)
{
    uint64_t hashes[ENTITY_FETCH];
    const struct entity *found[ENTITY_FETCH];
    char bytes[SHORT_KEY];
    for (size_t i = 0; i < count; i++) {
        bool fits = sizeof export->id + keys[i].length <= sizeof bytes;
        hashes[i] = fits ? map_hash(span_make(bytes, print_key(bytes, export, keys[i]))) : 0;
        map_fetch(&cache->map, hashes[i]);
    }
    for (size_t i = 0; i < count; i++) {
        found[i] = map_peek(&cache->map, hashes[i]);
        if (found[i]) {
            __builtin_prefetch(found[i], 1);
            __builtin_prefetch(&found[i]->data, 1);
            __builtin_prefetch(found[i]->key);
        }
    }
    for (size_t i = 0; i < count; i++)
        if (found[i] && found[i]->data)
            for (size_t at = 0; at < ENTITY_LINES; at++)
                __builtin_prefetch((const char *)found[i]->data + at * CACHE_LINE);
}

bool entity_cache_find(struct entity_cache *cache, const struct export_state *export,
                       struct span key, struct entity **found)
{
    char small[SHORT_KEY];
    size_t length = sizeof export->id + key.length;
    char *bytes = length <= sizeof small ? small : memory_alloc(length);
    if (!bytes)
        return false;
    print_key(bytes, export, key);
    struct entity *entity = map_get(&cache->map, span_make(bytes, length));
    if (bytes != small)
        memory_free(bytes);
    if (entity && cache->newest != entity && !is_roomy(cache)) {
        entity_unlink(cache, entity);
        entity_link(cache, entity);
    }
    *found = entity;
    return true;
}

struct entity *entity_cache_add(struct entity_cache *cache, struct export_state *export,
                                struct span key)
{
    size_t length = sizeof export->id + key.length;
    struct entity *entity = memory_alloc(sizeof *entity + length);
    if (!entity)
        return NULL;
    *entity = (struct entity){.export = export, .key_length = (uint32_t)length};
    memcpy(entity->key, &export->id, sizeof export->id);
    memcpy(entity->key + sizeof export->id, key.data, key.length);
    if (!map_add(&cache->map, entity)) {
        memory_free(entity);
        return NULL;
    }
    entity_link(cache, entity);
    export->cached++;
    cache->bytes += entity_memory(entity);
    return entity;
}

void entity_cache_set_data(struct entity_cache *cache, struct entity *entity, struct text *data)
{
    INVARIANT(cache->bytes >= entity_memory(entity));
    cache->bytes -= entity_memory(entity);
    text_unref(entity->data);
    entity->data = data;
    cache->bytes += entity_memory(entity);
}

void entity_cache_mark_dirty(struct entity_cache *cache, struct entity *entity)
{
    if (entity->dirty)
        return;
    entity->dirty = true;
    entity->next_dirty = cache->dirty;
    cache->dirty = entity;
}

/* Stored ones by their row, as they lie in the file; behind them the new ones, oldest first. */
static bool is_before(const struct entity *a, const struct entity *b)
{
    if (a->stored != b->stored)
        return a->stored;
    return a->stored ? a->id < b->id : a->change < b->change;
}

static struct entity *merge_sorted(struct entity *a, struct entity *b)
{
    struct entity *first = NULL, **link = &first;
    while (a && b) {
        struct entity **least = is_before(b, a) ? &b : &a;
        *link = *least;
        *least = (*least)->next_dirty;
        link = &(*link)->next_dirty;
    }
    *link = a ? a : b;
    return first;
}

static int compare_places(const void *a, const void *b)
{
    const struct dirty_place *one = a, *other = b;
    return one->order < other->order ? -1 : one->order > other->order;
}

/* The order of is_before, as a number. */
static uint64_t order_of(const struct entity *entity)
{
    return entity->stored ? (uint64_t)entity->id : UINT64_C(1) << 63 | (uint64_t)entity->change;
}

/* Entities lie all over the memory, so they are sorted by numbers beside them, where there is room
 * for these. */
static bool sort_places(struct entity_cache *cache)
{
    size_t count = 0;
    for (struct entity *entity = cache->dirty; entity; entity = entity->next_dirty) {
        if (!array_reserve((void **)&cache->places, count, &cache->place_capacity,
                           sizeof *cache->places))
            return false;
        cache->places[count++] = (struct dirty_place){order_of(entity), entity};
    }
    if (count)
        qsort(cache->places, count, sizeof *cache->places, compare_places);
    for (size_t i = 0; i < count; i++)
        cache->places[i].entity->next_dirty = i + 1 < count ? cache->places[i + 1].entity : NULL;
    cache->dirty = count ? cache->places[0].entity : NULL;
    return true;
}

void entity_cache_sort_dirty(struct entity_cache *cache)
{
    if (sort_places(cache))
        return;
    /* Sorted lists of 1, 2, 4, ... entities, as the bits of a number are set that counts up. */
    struct entity *sorted[MOST_LISTS] = {NULL}, *rest = cache->dirty, *all = NULL;
    while (rest) {
        struct entity *list = rest;
        size_t i = 0;
        rest = rest->next_dirty;
        list->next_dirty = NULL;
        for (; i + 1 < MOST_LISTS && sorted[i]; i++) {
            list = merge_sorted(sorted[i], list);
            sorted[i] = NULL;
        }
        sorted[i] = sorted[i] ? merge_sorted(sorted[i], list) : list;
    }
    for (size_t i = 0; i < MOST_LISTS; i++)
        all = merge_sorted(sorted[i], all);
    cache->dirty = all;
}

void entity_cache_settle(struct entity_cache *cache)
{
    struct entity *next;
    while (cache->dirty) {
        struct entity *entity = cache->dirty;
        INVARIANT(entity->dirty && !entity->draft);
        cache->dirty = entity->next_dirty;
        entity->dirty = false;
        text_unref(entity->before);
        entity->before = NULL;
        if (!entity->data)
            entity_drop(cache, entity);
    }
    for (struct entity *entity = cache->oldest; entity && cache->bytes > cache->max_bytes;
         entity = next) {
        next = entity->newer;
        INVARIANT(!entity->dirty && (entity->stored || !entity->data)); /* else it is lost */
        entity_drop(cache, entity);
    }
}
