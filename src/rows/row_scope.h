/*
 * The rows of scoped exports that a client may see: the public ones, and those whose scope is among
 * the values in its token. Two clients with the same values have one struct row_scope, so their
 * frames can be shared.
 *
 * NULL means everywhere that rows are not scoped, and all are seen. The loop thread alone counts
 * references; readers may read a row_scope that a job on the loop's side holds.
 */
#ifndef ROWS_ROW_SCOPE_H
#define ROWS_ROW_SCOPE_H

#include "auth/auth.h"
#include "backlog/backlog.h"
#include "base/map.h"
#include "store/store.h"
#include "view/view.h"

struct row_scope {
    struct map *registry;
    size_t references;
    bool all; /* it sees all rows, also those that nobody else does; it has no labels */
    /* Those of the rows that it sees: the public one, then each value, as canonical JSON texts in
     * `name`, in order of bytes. */
    struct span *labels;
    size_t label_count;
    size_t name_length;
    char *name; /* the values, with commas between */
};

/* `all`: the map of them, by row_scope_name; it outlives them. */

/* The row scope of this identity (NULL: an unknown client); one reference. NULL when out of
 * memory. */
struct row_scope *row_scope_get(struct map *all, const struct auth_identity *identity);
/* All rows, also those that nobody sees; one reference. NULL when out of memory. */
struct row_scope *row_scope_get_all(struct map *all);
/* The rows that at least one of two sees; one reference. NULL when out of memory. */
struct row_scope *row_scope_join(struct map *all, const struct row_scope *one,
                                 const struct row_scope *other);
/* NULL is allowed. */
struct row_scope *row_scope_ref(struct row_scope *scope);
void row_scope_unref(struct row_scope *scope);
/* Its key in the map of all: a text that no other has. */
struct span row_scope_name(const void *scope);

/* Whether a row with this label (view.h) is seen; one without a label is not. */
bool row_scope_sees(const struct row_scope *scope, struct span label);
/* Whether an entity of the view's export is seen. */
static inline bool row_scope_shows(const struct row_scope *scope, const struct view *view,
                                   struct span entity)
{
    return !scope || (view->scope && row_scope_sees(scope, view_scope_label(view->scope, entity)));
}

/* Whether the row was seen before a change, and is seen behind it. */
struct sight {
    bool before, after;
};
struct sight row_scope_sight(const struct row_scope *scope, const struct change *change);
struct sight row_scope_log_sight(const struct row_scope *scope, const struct store_change *change);

#endif
