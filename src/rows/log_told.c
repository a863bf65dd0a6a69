/* The frames of each key that a page of events has sent, to a client that may lack some. */
#include "rows/log_frames.h"
#include "rows/show.h"

struct told_key {
    enum told told;
    size_t length;
    char key[];
};

static struct span told_name(const void *value)
{
    const struct told_key *key = value;
    return span_make(key->key, key->length);
}

void catch_up_told_init(struct catch_up_frames *frames)
{
    map_init(&frames->told, told_name);
}

void catch_up_told_fini(struct catch_up_frames *frames)
{
    size_t position = 0;
    struct told_key *key;
    while ((key = map_next(&frames->told, &position)))
        memory_free(key);
    map_fini(&frames->told);
}

enum told catch_up_told(const struct catch_up_frames *frames, struct span key)
{
    const struct told_key *known = map_get(&frames->told, key);
    return known ? known->told : TOLD_NOTHING;
}

bool catch_up_note_told(struct catch_up_frames *frames, struct span key, enum told told)
{
    struct told_key *known = map_get(&frames->told, key);
    if (known) {
        known->told = told;
        return true;
    }
    known = memory_alloc(sizeof *known + key.length);
    if (!known)
        return false;
    *known = (struct told_key){.told = told, .length = key.length};
    memcpy(known->key, key.data, key.length);
    if (map_add(&frames->told, known))
        return true;
    memory_free(known);
    return false;
}
