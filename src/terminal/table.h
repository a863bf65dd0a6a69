/*
 * The rows of one subscription as a table: `stele subscribe --table`. It applies frames as any
 * client does, and orders the rows by the order that the server announced, by the same rules.
 */
#ifndef TERMINAL_TABLE_H
#define TERMINAL_TABLE_H

#include "base/link.h"
#include "terminal/columns.h"

struct table_scroll;

enum {
    TABLE_ROWS = 1000000, /* more are refused */
    TABLE_DEPTH = 1100,   /* of frames */
    TABLE_PATH = 32       /* names in the path of the order */
};
#define TABLE_MARK_US ((uint64_t)3 * 1000 * 1000) /* for how long a change is marked */

struct table_row {
    struct span key, data, place; /* in `bytes`; data is the entity, canonical text */
    struct table_mark *mark;      /* it has just come or changed; NULL: not so */
    char bytes[];
};

struct table_mark {
    struct link link; /* in table.marks, the oldest first */
    struct table_row *row;
    uint64_t until_us;
    bool came;          /* else it changed: */
    struct span before; /* what it was, in `bytes` */
    char bytes[];
};

struct table {
    struct table_row **list; /* in order of place */
    size_t count, capacity;
    struct map by_key;
    /* The order: newest first unless another one was announced. */
    struct view_query *order;     /* of values; NULL: by seq */
    struct buffer sort_text;      /* what these point into: */
    struct span sort[TABLE_PATH]; /* the names of the first key */
    size_t sort_count;
    struct link marks;
    bool marking;    /* what comes now is a change, and no part of a first snapshot */
    uint64_t now_us; /* the time of the next frame, which who applies frames sets; monotonic */
};

void table_init(struct table *table);
void table_fini(struct table *table);
/* Apply a frame (JSON text; error messages change nothing). False if it is no frame, or there is
 * too much: the error has the reason. */
bool table_apply(struct table *table, struct span frame, struct error *error);

/* The index at which a row of the table stands. */
size_t table_index(const struct table *table, const struct table_row *row);

/* Marks that have stood long enough go; whether there were any. */
bool table_expire(struct table *table, uint64_t now_us);

struct table_look {
    size_t width, height;
    const char *title;
    struct column_choice columns;
    struct table_scroll *scroll; /* what is shown, and selected; NULL: the first rows, unmarked */
    const char *state;           /* for the end of the title; NULL: nothing */
    bool colours;
};
/* Append the picture: at most `height` lines, each ended by a newline and none wider than `width`.
 * With a scroll it has marks, and sequences that set the look of cells. False when out of memory.
 */
bool table_print(const struct table *table, const struct table_look *look, struct buffer *out);

#endif
