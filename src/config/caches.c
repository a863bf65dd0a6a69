/*
 * The memory of the caches. Each has a setting of its own; "memory" bounds them together, so that
 * one number fits a server to its machine. A cache has no more than its share of that, and less if
 * its own setting says so.
 *
 * The shares follow what a byte buys. Pages of the database and entities spare reads for each
 * mutation; changes, frames and snapshots spare reads for subscribers that are behind or new.
 */
#include "config/config_internal.h"
#include "database/database.h"

enum {
    PAGES_PERCENT = 40,
    ENTITIES_PERCENT = 15,
    READERS_PERCENT = 15, /* of all readers together */
    RING_PERCENT = 10,
    CHANNEL_PERCENT = 10,
    SNAPSHOTS_PERCENT = 10
};
_Static_assert(PAGES_PERCENT + ENTITIES_PERCENT + READERS_PERCENT + RING_PERCENT + CHANNEL_PERCENT +
                       SNAPSHOTS_PERCENT ==
                   100,
               "shares");

/* SQLite counts a cache of pages in these, and takes less than one for none. */
static const int64_t mebibyte = (int64_t)1 << 20;
/* What a frame log needs to have a block. */
static const int64_t least_channel = (int64_t)64 << 10;

/* `percent` of the memory, divided among so many; at least what such a cache works with, and at
 * most its own setting. */
static int64_t share(const struct config *config, int percent, int64_t among, int64_t least,
                     int64_t own)
{
    int64_t part = config->memory / 100 * percent / among;
    if (part < least)
        part = least;
    return config->memory && part < own ? part : own;
}

struct config_caches config_caches(const struct config *config)
{
    return (struct config_caches){
        .pages = share(config, PAGES_PERCENT, 1, mebibyte, config->page_cache_bytes),
        .reader_pages = share(config, READERS_PERCENT, config->readers, mebibyte,
                              DATABASE_READER_MEBIBYTES * mebibyte),
        .entities = share(config, ENTITIES_PERCENT, 1, 0, config->entity_cache_bytes),
        .changes = share(config, RING_PERCENT, 1, 0, config->ring_bytes),
        .frames = share(config, CHANNEL_PERCENT, 1, least_channel, config->channel_bytes),
        .snapshots = share(config, SNAPSHOTS_PERCENT, 1, 0, config->snapshot_cache_bytes),
    };
}
