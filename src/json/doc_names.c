/*
 * The names of a large object in an open-addressed table. The hash is keyed at random, because
 * names come from the network and a chosen set of them must not make this quadratic.
 */
#include "json/doc_internal.h"

struct doc_names_slot {
    uint32_t node; /* 0: empty; the root is nobody's member */
    uint32_t hash;
};

static struct doc_names_slot *find_slot(const struct doc_names *names, const struct doc *doc,
                                        struct span name, uint32_t hash)
{
    uint32_t i = hash & names->mask;
    for (;; i = (i + 1) & names->mask) {
        struct doc_names_slot *slot = &names->slots[i];
        if (!slot->node || (slot->hash == hash && span_equal(doc_key(doc, slot->node), name)))
            return slot;
    }
}

bool doc_names_init(struct doc_names *names, const struct doc *doc, uint32_t object,
                    uint32_t *twice)
{
    *twice = DOC_NONE;
    /* A power of two, at most half full. */
    size_t size = 2 * DOC_FEW_MEMBERS;
    while (size < 2 * (size_t)doc->nodes[object].count)
        size *= 2;
    names->mask = (uint32_t)(size - 1);
    names->slots = memory_new(size * sizeof *names->slots);
    if (!names->slots)
        return false;
    uint32_t end = doc->nodes[object].end;
    for (uint32_t child = object + 1; child < end; child = doc->nodes[child].end) {
        struct span name = doc_key(doc, child);
        uint32_t hash = (uint32_t)map_hash(name);
        struct doc_names_slot *slot = find_slot(names, doc, name, hash);
        if (slot->node) {
            *twice = child;
            return true;
        }
        *slot = (struct doc_names_slot){child, hash};
    }
    return true;
}

void doc_names_fini(struct doc_names *names)
{
    memory_free(names->slots);
    names->slots = NULL;
}

uint32_t doc_names_find(const struct doc_names *names, const struct doc *doc, struct span name)
{
    uint32_t node = find_slot(names, doc, name, (uint32_t)map_hash(name))->node;
    return node ? node : (uint32_t)DOC_NONE;
}
