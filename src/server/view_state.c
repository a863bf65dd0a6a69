/* The log and one view's export at the beginning of a read. */
#include "server/view_state.h"

bool view_state_read(struct view_state *state, const struct view *view, struct store_reader *reader,
                     struct error *error)
{
    return store_read_log(reader, &state->log, error) &&
           store_read_export(reader, span_of(view->export_name), &state->export, &state->found,
                             error);
}
