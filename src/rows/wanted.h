/* Whether a view can be asked for what a client wants of it: a part, an order, a condition. Pure.
 */
#ifndef ROWS_WANTED_H
#define ROWS_WANTED_H

#include "view/view.h"
#include "wire/wire.h"

/* All are false with ERROR_INVALID_PARAMETER, which says what the view does not do. */

/* The part: take, skip and key. `max_rows`: that a window may have. */
bool wanted_check(const struct view *view, const struct wire_subscribe *wanted, int64_t max_rows,
                  struct error *error);
/* Whether a query may put the view's rows in an order. */
bool wanted_may_sort(const struct view *view, struct error *error);
/* A query, which was read for this view. */
bool wanted_check_query(const struct view *view, const struct view_query *query,
                        struct error *error);

#endif
