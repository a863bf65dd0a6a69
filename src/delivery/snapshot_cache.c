/* Snapshot batches that are kept for others that come. They belong to the loop. */
#include "delivery/snapshot_internal.h"

struct entry {
    struct link in_cache; /* least used first */
    struct snapshot_batch *batch;
    size_t bytes;
    size_t name_length;
    char name[];
};

struct snapshot_cache {
    struct map entries;
    struct link used;
    size_t bytes, max_bytes;
};

static struct span entry_key(const void *value)
{
    const struct entry *entry = value;
    return span_make(entry->name, entry->name_length);
}

struct snapshot_cache *snapshot_cache_new(size_t max_bytes)
{
    struct snapshot_cache *cache = memory_new(sizeof *cache);
    if (!cache)
        return NULL;
    cache->max_bytes = max_bytes;
    map_init(&cache->entries, entry_key);
    link_init(&cache->used);
    return cache;
}

static void drop(struct snapshot_cache *cache, struct entry *entry)
{
    map_remove(&cache->entries, entry_key(entry));
    link_remove(&entry->in_cache);
    cache->bytes -= entry->bytes;
    snapshot_batch_unref(entry->batch);
    memory_free(entry);
}

static void trim(struct snapshot_cache *cache, size_t max_bytes)
{
    while (cache->bytes > max_bytes)
        drop(cache, LINK_OWNER(struct entry, in_cache, cache->used.next));
}

void snapshot_cache_free(struct snapshot_cache *cache)
{
    trim(cache, 0);
    map_fini(&cache->entries);
    memory_free(cache);
}

void snapshot_cache_put(struct snapshot_cache *cache, struct span name,
                        struct snapshot_batch *batch)
{
    struct entry *old = map_get(&cache->entries, name);
    if (old)
        drop(cache, old);
    struct entry *entry = memory_alloc(sizeof *entry + name.length);
    if (!entry)
        return;
    *entry = (struct entry){.batch = batch,
                            .bytes = sizeof *entry + name.length + batch->frames->length,
                            .name_length = name.length};
    memcpy(entry->name, name.data, name.length);
    if (!map_add(&cache->entries, entry)) {
        memory_free(entry);
        return;
    }
    batch->references++;
    link_append(&cache->used, &entry->in_cache);
    cache->bytes += entry->bytes;
    trim(cache, cache->max_bytes);
}

struct snapshot_batch *snapshot_cache_get(struct snapshot_cache *cache, struct span name,
                                          int64_t fresh)
{
    struct entry *entry = map_get(&cache->entries, name);
    if (!entry)
        return NULL;
    if (entry->batch->end.latest < fresh) {
        drop(cache, entry);
        return NULL;
    }
    link_remove(&entry->in_cache);
    link_append(&cache->used, &entry->in_cache);
    entry->batch->references++;
    return entry->batch;
}

void snapshot_batch_unref(struct snapshot_batch *batch)
{
    if (!batch)
        return;
    INVARIANT(batch->references > 0);
    if (--batch->references)
        return;
    snapshot_point_unref(&batch->end);
    text_unref(batch->frames);
    memory_free(batch);
}
