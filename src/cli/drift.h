/*
 * `stele check --url`: sums of views of two sides, each a server or a file, and the keys that
 * differ (docs/drift.md).
 *
 *   drift.c          the views, one after the other, and the outcome of all
 *   drift_compare.c  one view of two sides
 *   drift_keys.c     what two lists of keys have that differs
 *   drift_side.c     a server, or a file
 *   drift_print.c    what is found, for people and as JSON
 */
#ifndef CLI_DRIFT_H
#define CLI_DRIFT_H

#include "cli/ask.h"
#include "cli/command.h"
#include "database/database.h"
#include "rows/row_sum.h"
#include "store/store.h"
#include "view/view.h"

struct drift_options {
    const struct option_texts *urls, *views, *stacks;
    const struct access_options *access;
    const char *database, *config_file; /* NULL: none */
    int64_t wait;                       /* seconds */
    bool json;
};

/* Compare, and print; the exit code. */
int drift_check(const struct drift_options *options);

/* ---- a side ---- */

struct drift_side {
    const char *name;
    bool is_file;
    struct ask ask;            /* of a server */
    struct database *database; /* of a file */
    struct store_reader *reader;
    struct view_set *views;
};

/* drift_side_close is due in either case. */
bool drift_side_open_server(struct drift_side *side, const char *url,
                            const struct access_options *access, struct error *error);
bool drift_side_open_file(struct drift_side *side, const char *path, const char *config_file,
                          const struct option_texts *stacks, struct error *error);
void drift_side_close(struct drift_side *side);

/* An answer about a view. */
struct drift_sums {
    struct doc doc;
    struct seq seq;
    bool scoped;
    int64_t rows;
    struct span seq_text, sum, order; /* without quotes; order: absent if it has none */
    uint32_t parts, keys;             /* lists in doc; DOC_NONE */
};
void drift_sums_init(struct drift_sums *sums);
void drift_sums_fini(struct drift_sums *sums);
/* Ask for the sums of a view; with those of its parts, and the keys of some (NULL: none). */
bool drift_side_ask(struct drift_side *side, const char *view, bool parts, const char *keys,
                    struct drift_sums *sums, struct error *error);
/* The sum of the row of a raw key as it was at a seq, exactly; *found false: it was not there. */
bool drift_side_row_at(struct drift_side *side, const char *view, struct span key,
                       struct span seq_text, struct sum *sum, bool *found, struct error *error);
/* The HTTP status of the last answer of a server; 0 of a file. */
enum {
    DRIFT_WRONG = 400, /* the question: it is of no use to ask again */
    DRIFT_TOO_LARGE = 413
};
int drift_side_status(const struct drift_side *side);
/* Whether it says that the view shows one row, for which a key was to be named. */
bool drift_side_wants_key(const struct drift_side *side);

/* ---- keys ---- */

enum drift_is { DRIFT_SAME, DRIFT_CHANGED, DRIFT_FIRST, DRIFT_SECOND, DRIFT_MOVED };

struct drift_entry {
    struct span key;     /* JSON, in one of the docs */
    struct span sums[2]; /* absent: that side does not have it */
    int64_t places[2];   /* in the lists */
    enum drift_is is;
};
struct drift_entries {
    struct drift_entry *list;
    size_t count;
};
/* Join the keys of both. drift_entries_fini is due when true. */
bool drift_entries_make(struct drift_entries *entries, const struct drift_sums sums[2],
                        struct error *error);
void drift_entries_fini(struct drift_entries *entries);
/* Find the fewest rows whose move makes one order of the other; only rows that are the same on both
 * sides count. False when out of memory. */
bool drift_entries_find_moves(struct drift_entries *entries, struct error *error);

/* ---- a view ---- */

struct drift_key {
    struct text *key; /* JSON */
    enum drift_is is;
};
enum drift_verdict { DRIFT_EQUAL, DRIFT_DIFFERENT, DRIFT_UNKNOWN };
struct drift_found {
    enum drift_verdict verdict;
    bool again;           /* another attempt may know more */
    enum drift_is behind; /* EQUAL: the side at whose seq the rows were; DRIFT_SAME: at both */
    bool order_untold;    /* EQUAL: the rows are, and their order could not be compared */
    bool wants_key;       /* UNKNOWN: the first side has one row of it, named by its key */
    char why[ERROR_MESSAGE_SIZE];
    int64_t rows[2];
    char seqs[2][SEQ_SIZE];
    bool order_differs;
    struct drift_key *keys;
    size_t count, capacity;
    size_t untold; /* keys of which it could not be told */
};
void drift_found_clear(struct drift_found *found);
/* Of what differs, keep what differed before, too; nothing is left: UNKNOWN. */
void drift_found_confirm(struct drift_found *found, const struct drift_found *before);
/* One attempt. */
void drift_compare(struct drift_side sides[2], const char *view, struct drift_found *found);

/* ---- in print ---- */

void drift_print_sums(const char *view, const struct drift_sums *sums, int width, bool json);
void drift_print_found(const char *view, const struct drift_found *found, int width, bool json);

#endif
