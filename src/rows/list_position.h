/* The position of a row in a list: the newest seq comes first, of one seq the least key. */
#ifndef ROWS_LIST_POSITION_H
#define ROWS_LIST_POSITION_H

#include "base/seq.h"
#include "base/text.h"

#include <stdbool.h>

struct list_position {
    struct seq seq;
    struct text *key; /* one reference; NULL: no position at all */
};

/* One more reference. */
struct list_position list_position_ref(const struct list_position *position);
/* Give the reference back; the position is none afterwards. */
void list_position_unref(struct list_position *position);
/* Negative if the row of that seq and key comes before the position, 0 if it is the row of the
 * position, positive behind it. */
int list_position_compare(struct seq seq, struct span key, const struct list_position *position);

#endif
