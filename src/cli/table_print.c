/* The picture of a table: as many rows and columns as there is room for. */
#include "cli/cell.h"
#include "cli/table.h"
#include "json/json.h"

#include <stdio.h>

enum {
    COLUMNS = 32,
    GAP = 2,       /* between columns */
    WIDEST = 40,   /* no cell is wider */
    NARROWEST = 6, /* and none is cut to less */
    HEADING = 2    /* lines: title, names */
};

struct column {
    struct buffer names; /* what the path points into */
    struct span path[TABLE_PATH];
    size_t path_count; /* 0: the key */
    struct span heading;
    size_t width;
    bool text; /* something in it is no number */
};

struct picture {
    const struct table *table;
    const struct table_look *look;
    struct column columns[COLUMNS];
    size_t count;
    size_t rows; /* that are shown */
    struct buffer cell;
    struct buffer *out;
};

/* ---- columns ---- */

static void add_string_value(struct buffer *out, struct span string)
{
    struct buffer plain;
    struct span bare = doc_bare(string);
    buffer_init(&plain, UINT32_MAX);
    for (const char *at = bare.data, *end = bare.data + bare.length; at < end;)
        buffer_add_char(&plain, (char)doc_bare_next(&at, end));
    cell_fit(out, buffer_span(&plain));
    out->failed = out->failed || plain.failed;
    buffer_fini(&plain);
}

/* The cell as it is shown, in picture->cell; *number: it is one. */
static struct span read_cell(struct picture *picture, const struct column *column,
                             const struct table_row *row, bool *number)
{
    struct buffer *cell = &picture->cell;
    buffer_clear(cell);
    *number = false;
    if (!column->path_count) {
        cell_fit(cell, row->key);
        return buffer_span(cell);
    }
    struct span value = doc_value_at(row->data, column->path, column->path_count);
    enum doc_kind kind = doc_kind_of(value);
    *number = kind == DOC_KIND_NUMBER;
    if (kind == DOC_KIND_ABSENT || kind == DOC_KIND_NULL)
        *number = true; /* nothing to see, so it does not decide */
    else if (value.data[0] == '"')
        add_string_value(cell, value);
    else
        cell_fit(cell, value);
    return buffer_span(cell);
}

static bool is_same_path(const struct column *column, const struct span *path, size_t count)
{
    bool same = column->path_count == count;
    for (size_t i = 0; same && i < count; i++)
        same = span_equal(column->path[i], path[i]);
    return same;
}

static bool has_column(const struct picture *picture, const struct span *path, size_t count)
{
    for (size_t i = 0; i < picture->count; i++)
        if (is_same_path(&picture->columns[i], path, count))
            return true;
    return false;
}

/* Names are canonical and borrowed. */
static struct column *add_column(struct picture *picture, const struct span *path, size_t count)
{
    if (picture->count == COLUMNS || count > TABLE_PATH || has_column(picture, path, count))
        return NULL;
    struct column *column = &picture->columns[picture->count++];
    *column = (struct column){.path_count = count};
    buffer_init(&column->names, UINT32_MAX);
    for (size_t i = 0; i < count; i++)
        column->path[i] = path[i];
    return column;
}

/* The dotted path as a heading, once the column is there for good. */
static void add_heading(struct column *column)
{
    for (size_t i = 0; i < column->path_count; i++) {
        if (i > 0)
            buffer_add_char(&column->names, '.');
        cell_fit(&column->names, column->path[i]);
    }
    column->heading = column->path_count ? buffer_span(&column->names) : span_of("key");
}

static void add_members(struct picture *picture, const struct table_row *row)
{
    struct doc doc;
    struct error error;
    uint32_t root;
    doc_init(&doc, UINT32_MAX, UINT32_MAX);
    if (doc_parse(&doc, row->data, TABLE_DEPTH, &root, &error)) {
        uint32_t member = doc_first(&doc, root);
        for (; member != DOC_NONE && member < doc.nodes[root].end; member = doc.nodes[member].end) {
            enum doc_type type = doc.nodes[member].type;
            struct span name = doc_key(&doc, member);
            if (type == DOC_ARRAY || type == DOC_OBJECT || span_equal(name, span_of("_seq")))
                continue;
            /* The text of the row stays, that of the document does not. */
            struct span value = doc_value_at(row->data, &name, 1);
            struct span own = span_make(value.data - 2 - name.length, name.length);
            add_column(picture, &own, 1);
        }
    }
    doc_fini(&doc);
}

/* "a.b,c" */
static void add_wanted(struct picture *picture, struct buffer *names)
{
    const char *at = picture->look->columns;
    struct span path[TABLE_PATH];
    while (*at) {
        size_t length = strcspn(at, ","), count = 0;
        for (const char *name = at, *end = at + length; name <= end && count < TABLE_PATH;) {
            const char *dot = memchr(name, '.', (size_t)(end - name));
            size_t size = (size_t)((dot ? dot : end) - name), from = names->length;
            doc_escape_bare(names, span_make(name, size));
            path[count++] = span_make(names->data + from, names->length - from);
            name += size + 1;
        }
        if (length)
            add_column(picture, path, count);
        at += length + (at[length] == ',');
    }
}

static void choose_columns(struct picture *picture, struct buffer *names)
{
    const struct table *table = picture->table;
    add_column(picture, NULL, 0);
    if (picture->look->columns) {
        add_wanted(picture, names);
        return;
    }
    if (table->order)
        add_column(picture, table->sort, table->sort_count);
    for (size_t i = 0; i < picture->rows; i++)
        add_members(picture, table->list[i]);
}

/* ---- what fits ---- */

static void measure(struct picture *picture, struct column *column)
{
    add_heading(column);
    column->width = cell_width(column->heading);
    for (size_t i = 0; i < picture->rows; i++) {
        bool number;
        size_t width = cell_width(read_cell(picture, column, picture->table->list[i], &number));
        column->text = column->text || !number;
        if (width > column->width)
            column->width = width;
    }
    if (column->width > WIDEST)
        column->width = WIDEST;
}

/* Columns from the left, as long as there is room; the last may be cut. */
static void fit(struct picture *picture)
{
    size_t left = picture->look->width, i = 0;
    for (; i < picture->count; i++) {
        struct column *column = &picture->columns[i];
        size_t gap = i ? GAP : 0;
        measure(picture, column);
        if (i && left < gap + (column->width < NARROWEST ? column->width : NARROWEST))
            break;
        if (column->width > left - gap)
            column->width = left - gap;
        left -= gap + column->width;
    }
    for (size_t gone = i; gone < picture->count; gone++)
        buffer_fini(&picture->columns[gone].names);
    picture->count = i;
}

/* ---- the lines ---- */

static void end_line(struct buffer *out, size_t from)
{
    while (out->length > from && out->data[out->length - 1] == ' ')
        out->length--;
    buffer_add_char(out, '\n');
}

static void print_row(struct picture *picture, const struct table_row *row)
{
    struct buffer *out = picture->out;
    size_t from = out->length;
    for (size_t i = 0; i < picture->count; i++) {
        struct column *column = &picture->columns[i];
        bool number;
        struct span text = row ? read_cell(picture, column, row, &number) : column->heading;
        for (int gap = 0; i && gap < GAP; gap++)
            buffer_add_char(out, ' ');
        cell_pad(out, text, column->width, !column->text && column->path_count);
    }
    end_line(out, from);
}

static void print_title(struct picture *picture)
{
    struct buffer *out = picture->out;
    size_t from = out->length, count = picture->table->count;
    char rows[64];
    buffer_clear(&picture->cell);
    if (picture->rows < count)
        snprintf(rows, sizeof rows, "the first %zu of %zu rows", picture->rows, count);
    else
        snprintf(rows, sizeof rows, "%zu row%s", count, count == 1 ? "" : "s");
    cell_fit(&picture->cell, span_of(picture->look->title));
    buffer_printf(&picture->cell, "  %s", rows);
    cell_pad(out, buffer_span(&picture->cell), picture->look->width, false);
    end_line(out, from);
}

bool table_print(const struct table *table, const struct table_look *look, struct buffer *out)
{
    struct picture picture = {.table = table, .look = look, .out = out};
    struct buffer names;
    size_t room = look->height > HEADING ? look->height - HEADING : 0;
    picture.rows = table->count < room ? table->count : room;
    buffer_init(&picture.cell, UINT32_MAX);
    buffer_init(&names, UINT32_MAX);
    /* No name gets longer than six times, so that they stay where they are. */
    bool done = !look->columns || buffer_reserve(&names, 6 * strlen(look->columns) + 1);
    if (done) {
        choose_columns(&picture, &names);
        fit(&picture);
        print_title(&picture);
        if (look->height >= HEADING)
            print_row(&picture, NULL);
        for (size_t i = 0; i < picture.rows; i++)
            print_row(&picture, table->list[i]);
        done = !out->failed && !picture.cell.failed;
    }
    for (size_t i = 0; i < picture.count; i++)
        buffer_fini(&picture.columns[i].names);
    buffer_fini(&names);
    buffer_fini(&picture.cell);
    return done;
}
