/*
 * A seq: a position in the order of producers, and as text the cursor of clients: "{slot}:{index}",
 * the index zero-padded to 12 digits. Both numbers are within 0 … 2^63 - 1. Producers may use them
 * up to SEQ_GIVEN, so the server can always assign a greater one.
 */
#ifndef BASE_SEQ_H
#define BASE_SEQ_H

#include "base/span.h"

#include <stdint.h>

struct seq {
    int64_t slot, index;
};

#define SEQ_GIVEN (INT64_MAX - 1)

/* Numeric order by (slot, index): negative, 0 or positive. */
static inline int seq_compare(struct seq a, struct seq b)
{
    if (a.slot != b.slot)
        return a.slot < b.slot ? -1 : 1;
    return (a.index > b.index) - (a.index < b.index);
}

enum { SEQ_SIZE = 44 };
/* Print into `out`, which holds SEQ_SIZE bytes, and end it with a NUL; returns the length. */
size_t seq_print(char *out, struct seq seq);
/* Strict: digits ':' digits and nothing else. */
bool seq_parse(struct span text, struct seq *seq);

#endif
