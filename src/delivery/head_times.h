/*
 * When the head of the log was where: about one note a second, of the last hour. By these a cursor
 * far behind is known to be so many seconds and slots behind, though memory has no change of then.
 */
#ifndef DELIVERY_HEAD_TIMES_H
#define DELIVERY_HEAD_TIMES_H

#include <stddef.h>
#include <stdint.h>

enum { HEAD_TIMES = 4096, HEAD_TIMES_EVERY_US = 1000 * 1000 };

struct head_time {
    int64_t change; /* the head, */
    int64_t slot;   /* ... the slot of the greatest seq, */
    uint64_t us;    /* ... and since when: monotonic */
    int64_t before; /* the head before that; set by head_times_note */
};

/* Zeroed: empty. */
struct head_times {
    struct head_time list[HEAD_TIMES]; /* by number, modulo HEAD_TIMES */
    uint64_t first, next;              /* numbers held: first … next - 1 */
    struct head_time newest;           /* the last commit, noted or not */
};

/* The head is here from now on; changes and times do not go back. */
void head_times_note(struct head_times *times, struct head_time head);
/* For how many seconds there has been a change behind this one; -1: for longer than is known. 0: it
 * is the head. Too few by up to HEAD_TIMES_EVERY_US. */
double head_times_since(const struct head_times *times, int64_t change, uint64_t now_us);
/* The slot of the head when this change was it, or a little before; -1: not known. */
int64_t head_times_slot(const struct head_times *times, int64_t change);

#endif
