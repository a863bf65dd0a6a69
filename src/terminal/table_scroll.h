/*
 * The part of a table that is shown. A selected row stays on its line of the screen while others
 * come and go; without one the first rows are shown.
 */
#ifndef TERMINAL_TABLE_SCROLL_H
#define TERMINAL_TABLE_SCROLL_H

#include "terminal/table.h"
#include "terminal/terminal.h"

struct table_scroll {
    bool selects;
    struct buffer key; /* of the selected row, */
    size_t index;      /* ... where it stood last, */
    size_t line;       /* ... and on which line that was */
    size_t left;       /* columns besides the key that are passed over */
    /* of the last picture: */
    size_t rows;       /* lines for rows */
    bool more_columns; /* on the right */
};

void table_scroll_init(struct table_scroll *scroll);
void table_scroll_fini(struct table_scroll *scroll);
/* A key was typed; whether it is one that moves. */
bool table_scroll_move(struct table_scroll *scroll, const struct table *table, enum key key);
/* The index of the first row of a picture with so many lines for rows. */
size_t table_scroll_top(struct table_scroll *scroll, const struct table *table, size_t rows);

#endif
