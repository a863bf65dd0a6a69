/* The parts of what the server answers by HTTP: each has paths of its own. */
#ifndef HTTP_PARTS_H
#define HTTP_PARTS_H

#include "http/request.h"

struct http_part {
    /* A request's head has come: answer it, now or later. False: its path is another part's. NULL:
     * the part answers for others. */
    bool (*request)(struct http *http, struct net_connection *connection, struct span path);
    /* The server stops: nobody waits for an answer of it any more. NULL: nobody ever does. */
    void (*stop)(struct http *http);
};

/* Of the main address. files takes any path that is not the API's, ingest is the last: what it does
 * not know is not found. */
extern const struct http_part http_backup_part, http_changes_part, http_files_part,
    http_history_part, http_ingest_part, http_producers_part, http_revocations_part,
    http_views_part, http_wait_part;
/* Of the health address; health is the last. */
extern const struct http_part http_health_part, http_inspector_part;

#endif
