/*
 * The change record, immutable once shared, and the slabs in which records lie.
 *
 * Invariant: a slab's count is one for each change in it that is not given back yet, and one more
 * while its maker may put further changes into it.
 */
#include "backlog/backlog.h"

#include "base/invariant.h"

#include <stdalign.h>

enum { SLAB_SIZE = 64 * 1024 };

struct change_slab {
    _Atomic uint32_t references;
    size_t used, capacity;
    alignas(struct change) char data[];
};

static struct change_slab *slab_new(size_t capacity)
{
    struct change_slab *slab = memory_alloc(sizeof *slab + capacity);
    if (!slab)
        return NULL;
    atomic_init(&slab->references, 1);
    slab->used = 0;
    slab->capacity = capacity;
    return slab;
}

void change_slab_release(struct change_slab *slab)
{
    if (!slab)
        return;
    uint32_t references = atomic_fetch_sub_explicit(&slab->references, 1, memory_order_acq_rel);
    INVARIANT(references > 0); /* else a change was given back twice */
    if (references == 1)
        memory_free(slab);
}

void change_unref(struct change *change)
{
    if (change)
        change_slab_release(change->slab);
}

/* Room for one change, in the slab at hand or in a new one. */
static struct change *slab_take(struct change_slab **slab, size_t size)
{
    size_t aligned = (size + alignof(struct change) - 1) & ~(alignof(struct change) - 1);
    if (!*slab || (*slab)->capacity - (*slab)->used < aligned) {
        struct change_slab *fresh = slab_new(aligned > SLAB_SIZE ? aligned : SLAB_SIZE);
        if (!fresh)
            return NULL;
        change_slab_release(*slab);
        *slab = fresh;
    }
    struct change *change = (struct change *)((*slab)->data + (*slab)->used);
    (*slab)->used += aligned;
    atomic_fetch_add_explicit(&(*slab)->references, 1, memory_order_relaxed);
    return change;
}

static char *put(char *at, struct span bytes)
{
    if (bytes.length)
        memcpy(at, bytes.data, bytes.length);
    return at + bytes.length;
}

static bool fits(const struct change_texts *texts)
{
    return texts->key.length <= UINT32_MAX && texts->patch.length <= UINT32_MAX &&
           texts->append.length <= UINT32_MAX && texts->entity.length <= UINT32_MAX &&
           texts->scope.length <= UINT16_MAX && texts->scope_left.length <= UINT16_MAX;
}

struct change *change_new(struct change_slab **slab, const struct change_texts *texts)
{
    if (!fits(texts))
        return NULL;
    size_t length = texts->key.length + texts->patch.length + texts->append.length +
                    texts->entity.length + texts->scope.length + texts->scope_left.length;
    struct change *change = slab_take(slab, sizeof *change + length);
    if (!change)
        return NULL;
    *change = (struct change){.slab = *slab,
                              .key_length = (uint32_t)texts->key.length,
                              .patch_length = (uint32_t)texts->patch.length,
                              .append_length = (uint32_t)texts->append.length,
                              .entity_length = (uint32_t)texts->entity.length,
                              .scope_length = (uint16_t)texts->scope.length,
                              .scope_left_length = (uint16_t)texts->scope_left.length};
    char *at = put(change->bytes, texts->key);
    at = put(put(put(at, texts->patch), texts->append), texts->entity);
    put(put(at, texts->scope), texts->scope_left);
    return change;
}

size_t change_memory(const struct change *change)
{
    return sizeof *change + change->key_length + change->patch_length + change->append_length +
           change->entity_length + change->scope_length + change->scope_left_length;
}
