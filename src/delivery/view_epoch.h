/*
 * The epoch that is told along with the cursors of a view: the database's; where rows are scoped, a
 * part for by what and for whom, because there a cursor is good for the same rows only; and a part
 * for what the view shows, so that cursors of another definition are told from those of this one,
 * also where nothing was fed between the two:
 *
 *   <database>[-<scope, 16 digits>][.<view, 8 digits>]
 */
#ifndef DELIVERY_VIEW_EPOCH_H
#define DELIVERY_VIEW_EPOCH_H

#include "delivery/hub.h"
#include "rows/resume_query.h"
#include "rows/row_scope.h"

enum { VIEW_EPOCH = HUB_EPOCH };

struct hub;

/* Borrowed from `text`, or from the engine. */
const char *view_epoch(const struct hub *hub, const struct view *view,
                       const struct row_scope *scope, char text[VIEW_EPOCH]);

/* The part for the scope, which must be there. */
uint64_t view_epoch_scope(const struct view *view, const struct row_scope *scope);

/* Whether a cursor of that epoch (NULL: not told) can be of use at all. */
bool view_epoch_fits(const struct hub *hub, const struct view *view, const struct row_scope *scope,
                     const char *epoch, struct cursor_origin *origin);

/* Whether that epoch is of this database, perhaps of another view or other rows: then a cursor of
 * it has a place in its log. Not told, it may be. */
bool view_epoch_is_own(const struct hub *hub, const char *epoch);

#endif
