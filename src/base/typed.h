/*
 * What people type: numbers, and names that may be misspelt.
 */
#ifndef BASE_TYPED_H
#define BASE_TYPED_H

#include "base/span.h"

#include <stdint.h>

/* A whole decimal number within 64 bits (but for the least of them), and nothing around it. */
bool typed_number(struct span text, int64_t *number);

/* "Did you mean …?": the best candidate so far. Start with {.given = what was typed}. */
struct nearest {
    const char *given;
    const char *name; /* NULL: none is close enough to be meant */
    size_t distance;
    size_t compared; /* so many were; more than some hundred are not */
};

/* Offer one known name (kept by pointer). */
void nearest_offer(struct nearest *nearest, const char *name);

#endif
