/* The position of a row in a list: the newest seq comes first, of one seq the least key. */
#ifndef ROWS_LIST_POSITION_H
#define ROWS_LIST_POSITION_H

#include "base/invariant.h"
#include "base/seq.h"
#include "base/text.h"

#include <stdbool.h>

struct list_position {
    struct seq seq;
    struct text *key; /* one reference; NULL: no position at all */
};

/* One more reference. */
static inline struct list_position list_position_ref(const struct list_position *position)
{
    text_ref(position->key);
    return *position;
}

/* Give the reference back; the position is none afterwards. */
static inline void list_position_unref(struct list_position *position)
{
    text_unref(position->key);
    *position = (struct list_position){.key = NULL};
}

/* Negative if the row of that seq and key comes before the position, 0 if it is the row of the
 * position, positive behind it. */
static inline int list_position_compare(struct seq seq, struct span key,
                                        const struct list_position *position)
{
    INVARIANT(position->key);
    int order = seq_compare(position->seq, seq);
    return order ? order : span_compare(key, text_span(position->key));
}

#endif
