/* A doubly linked list through its members. A list's head is a link to itself. */
#ifndef BASE_LINK_H
#define BASE_LINK_H

#include <stdbool.h>
#include <stddef.h>

struct link {
    struct link *next, *previous;
};

static inline void link_init(struct link *link)
{
    link->next = link->previous = link;
}

static inline bool link_alone(const struct link *link)
{
    return link->next == link;
}

/* Remove the link from its list, if it is in one. */
static inline void link_remove(struct link *link)
{
    link->previous->next = link->next;
    link->next->previous = link->previous;
    link_init(link);
}

/* Add at the beginning of a list; the link must not be in one. */
static inline void link_prepend(struct link *list, struct link *link)
{
    link->next = list->next;
    link->previous = list;
    list->next->previous = link;
    list->next = link;
}

/* Add at the end of a list; the link must not be in one. */
static inline void link_append(struct link *list, struct link *link)
{
    link->previous = list->previous;
    link->next = list;
    list->previous->next = link;
    list->previous = link;
}

#define LINK_OWNER(type, member, pointer) ((type *)((char *)(pointer)-offsetof(type, member)))

#endif
