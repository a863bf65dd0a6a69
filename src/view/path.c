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
    if (!reserve(path, count))
        return out_of_memory(error);
    for (size_t i = 0, index = 0; i <= text.length; i++) {
        if (i < text.length && text.data[i] != '.')
            continue;
        if (i == start) {
            return error_set(error, ERROR_CONFIGURATION,
                             "the path '%.*s' has an empty segment; write names joined by single "
                             "dots, as in 'owner.address'",
                             (int)text.length, text.data);
        }
        if (!set_name(path, index++, span_make(text.data + start, i - start)))
            return out_of_memory(error);
        start = i + 1;
    }
    if (count > 1)
        path->dotted = escape_name(text);
    return count == 1 || path->dotted.data || out_of_memory(error);
}

static bool read_list(struct view_path *path, const struct tree *list, struct error *error)
{
    size_t count = tree_count(list);
    if (count > 0 && !reserve(path, count))
        return out_of_memory(error);
    for (size_t i = 0; i < count; i++) {
        const struct tree *name = tree_element(list, i);
        if (tree_type(name) != TREE_STRING || tree_string(name).length == 0)
            return error_set(error, ERROR_CONFIGURATION,
                             "a path is a list of names, each a text that is not empty");
        if (!set_name(path, i, tree_string(name)))
            return out_of_memory(error);
    }
    return count > 0 || error_set(error, ERROR_CONFIGURATION, "a path needs at least one name");
}

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

struct span view_path_value(const struct view_path *path, struct span entity)
{
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
