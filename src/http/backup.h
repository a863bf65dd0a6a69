/*
 * GET /v1/backup: a copy of the database of one state (docs/protocol.md, section 14). It is made
 * beside the database first, on a thread of its own, and has no name any more when it is sent; so a
 * client that reads slowly holds room on the disk, and neither the write-ahead log nor a reader.
 * One at a time.
 */
#ifndef HTTP_BACKUP_H
#define HTTP_BACKUP_H

#include "http/http_internal.h"

/* false: the path is another one. */
bool http_backup_request(struct http *http, struct net_connection *connection, struct span path);
/* The one that is being made is not wanted any more; http_end waits for its thread. */
void http_backup_stop(struct http *http);

#endif
