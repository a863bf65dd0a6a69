#include "terminal/table_scroll.h"

void table_scroll_init(struct table_scroll *scroll)
{
    *scroll = (struct table_scroll){.selects = false};
    buffer_init(&scroll->key, UINT32_MAX);
}

void table_scroll_fini(struct table_scroll *scroll)
{
    buffer_fini(&scroll->key);
}

static size_t less(size_t number, size_t by)
{
    return number > by ? number - by : 0;
}

/* Where the selected row stands now; of one that is gone, what took its place. */
static void follow(struct table_scroll *scroll, const struct table *table)
{
    const struct table_row *row =
        scroll->selects ? map_get(&table->by_key, buffer_span(&scroll->key)) : NULL;
    if (row)
        scroll->index = table_index(table, row);
    else if (scroll->index >= table->count)
        scroll->index = less(table->count, 1);
}

static void keep_key(struct table_scroll *scroll, const struct table *table)
{
    if (!table->count)
        return;
    buffer_clear(&scroll->key);
    scroll->selects = buffer_add_span(&scroll->key, table->list[scroll->index]->key);
}

/* By so many rows; the selection takes the line that it moves to, as long as there is one. */
static void move(struct table_scroll *scroll, const struct table *table, bool down, size_t by)
{
    size_t last = less(table->count, 1), from = scroll->index;
    size_t to = !down ? less(from, by) : last - from < by ? last : from + by;
    scroll->line = down ? scroll->line + (to - from) : less(scroll->line, from - to);
    scroll->index = to;
}

static void move_page(struct table_scroll *scroll, const struct table *table, bool down)
{
    size_t line = scroll->line;
    move(scroll, table, down, scroll->rows ? scroll->rows : 1);
    scroll->line = line; /* the page moves, not the selection on it */
}

static bool move_row(struct table_scroll *scroll, const struct table *table, enum key key)
{
    bool begins = !scroll->selects;
    follow(scroll, table);
    if (begins)
        scroll->index = scroll->line = 0;
    if (key == KEY_UP || key == KEY_DOWN)
        move(scroll, table, key == KEY_DOWN, begins ? 0 : 1);
    else if (key == KEY_PAGE_UP || key == KEY_PAGE_DOWN)
        move_page(scroll, table, key == KEY_PAGE_DOWN);
    else
        move(scroll, table, key == KEY_END, table->count);
    keep_key(scroll, table);
    return true;
}

bool table_scroll_move(struct table_scroll *scroll, const struct table *table, enum key key)
{
    switch (key) {
    case KEY_UP:
    case KEY_DOWN:
    case KEY_PAGE_UP:
    case KEY_PAGE_DOWN:
    case KEY_HOME:
    case KEY_END:
        return move_row(scroll, table, key);
    case KEY_LEFT:
        scroll->left = less(scroll->left, 1);
        return true;
    case KEY_RIGHT:
        scroll->left += scroll->more_columns;
        return true;
    case KEY_ESCAPE:
        scroll->selects = false;
        return true;
    default:
        return false;
    }
}

size_t table_scroll_top(struct table_scroll *scroll, const struct table *table, size_t rows)
{
    scroll->rows = rows;
    if (!scroll->selects || !rows || !table->count) {
        scroll->index = scroll->line = 0;
        return 0;
    }
    follow(scroll, table);
    if (table->marking) /* else it may come yet, in the rest of a snapshot */
        keep_key(scroll, table);
    if (scroll->line >= rows)
        scroll->line = rows - 1;
    size_t top = less(scroll->index, scroll->line), last = less(table->count, rows);
    if (top > last)
        top = last;
    scroll->line = scroll->index - top;
    return top;
}
