/*
 * Reading the visible rows of scoped exports: by label if that is kept, so that the rows of others
 * cost nothing. On a reader, in its transaction. The rules of the scans are those of store.h.
 */
#ifndef ROWS_SCOPED_SCAN_H
#define ROWS_SCOPED_SCAN_H

#include "rows/row_scope.h"
#include "store/stage.h"
#include "store/store.h"
#include "view/view.h"

/* The rows that at least one of two sees. */
struct scoped {
    const struct row_scope *scope; /* NULL: rows are not scoped */
    const struct row_scope *was;   /* NULL: only the first counts */
};

/* Whether rows of a view can be read by label, where there is a stage for that (NULL: none): its
 * number in the database, or 0. */
bool scoped_find_rows(struct scoped scoped, const struct view_stage *by_label,
                      struct store_reader *reader, int64_t *stage, struct error *error);
/* Rows of that stage, at least the visible ones, at their sort keys in the view's order. */
bool scoped_scan_rows(struct scoped scoped, struct store_reader *reader, int64_t stage,
                      struct span after, int64_t limit, store_each_row each, void *argument,
                      struct error *error);
/* Changes and tombstones of an export, at least the visible ones. `key` as in
 * store_scan_changes. */
bool scoped_scan_changes(struct scoped scoped, struct store_reader *reader, uint32_t export_id,
                         struct span key, int64_t from, int64_t to, bool with_entities,
                         store_each_change each, void *argument, struct error *error);
bool scoped_scan_tombstones(struct scoped scoped, struct store_reader *reader, uint32_t export_id,
                            int64_t before, int64_t limit,
                            bool (*each)(void *argument, const struct store_tombstone *tombstone),
                            void *argument, struct error *error);

#endif
