#include "rows/list_position.h"

#include "base/invariant.h"

struct list_position list_position_ref(const struct list_position *position)
{
    text_ref(position->key);
    return *position;
}

void list_position_unref(struct list_position *position)
{
    text_unref(position->key);
    *position = (struct list_position){.key = NULL};
}

int list_position_compare(struct seq seq, struct span key, const struct list_position *position)
{
    INVARIANT(position->key);
    int order = seq_compare(position->seq, seq);
    return order ? order : span_compare(key, text_span(position->key));
}
