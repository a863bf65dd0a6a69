/* Making one view: checking what the configuration says and storing it as the hot path needs it. */
#include "view/view_internal.h"

#include <stdlib.h>

/* ---- names ---- */

/* The offset of the first control character (C0, DEL or C1) of valid UTF-8, or the length. */
static size_t find_control(struct span name)
{
    for (size_t i = 0; i < name.length; i++) {
        unsigned char byte = (unsigned char)name.data[i];
        unsigned char next = i + 1 < name.length ? (unsigned char)name.data[i + 1] : 0;
        if (byte < 0x20 || byte == 0x7f || (byte == 0xc2 && next < 0xa0))
            return i;
    }
    return name.length;
}

/* The rules of export names, which hold for view names too. `what` is "export" or "view". */
static bool check_name(struct span name, const char *what, enum error_code code,
                       struct error *error)
{
    if (name.length == 0) {
        return error_set(error, code, "the %s name is empty; give it 1 to %d bytes", what,
                         VIEW_NAME_LONGEST);
    }
    if (name.length > VIEW_NAME_LONGEST) {
        return error_set(error, code, "the %s name has %zu bytes; at most %d are allowed", what,
                         name.length, VIEW_NAME_LONGEST);
    }
    if (span_equal(name, span_of(".")) || span_equal(name, span_of("..")))
        return error_set(error, code,
                         "the %s name is '%.*s', which no URL can hold as a part of its path; "
                         "choose another",
                         what, (int)name.length, name.data);
    if (!doc_valid_utf8(name))
        return error_set(error, code, "the %s name is not valid UTF-8", what);
    size_t control = find_control(name);
    if (control < name.length) {
        return error_set(error, code, "the %s name has a control character at byte %zu", what,
                         control);
    }
    if (memchr(name.data, '/', name.length) || memchr(name.data, '"', name.length)) {
        return error_set(error, code, "the %s name '%.*s' has a '/' or '\"', which are not allowed",
                         what, (int)name.length, name.data);
    }
    return true;
}

bool view_export_name_check(struct span name, struct error *error)
{
    return check_name(name, "export", ERROR_INVALID_PARAMETER, error);
}

/* ---- paths and keys ---- */

static bool check_path(struct span path, struct error *error)
{
    if (!doc_valid_utf8(path))
        return error_set(error, ERROR_CONFIGURATION, "a path is not valid UTF-8");
    for (size_t start = 0, i = 0; i <= path.length; i++) {
        if (i < path.length && path.data[i] != '.')
            continue;
        if (i == start) {
            return error_set(error, ERROR_CONFIGURATION,
                             "the path '%.*s' has an empty segment; write names joined by single "
                             "dots, as in 'owner.address'",
                             (int)path.length, path.data);
        }
        start = i + 1;
    }
    return true;
}

static bool check_source(const struct view_source *source, struct error *error)
{
    if (!check_name(source->export_name, "export", ERROR_CONFIGURATION, error) ||
        !check_name(source->name, "view", ERROR_CONFIGURATION, error))
        return false;
    bool good = true;
    for (size_t i = 0; good && i < source->path_count; i++)
        good = check_path(source->paths[i], error);
    for (size_t i = 0; good && i < source->key_count; i++)
        if (!doc_valid_utf8(source->keys[i]))
            good = error_set(error, ERROR_CONFIGURATION, "a key is not valid UTF-8");
    return good ||
           error_prefix(error, "view '%.*s/%.*s'", (int)source->export_name.length,
                        source->export_name.data, (int)source->name.length, source->name.data);
}

static int compare_spans(const void *a, const void *b)
{
    const struct span *left = a, *right = b;
    return span_compare(*left, *right);
}

/* Room for copies of spans, all absent, so that view_free can free them at any point. */
static bool new_spans(struct span **spans, size_t *count, size_t wanted)
{
    *spans = wanted ? memory_new(wanted * sizeof **spans) : NULL;
    *count = *spans ? wanted : 0;
    return *count == wanted;
}

/* Documents hold names escaped, so paths are escaped once here and then compare as bytes. */
static bool copy_paths(struct view *view, const struct view_source *source)
{
    if (!new_spans(&view->paths, &view->path_count, source->path_count))
        return false;
    for (size_t i = 0; i < source->path_count; i++) {
        struct buffer escaped;
        buffer_init(&escaped, SIZE_MAX);
        doc_escape_bare(&escaped, source->paths[i]);
        view->paths[i].data = buffer_take(&escaped, &view->paths[i].length);
        buffer_fini(&escaped);
        if (!view->paths[i].data)
            return false;
    }
    return true;
}

static bool copy_keys(struct view *view, const struct view_source *source)
{
    if (!new_spans(&view->keys, &view->key_count, source->key_count))
        return false;
    for (size_t i = 0; i < source->key_count; i++) {
        struct span key = source->keys[i];
        view->keys[i] = span_make(memory_copy_string(key.data, key.length), key.length);
        if (!view->keys[i].data)
            return false;
    }
    if (view->key_count)
        qsort(view->keys, view->key_count, sizeof *view->keys, compare_spans);
    return true;
}

/* ---- the view ---- */

static char *join_id(struct span export_name, struct span name)
{
    struct buffer id;
    buffer_init(&id, SIZE_MAX);
    buffer_add_span(&id, export_name);
    buffer_add_char(&id, '/');
    buffer_add_span(&id, name);
    char *joined = buffer_string(&id) ? buffer_take(&id, NULL) : NULL;
    buffer_fini(&id);
    return joined;
}

struct view *view_new(const struct view_source *source, struct error *error)
{
    if (!check_source(source, error))
        return NULL;
    struct view *view = memory_new(sizeof *view);
    if (view) {
        view->references = 1;
        view->mode = source->mode;
        view->id = join_id(source->export_name, source->name);
        view->export_name =
            memory_copy_string(source->export_name.data, source->export_name.length);
        if (view->id && view->export_name && copy_paths(view, source) && copy_keys(view, source))
            return view;
        view_free(view);
    }
    error_set(error, ERROR_MEMORY, "no memory for a view");
    return NULL;
}

void view_free(struct view *view)
{
    if (!view)
        return;
    memory_free(view->id);
    memory_free(view->export_name);
    view_free_spans(view->paths, view->path_count);
    view_free_spans(view->keys, view->key_count);
    view_free_spans(view->key_field, view->key_field_count);
    memory_free((void *)(uintptr_t)view->key_dotted.data);
    memory_free(view);
}

const struct view *view_ref(const struct view *view)
{
    ((struct view *)(uintptr_t)view)->references++;
    return view;
}

void view_unref(const struct view *view)
{
    struct view *own = (struct view *)(uintptr_t)view;
    if (own && --own->references == 0)
        view_free(own);
}

/* ---- the views that every export has ---- */

static const struct {
    const char *name;
    enum view_mode mode;
} plain[VIEW_PLAIN] = {{"list", VIEW_LIST}, {"state", VIEW_STATE}, {"append", VIEW_APPEND}};

struct view *view_new_plain(struct span export_name, size_t index, struct error *error)
{
    struct view_source source = {
        .export_name = export_name, .name = span_of(plain[index].name), .mode = plain[index].mode};
    return view_new(&source, error);
}

/* Its place among the three; VIEW_PLAIN: it is none of them. */
static size_t find_plain(struct span id, struct span *export_name)
{
    const char *slash = id.length ? memchr(id.data, '/', id.length) : NULL;
    size_t index = slash ? 0 : VIEW_PLAIN;
    struct error error;
    if (!slash)
        return index;
    size_t length = (size_t)(slash - id.data);
    struct span name = span_make(slash + 1, id.length - length - 1);
    *export_name = span_make(id.data, length);
    while (index < VIEW_PLAIN && !span_equal(span_of(plain[index].name), name))
        index++;
    return view_export_name_check(*export_name, &error) ? index : VIEW_PLAIN;
}

bool view_is_plain(struct span id)
{
    struct span export_name;
    return find_plain(id, &export_name) < VIEW_PLAIN;
}

const struct view *view_plain_new(struct span id, struct error *error)
{
    struct span export_name;
    size_t index = find_plain(id, &export_name);
    if (index < VIEW_PLAIN)
        return view_new_plain(export_name, index, error);
    error_set(error, ERROR_INVALID_PARAMETER, "'%.*s' is no view that every export has",
              (int)(id.length < VIEW_NAME_LONGEST ? id.length : VIEW_NAME_LONGEST), id.data);
    return NULL;
}

void view_set_output(struct view *view, enum view_output output, struct view_path *key_field)
{
    view->output = output;
    view->key_field = key_field->names;
    view->key_field_count = key_field->count;
    view->key_dotted = key_field->dotted;
    view_free_spans(key_field->raw, key_field->count);
    *key_field = (struct view_path){0};
}

struct span view_key_value(const struct view *view, struct span entity)
{
    return view->key_dotted.data ? doc_value_at_dotted(entity, view->key_dotted, 0)
                                 : doc_value_at(entity, view->key_field, view->key_field_count);
}

bool view_key_text(const struct view *view, struct span entity, struct buffer *text)
{
    struct span value = view_key_value(view, entity);
    buffer_clear(text);
    if (!value.data)
        return false;
    if (value.data[0] != '"')
        return buffer_add_span(text, value);
    struct span bare = doc_bare(value);
    const char *at = bare.data, *end = at + bare.length;
    while (at < end)
        buffer_add_char(text, (char)doc_bare_next(&at, end));
    return !text->failed;
}
