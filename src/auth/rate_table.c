/*
 * Windows by key. Those that have one stand in a list, the one that let something through longest
 * ago first; once its window is over it remembers nothing, and only then its place goes to another.
 */
#include "auth/auth.h"

#include <openssl/evp.h>

enum {
    LONGEST_KEY = 64,    /* a longer one is remembered by its digest */
    DIGEST_MARK = 0xff,  /* before a digest; no text in UTF-8 begins so, and no short key of ours */
    DROPPED_PER_CALL = 2 /* so that the table shrinks, and no call takes long */
};

struct entry {
    struct entry *older, *newer;
    struct auth_window window;
    size_t key_length;
    char key[];
};

struct auth_rate_table {
    struct map entries;
    size_t most_keys;
    struct entry *oldest, *newest;
    struct auth_window shared[AUTH_SHARED_WINDOWS];
};

static struct span key_of(const void *value)
{
    const struct entry *entry = value;
    return span_make(entry->key, entry->key_length);
}

struct auth_rate_table *auth_rate_table_new(size_t most_keys)
{
    struct auth_rate_table *table = memory_new(sizeof *table);
    if (!table)
        return NULL;
    map_init(&table->entries, key_of);
    table->most_keys = most_keys;
    return table;
}

/* ---- the list ---- */

static void unlink_entry(struct auth_rate_table *table, struct entry *entry)
{
    *(entry->older ? &entry->older->newer : &table->oldest) = entry->newer;
    *(entry->newer ? &entry->newer->older : &table->newest) = entry->older;
    entry->older = entry->newer = NULL;
}

static void append_entry(struct auth_rate_table *table, struct entry *entry)
{
    entry->older = table->newest;
    *(table->newest ? &table->newest->newer : &table->oldest) = entry;
    table->newest = entry;
}

static void drop(struct auth_rate_table *table, struct entry *entry)
{
    unlink_entry(table, entry);
    map_remove(&table->entries, key_of(entry));
    auth_window_fini(&entry->window);
    memory_free(entry);
}

void auth_rate_table_free(struct auth_rate_table *table)
{
    if (!table)
        return;
    while (table->oldest)
        drop(table, table->oldest);
    map_fini(&table->entries);
    for (size_t i = 0; i < AUTH_SHARED_WINDOWS; i++)
        auth_window_fini(&table->shared[i]);
    memory_free(table);
}

static void drop_expired(struct auth_rate_table *table, const struct auth_rate *rate,
                         int64_t now_ms)
{
    for (int i = 0; i < DROPPED_PER_CALL && table->oldest; i++) {
        struct entry *oldest = table->oldest;
        if (oldest->window.newest_ms + rate->window_ms > now_ms)
            return;
        drop(table, oldest);
    }
}

/* ---- keys ---- */

/* `room` has 1 + EVP_MAX_MD_SIZE bytes. A digest that cannot be made leaves the key's start. */
static struct span shorten(struct span key, unsigned char *room)
{
    unsigned length = 0;
    if (key.length <= LONGEST_KEY)
        return key;
    room[0] = DIGEST_MARK;
    if (EVP_Digest(key.data, key.length, room + 1, &length, EVP_sha256(), NULL) != 1)
        return span_make(key.data, LONGEST_KEY);
    return span_make((char *)room, 1 + length);
}

static struct entry *make(struct auth_rate_table *table, struct span key)
{
    struct entry *entry = NULL;
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

static struct auth_window *shared_window(struct auth_rate_table *table, struct span key)
{
    return &table->shared[map_hash(key) % AUTH_SHARED_WINDOWS];
}

bool auth_rate_table_allows(struct auth_rate_table *table, const struct auth_rate *rate,
                            struct span key, int64_t now_ms, int64_t *wait_ms)
{
    unsigned char room[1 + EVP_MAX_MD_SIZE];
    struct auth_window fresh = {0}, *window = &fresh;
    drop_expired(table, rate, now_ms);
    key = shorten(key, room);
    struct entry *entry = map_get(&table->entries, key);
    if (entry)
        window = &entry->window;
    else if (table->entries.count >= table->most_keys)
        window = shared_window(table, key);
    return auth_window_allows(window, rate, now_ms, 1, wait_ms);
}

bool auth_rate_table_admit(struct auth_rate_table *table, const struct auth_rate *rate,
                           struct span key, int64_t now_ms, int64_t *wait_ms)
{
    unsigned char room[1 + EVP_MAX_MD_SIZE];
    drop_expired(table, rate, now_ms);
    key = shorten(key, room);
    struct entry *entry = map_get(&table->entries, key);
    if (!entry && rate->most > 0)
        entry = make(table, key);
    struct auth_window *window = entry ? &entry->window : shared_window(table, key);
    if (!auth_window_admit(window, rate, now_ms, 1, wait_ms))
        return false;
    if (entry && entry != table->newest) {
        unlink_entry(table, entry);
        append_entry(table, entry);
    }
    return true;
}

size_t auth_rate_table_keys(const struct auth_rate_table *table)
{
    return table->entries.count;
}
