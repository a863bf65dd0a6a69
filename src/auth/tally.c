#include "auth/auth.h"

static struct span key_of(const void *value)
{
    const struct auth_count *count = value;
    return span_make(count->key, count->key_length);
}

void auth_tally_init(struct auth_tally *tally)
{
    map_init(&tally->counts, key_of);
}

void auth_tally_fini(struct auth_tally *tally)
{
    size_t position = 0;
    struct auth_count *count;
    while ((count = map_next(&tally->counts, &position)))
        memory_free(count);
    map_fini(&tally->counts);
}

int64_t auth_tally_of(const struct auth_tally *tally, struct span key)
{
    const struct auth_count *count = map_get(&tally->counts, key);
    return count ? count->count : 0;
}

struct auth_count *auth_tally_enter(struct auth_tally *tally, struct span key)
{
    struct auth_count *count = map_get(&tally->counts, key);
    if (count) {
        count->count++;
        return count;
    }
    count = memory_alloc(sizeof *count + key.length);
    if (!count)
        return NULL;
    *count = (struct auth_count){.count = 1, .key_length = key.length};
    memcpy(count->key, key.data, key.length);
    if (map_add(&tally->counts, count))
        return count;
    memory_free(count);
    return NULL;
}

void auth_tally_leave(struct auth_tally *tally, struct auth_count *count)
{
    if (!count || --count->count > 0)
        return;
    map_remove(&tally->counts, key_of(count));
    memory_free(count);
}
