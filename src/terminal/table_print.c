/* The picture of a table: as many rows and columns as there is room for. */
#include "terminal/table_scroll.h"

#include <stdio.h>

enum {
    NARROWEST = 6, /* no cell is cut to less */
    HEADING = 2,   /* lines: title, names */
    GUTTER = 3     /* in front of a row that may be selected and marked */
};

#define STYLE_OFF "\033[0m"
#define STYLE_BOLD "\033[1m"
#define STYLE_REVERSE "\033[7m"
#define STYLE_YELLOW "\033[33m"
#define STYLE_GREEN "\033[32m"

struct picture {
    const struct table *table;
    const struct table_look *look;
    struct columns columns;
    size_t first, end; /* of the columns besides the key that are shown */
    size_t top, rows;  /* that are shown */
    size_t width;      /* without the gutter */
    struct buffer cell;
    struct buffer *out;
};

static const struct table_row *row_at(const struct picture *picture, size_t line)
{
    return picture->table->list[picture->top + line];
}

/* ---- columns ---- */

static void choose_columns(struct picture *picture)
{
    const struct table *table = picture->table;
    struct columns *columns = &picture->columns;
    columns_add(columns, NULL, 0);
    if (picture->look->columns.names)
        columns_add_wanted(columns, picture->look->columns.names);
    else if (table->order)
        columns_add(columns, table->sort, table->sort_count);
    columns_set_times(columns, &picture->look->columns);
    for (size_t i = 0; i < picture->rows && !picture->look->columns.names; i++)
        columns_add_members(columns, row_at(picture, i)->data, false);
}

static struct span read_cell(struct picture *picture, const struct column *column,
                             const struct table_row *row, bool *number)
{
    return column_cell(column, row->key, row->data, &picture->cell, number);
}

static void measure(struct picture *picture, struct column *column)
{
    column->width = cell_width(buffer_span(&column->heading));
    for (size_t i = 0; i < picture->rows; i++) {
        bool number;
        size_t width = cell_width(read_cell(picture, column, row_at(picture, i), &number));
        column->text = column->text || !number;
        if (width > column->width)
            column->width = width;
    }
    if (column->width > COLUMN_WIDEST)
        column->width = COLUMN_WIDEST;
}

/* Whether there is room for the column, which may be cut; false: none. */
static bool fit_column(struct picture *picture, struct column *column, size_t gap, size_t *left)
{
    measure(picture, column);
    size_t least = column->width < NARROWEST ? column->width : NARROWEST;
    if (gap && *left < gap + least)
        return false;
    if (column->width > *left - gap) {
        column->width = *left - gap;
        if (picture->look->scroll)
            picture->look->scroll->more_columns = true;
    }
    *left -= gap + column->width;
    return true;
}

/* The key, and columns from the first that is wanted, as long as there is room. */
static void fit(struct picture *picture)
{
    struct columns *columns = &picture->columns;
    struct table_scroll *scroll = picture->look->scroll;
    size_t left = picture->width, last = columns->count > 2 ? columns->count - 2 : 0;
    if (scroll) {
        scroll->left = scroll->left < last ? scroll->left : last;
        scroll->more_columns = false;
    }
    picture->first = picture->end = 1 + (scroll ? scroll->left : 0);
    if (!fit_column(picture, columns->list[0], 0, &left))
        return;
    while (picture->end < columns->count &&
           fit_column(picture, columns->list[picture->end], COLUMN_GAP, &left))
        picture->end++;
    if (scroll) /* the last one by itself has all the room that there is */
        scroll->more_columns = (scroll->more_columns || picture->end < columns->count) &&
                               picture->first + 1 < columns->count;
}

/* ---- the lines ---- */

/* Blanks at its end are no part of it, unless they have a look. */
static void end_line(struct buffer *out, size_t from)
{
    while (out->length > from && out->data[out->length - 1] == ' ')
        out->length--;
    buffer_add_char(out, '\n');
}

static bool has_changed(const struct column *column, const struct table_row *row)
{
    const struct table_mark *mark = row->mark;
    if (!mark || mark->came || !column->path_count)
        return mark && mark->came;
    struct span now = column_value(column, row->data), before = column_value(column, mark->before);
    return !now.data != !before.data || !span_equal(now, before);
}

static void add_style(struct picture *picture, const struct column *column,
                      const struct table_row *row, bool selected)
{
    buffer_add_string(picture->out, selected ? STYLE_REVERSE : "");
    if (!has_changed(column, row))
        return;
    buffer_add_string(picture->out, STYLE_BOLD);
    if (picture->look->colours)
        buffer_add_string(picture->out, row->mark->came ? STYLE_GREEN : STYLE_YELLOW);
}

static bool is_selected(const struct picture *picture, const struct table_row *row)
{
    const struct table_scroll *scroll = picture->look->scroll;
    return scroll && scroll->selects && span_equal(buffer_span(&scroll->key), row->key);
}

/* `row` NULL: the headings. */
static void print_cell(struct picture *picture, size_t index, const struct table_row *row,
                       bool selected)
{
    struct column *column = picture->columns.list[index];
    bool number, styled = row && (selected || (picture->look->scroll && row->mark));
    struct span text =
        row ? read_cell(picture, column, row, &number) : buffer_span(&column->heading);
    for (int gap = 0; index && gap < COLUMN_GAP; gap++)
        buffer_add_char(picture->out, ' ');
    if (styled)
        add_style(picture, column, row, selected);
    cell_pad(picture->out, text, column->width, !column->text && column->path_count);
    if (styled)
        buffer_add_string(picture->out, STYLE_OFF);
}

static void print_row(struct picture *picture, const struct table_row *row)
{
    struct buffer *out = picture->out;
    size_t from = out->length;
    bool selected = row && is_selected(picture, row);
    if (picture->look->scroll && picture->width < picture->look->width)
        buffer_printf(out, "%c%c ", selected ? '>' : ' ',
                      !row || !row->mark ? ' '
                      : row->mark->came  ? '+'
                                         : '*');
    print_cell(picture, 0, row, selected);
    for (size_t i = picture->first; i < picture->end; i++)
        print_cell(picture, i, row, selected);
    end_line(out, from);
}

static void add_rows(struct picture *picture)
{
    size_t count = picture->table->count;
    if (picture->rows >= count)
        buffer_printf(&picture->cell, "%zu row%s", count, count == 1 ? "" : "s");
    else if (!picture->top)
        buffer_printf(&picture->cell, "the first %zu of %zu rows", picture->rows, count);
    else
        buffer_printf(&picture->cell, "rows %zu-%zu of %zu", picture->top + 1,
                      picture->top + picture->rows, count);
}

static void print_title(struct picture *picture)
{
    const struct table_look *look = picture->look;
    struct buffer *out = picture->out;
    size_t from = out->length, besides = picture->columns.count - 1;
    buffer_clear(&picture->cell);
    cell_fit(&picture->cell, span_of(look->title));
    buffer_add_string(&picture->cell, "  ");
    add_rows(picture);
    if (look->scroll && picture->end > picture->first &&
        (picture->first > 1 || picture->end <= besides))
        buffer_printf(&picture->cell, "  columns %zu-%zu of %zu", picture->first, picture->end - 1,
                      besides);
    if (look->state) {
        buffer_add_string(&picture->cell, "  ");
        cell_fit(&picture->cell, span_of(look->state));
    }
    cell_pad(out, buffer_span(&picture->cell), look->width, false);
    end_line(out, from);
}

static void set_part(struct picture *picture)
{
    const struct table_look *look = picture->look;
    size_t room = look->height > HEADING ? look->height - HEADING : 0;
    bool has_gutter = look->scroll && look->width > GUTTER + NARROWEST;
    picture->top = look->scroll ? table_scroll_top(look->scroll, picture->table, room) : 0;
    size_t behind = picture->table->count - picture->top;
    picture->rows = behind < room ? behind : room;
    picture->width = look->width - (has_gutter ? GUTTER : 0);
}

bool table_print(const struct table *table, const struct table_look *look, struct buffer *out)
{
    struct picture picture = {.table = table, .look = look, .out = out};
    buffer_init(&picture.cell, UINT32_MAX);
    columns_init(&picture.columns);
    set_part(&picture);
    choose_columns(&picture);
    bool done = !picture.columns.failed;
    if (done) {
        fit(&picture);
        print_title(&picture);
        if (look->height >= HEADING)
            print_row(&picture, NULL);
        for (size_t i = 0; i < picture.rows; i++)
            print_row(&picture, row_at(&picture, i));
        done = !out->failed && !picture.cell.failed;
    }
    columns_fini(&picture.columns);
    buffer_fini(&picture.cell);
    return done;
}
