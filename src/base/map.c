#include "base/map.h"

#include "base/memory.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

/*
 * Open addressing with linear probing. Each slot keeps the hash, so that probing rarely looks at
 * a key, and growing and removing never do: the value just returned by map_next may even have
 * been freed by then.
 */
struct map_slot {
    uint64_t hash;
    void *value; /* NULL: the slot is free */
};

enum { SMALLEST_CAPACITY = 8 };

/* ---- the hash: SipHash with 1 round per word and 3 at the end ---- */

static uint64_t seed[2];
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

static void make_seed(void)
{
    /* Cannot fail for so few bytes on any Linux that has the call. A seed that can be guessed
     * would let a client make every lookup slow, so rather stop than go on without. */
    if (getrandom(seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        abort();
}

static inline uint64_t rotate(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

struct state {
    uint64_t a, b, c, d;
};

static inline void mix(struct state *s)
{
    s->a += s->b;
    s->c += s->d;
    s->b = rotate(s->b, 13) ^ s->a;
    s->d = rotate(s->d, 16) ^ s->c;
    s->a = rotate(s->a, 32);
    s->c += s->b;
    s->a += s->d;
    s->b = rotate(s->b, 17) ^ s->c;
    s->d = rotate(s->d, 21) ^ s->a;
    s->c = rotate(s->c, 32);
}

static inline void absorb(struct state *s, uint64_t word)
{
    s->d ^= word;
    mix(s);
    s->a ^= word;
}

uint64_t map_hash(struct span key)
{
    pthread_once(&seed_once, make_seed);
    struct state s = {
        seed[0] ^ UINT64_C(0x736f6d6570736575), seed[1] ^ UINT64_C(0x646f72616e646f6d),
        seed[0] ^ UINT64_C(0x6c7967656e657261), seed[1] ^ UINT64_C(0x7465646279746573)};
    size_t at = 0;
    /* Words in the machine's byte order: a hash never leaves the process. */
    for (; key.length - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, key.data + at, 8);
        absorb(&s, word);
    }
    uint64_t last = (uint64_t)key.length << 56;
    for (unsigned shift = 0; at < key.length; at++, shift += 8)
        last |= (uint64_t)(unsigned char)key.data[at] << shift;
    absorb(&s, last);
    s.c ^= 0xFF;
    mix(&s);
    mix(&s);
    mix(&s);
    return s.a ^ s.b ^ s.c ^ s.d;
}

/* ---- the table ---- */

void map_fini(struct map *map)
{
    memory_free(map->slots);
    *map = (struct map){.key_of = map->key_of};
}

/* The slot that probing for a hash begins with. */
static size_t home(const struct map *map, uint64_t hash)
{
    return (size_t)hash & (map->capacity - 1);
}

static size_t after(const struct map *map, size_t slot)
{
    return (slot + 1) & (map->capacity - 1);
}

/* The slot of the key, or else the free one where probing ended. */
static size_t find(const struct map *map, struct span key, uint64_t hash)
{
    size_t at = home(map, hash);
    for (const struct map_slot *slot; (slot = &map->slots[at])->value; at = after(map, at))
        if (slot->hash == hash && span_equal(map->key_of(slot->value), key))
            break;
    return at;
}

static void put(struct map *map, struct map_slot entry)
{
    size_t at = home(map, entry.hash);
    while (map->slots[at].value)
        at = after(map, at);
    map->slots[at] = entry;
}

static bool grow(struct map *map)
{
    struct map old = *map;
    size_t capacity = old.capacity ? 2 * old.capacity : SMALLEST_CAPACITY;
    if (capacity > SIZE_MAX / sizeof(struct map_slot))
        return false;
    struct map_slot *slots = memory_new(capacity * sizeof *slots);
    if (!slots)
        return false;
    map->slots = slots;
    map->capacity = capacity;
    for (size_t i = 0; i < old.capacity; i++)
        if (old.slots[i].value)
            put(map, old.slots[i]);
    memory_free(old.slots);
    return true;
}

void map_fetch(const struct map *map, uint64_t hash)
{
    if (map->capacity)
        __builtin_prefetch(&map->slots[home(map, hash)]);
}

const void *map_peek(const struct map *map, uint64_t hash)
{
    return map->capacity ? map->slots[home(map, hash)].value : NULL;
}

void *map_get(const struct map *map, struct span key)
{
    return map->count ? map->slots[find(map, key, map_hash(key))].value : NULL;
}

bool map_add(struct map *map, void *value)
{
    /* At most three quarters full, so that a free slot ends every search soon. */
    if (map->count >= map->capacity / 4 * 3 && !grow(map))
        return false;
    put(map, (struct map_slot){map_hash(map->key_of(value)), value});
    map->count++;
    return true;
}

/* Free the slot, and move back into it and into each slot so freed what was only behind it for
 * want of room. So there are no markers of removed values that searches would have to pass. */
static void close_gap(struct map *map, size_t gap)
{
    size_t mask = map->capacity - 1;
    for (size_t at = after(map, gap); map->slots[at].value; at = after(map, at)) {
        size_t from_home = (at - home(map, map->slots[at].hash)) & mask;
        size_t from_gap = (at - gap) & mask;
        if (from_home >= from_gap) {
            map->slots[gap] = map->slots[at];
            gap = at;
        }
    }
    map->slots[gap].value = NULL;
}

void *map_remove(struct map *map, struct span key)
{
    if (map->count == 0)
        return NULL;
    size_t at = find(map, key, map_hash(key));
    void *value = map->slots[at].value;
    if (value) {
        close_gap(map, at);
        map->count--;
    }
    return value;
}

/* Whether the entry's probing ran over the end of the table and went on at its start. */
static bool wrapped(const struct map *map, size_t at)
{
    return home(map, map->slots[at].hash) > at;
}

static size_t first_free(const struct map *map)
{
    size_t at = 0;
    while (map->slots[at].value)
        at++;
    return at;
}

/*
 * Goes from the last slot down to the first, because a removal only moves entries from behind the
 * gap, which have been returned already. The exception are entries that wrapped around: a gap
 * near the end may pull them there from the start of the table. So these are returned first.
 *
 * *position is 1 + the slot to look at next while it is at most `capacity` (wrapped entries), and
 * beyond that the same plus capacity + 1 (all others); capacity + 1 is the end.
 */
void *map_next(const struct map *map, size_t *position)
{
    if (map->count == 0)
        return NULL;
    size_t base = map->capacity + 1;
    if (*position == 0) {
        size_t free_slot = first_free(map);
        *position = free_slot ? free_slot : base + map->capacity;
    }
    while (*position != base) {
        bool first_part = *position < base;
        size_t at = (first_part ? *position : *position - base) - 1;
        (*position)--;
        if (*position == 0)
            *position = base + map->capacity;
        if (map->slots[at].value && wrapped(map, at) == first_part)
            return map->slots[at].value;
    }
    return NULL;
}
