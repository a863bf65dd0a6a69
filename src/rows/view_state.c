/* The log and one view's export at the beginning of a read. */
#include "rows/view_state.h"

bool view_state_read(struct view_state *state, const struct view *view, struct store_reader *reader,
                     struct error *error)
{
    return store_read_log(reader, &state->log, error) &&
           store_read_export(reader, span_of(view->export_name), &state->export, &state->found,
                             error);
}

bool view_state_is_late(const struct view_state *state, struct seq seq)
{
    const struct store_export *export = &state->export;
    return export->floor_change > 0 && seq_compare(seq, export->floor_seq) <= 0;
}

/* The greatest seq is good while its change is kept. Else the newest of what was trimmed may be:
 * behind it the log is whole. */
struct seq view_state_cursor(const struct view_state *state)
{
    const struct store_export *export = &state->export;
    if (!state->found)
        return (struct seq){0, 0};
    if (!export->last_seq_shared || !view_state_is_late(state, export->last_seq))
        return export->last_seq;
    if (!view_state_is_late(state, export->head))
        return export->head;
    return export->trimmed_seq_shared ? export->last_seq : export->trimmed_seq;
}
