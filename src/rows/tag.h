/* Numbers that name a request or a view, and outlive the process: for ETags and epochs. Pure. */
#ifndef ROWS_TAG_H
#define ROWS_TAG_H

#include "base/base.h"
#include "view/view.h"

#define TAG_START UINT64_C(14695981039346656037)

uint64_t tag_fold(uint64_t hash, struct span bytes);
static inline void tag_number(uint64_t *hash, int64_t number)
{
    *hash = tag_fold(*hash, span_make((const char *)&number, sizeof number));
}
/* An absent span has another number than an empty one. */
static inline void tag_span(uint64_t *hash, struct span span)
{
    tag_number(hash, span.data ? (int64_t)span.length : -1);
    *hash = tag_fold(*hash, span);
}
void tag_view(uint64_t *hash, const struct view *view);

#endif
