/*
 * row_operation: what happened to a row. The one enum for it, from a producer's message to a
 * client's frame. The numbers stand in the database (change.operation), so they never change.
 *
 *   where                       which
 *   a producer's mutation       PATCH, UPSERT, DELETE
 *   a change, a row of the log  all
 *   a frame                     PATCH, UPSERT, DELETE, REMOVE: what the client does with its row
 */
#ifndef BASE_ROW_OPERATION_H
#define BASE_ROW_OPERATION_H

#include <stdbool.h>

enum row_operation {
    ROW_CREATE = 0, /* a patch or upsert that made the entity */
    ROW_PATCH = 1,
    ROW_UPSERT = 2, /* replaced an entity that was there */
    ROW_DELETE = 3,
    ROW_EVICT = 4, /* a delete because of max_entities */
    ROW_REMOVE = 5 /* still there, but no longer in the subscription */
};

/* Whether the row is gone afterwards. */
static inline bool row_is_gone(enum row_operation operation)
{
    return operation == ROW_DELETE || operation == ROW_EVICT;
}

#endif
