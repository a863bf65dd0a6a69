/*
 * Finding those that a row is for by the row's label (view.h), so that a change costs who sees it
 * and not who watches. A target (a topic, or a window of a derived view) stands in one list for
 * each label that its scope sees; one that sees every row stands in a list of its own.
 *
 * Of the loop thread.
 */
#ifndef ROWS_LABEL_INDEX_H
#define ROWS_LABEL_INDEX_H

#include "base/base.h"
#include "base/link.h"
#include "rows/row_scope.h"

struct label_index {
    struct link everything; /* label_place.in_list: of those that see every row */
    struct map labels;      /* struct label_list by label */
};

struct label_list;

/* The entry of a target in one list. */
struct label_entry {
    struct link in_list;
    struct label_list *list; /* NULL: of those that see every row */
    void *target;
};

/* All of a target's entries. Embedded in it; all zeroes: in no index. */
struct label_member {
    struct label_entry *entries;
    size_t count;
};

void label_index_init(struct label_index *index);
/* Nobody may be in it. */
void label_index_fini(struct label_index *index);
/* `scope` NULL: every row is for it. False when out of memory; it is in no list then. */
bool label_index_add(struct label_index *index, struct label_member *member, void *target,
                     const struct row_scope *scope);
void label_index_remove(struct label_index *index, struct label_member *member);
/* The entries of those that see rows with this label, but of those that see all; NULL: nobody does,
 * or the label is absent. */
struct link *label_index_find(const struct label_index *index, struct span label);

#endif
