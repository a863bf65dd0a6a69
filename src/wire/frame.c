/*
 * WebSocket framing, server to client: never masked, so a header is
 *
 *   byte 0: FIN (0x80) | opcode      byte 1: length, or 126 and the length in the next two bytes
 *
 * The eight-byte length is never written, because no fragment is that long; it is still read.
 */
#include "wire/wire_internal.h"

#include <assert.h>

#include <stdint.h>

_Static_assert(WIRE_FRAGMENT <= UINT16_MAX, "a fragment's length must fit the two-byte form");

enum { FIN = 0x80, MASK = 0x80, SHORT_LENGTH = 125, LENGTH_IN_TWO = 126, LENGTH_IN_EIGHT = 127 };

static size_t header_size(size_t payload)
{
    return payload <= SHORT_LENGTH ? 2 : 4;
}

static size_t fragment_count(size_t payload)
{
    return payload ? (payload - 1) / WIRE_FRAGMENT + 1 : 1;
}

static size_t fragment_length(size_t payload, size_t index)
{
    size_t rest = payload - index * WIRE_FRAGMENT;
    return rest < WIRE_FRAGMENT ? rest : WIRE_FRAGMENT;
}

/* All fragments but the last are full, so only the last one's header may be the short one. */
static size_t headers_size(size_t payload)
{
    size_t last = fragment_count(payload) - 1;
    return last * header_size(WIRE_FRAGMENT) + header_size(fragment_length(payload, last));
}

static void write_header(char *out, size_t payload, size_t index, enum frame_opcode opcode)
{
    size_t length = fragment_length(payload, index);
    unsigned first = index == 0 ? opcode : FRAME_CONTINUATION;
    if (index + 1 == fragment_count(payload))
        first |= FIN;
    out[0] = (char)first;
    if (length <= SHORT_LENGTH) {
        out[1] = (char)length;
    } else {
        out[1] = LENGTH_IN_TWO;
        out[2] = (char)(length >> 8);
        out[3] = (char)(length & 0xff);
    }
}

struct frame_draft frame_open(struct buffer *out, size_t expected)
{
    struct frame_draft draft = {out->length, header_size(expected)};
    if (expected < SIZE_MAX - draft.header && buffer_reserve(out, draft.header + expected))
        out->length += draft.header;
    else
        out->failed = true;
    return draft;
}

bool frame_close(struct buffer *out, struct frame_draft draft, enum frame_opcode opcode)
{
    size_t payload = out->failed ? 0 : out->length - draft.start - draft.header;
    size_t headers = headers_size(payload);
    if (headers > draft.header)
        buffer_reserve(out, headers - draft.header);
    if (out->failed) {
        out->length = draft.start;
        return false;
    }
    /* From the last to the first: each fragment moves towards the end (or is alone), and may land
     * on what was the start of the next one. */
    for (size_t index = fragment_count(payload); index-- > 0;) {
        size_t length = fragment_length(payload, index);
        char *from = out->data + draft.start + draft.header + index * WIRE_FRAGMENT;
        char *header =
            out->data + draft.start + index * (header_size(WIRE_FRAGMENT) + WIRE_FRAGMENT);
        char *to = header + header_size(length);
        if (to != from)
            memmove(to, from, length);
        write_header(header, payload, index, opcode);
    }
    out->length = draft.start + headers + payload;
    return true;
}

/* A payload that is at hand is framed as it is copied, so that nothing moves twice. */
static bool add_message(struct buffer *out, struct span payload, enum frame_opcode opcode)
{
    size_t headers = headers_size(payload.length);
    if (payload.length > SIZE_MAX / 2 || !buffer_reserve(out, headers + payload.length)) {
        out->failed = true;
        return false;
    }
    for (size_t index = 0; index < fragment_count(payload.length); index++) {
        size_t length = fragment_length(payload.length, index);
        write_header(out->data + out->length, payload.length, index, opcode);
        out->length += header_size(length);
        if (length) {
            memcpy(out->data + out->length, payload.data + index * WIRE_FRAGMENT, length);
            out->length += length;
        }
    }
    return true;
}

bool wire_text(struct buffer *out, struct span payload)
{
    return add_message(out, payload, FRAME_TEXT);
}

bool wire_binary(struct buffer *out, struct span payload, enum wire_part part)
{
    return add_message(out, payload, frame_of_part(FRAME_BINARY, part));
}

size_t frame_write_header(char *to, unsigned char first, size_t payload)
{
    INVARIANT(payload <= UINT16_MAX);
    to[0] = (char)first;
    if (payload <= SHORT_LENGTH) {
        to[1] = (char)payload;
        return FRAME_SHORT_HEADER;
    }
    to[1] = LENGTH_IN_TWO;
    to[2] = (char)(payload >> 8);
    to[3] = (char)(payload & 0xff);
    return FRAME_LONG_HEADER;
}

/* Header size and payload length of the frame at `bytes`; 0 when its header is not all there or
 * is none that a server may send. */
static size_t read_header(struct span bytes, uint64_t *length)
{
    const unsigned char *byte = (const unsigned char *)bytes.data;
    if (bytes.length < 2 || (byte[1] & MASK))
        return 0;
    size_t extra = byte[1] == LENGTH_IN_TWO ? 2 : byte[1] == LENGTH_IN_EIGHT ? 8 : 0;
    if (bytes.length < 2 + extra)
        return 0;
    *length = extra ? 0 : byte[1];
    for (size_t i = 0; i < extra; i++)
        *length = *length << 8 | byte[2 + i];
    return *length <= INT64_MAX ? 2 + extra : 0;
}

size_t wire_frame_length(struct span bytes)
{
    uint64_t length;
    size_t header = read_header(bytes, &length);
    return header && length <= SIZE_MAX - header ? header + (size_t)length : 0;
}

bool wire_frame_payload(struct span bytes, struct span *payload, bool *final)
{
    uint64_t length;
    size_t header = read_header(bytes, &length);
    if (!header || length > bytes.length - header)
        return false;
    *payload = span_make(bytes.data + header, (size_t)length);
    *final = (unsigned char)bytes.data[0] & FIN;
    return true;
}

struct wire_run wire_measure(struct span bytes)
{
    struct wire_run run = {0};
    while (bytes.length) {
        uint64_t length;
        size_t header = read_header(bytes, &length);
        assert(header && length <= bytes.length - header);
        if (!header || length > bytes.length - header)
            break;
        run.unfinished = !((unsigned char)bytes.data[0] & FIN);
        run.messages += !run.unfinished;
        run.payload += (size_t)length;
        bytes = span_make(bytes.data + header + length, bytes.length - header - (size_t)length);
    }
    return run;
}
