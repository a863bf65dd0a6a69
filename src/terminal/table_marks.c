/* Marks of rows of a table that have just come or changed. */
#include "terminal/table.h"

void table_unmark(struct table_row *row)
{
    struct table_mark *mark = row->mark;
    if (!mark)
        return;
    link_remove(&mark->link);
    memory_free(mark);
    row->mark = NULL;
}

void table_mark(struct table *table, struct table_row *row, struct span before)
{
    struct table_mark *mark = memory_alloc(sizeof *mark + before.length);
    if (!mark)
        return;
    *mark = (struct table_mark){.row = row,
                                .until_us = table->now_us + TABLE_MARK_US,
                                .came = !before.data,
                                .before = span_make(mark->bytes, before.length)};
    if (before.length)
        memcpy(mark->bytes, before.data, before.length);
    link_append(&table->marks, &mark->link);
    row->mark = mark;
}

bool table_expire(struct table *table, uint64_t now_us)
{
    bool any = false;
    while (!link_alone(&table->marks)) {
        struct table_mark *mark = (struct table_mark *)table->marks.next; /* its first member */
        if (mark->until_us > now_us)
            break;
        table_unmark(mark->row);
        any = true;
    }
    return any;
}
