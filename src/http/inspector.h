/*
 * The inspector: a page about this server, on the health address, with what it reads. Its files,
 * from src/http/inspector, are part of the program and hold no data.
 *
 * The health address answers reads of the main address for it. Each path checks the sender as it
 * does there; where nobody needs a token, access_guard_reads decides.
 */
#ifndef HTTP_INSPECTOR_H
#define HTTP_INSPECTOR_H

#include "http/request.h"

struct inspector_file {
    const char *name;
    const char *tag; /* for ETag, with its quotes: made of the content */
    const char *bytes;
    size_t length;
};

/* Made by cmake/embed.cmake. */
extern const struct inspector_file inspector_files[];
extern const size_t inspector_file_count;

#endif
