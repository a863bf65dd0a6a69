/*
 * The parts of `stele get`: get.c has its command line, get_pages.c asks a server for the rows,
 * page by page, get_file.c reads them from a database, get_print.c prints them.
 */
#ifndef CLI_GET_H
#define CLI_GET_H

#include "cli/access.h"
#include "terminal/columns.h"

enum get_form { GET_JSON, GET_CSV, GET_TABLE };

struct get_options {
    struct option_texts operands; /* the view */
    struct access_options access;
    const char *url, *database, *config_file;
    const char *key, *where, *as_of, *columns;
    struct option_texts stacks, filters, sorts, times;
    int64_t take, skip; /* negative: not given */
    int64_t page;       /* rows; 0: not given */
    bool json, csv, table;
};

static inline struct column_choice get_columns(const struct get_options *options)
{
    return (struct column_choice){options->columns, options->times.items, options->times.count};
}

/* ---- printing ---- */

struct get_print {
    const struct get_options *options;
    enum get_form form;
    bool on_terminal;
    bool begun; /* the columns are chosen, and their names printed */
    struct columns columns;
    size_t shown;        /* columns of a table for which there is room */
    int64_t cut_rows;    /* that have members without a column */
    char cut_member[64]; /* one of these, canonical */
    struct buffer line, cell;
    struct buffer key; /* of the row that was printed last */
};

/* get_print_fini is due. */
void get_print_init(struct get_print *print, const struct get_options *options);
void get_print_fini(struct get_print *print);
/* Print a list of rows. False with the error. */
bool get_print_rows(struct get_print *print, const struct doc *doc, uint32_t rows,
                    struct error *error);
/* All rows were printed, or none: what is left to print. False with the error if something of the
 * rows is missing. */
bool get_print_end(struct get_print *print, struct error *error);
/* The row of the key is not there. Always false. */
bool get_lacks_row(const struct get_options *options, struct error *error);

/* ---- asking ---- */

/* Print what is asked for, of a server or of a database. False with the error, also when rows were
 * printed that are not all, or not of one state. */
bool get_of_server(const struct get_options *options, struct get_print *print, struct error *error);
bool get_of_file(const struct get_options *options, struct get_print *print, struct error *error);

#endif
