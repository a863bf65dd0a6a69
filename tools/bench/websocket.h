/*
 * The client's half of WebSocket framing (RFC 6455), as little of it as the bench needs: it finds
 * a server's frames by their headers and never looks into what it need not see.
 */
#ifndef BENCH_WEBSOCKET_H
#define BENCH_WEBSOCKET_H

#include "base/base.h"

enum frame_opcode {
    FRAME_CONTINUATION = 0,
    FRAME_TEXT = 1,
    FRAME_BINARY = 2,
    FRAME_CLOSE = 8,
    FRAME_PING = 9,
    FRAME_PONG = 10
};

enum { FRAME_HEADER_MOST = 14, FRAME_MASK_SIZE = 4 };

struct frame {
    uint8_t opcode; /* enum frame_opcode */
    bool final;
    struct span payload;
    struct span whole; /* with its header */
};

enum frame_found { FRAME_FOUND, FRAME_INCOMPLETE, FRAME_BROKEN };

/* The frame at the start of `bytes`. BROKEN: no server may send this (it is masked, or uses
 * reserved bits). */
enum frame_found frame_find(struct span bytes, struct frame *frame);

/* Append a masked frame; returns where its payload starts in `out`, or SIZE_MAX. */
size_t frame_add(struct buffer *out, enum frame_opcode opcode, struct span payload);
/* The mask's byte for the payload byte at `position`: for changing masked bytes in place. */
char frame_mask_at(size_t position);

#endif
