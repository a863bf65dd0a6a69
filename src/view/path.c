/* Paths of definitions: a list of member names, or a string of names joined with dots. */
#include "view/view_internal.h"

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
