/* Predicates in a normal form, so that those that are the same for clients have the same text. */
#include "view/view_internal.h"

#include <stdlib.h>

/* A part of an "all" or "any" that is being put in order. */
struct part {
    char *text;
    size_t length;
    struct view_predicate *predicate;
};

struct parts {
    struct part *list;
    size_t count;
};

static int compare_parts(const void *a, const void *b)
{
    const struct part *left = a, *right = b;
    return span_compare(span_make(left->text, left->length), span_make(right->text, right->length));
}

static char *print(const struct view_predicate *predicate, size_t *length)
{
    struct buffer text;
    buffer_init(&text, SIZE_MAX);
    char *taken = predicate_print(&text, predicate) && buffer_string(&text)
                      ? buffer_take(&text, length)
                      : NULL;
    buffer_fini(&text);
    return taken;
}

static void parts_fini(struct parts *parts)
{
    for (size_t i = 0; i < parts->count; i++) {
        memory_free(parts->list[i].text);
        predicate_unref(parts->list[i].predicate);
    }
    memory_free(parts->list);
}

static bool add_part(struct parts *parts, struct view_predicate *predicate)
{
    struct part part = {.predicate = predicate_ref(predicate)};
    part.text = print(predicate, &part.length);
    parts->list[parts->count++] = part;
    return part.text != NULL;
}

/* Its parts, those of a part of its own kind instead of that. */
static bool find_parts(struct parts *parts, const struct view_predicate *predicate)
{
    size_t room = 1;
    for (size_t i = 0; i < predicate->child_count; i++)
        room += predicate->children[i]->child_count + 1;
    parts->list = memory_new(room * sizeof *parts->list);
    if (!parts->list)
        return false;
    for (size_t i = 0; i < predicate->child_count; i++) {
        struct view_predicate *child = predicate->children[i];
        bool same = child->kind == predicate->kind;
        for (size_t j = 0; same && j < child->child_count; j++)
            if (!add_part(parts, child->children[j]))
                return false;
        if (!same && !add_part(parts, child))
            return false;
    }
    qsort(parts->list, parts->count, sizeof *parts->list, compare_parts);
    return true;
}

static struct view_predicate *of_parts(enum predicate_kind kind, const struct parts *parts)
{
    struct view_predicate *whole = predicate_new(kind);
    for (size_t i = 0; whole && i < parts->count; i++) {
        const struct part *part = &parts->list[i];
        if (i > 0 && compare_parts(part, part - 1) == 0)
            continue;
        if (predicate_add(whole, predicate_ref(part->predicate)))
            continue;
        predicate_unref(part->predicate);
        predicate_unref(whole);
        return NULL;
    }
    return whole;
}

static struct view_predicate *only_part(struct view_predicate *whole)
{
    struct view_predicate *part = predicate_ref(whole->children[0]);
    predicate_unref(whole);
    return part;
}

bool predicate_normalize(struct view_predicate **predicate)
{
    struct view_predicate *given = *predicate;
    for (size_t i = 0; i < given->child_count; i++)
        if (!predicate_normalize(&given->children[i]))
            return false;
    if (given->kind != PREDICATE_ALL && given->kind != PREDICATE_ANY)
        return true;
    struct parts parts = {.list = NULL};
    struct view_predicate *whole = find_parts(&parts, given) ? of_parts(given->kind, &parts) : NULL;
    parts_fini(&parts);
    if (!whole)
        return false;
    predicate_unref(given);
    *predicate = whole->child_count == 1 ? only_part(whole) : whole;
    return true;
}
