/*
 * Files of one folder (the setting static_files), for browsers: a page that shows the views can
 * come from the server itself. They are public: no token is asked for.
 *
 * Invariants:
 *   1. What is served is a regular file below the folder. The kernel resolves the path and refuses
 *      all that leads out (openat2, RESOLVE_BENEATH); no segment of the request begins with a dot.
 *   2. The loop opens and reads no file: a reading thread does, one piece at a time, when the
 *      client has taken the piece before. No descriptor is kept between two pieces.
 *   3. An answer has bytes of one state of the file: one that changes meanwhile is broken off.
 */
#ifndef HTTP_FILES_H
#define HTTP_FILES_H

#include "http/request.h"

struct http_files;

/* NULL is fine. */
void http_files_free(struct http_files *files);

#endif
