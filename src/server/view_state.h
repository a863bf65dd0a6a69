/* What every reader of a view asks first, on its own thread and in its own transaction. */
#ifndef SERVER_VIEW_STATE_H
#define SERVER_VIEW_STATE_H

#include "store/store.h"
#include "view/view.h"

struct view_state {
    struct store_log_state log;
    bool found; /* the view's export is there: it was fed */
    struct store_export export;
};

/* The log and the view's export as the open read transaction sees them. */
bool view_state_read(struct view_state *state, const struct view *view, struct store_reader *reader,
                     struct error *error);

#endif
