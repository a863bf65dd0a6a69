/* Shared inside wire: writing a WebSocket message in place, and cutting text at a character. */
#ifndef WIRE_WIRE_INTERNAL_H
#define WIRE_WIRE_INTERNAL_H

#include "wire/wire.h"

/* RFC 6455 section 5.2. */
enum frame_opcode { FRAME_CONTINUATION = 0x0, FRAME_TEXT = 0x1, FRAME_BINARY = 0x2 };

/* The place of the part of a body: the bits of its first byte that RFC 6455 reserves. */
enum { FRAME_PART_SHIFT = 4, FRAME_PART_BITS = 0x70 };
static inline enum frame_opcode frame_of_part(enum frame_opcode opcode, enum wire_part part)
{
    return (enum frame_opcode)(opcode | (unsigned)part << FRAME_PART_SHIFT);
}

/* An object as version 2 has it: `data`, the canonical text of one, with its version. */
void put_versioned(struct buffer *out, const struct wire_encoding *encoding, struct span data,
                   int64_t change);

enum { WIRE_GZIP_START = 10, WIRE_GZIP_END = 8 }; /* bytes before and behind the compressed ones */

/* Headers of frames: two bytes, or four where a length of FRAME_LENGTH_IN_TWO says so. */
enum { FRAME_SHORT_HEADER = 2, FRAME_LONG_HEADER = 4, FRAME_LENGTH_IN_TWO = 126 };
/* The header of one frame, where there is room for FRAME_LONG_HEADER bytes; its length. */
size_t frame_write_header(char *to, unsigned char first, size_t payload);

/* The object that describes a tape. */
void wire_put_tape(struct buffer *out, const struct wire_tape *tape);

/* A message whose payload is being appended to `out`, behind room kept for its header. */
struct frame_draft {
    size_t start;  /* the place of the header */
    size_t header; /* bytes kept for it */
};

/* Start a message of about `expected` payload bytes: the nearer the guess, the fewer bytes move
 * at the end. Append the payload to `out` next, then call frame_close in any case. */
struct frame_draft frame_open(struct buffer *out, size_t expected);
/* Write the header(s), cutting the payload into fragments when it is long. If `out` has failed,
 * it is cut back to the start of the message, so that it only ever holds whole messages. */
bool frame_close(struct buffer *out, struct frame_draft draft, enum frame_opcode opcode);

/* buffer_add without the call when there is room, which is the common case. `data` is not NULL. */
static inline void put(struct buffer *out, const char *data, size_t length)
{
    if (length < out->capacity - out->length) {
        memcpy(out->data + out->length, data, length);
        out->length += length;
    } else {
        buffer_add(out, data, length);
    }
}

/* The compiler knows the length of a literal here. */
static inline void put_string(struct buffer *out, const char *string)
{
    put(out, string, strlen(string));
}

static inline void put_span(struct buffer *out, struct span span)
{
    put(out, span.data, span.length);
}

/* message_v2.c: whether a message is one of version 2 / read it: as wire_message_read. */
bool wire_message_is_v2(const struct doc *doc, uint32_t object);
bool wire_message_read_v2(const struct doc *doc, uint32_t object, struct wire_message *message,
                          struct error *error);

/* The longest prefix of valid UTF-8 of at most `limit` bytes that ends with a whole character. */
size_t wire_cut(struct span text, size_t limit);

#endif
