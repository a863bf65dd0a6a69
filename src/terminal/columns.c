#include "terminal/columns.h"

#include "terminal/terminal.h"

void columns_init(struct columns *columns)
{
    *columns = (struct columns){.list = NULL};
}

static void column_free(struct column *column)
{
    buffer_fini(&column->names);
    buffer_fini(&column->heading);
    memory_free(column);
}

void columns_fini(struct columns *columns)
{
    for (size_t i = 0; i < columns->count; i++)
        column_free(columns->list[i]);
    memory_free(columns->list);
}

/* ---- which there are ---- */

static bool is_path(const struct column *column, const struct span *path, size_t count)
{
    bool same = column->path_count == count;
    for (size_t i = 0; same && i < count; i++)
        same = span_equal(column->path[i], path[i]);
    return same;
}

static struct column *find(const struct columns *columns, const struct span *path, size_t count)
{
    for (size_t i = 0; i < columns->count; i++)
        if (is_path(columns->list[i], path, count))
            return columns->list[i];
    return NULL;
}

bool columns_have(const struct columns *columns, const struct span *path, size_t count)
{
    return find(columns, path, count) != NULL;
}

/* Once all names are there, they stay where they are. */
static bool set_path(struct column *column, const struct span *path, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buffer_add_span(&column->names, path[i]);
    const char *at = buffer_span(&column->names).data;
    for (size_t i = 0; i < count; at += path[i++].length) {
        column->path[i] = span_make(at, path[i].length);
        if (i > 0)
            buffer_add_char(&column->heading, '.');
        cell_fit(&column->heading, path[i]);
    }
    if (!count)
        buffer_add_string(&column->heading, "key");
    column->path_count = count;
    return !column->names.failed && !column->heading.failed;
}

void columns_add(struct columns *columns, const struct span *path, size_t count)
{
    if (columns->count >= COLUMNS_MOST || count > COLUMN_PATH || find(columns, path, count))
        return;
    struct column *column = memory_new(sizeof *column);
    if (column) {
        buffer_init(&column->names, UINT32_MAX);
        buffer_init(&column->heading, UINT32_MAX);
    }
    if (!column || !set_path(column, path, count) ||
        !array_reserve((void **)&columns->list, columns->count, &columns->capacity,
                       sizeof *columns->list)) {
        if (column)
            column_free(column);
        columns->failed = true;
        return;
    }
    columns->list[columns->count++] = column;
}

/* A dotted path as its names, which are in `names`; how many there are. */
static size_t split(struct span dotted, struct buffer *names, struct span path[COLUMN_PATH])
{
    size_t count = 0, starts[COLUMN_PATH + 1] = {0};
    for (const char *name = dotted.data, *end = name + dotted.length;
         name <= end && count < COLUMN_PATH;) {
        const char *dot = memchr(name, '.', (size_t)(end - name));
        size_t size = (size_t)((dot ? dot : end) - name);
        doc_escape_bare(names, span_make(name, size));
        starts[++count] = names->length;
        name += size + 1;
    }
    for (size_t i = 0; i < count; i++)
        path[i] = span_make(buffer_span(names).data + starts[i], starts[i + 1] - starts[i]);
    return count;
}

static struct column *add_dotted(struct columns *columns, struct span dotted)
{
    struct buffer names;
    struct span path[COLUMN_PATH];
    buffer_init(&names, UINT32_MAX);
    size_t count = split(dotted, &names, path);
    columns->failed |= names.failed;
    if (!columns->failed)
        columns_add(columns, path, count);
    struct column *column = columns->failed ? NULL : find(columns, path, count);
    buffer_fini(&names);
    return column;
}

/* Equal ones count, too. */
static size_t count_wanted(const char *wanted)
{
    size_t count = 0;
    for (; *wanted; wanted += *wanted == ',') {
        size_t length = strcspn(wanted, ",");
        count += length > 0;
        wanted += length;
    }
    return count;
}

bool columns_check(const struct column_choice *choice, struct error *error)
{
    if (choice->names && !doc_valid_utf8(span_of(choice->names)))
        return error_set(error, ERROR_INVALID_PARAMETER, "--columns is not valid UTF-8");
    /* The key is one, too. */
    if (count_wanted(choice->names ? choice->names : "") + choice->time_count + 1 > COLUMNS_MOST)
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "--columns has more paths than there may be columns, which is %d with the "
                         "key",
                         COLUMNS_MOST);
    for (size_t i = 0; i < choice->time_count; i++) {
        struct span path = span_of(choice->times[i]);
        if (!path.length || memchr(path.data, ',', path.length) || !doc_valid_utf8(path))
            return error_set(error, ERROR_INVALID_PARAMETER,
                             "--time cannot be \"%.60s\"; write the path of one column, and "
                             "--time again for another",
                             doc_valid_utf8(path) ? path.data : "?");
    }
    return true;
}

void columns_add_wanted(struct columns *columns, const char *wanted)
{
    while (*wanted) {
        size_t length = strcspn(wanted, ",");
        if (length)
            add_dotted(columns, span_make(wanted, length));
        wanted += length + (wanted[length] == ',');
    }
}

void columns_set_times(struct columns *columns, const struct column_choice *choice)
{
    for (size_t i = 0; i < choice->time_count; i++) {
        struct column *column = add_dotted(columns, span_of(choice->times[i]));
        if (column)
            column->is_time = true;
    }
}

void columns_add_members(struct columns *columns, struct span data, bool containers)
{
    struct doc doc;
    uint32_t root;
    doc_init(&doc, UINT32_MAX, UINT32_MAX);
    if (!doc_parse(&doc, data, COLUMN_DEPTH, &root, NULL)) {
        columns->failed = true;
    } else {
        uint32_t member = doc_first(&doc, root);
        for (; member != DOC_NONE && member < doc.nodes[root].end; member = doc.nodes[member].end) {
            enum doc_type type = doc.nodes[member].type;
            struct span name = doc_key(&doc, member);
            if ((containers || (type != DOC_ARRAY && type != DOC_OBJECT)) &&
                !span_equal(name, span_of("_seq")))
                columns_add(columns, &name, 1);
        }
    }
    doc_fini(&doc);
}

/* ---- what they have ---- */

struct span column_value(const struct column *column, struct span data)
{
    if (!column->path_count)
        return span_make(NULL, 0);
    return doc_value_at(data, column->path, column->path_count);
}

void column_add_name(struct buffer *out, const struct column *column)
{
    if (!column->path_count)
        buffer_add_string(out, "key");
    for (size_t i = 0; i < column->path_count; i++) {
        struct span name = column->path[i];
        buffer_add_string(out, i ? "." : "");
        for (const char *at = name.data, *end = at + name.length; at < end;)
            buffer_add_char(out, (char)doc_bare_next(&at, end));
    }
}

void column_add_text(struct buffer *out, struct span value)
{
    if (!value.length || value.data[0] != '"') {
        buffer_add_span(out, value);
        return;
    }
    struct span bare = doc_bare(value);
    for (const char *at = bare.data, *end = bare.data + bare.length; at < end;)
        buffer_add_char(out, (char)doc_bare_next(&at, end));
}

static void fit_text(struct buffer *out, struct span value)
{
    struct buffer plain;
    buffer_init(&plain, UINT32_MAX);
    column_add_text(&plain, value);
    cell_fit(out, buffer_span(&plain));
    out->failed = out->failed || plain.failed;
    buffer_fini(&plain);
}

struct span column_cell(const struct column *column, struct span key, struct span data,
                        struct buffer *cell, bool *number)
{
    buffer_clear(cell);
    *number = false;
    if (!column->path_count) {
        cell_fit(cell, key);
        return buffer_span(cell);
    }
    struct span value = column_value(column, data);
    enum doc_kind kind = doc_kind_of(value);
    *number = kind == DOC_KIND_NUMBER;
    if (kind == DOC_KIND_ABSENT || kind == DOC_KIND_NULL)
        *number = true; /* nothing to see, so it does not decide */
    else if (column->is_time && local_time_print(cell, value))
        *number = false;
    else
        fit_text(cell, value);
    return buffer_span(cell);
}
