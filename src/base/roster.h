/*
 * A list in the order of numbers, which are given once and only grow. Who reads it step by step has
 * a place in it, and finds each item that stays exactly once, whatever comes and goes between two
 * steps. It needs no memory of its own. One thread.
 */
#ifndef BASE_ROSTER_H
#define BASE_ROSTER_H

#include "base/link.h"

#include <stdint.h>

struct roster {
    struct link list; /* roster_item.in_roster, and the places of readers */
    uint64_t last;    /* the newest number that was given; 0: none */
};

struct roster_item {
    struct link in_roster;
    uint64_t number; /* from 1 on; 0: the place of a reader */
};

/* Zeroed before roster_start. */
struct roster_place {
    struct roster_item mark;
    uint64_t after; /* the number up to which everything was found, or is not wanted */
};

void roster_init(struct roster *roster);
/* The next number. */
uint64_t roster_number(struct roster *roster);
/* Add an item under a number that was given. Two may have the same one while a thing becomes
 * another; a reader finds one of them. */
void roster_add(struct roster *roster, struct roster_item *item, uint64_t number);
/* Remove it, if it is in one: initialised by roster_add, or zeroed. */
void roster_remove(struct roster_item *item);

/* Begin behind a number. The place must be ended before the roster is freed. */
void roster_start(struct roster *roster, struct roster_place *place, uint64_t after);
/* The next item, and the place moves behind it. Each item that is passed costs one of *budget.
 * NULL: the end; or, when the budget is spent, not yet. */
struct roster_item *roster_next(const struct roster *roster, struct roster_place *place,
                                size_t *budget);
void roster_end(struct roster_place *place);

#endif
