/*
 * Lists of what the loop has: clients, windows. They are made on the loop, since nobody else may
 * look; so in steps, one in each turn, between which everybody else is served. A page goes by the
 * numbers of its items, so nothing that stays is missed, or comes twice, whatever comes and goes.
 *
 * Invariants:
 *   1. A listing has a place in its roster from its start until its request is answered or freed,
 *      with which it goes.
 *   2. There are HTTP_LISTINGS of them at most. An answer that its client has not taken is none:
 *      its bytes are bounded with those of all answers (http_request_respond_large).
 */
#ifndef HTTP_LISTING_H
#define HTTP_LISTING_H

#include "base/roster.h"
#include "http/request.h"

enum {
    HTTP_LISTINGS = 16,
    HTTP_LISTING_DEFAULT = 100,
    HTTP_LISTING_MOST = 1000 /* items of a page */
};

struct http_listing;

/* What is listed. */
struct http_list {
    const char *path;   /* "/v1/clients" */
    const char *member; /* of the answer, that has the items */
    const char *item;   /* what one is called, in errors */
    bool has_items;     /* one of them may be asked for, by its number */
    bool can_end;       /* ... and ended */
    struct roster *(*roster)(struct http *http);
    /* The members of the answer before the list, each with a comma behind. */
    void (*print_head)(struct http *http, struct buffer *out);
    /* Append an item as JSON; what it cost, in subscriptions or the like. */
    size_t (*print)(struct http *http, struct roster_item *item, struct buffer *out);
    /* A client asks for the end of an item. NULL, unless can_end. */
    void (*end)(struct http_request *request, struct roster_item *item);
};

/* A request's headers have come: for the list, or one of its items, it is answered, now or later.
 * False if the path is another one. `health`: it came to the health address. */
bool http_listing_request(struct http *http, struct net_connection *connection, struct span path,
                          bool health, const struct http_list *list);

#endif
