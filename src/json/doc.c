/*
 * The document's lifetime and its accessors.
 *
 * Invariants of `nodes`:
 *   1. Nodes stand in the order of their text; a container is followed by its whole subtree.
 *   2. nodes[i].end is the first node behind i's subtree, so i + 1 is the first child if there is
 *      one, and nodes[child].end the next.
 *   3. key is 0 exactly for what is not a member: a member's name comes after a brace and a quote.
 */
#include "json/doc_internal.h"

void doc_init(struct doc *doc, size_t max_text, uint32_t max_nodes)
{
    memset(doc, 0, sizeof *doc);
    buffer_init(&doc->text, max_text < UINT32_MAX ? max_text : UINT32_MAX);
    /* DOC_NONE must never become the index of a node. */
    doc->max_nodes = max_nodes < DOC_NONE ? max_nodes : DOC_NONE - 1;
}

void doc_fini(struct doc *doc)
{
    buffer_fini(&doc->text);
    memory_free(doc->nodes);
    doc->nodes = NULL;
    doc->count = doc->capacity = 0;
}

void doc_clear(struct doc *doc)
{
    buffer_clear(&doc->text);
    doc->count = 0;
    doc->deepest = 0;
    doc->longest_array = 0;
}

uint32_t doc_member(const struct doc *doc, uint32_t object, const char *name)
{
    if (doc->nodes[object].type != DOC_OBJECT)
        return DOC_NONE;
    struct span wanted = span_of(name);
    uint32_t end = doc->nodes[object].end;
    for (uint32_t child = object + 1; child < end; child = doc->nodes[child].end)
        if (span_equal(doc_key(doc, child), wanted))
            return child;
    return DOC_NONE;
}

bool doc_member_is(const struct doc *doc, uint32_t object, const char *name, const char *text)
{
    uint32_t member = doc_member(doc, object, name);
    return member != DOC_NONE && span_equal(doc_text(doc, member), span_of(text));
}

uint32_t doc_child_after(const struct doc *doc, uint32_t container, uint32_t skip)
{
    uint32_t child = container + 1;
    while (skip--)
        child = doc->nodes[child].end;
    return child;
}

uint32_t doc_depth(const struct doc *doc, uint32_t node)
{
    if (doc->nodes[node].type != DOC_ARRAY && doc->nodes[node].type != DOC_OBJECT)
        return 0;
    uint32_t deepest = 0, end = doc->nodes[node].end;
    for (uint32_t child = node + 1; child < end; child = doc->nodes[child].end) {
        uint32_t depth = doc_depth(doc, child);
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest + 1;
}

bool doc_integer(const struct doc *doc, uint32_t node, int64_t *value)
{
    struct span text = doc_text(doc, node);
    if (doc->nodes[node].type == DOC_WIDE)
        text = span_make(text.data + 1, text.length - 2);
    else if (doc->nodes[node].type != DOC_NUMBER)
        return false;
    bool negative = text.data[0] == '-';
    int64_t sum = 0;
    for (size_t i = negative; i < text.length; i++) {
        int digit = text.data[i] - '0';
        if (digit < 0 || digit > 9)
            return false;
        /* Summed with its sign, since -2^63 has no positive twin. */
        if (__builtin_mul_overflow(sum, 10, &sum) ||
            __builtin_add_overflow(sum, negative ? -digit : digit, &sum))
            return false;
    }
    *value = sum;
    return true;
}
