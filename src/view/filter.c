/*
 * Filters of a subscription: {"dotted.path": value, …}, all of which must be equal. They come from
 * the network, as canonical text that the parser of messages has already bounded.
 */
#include "view/view_internal.h"

#include <stdlib.h>

struct filter_value {
    struct span path; /* dotted, canonical names; in the filter's object */
    struct span value;
    const struct span *names;
    size_t count;
};

struct view_filter {
    size_t references;
    char *object;                /* a copy that all spans point into */
    struct filter_value *values; /* by path */
    size_t count;
    struct span *names; /* of all paths */
    char *text;
    size_t text_length;
};

struct view_filter *view_filter_ref(struct view_filter *filter)
{
    if (filter)
        filter->references++;
    return filter;
}

void view_filter_free(struct view_filter *filter)
{
    if (!filter || --filter->references)
        return;
    memory_free(filter->object);
    memory_free(filter->values);
    memory_free(filter->names);
    memory_free(filter->text);
    memory_free(filter);
}

static size_t count_names(struct span path)
{
    size_t count = 1;
    for (size_t i = 0; i < path.length; i++)
        count += path.data[i] == '.';
    return count;
}

/* No escape has a dot in it, so the canonical path parts where the raw one does. */
static bool split(struct filter_value *value, struct span *names, struct error *error)
{
    enum { SHOWN = 100 };
    struct span path = value->path;
    value->names = names;
    for (size_t i = 0, start = 0; i <= path.length; i++) {
        if (i < path.length && path.data[i] != '.')
            continue;
        if (i == start) {
            return error_set(error, ERROR_INVALID_PARAMETER,
                             "\"filters\": the path '%.*s' has an empty segment; write names "
                             "joined by single dots, as in 'owner.address'",
                             path.length < SHOWN ? (int)path.length : SHOWN, path.data);
        }
        names[value->count++] = span_make(path.data + start, i - start);
        start = i + 1;
    }
    return true;
}

static int compare_paths(const void *a, const void *b)
{
    const struct filter_value *left = a, *right = b;
    return span_compare(left->path, right->path);
}

static bool out_of_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "no memory for \"filters\"");
}

/* The members of the parsed object, whose text now is the filter's copy. */
static bool take_members(struct view_filter *filter, const struct doc *doc, uint32_t object,
                         struct error *error)
{
    struct span text = doc_text(doc, object);
    size_t name_count = 0;
    uint32_t end = doc->nodes[object].end;
    filter->values = memory_new((doc->nodes[object].count + 1) * sizeof *filter->values);
    if (!filter->values)
        return out_of_memory(error);
    for (uint32_t child = object + 1; child < end; child = doc->nodes[child].end) {
        struct span path = doc_key(doc, child), value = doc_text(doc, child);
        filter->values[filter->count++] = (struct filter_value){
            .path = span_make(filter->object + (path.data - text.data), path.length),
            .value = span_make(filter->object + (value.data - text.data), value.length)};
        name_count += count_names(path);
    }
    filter->names = memory_new((name_count + 1) * sizeof *filter->names);
    if (!filter->names)
        return out_of_memory(error);
    struct span *names = filter->names;
    for (size_t i = 0; i < filter->count; i++) {
        if (!split(&filter->values[i], names, error))
            return false;
        names += filter->values[i].count;
    }
    qsort(filter->values, filter->count, sizeof *filter->values, compare_paths);
    return true;
}

static bool print_text(struct view_filter *filter, struct error *error)
{
    struct buffer text;
    buffer_init(&text, SIZE_MAX);
    doc_value_normal(&text, span_of(filter->object));
    if (buffer_string(&text))
        filter->text = buffer_take(&text, &filter->text_length);
    buffer_fini(&text);
    return filter->text || out_of_memory(error);
}

static bool fill(struct view_filter *filter, struct doc *doc, struct span object,
                 struct error *error)
{
    enum { DEPTH = 1000 };
    uint32_t root;
    struct error cause = {0};
    if (!doc_parse(doc, object, DEPTH, &root, &cause))
        return cause.code == ERROR_MEMORY
                   ? out_of_memory(error)
                   : error_set(error, ERROR_INVALID_PARAMETER, "\"filters\": %s", cause.message);
    if (doc->nodes[root].type != DOC_OBJECT)
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "\"filters\" must be an object of dotted path to value");
    struct span text = doc_text(doc, root);
    filter->object = memory_copy_string(text.data, text.length);
    if (!filter->object)
        return out_of_memory(error);
    return take_members(filter, doc, root, error) && print_text(filter, error);
}

struct view_filter *view_filter_new(struct span object, struct error *error)
{
    struct view_filter *filter = memory_new(sizeof *filter);
    if (!filter) {
        out_of_memory(error);
        return NULL;
    }
    struct doc doc;
    filter->references = 1;
    doc_init(&doc, UINT32_MAX, UINT32_MAX);
    bool good = fill(filter, &doc, object, error);
    doc_fini(&doc);
    if (good)
        return filter;
    view_filter_free(filter);
    return NULL;
}

bool view_filter_passes(const struct view_filter *filter, struct span entity)
{
    for (size_t i = 0; i < filter->count; i++) {
        const struct filter_value *wanted = &filter->values[i];
        struct span value = doc_value_at(entity, wanted->names, wanted->count);
        if (!value.data || !doc_value_equal(value, wanted->value))
            return false;
    }
    return true;
}

struct span view_filter_text(const struct view_filter *filter)
{
    return span_make(filter->text, filter->text_length);
}
