#include "base/roster.h"

#include "base/invariant.h"

static struct roster_item *item_of(struct link *link)
{
    return LINK_OWNER(struct roster_item, in_roster, link);
}

void roster_init(struct roster *roster)
{
    link_init(&roster->list);
    roster->last = 0;
}

uint64_t roster_number(struct roster *roster)
{
    return ++roster->last;
}

/* Mostly at the end: numbers are used soon after they were given. Behind the places of readers that
 * have passed what is before it. */
void roster_add(struct roster *roster, struct roster_item *item, uint64_t number)
{
    struct link *next = &roster->list;
    INVARIANT(number && number <= roster->last);
    for (struct link *link = next->previous; link != &roster->list; link = link->previous) {
        uint64_t other = item_of(link)->number;
        if (other && other <= number)
            break;
        if (other)
            next = link;
    }
    item->number = number;
    link_append(next, &item->in_roster); /* before it */
}

void roster_remove(struct roster_item *item)
{
    if (item->in_roster.next)
        link_remove(&item->in_roster);
}

/* ---- reading ---- */

void roster_start(struct roster *roster, struct roster_place *place, uint64_t after)
{
    INVARIANT(!place->mark.in_roster.next || link_alone(&place->mark.in_roster));
    place->mark.number = 0;
    place->after = after;
    link_prepend(&roster->list, &place->mark.in_roster);
}

struct roster_item *roster_next(const struct roster *roster, struct roster_place *place,
                                size_t *budget)
{
    struct link *mark = &place->mark.in_roster;
    INVARIANT(mark->next && !link_alone(mark));
    while (*budget && mark->next != &roster->list) {
        struct link *next = mark->next;
        link_remove(mark);
        link_prepend(next, mark); /* behind it */
        (*budget)--;
        if (item_of(next)->number > place->after) {
            place->after = item_of(next)->number;
            return item_of(next);
        }
    }
    return NULL;
}

void roster_end(struct roster_place *place)
{
    roster_remove(&place->mark);
}
