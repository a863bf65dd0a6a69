/*
 * tally: a count of each key at a time, e.g. connections by address. A key without any takes no
 * memory. Loop thread.
 */
#ifndef ACCESS_TALLY_H
#define ACCESS_TALLY_H

#include "base/base.h"

struct tally {
    struct map counts;
};
struct tally_count {
    int64_t count;
    size_t key_length;
    char key[];
};
void tally_init(struct tally *tally);
void tally_fini(struct tally *tally);
int64_t tally_of(const struct tally *tally, struct span key);
/* One more; give the result to tally_leave. NULL when out of memory. */
struct tally_count *tally_enter(struct tally *tally, struct span key);
/* NULL is fine. */
void tally_leave(struct tally *tally, struct tally_count *count);

#endif
