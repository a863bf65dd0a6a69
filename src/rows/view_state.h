/* The state that every reader of a view reads first, on its own thread and in its own
 * transaction. */
#ifndef ROWS_VIEW_STATE_H
#define ROWS_VIEW_STATE_H

#include "store/store.h"
#include "view/view.h"

struct view_state {
    struct store_log_state log;
    bool found; /* the view's export exists: it was fed */
    struct store_export export;
};

/* The log and the view's export as the open read transaction sees them. */
bool view_state_read(struct view_state *state, const struct view *view, struct store_reader *reader,
                     struct error *error);

/*
 * The cursor of a client that has the whole state: a seq from which the log leads on. It is that of
 * the export's newest change. It is an older one if a late arrival came last whose seq some trimmed
 * change may have had: behind that cursor the late arrivals come again.
 */
struct seq view_state_cursor(const struct view_state *state);
/* Whether a seq is one of a late arrival that is not later than the trimmed changes. */
bool view_state_is_late(const struct view_state *state, struct seq seq);

#endif
