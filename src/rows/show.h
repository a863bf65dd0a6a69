/* An object as a view shows it: pure. */
#ifndef ROWS_SHOW_H
#define ROWS_SHOW_H

#include "base/base.h"
#include "view/view.h"

/* A seq as text, into room of SEQ_SIZE bytes. */
static inline struct span frame_seq(char *text, struct seq seq)
{
    return span_make(text, seq_print(text, seq));
}
/* An object, or a change's append paths, as the view shows them: borrowed from the argument or from
 * `scratch`. False when out of memory. Any thread. */
bool frame_show(const struct view *view, struct span object, struct buffer *scratch,
                struct span *shown);
bool frame_show_append(const struct view *view, struct span append, struct buffer *scratch,
                       struct span *shown);

#endif
