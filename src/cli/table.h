/*
 * The rows of one subscription as a table: `stele subscribe --table`. It applies frames as any
 * client does, and orders the rows by the order that the server announced, by the same rules.
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "base/base.h"

enum {
    TABLE_ROWS = 1000000, /* more are refused */
    TABLE_DEPTH = 1100,   /* of frames */
    TABLE_PATH = 32       /* names in the path of a column */
};

struct table_row {
    struct span key, data, place; /* in `bytes`; data is the entity, canonical text */
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
};

void table_init(struct table *table);
void table_fini(struct table *table);
/* Apply a frame (JSON text; error messages change nothing). False if it is no frame, or there is
 * too much: the error has the reason. */
bool table_apply(struct table *table, struct span frame, struct error *error);

struct table_look {
    size_t width, height;
    const char *title;
    const char *columns; /* dotted paths with commas between; NULL: the members of the rows */
};
/* Append the picture: at most `height` lines, each ended by a newline and none wider than `width`.
 * False when out of memory. */
bool table_print(const struct table *table, const struct table_look *look, struct buffer *out);

#endif
