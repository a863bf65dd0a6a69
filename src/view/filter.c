/*
 * Filters of a subscription: {"dotted.path": value, …}, all of which must be equal. They come from
 * the network, as canonical text that the parser of messages has already bounded.
 */
#include "view/view_internal.h"

#include <stdlib.h>

struct filter_value {
    struct span path; /* dotted, canonical names; in the filter's object */
    struct span value;
    bool below; /* a path that the view names, so that not every member of it may be shown */
};

struct view_filter {
    size_t references;
    const struct view *view;     /* outlives it; NULL: everything is shown */
    char *object;                /* a copy that all spans point into */
    struct filter_value *values; /* by path */
    size_t count;
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
    memory_free(filter->text);
    memory_free(filter);
}

enum { SHOWN = 100 }; /* bytes of a path in a message */

static bool check_segments(struct span path, struct error *error)
{
    for (size_t i = 0, start = 0; i <= path.length; i++) {
        if (i < path.length && path.data[i] != '.')
            continue;
        if (i == start)
            return error_set(error, ERROR_INVALID_PARAMETER,
                             "\"filters\": the path '%.*s' has an empty segment; write names "
                             "joined by single dots, as in 'owner.address'",
                             path.length < SHOWN ? (int)path.length : SHOWN, path.data);
        start = i + 1;
    }
    return true;
}

static bool check_shown(const struct view *view, struct span path, struct error *error)
{
    return !view || view_shows_path(view, path) ||
           error_set(error, ERROR_INVALID_PARAMETER,
                     "\"filters\": view '%.128s' does not show '%.*s' (\"fields\" of its "
                     "definition); filter by what it shows",
                     view->id, path.length < SHOWN ? (int)path.length : SHOWN, path.data);
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
    uint32_t end = doc->nodes[object].end;
    filter->values = memory_new((doc->nodes[object].count + 1) * sizeof *filter->values);
    if (!filter->values)
        return out_of_memory(error);
    for (uint32_t child = object + 1; child < end; child = doc->nodes[child].end) {
        struct span path = doc_key(doc, child), value = doc_text(doc, child);
        if (!check_segments(path, error) || !check_shown(filter->view, path, error))
            return false;
        filter->values[filter->count++] = (struct filter_value){
            .path = span_make(filter->object + (path.data - text.data), path.length),
            .value = span_make(filter->object + (value.data - text.data), value.length),
            .below = filter->view && !view_names_path(filter->view, path)};
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

struct view_filter *view_filter_new(const struct view *view, struct span object,
                                    struct error *error)
{
    struct view_filter *filter = memory_new(sizeof *filter);
    if (!filter) {
        out_of_memory(error);
        return NULL;
    }
    struct doc doc;
    filter->references = 1;
    filter->view = view && view->path_count ? view : NULL;
    doc_init(&doc, UINT32_MAX, UINT32_MAX);
    bool good = fill(filter, &doc, object, error);
    doc_fini(&doc);
    if (good)
        return filter;
    view_filter_free(filter);
    return NULL;
}

/*
 * The value below a path that the view names. Of the members with the wanted path only those are
 * shown that lie in one with a named path: where a name ends as the named path does.
 */
static struct span value_below(const struct view *view, struct span path, struct span entity)
{
    struct span value = {NULL, 0};
    for (size_t i = 0; !value.data && i < view->path_count; i++)
        if (view_path_is_below(path, view->paths[i]))
            value = doc_value_at_dotted(entity, path, view->paths[i].length);
    return value;
}

bool view_filter_passes(const struct view_filter *filter, struct span entity)
{
    for (size_t i = 0; i < filter->count; i++) {
        const struct filter_value *wanted = &filter->values[i];
        struct span value = wanted->below ? value_below(filter->view, wanted->path, entity)
                                          : doc_value_at_dotted(entity, wanted->path, 0);
        if (!value.data || !doc_value_equal(value, wanted->value))
            return false;
    }
    return true;
}

struct span view_filter_text(const struct view_filter *filter)
{
    return span_make(filter->text, filter->text_length);
}
