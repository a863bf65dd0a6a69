/* Numbers that name a request or a view, and outlive the process: for ETags and epochs. Pure. */
#ifndef ROWS_TAG_H
#define ROWS_TAG_H

#include "base/base.h"
#include "view/view.h"

#define TAG_START UINT64_C(14695981039346656037)

uint64_t tag_fold(uint64_t hash, struct span bytes);
void tag_number(uint64_t *hash, int64_t number);
/* An absent span has another number than an empty one. */
void tag_span(uint64_t *hash, struct span span);
void tag_view(uint64_t *hash, const struct view *view);

#endif
