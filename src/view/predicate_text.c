/* The text of predicates, and those that are the same for clients. */
#include "view/view_internal.h"

#include <stdlib.h>

const char *const predicate_relations[] = {"eq",  "ne", "gt",     "gte",      "lt",
                                           "lte", "in", "prefix", "contains", NULL};

/* For people a path of one name is that name, where it has no dot. */
static void tell_path(struct buffer *out, const struct view_path *path)
{
    if (path->count != 1 || memchr(path->names[0].data, '.', path->names[0].length)) {
        view_path_print(out, path);
        return;
    }
    buffer_add_char(out, '"');
    buffer_add_span(out, path->names[0]);
    buffer_add_char(out, '"');
}

/* `told`: for people, so with literals as they were given; else the canonical text. */
static void print_compare(struct buffer *out, const struct view_predicate *predicate, bool told)
{
    void (*print)(struct buffer *, const struct view_path *) = told ? tell_path : view_path_print;
    buffer_add_string(out, "\"field\":");
    print(out, &predicate->path);
    buffer_printf(out, ",\"%s\":", predicate_relations[predicate->relation]);
    switch (predicate->operand) {
    case OPERAND_LITERAL:
        if (told)
            buffer_add_span(out, predicate->literal);
        else
            (predicate->relation == RELATION_IN ? doc_array_normal_set
                                                : doc_value_normal)(out, predicate->literal);
        break;
    case OPERAND_FIELD:
        buffer_add_string(out, "{\"field\":");
        print(out, &predicate->field);
        buffer_add_char(out, '}');
        break;
    case OPERAND_NOW:
        buffer_add_string(out, "{\"now\":true}");
        break;
    }
}

void predicate_tell_leaf(struct buffer *out, const struct view_predicate *predicate)
{
    if (predicate->kind == PREDICATE_COMPARE) {
        print_compare(out, predicate, true);
        return;
    }
    buffer_add_string(out, "\"exists\":");
    tell_path(out, &predicate->path);
}

static void print_children(struct buffer *out, const struct view_predicate *predicate)
{
    buffer_add_char(out, '[');
    for (size_t i = 0; i < predicate->child_count; i++) {
        buffer_add_string(out, i > 0 ? "," : "");
        predicate_print(out, predicate->children[i]);
    }
    buffer_add_char(out, ']');
}

bool predicate_print(struct buffer *out, const struct view_predicate *predicate)
{
    switch (predicate->kind) {
    case PREDICATE_COMPARE:
        buffer_add_char(out, '{');
        print_compare(out, predicate, false);
        break;
    case PREDICATE_EXISTS:
        buffer_add_string(out, "{\"exists\":");
        view_path_print(out, &predicate->path);
        break;
    case PREDICATE_ALL:
    case PREDICATE_ANY:
        buffer_add_string(out, predicate->kind == PREDICATE_ALL ? "{\"all\":" : "{\"any\":");
        print_children(out, predicate);
        break;
    case PREDICATE_NOT:
        buffer_add_string(out, "{\"not\":");
        predicate_print(out, predicate->children[0]);
        break;
    }
    return buffer_add_char(out, '}');
}

/* ---- normal form ---- */

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
