/* Text that people type: numbers, and names that may be misspelt. */
#ifndef BASE_TYPED_H
#define BASE_TYPED_H

#include "base/span.h"

#include <stdint.h>

/* A whole decimal number within 64 bits (except the least one), and nothing around it. */
bool typed_number(struct span text, int64_t *number);

/* "Did you mean …?": the best candidate so far. Start with {.given = the typed text}. */
struct nearest {
    const char *given;
    const char *name; /* NULL: none is close enough */
    size_t distance;
    size_t compared; /* the number of names compared; beyond some hundred none is compared */
};

/* Offer one known name (kept by pointer). */
void nearest_offer(struct nearest *nearest, const char *name);

#endif
