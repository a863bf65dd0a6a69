/*
 * Levels by key. The keys with a level stand in a list, the one that let something through longest
 * ago first. Its entry goes to another key only when its level has run out.
 */
#include "access/rate.h"
#include "auth/auth.h"

/* A count of 53 bits times a window of 27. */
__extension__ typedef __int128 wide;

static void leak(struct rate_level *level, const struct rate *rate, int64_t now_ms)
{
    /* Counted by a longer window, the part could be more than what it is a part of. */
    if (level->part >= rate->window_ms)
        level->part = rate->window_ms - 1;
    if (now_ms <= level->at_ms)
        return;
    wide leaked = (wide)(now_ms - level->at_ms) * rate->most + level->part;
    bool empty = leaked / rate->window_ms >= level->used;
    level->used = empty ? 0 : level->used - (int64_t)(leaked / rate->window_ms);
    level->part = empty ? 0 : (int64_t)(leaked % rate->window_ms);
    level->at_ms = now_ms;
}

/* Until `excess` have leaked. */
static int64_t wait_for(const struct rate_level *level, const struct rate *rate, int64_t excess)
{
    wide parts = (wide)excess * rate->window_ms - level->part;
    wide wait = (parts + rate->most - 1) / rate->most;
    return wait < INT64_MAX ? (int64_t)wait : INT64_MAX;
}

/* The amount that is accepted when idle. */
static int64_t room_of(const struct rate *rate)
{
    return rate->most > 0 ? rate->most + rate->burst : 0;
}

int64_t rate_left(struct rate_level *level, const struct rate *rate, int64_t now_ms)
{
    int64_t room = room_of(rate);
    leak(level, rate, now_ms);
    return room > level->used ? room - level->used : 0;
}

static bool allows(struct rate_level *level, const struct rate *rate, int64_t now_ms,
                   int64_t amount, int64_t *wait_ms)
{
    int64_t room = room_of(rate);
    if (amount <= rate_left(level, rate, now_ms))
        return true;
    if (wait_ms)
        *wait_ms =
            amount > room ? rate->window_ms : wait_for(level, rate, level->used - room + amount);
    return false;
}

bool rate_admit(struct rate_level *level, const struct rate *rate, int64_t now_ms, int64_t amount,
                int64_t *wait_ms)
{
    if (!allows(level, rate, now_ms, amount, wait_ms))
        return false;
    level->used += amount;
    return true;
}

enum {
    DIGEST_BYTES = 32,
    LONGEST_KEY = 64,    /* a longer one is remembered by its digest */
    DIGEST_MARK = 0xff,  /* before a digest; no text in UTF-8 begins so, and no short key of ours */
    DROPPED_PER_CALL = 2 /* so that the table shrinks, and no call takes long */
};

struct rate_entry {
    struct rate_entry *older, *newer;
    struct rate_level level;
    size_t key_length;
    char key[];
};

static struct span key_of(const void *value)
{
    const struct rate_entry *entry = value;
    return span_make(entry->key, entry->key_length);
}

struct rate_table *rate_table_new(size_t most_keys)
{
    struct rate_table *table = memory_new(sizeof *table);
    if (!table)
        return NULL;
    map_init(&table->entries, key_of);
    table->most_keys = most_keys;
    return table;
}

/* ---- the list ---- */

static void unlink_entry(struct rate_table *table, struct rate_entry *entry)
{
    *(entry->older ? &entry->older->newer : &table->oldest) = entry->newer;
    *(entry->newer ? &entry->newer->older : &table->newest) = entry->older;
    entry->older = entry->newer = NULL;
}

static void append_entry(struct rate_table *table, struct rate_entry *entry)
{
    entry->older = table->newest;
    *(table->newest ? &table->newest->newer : &table->oldest) = entry;
    table->newest = entry;
}

static void drop(struct rate_table *table, struct rate_entry *entry)
{
    unlink_entry(table, entry);
    map_remove(&table->entries, key_of(entry));
    memory_free(entry);
}

void rate_table_free(struct rate_table *table)
{
    if (!table)
        return;
    while (table->oldest)
        drop(table, table->oldest);
    map_fini(&table->entries);
    memory_free(table);
}

static void drop_resting(struct rate_table *table, const struct rate *rate, int64_t now_ms)
{
    for (int i = 0; i < DROPPED_PER_CALL && table->oldest; i++) {
        if (rate_left(&table->oldest->level, rate, now_ms) < room_of(rate))
            return;
        drop(table, table->oldest);
    }
}

/* ---- keys ---- */

/* A digest that cannot be made leaves the key's start. */
static struct span shorten(struct span key, unsigned char room[1 + DIGEST_BYTES])
{
    if (key.length <= LONGEST_KEY)
        return key;
    room[0] = DIGEST_MARK;
    return auth_digest(key, room + 1) ? span_make((char *)room, 1 + DIGEST_BYTES)
                                      : span_make(key.data, LONGEST_KEY);
}

static struct rate_entry *make(struct rate_table *table, struct span key)
{
    struct rate_entry *entry = NULL;
    if (table->entries.count < table->most_keys)
        entry = memory_new(sizeof *entry + key.length);
    if (!entry)
        return NULL;
    entry->key_length = key.length;
    memcpy(entry->key, key.data, key.length);
    if (map_add(&table->entries, entry)) {
        append_entry(table, entry);
        return entry;
    }
    memory_free(entry);
    return NULL;
}

static struct rate_level *shared_level(struct rate_table *table, struct span key)
{
    return &table->shared[map_hash(key) % RATE_SHARED_LEVELS];
}

bool rate_table_admit(struct rate_table *table, const struct rate *rate, struct span key,
                      int64_t now_ms, bool counts, int64_t *wait_ms)
{
    unsigned char room[1 + DIGEST_BYTES];
    struct rate_level fresh = {0};
    drop_resting(table, rate, now_ms);
    key = shorten(key, room);
    struct rate_entry *entry = map_get(&table->entries, key);
    if (!entry && counts && rate->most > 0)
        entry = make(table, key);
    bool has_room = !counts && table->entries.count < table->most_keys;
    struct rate_level *level = entry ? &entry->level : has_room ? &fresh : shared_level(table, key);
    if (!counts)
        return allows(level, rate, now_ms, 1, wait_ms);
    if (!rate_admit(level, rate, now_ms, 1, wait_ms))
        return false;
    if (entry && entry != table->newest) {
        unlink_entry(table, entry);
        append_entry(table, entry);
    }
    return true;
}
