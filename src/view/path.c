/* Paths of definitions: a list of member names, or a string of names joined with dots. And the part
 * of an entity, a patch and its append paths that a view shows by them. */
#include "view/view_internal.h"

#include <stdlib.h>

static int compare_spans(const void *a, const void *b)
{
    const struct span *left = a, *right = b;
    return span_compare(*left, *right);
}

bool view_is_standard(const struct view *view)
{
    const char *name = strrchr(view->id, '/');
    return !view->stage && !view->path_count && !view->key_count && name &&
           (!strcmp(name, "/list") || !strcmp(name, "/state") || !strcmp(name, "/append"));
}

bool view_shows(const struct view *view, struct span key)
{
    return view->key_count == 0 ||
           bsearch(&key, view->keys, view->key_count, sizeof key, compare_spans) != NULL;
}

bool view_project(const struct view *view, struct span object, struct buffer *out)
{
    if (view->path_count == 0)
        return buffer_add_span(out, object);
    return doc_project(out, object, view->paths, view->path_count);
}

/* Whether a dotted path goes on where another ends. */
static bool view_path_is_below(struct span path, struct span above)
{
    return path.length > above.length && path.data[above.length] == '.' &&
           memcmp(path.data, above.data, above.length) == 0;
}

/* Whether the view's "fields" have exactly this path, or show everything. */
static bool view_names_path(const struct view *view, struct span path)
{
    if (view->path_count == 0 || span_equal(path, span_of("_seq")))
        return true;
    for (size_t i = 0; i < view->path_count; i++)
        if (span_equal(path, view->paths[i]))
            return true;
    return false;
}

/* Whether the value at a dotted path (canonical) is part of what the view shows: the path is named
 * by it, or below a named one. */
static bool view_shows_path(const struct view *view, struct span path)
{
    if (view_names_path(view, path))
        return true;
    for (size_t i = 0; i < view->path_count; i++)
        if (view_path_is_below(path, view->paths[i]))
            return true;
    return false;
}

/* Whether a member with these names is shown: where one of them ends, a named path ends. */
static bool view_shows_names(const struct view *view, const struct span *names, size_t count)
{
    struct buffer path;
    bool shown = false;
    buffer_init(&path, SIZE_MAX);
    for (size_t i = 0; i < count && !shown; i++) {
        if (i > 0)
            buffer_add_char(&path, '.');
        buffer_add_span(&path, names[i]);
        shown = path.failed || view_names_path(view, buffer_span(&path));
    }
    buffer_fini(&path);
    return shown;
}

static bool hidden_sort(const struct view *view, struct buffer *out)
{
    const struct view_stage *stage = view->stage;
    for (; stage; stage = stage->source) {
        const struct view_path *path = &((const struct stage *)stage)->sort;
        if (path->count == 0 || view_shows_names(view, path->names, path->count))
            continue;
        for (size_t i = 0; i < path->count; i++) {
            buffer_add_string(out, i ? "." : "");
            buffer_add_span(out, path->raw[i]);
        }
        return true;
    }
    return false;
}

static bool hidden_key(const struct view *view, struct buffer *out)
{
    if (view->output != VIEW_KEYED ||
        view_shows_names(view, view->key_field, view->key_field_count))
        return false;
    for (size_t i = 0; i < view->key_field_count; i++) {
        buffer_add_string(out, i ? "." : "");
        buffer_add_span(out, view->key_field[i]);
    }
    return true;
}

bool view_hidden(const struct view *view, enum view_hidden_use use, struct buffer *out)
{
    return use == VIEW_HIDDEN_SORT ? hidden_sort(view, out) : hidden_key(view, out);
}

/*
 * The next string of a canonical array, with its quotes, from *position on; absent at the end. In
 * canonical text a quote inside a string always has a backslash before it, and between strings
 * there is only a comma.
 */
static struct span next_string(struct span array, size_t *position)
{
    const char *end = array.data + array.length;
    const char *start = memchr(array.data + *position, '"', array.length - *position);
    if (!start)
        return span_make(NULL, 0);
    const char *at = start + 1;
    while (at < end && *at != '"')
        at += *at == '\\' ? 2 : 1;
    if (at >= end)
        return span_make(NULL, 0);
    *position = (size_t)(at + 1 - array.data);
    return span_make(start, (size_t)(at + 1 - start));
}

bool view_append_paths(const struct view *view, struct span append, struct buffer *out)
{
    size_t position = 0, shown = 0;
    struct span path;
    while (append.data && (path = next_string(append, &position)).data) {
        struct span bare = span_make(path.data + 1, path.length - 2);
        if (view->path_count == 0 || doc_path_shown(bare, view->paths, view->path_count)) {
            buffer_add_char(out, shown++ ? ',' : '[');
            buffer_add_span(out, path);
        }
    }
    if (shown)
        buffer_add_char(out, ']');
    return !out->failed;
}

void view_free_spans(struct span *spans, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        /* A view's own spans are the one place where a span owns its bytes. */
        memory_free((void *)(uintptr_t)spans[i].data);
    }
    memory_free(spans);
}

void view_path_fini(struct view_path *path)
{
    view_free_spans(path->raw, path->count);
    view_free_spans(path->names, path->count);
    memory_free((void *)(uintptr_t)path->dotted.data);
    *path = (struct view_path){0};
}

static struct span escape_name(struct span raw)
{
    struct buffer escaped;
    struct span name = {NULL, 0};
    buffer_init(&escaped, SIZE_MAX);
    if (doc_escape_bare(&escaped, raw) && buffer_string(&escaped))
        name.data = buffer_take(&escaped, &name.length);
    buffer_fini(&escaped);
    return name;
}

/* Room for so many names, all absent. */
static bool reserve(struct view_path *path, size_t count)
{
    path->raw = memory_new(count * sizeof *path->raw);
    path->names = memory_new(count * sizeof *path->names);
    if (path->raw && path->names) {
        path->count = count;
        return true;
    }
    memory_free(path->raw);
    memory_free(path->names);
    *path = (struct view_path){0};
    return false;
}

static bool set_name(struct view_path *path, size_t index, struct span raw)
{
    path->raw[index] = span_make(memory_copy_string(raw.data, raw.length), raw.length);
    path->names[index] = escape_name(raw);
    return path->raw[index].data && path->names[index].data;
}

static bool out_of_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "no memory for a path");
}

static bool read_dotted(struct view_path *path, struct span text, struct error *error)
{
    size_t count = 1, start = 0;
    for (size_t i = 0; i < text.length; i++)
        count += text.data[i] == '.';
    bool kept = reserve(path, count);
    for (size_t i = 0, index = 0; kept && i <= text.length; i++) {
        if (i < text.length && text.data[i] != '.')
            continue;
        if (i == start) {
            return error_set(error, ERROR_CONFIGURATION,
                             "the path '%.*s' has an empty segment; write names joined by single "
                             "dots, as in 'owner.address'",
                             (int)text.length, text.data);
        }
        kept = set_name(path, index++, span_make(text.data + start, i - start));
        start = i + 1;
    }
    if (kept && count > 1) {
        path->dotted = escape_name(text);
        kept = path->dotted.data;
    }
    return kept || out_of_memory(error);
}

static bool read_list(struct view_path *path, const struct tree *list, struct error *error)
{
    size_t count = tree_count(list);
    if (count == 0)
        return error_set(error, ERROR_CONFIGURATION, "a path needs at least one name");
    bool kept = reserve(path, count);
    for (size_t i = 0; kept && i < count; i++) {
        const struct tree *name = tree_element(list, i);
        if (tree_type(name) != TREE_STRING || tree_string(name).length == 0)
            return error_set(error, ERROR_CONFIGURATION,
                             "a path is a list of names, each a text that is not empty");
        kept = set_name(path, i, tree_string(name));
    }
    return kept || out_of_memory(error);
}

/* ---- in a document ---- */

static bool set_doc_name(struct view_path *path, size_t index, const struct doc *doc,
                         uint32_t value)
{
    struct buffer raw;
    buffer_init(&raw, SIZE_MAX);
    bool done = doc_decode_string(doc, value, &raw) && set_name(path, index, buffer_span(&raw));
    buffer_fini(&raw);
    return done;
}

static bool read_doc_list(struct view_path *path, const struct doc *doc, uint32_t list,
                          struct error *error)
{
    const struct doc_node *nodes = doc->nodes;
    size_t index = 0;
    if (nodes[list].count == 0)
        return error_set(error, ERROR_CONFIGURATION, "a path needs at least one name");
    bool kept = reserve(path, nodes[list].count);
    for (uint32_t name = list + 1; kept && name < nodes[list].end; name = nodes[name].end) {
        if (nodes[name].type != DOC_STRING || nodes[name].value_length == 2)
            return error_set(error, ERROR_CONFIGURATION,
                             "a path is a list of names, each a text that is not empty");
        kept = set_doc_name(path, index++, doc, name);
    }
    return kept || out_of_memory(error);
}

bool view_path_read_text(struct view_path *path, struct span text, struct error *error)
{
    *path = (struct view_path){0};
    return read_dotted(path, text, error);
}

static bool read_doc_text(struct view_path *path, const struct doc *doc, uint32_t value,
                          struct error *error)
{
    struct buffer text;
    buffer_init(&text, SIZE_MAX);
    bool done = doc_decode_string(doc, value, &text) ? read_dotted(path, buffer_span(&text), error)
                                                     : out_of_memory(error);
    buffer_fini(&text);
    return done;
}

bool view_path_read_doc(struct view_path *path, const struct doc *doc, uint32_t value,
                        struct error *error)
{
    *path = (struct view_path){0};
    enum doc_type type = value == DOC_NONE ? DOC_NULL : doc->nodes[value].type;
    if (type == DOC_STRING || type == DOC_WIDE)
        return read_doc_text(path, doc, value, error);
    if (type == DOC_ARRAY)
        return read_doc_list(path, doc, value, error);
    return error_set(error, ERROR_CONFIGURATION,
                     "a path is a text such as \"owner.address\", or a list of names");
}

/* ---- in a tree ---- */

bool view_path_read(struct view_path *path, const struct tree *tree, bool dotted,
                    struct error *error)
{
    *path = (struct view_path){0};
    if (tree && dotted && tree_type(tree) == TREE_STRING)
        return read_dotted(path, tree_string(tree), error);
    if (tree && tree_type(tree) == TREE_ARRAY)
        return read_list(path, tree, error);
    return error_set(error, ERROR_CONFIGURATION, "a path is %s",
                     dotted ? "a text such as \"owner.address\", or a list of names"
                            : "a list of names");
}

bool view_path_hold(struct view_path *path, const struct view *view)
{
    if (!view || view->path_count == 0)
        return true;
    if (!path->dotted.data)
        return view_shows_names(view, path->names, path->count);
    if (!view_names_path(view, path->dotted))
        path->within = view;
    return view_shows_path(view, path->dotted);
}

bool view_path_refuse(const struct view_path *path, const struct view *view, struct error *error)
{
    enum { SHOWN = 100 };
    struct buffer text;
    buffer_init(&text, SIZE_MAX);
    for (size_t i = 0; i < path->count; i++) {
        buffer_add_string(&text, i ? "." : "");
        buffer_add_span(&text, path->raw[i]);
    }
    const char *shown = buffer_string(&text);
    error_set(
        error, ERROR_CONFIGURATION,
        "view '%.128s' does not show '%.*s' (\"fields\" of its definition); ask about what it "
        "shows",
        view->id, SHOWN, shown ? shown : "");
    buffer_fini(&text);
    return false;
}

/*
 * The value below a path that the view names. Of the members with the wanted path only those are
 * shown that lie in one with a named path: where a name ends as the named path does.
 */
static struct span value_within(const struct view *view, struct span path, struct span entity)
{
    struct span value = {NULL, 0};
    for (size_t i = 0; !value.data && i < view->path_count; i++)
        if (view_path_is_below(path, view->paths[i]))
            value = doc_value_at_dotted(entity, path, view->paths[i].length);
    return value;
}

struct span view_path_value(const struct view_path *path, struct span entity)
{
    if (path->within)
        return value_within(path->within, path->dotted, entity);
    return path->dotted.data ? doc_value_at_dotted(entity, path->dotted, 0)
                             : doc_value_at(entity, path->names, path->count);
}

void view_path_print(struct buffer *out, const struct view_path *path)
{
    if (path->dotted.data) {
        buffer_add_char(out, '"');
        buffer_add_span(out, path->dotted);
        buffer_add_char(out, '"');
        return;
    }
    buffer_add_char(out, '[');
    for (size_t i = 0; i < path->count; i++) {
        buffer_add_string(out, i > 0 ? ",\"" : "\"");
        buffer_add_span(out, path->names[i]);
        buffer_add_char(out, '"');
    }
    buffer_add_char(out, ']');
}

void view_tell_value(struct buffer *out, const char *name, struct span value)
{
    if (!value.data)
        return;
    if (value.length > VIEW_TOLD_VALUE) {
        buffer_printf(out, ",\"%s_bytes\":%zu", name, value.length);
        return;
    }
    buffer_printf(out, ",\"%s\":", name);
    buffer_add_span(out, value);
}
