#include "access/tally.h"

static struct span key_of(const void *value)
{
    const struct tally_count *count = value;
    return span_make(count->key, count->key_length);
}

void tally_init(struct tally *tally)
{
    map_init(&tally->counts, key_of);
}

void tally_fini(struct tally *tally)
{
    size_t position = 0;
    struct tally_count *count;
    while ((count = map_next(&tally->counts, &position)))
        memory_free(count);
    map_fini(&tally->counts);
}

int64_t tally_of(const struct tally *tally, struct span key)
{
    const struct tally_count *count = map_get(&tally->counts, key);
    return count ? count->count : 0;
}

struct tally_count *tally_enter(struct tally *tally, struct span key)
{
    struct tally_count *count = map_get(&tally->counts, key);
    if (count) {
        count->count++;
        return count;
    }
    count = memory_alloc(sizeof *count + key.length);
    if (!count)
        return NULL;
    *count = (struct tally_count){.count = 1, .key_length = key.length};
    memcpy(count->key, key.data, key.length);
    if (map_add(&tally->counts, count))
        return count;
    memory_free(count);
    return NULL;
}

void tally_leave(struct tally *tally, struct tally_count *count)
{
    if (!count || --count->count > 0)
        return;
    map_remove(&tally->counts, key_of(count));
    memory_free(count);
}
