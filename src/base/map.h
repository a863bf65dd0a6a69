/*
 * A hash map from a byte string to a pointer. It owns neither keys nor values. The function given
 * at init finds the key inside the value; the key must not change while the value is in the map. A
 * random seed keys the hash, because keys come from the network. One thread.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/span.h"

#include <stdint.h>

typedef struct span (*map_key_of)(const void *value);

struct map {
    struct map_slot *slots;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
    map_key_of key_of;
};

static inline void map_init(struct map *map, map_key_of key_of)
{
    *map = (struct map){.key_of = key_of};
}
/* Frees the table, not the values. */
void map_fini(struct map *map);
/* The value of the key, or NULL. */
void *map_get(const struct map *map, struct span key);
/* Add a value whose key must not be in the map yet; false when out of memory. */
bool map_add(struct map *map, void *value);
/* Remove the value of the key and return it, or NULL. */
void *map_remove(struct map *map, struct span key);
/* Iterate: start with *position = 0; NULL at the end. Removing the value just returned is
 * allowed, adding is not. */
void *map_next(const struct map *map, size_t *position);
/* The keyed hash itself. */
uint64_t map_hash(struct span key);
/* Hints for who is about to look for several keys: have the processor fetch the place of a hash;
 * when it has, what stands there, which mostly is the value of the key; NULL: nothing. */
void map_fetch(const struct map *map, uint64_t hash);
const void *map_peek(const struct map *map, uint64_t hash);

#endif
