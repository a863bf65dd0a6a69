/* Printing an entity that took patches, whole or in part; merge_draft.c says what it is made of. */
#include "json/draft.h"

#include <stdlib.h>

static void print_value(struct buffer *out, const struct draft_value *value);

static int by_place(const void *left, const void *right)
{
    const char *a = (*(struct draft_member *const *)left)->place.data;
    const char *b = (*(struct draft_member *const *)right)->place.data;
    return (a > b) - (a < b);
}

/* Those of the object's own text, in its order; NULL, and the buffer fails, when out of memory. */
static struct draft_member **list_touched(const struct draft_object *object, struct buffer *out,
                                          size_t *count)
{
    struct draft_member **list = memory_alloc((object->touched.count + 1) * sizeof(void *));
    struct draft_member *member;
    size_t position = 0;
    *count = 0;
    if (!list) {
        out->failed = true;
        return NULL;
    }
    while ((member = map_next(&object->touched, &position)))
        if (member->place.data)
            list[(*count)++] = member;
    qsort(list, *count, sizeof *list, by_place);
    return list;
}

static void print_object(struct buffer *out, const struct draft_object *object)
{
    const char *copied = object->text.data, *end = copied + object->text.length - 1;
    size_t count;
    struct draft_member **list = list_touched(object, out, &count);
    for (size_t i = 0; list && i < count; i++) {
        buffer_add(out, copied, (size_t)(list[i]->place.data - copied));
        print_value(out, &list[i]->value);
        copied = list[i]->place.data + list[i]->place.length;
    }
    memory_free(list);
    buffer_add(out, copied, (size_t)(end - copied));
    for (const struct draft_member *member = object->first; member; member = member->next) {
        bool first = member == object->first && object->text.length == 2;
        buffer_add_string(out, first ? "\"" : ",\"");
        buffer_add_span(out, member->name);
        buffer_add_string(out, "\":");
        print_value(out, &member->value);
    }
    buffer_add_char(out, '}');
}

static void print_value(struct buffer *out, const struct draft_value *value)
{
    if (value->object) {
        print_object(out, value->object);
    } else if (value->array) {
        const struct draft_array *array = value->array;
        buffer_add_char(out, '[');
        buffer_add(out, array->elements.data + array->first, array->elements.length - array->first);
        buffer_add_char(out, ']');
    } else {
        buffer_add_span(out, value->text);
    }
}

/* The members of the object that the patch has, too; what is in neither an array nor an object is
 * left out. */
static void print_shared(struct buffer *out, const struct draft_object *object,
                         const struct doc *doc, uint32_t patch)
{
    uint32_t end = doc->nodes[patch].end;
    const char *before = "\"";
    buffer_add_char(out, '{');
    for (uint32_t child = patch + 1; child < end; child = doc->nodes[child].end) {
        struct span name = doc_key(doc, child);
        const struct draft_member *member = map_get(&object->touched, name);
        if (!member ||
            (!draft_value_begins(&member->value, '{') && !draft_value_begins(&member->value, '[')))
            continue;
        buffer_add_string(out, before);
        before = ",\"";
        buffer_add_span(out, name);
        buffer_add_string(out, "\":");
        if (member->value.object && doc->nodes[child].type == DOC_OBJECT)
            print_shared(out, member->value.object, doc, child);
        else
            print_value(out, &member->value);
    }
    buffer_add_char(out, '}');
}

bool merge_draft_print(const struct merge_draft *draft, const struct doc *doc, uint32_t patch,
                       struct buffer *out)
{
    if (doc)
        print_shared(out, draft->root.object, doc, patch);
    else if (buffer_reserve(out, draft_value_length(&draft->root)))
        print_value(out, &draft->root);
    return !out->failed;
}
