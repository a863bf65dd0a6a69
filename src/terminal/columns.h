/* Columns of rows: which there are, and what each has of a row. */
#ifndef TERMINAL_COLUMNS_H
#define TERMINAL_COLUMNS_H

#include "json/json.h"

enum {
    COLUMN_PATH = 32,    /* names in the path of a column */
    COLUMNS_MOST = 1000, /* of a table; further members have none */
    COLUMN_WIDEST = 40,  /* no cell of a table is wider */
    COLUMN_GAP = 2,      /* between columns */
    COLUMN_DEPTH = 1100  /* of rows */
};

struct column {
    struct buffer names; /* what the path points into */
    struct span path[COLUMN_PATH];
    size_t path_count;     /* 0: the key */
    struct buffer heading; /* the dotted path, fit for a terminal */
    bool is_time;          /* its values are shown as times */
    /* for who prints: */
    size_t width;
    bool text; /* something in it is no number */
};

/* Which columns a user wants. The texts are borrowed. */
struct column_choice {
    const char *names;        /* dotted paths with commas between; NULL: the members of the rows */
    const char *const *times; /* paths of columns that are times */
    size_t time_count;
};

struct columns {
    struct column **list;
    size_t count, capacity;
    bool failed; /* out of memory */
};

void columns_init(struct columns *columns);
void columns_fini(struct columns *columns);
/* Add a column that is not there yet; names are canonical. No names: the key. */
void columns_add(struct columns *columns, const struct span *path, size_t count);
/* Whether names that were typed are usable. */
bool columns_check(const struct column_choice *choice, struct error *error);
/* Those of "a.b,c". */
void columns_add_wanted(struct columns *columns, const char *wanted);
/* The members of a row, without objects and arrays unless `containers`. */
void columns_add_members(struct columns *columns, struct span data, bool containers);
/* Those that the user wants to see as times are; those that are not there are added. */
void columns_set_times(struct columns *columns, const struct column_choice *choice);
bool columns_have(const struct columns *columns, const struct span *path, size_t count);

/* What it has of a row: canonical text; absent: nothing, or it is the column of the key. */
struct span column_value(const struct column *column, struct span data);
/* The same as a cell of a table, in `cell`. *number: it is one, or there is nothing. */
struct span column_cell(const struct column *column, struct span key, struct span data,
                        struct buffer *cell, bool *number);
/* Append its dotted path, or "key". */
void column_add_name(struct buffer *out, const struct column *column);
/* Append the text of a value: a string decoded, anything else as JSON. */
void column_add_text(struct buffer *out, struct span value);

#endif
