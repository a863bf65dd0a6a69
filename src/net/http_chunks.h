/*
 * A body in chunks (RFC 9112, 7.1), read strictly. Pure and restartable: it reads bytes as they
 * come, in any pieces. Extensions of chunks and trailers are skipped, and bounded; a trailer has
 * the form of a header.
 */
#ifndef NET_HTTP_CHUNKS_H
#define NET_HTTP_CHUNKS_H

#include "base/base.h"

enum http_chunk_state {
    CHUNK_SIZE,      /* in the hex digits of a size */
    CHUNK_EXTENSION, /* behind a size, up to its CR */
    CHUNK_SIZE_LF,   /* the LF of that line is due */
    CHUNK_DATA,
    CHUNK_DATA_CR, /* behind the data */
    CHUNK_DATA_LF,
    CHUNK_TRAILER, /* at the beginning of a line behind the last chunk */
    CHUNK_TRAILER_NAME,
    CHUNK_TRAILER_VALUE,
    CHUNK_TRAILER_LF,
    CHUNK_LAST_LF, /* the last LF of all is due */
    CHUNK_END
};

/* Zeroed: at the start. */
struct http_chunks {
    enum http_chunk_state state;
    unsigned digits;    /* of the size, so far */
    uint64_t left;      /* of the chunk's data; while the size is read: the size so far */
    size_t passed_over; /* bytes of extensions and trailers */
};

/*
 * Read bytes: returns how many were read, and sets `*data` to those of them that belong to the body
 * (it may be empty). Call it again with the others, until all are read or the state is CHUNK_END:
 * bytes behind that belong to the next request. -1 with an error: these are no chunks.
 */
int64_t http_chunks_take(struct http_chunks *chunks, struct span bytes, struct span *data,
                         struct error *error);

#endif
