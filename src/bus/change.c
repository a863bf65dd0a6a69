/* The change record: one allocation, immutable once shared. */
#include "bus/bus.h"

struct change *change_new(struct span key, struct span patch, struct span append,
                          struct text *entity)
{
    if (key.length > UINT32_MAX || patch.length > UINT32_MAX || append.length > UINT32_MAX)
        return NULL;
    size_t length = key.length + patch.length + append.length;
    struct change *change = memory_alloc(sizeof *change + length);
    if (!change)
        return NULL;
    memset(change, 0, sizeof *change);
    atomic_init(&change->references, 1);
    change->key_length = (uint32_t)key.length;
    change->patch_length = (uint32_t)patch.length;
    change->append_length = (uint32_t)append.length;
    char *at = change->bytes;
    if (key.length)
        memcpy(at, key.data, key.length);
    if (patch.length)
        memcpy(at + key.length, patch.data, patch.length);
    if (append.length)
        memcpy(at + key.length + patch.length, append.data, append.length);
    change->entity = text_ref(entity);
    return change;
}

struct change *change_ref(struct change *change)
{
    atomic_fetch_add_explicit(&change->references, 1, memory_order_relaxed);
    return change;
}

void change_unref(struct change *change)
{
    if (!change)
        return;
    if (atomic_fetch_sub_explicit(&change->references, 1, memory_order_acq_rel) != 1)
        return;
    text_unref(change->entity);
    memory_free(change);
}

size_t change_memory(const struct change *change)
{
    size_t entity = change->entity ? sizeof *change->entity + change->entity->length : 0;
    return sizeof *change + change->key_length + change->patch_length + change->append_length +
           entity;
}
