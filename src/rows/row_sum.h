/* The sum of a row, and numbers that such sums add up to (docs/drift.md). Pure. */
#ifndef ROWS_ROW_SUM_H
#define ROWS_ROW_SUM_H

#include "base/base.h"

enum { SUM_BYTES = 32, SUM_DIGITS = 2 * SUM_BYTES };

/* A number of 256 bits, most significant byte first. */
struct sum {
    unsigned char bytes[SUM_BYTES];
};

struct row_sum {
    struct sum key; /* SHA-256 of the key; its first byte is the part that the row is in */
    struct sum row; /* ... of the text of the row */
};

/* Of a row as its view shows it, an object. `scratch` is overwritten. False when out of memory. */
bool row_sum_make(struct row_sum *sum, struct span key, struct span row, struct buffer *scratch);
/* Modulo 2^256. */
void sum_add(struct sum *sum, const struct sum *other);
/* The next link of the chain over keys that stands for the order. False when out of memory. */
bool sum_chain(struct sum *chain, const struct sum *key);
/* Append hexadecimal digits. */
bool sum_print(struct buffer *out, const struct sum *sum);

#endif
