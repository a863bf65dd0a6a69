/*
 * WebSocket frames as a server reads them (RFC 6455, 5). Pure and restartable: bytes as they come,
 * in any pieces. A violation of the standard is refused with the status that the standard names:
 *   1. every frame of a client is masked; no reserved bit, no unknown opcode;
 *   2. a length is written as short as possible, and a message is no longer than the limit: a
 * longer one is refused when its length is known, before the bytes come;
 *   3. control frames are whole and have at most 125 bytes;
 *   4. a message's frames follow each other; only control frames may stand between them;
 *   5. text, and the reason of a close frame, is UTF-8, also when a character is cut in two.
 */
#ifndef NET_FRAMES_H
#define NET_FRAMES_H

#include "base/base.h"

enum { FRAME_CONTROL_LIMIT = 125 };

enum frame_event_kind {
    FRAME_NOTHING, /* all bytes were read, and mean nothing yet */
    FRAME_MESSAGE, /* a piece of a message */
    FRAME_PING,
    FRAME_PONG,
    FRAME_CLOSE,
    FRAME_TOO_LONG, /* a message is longer than the limit; nothing more can be read */
    FRAME_BROKEN    /* the stream is no WebSocket; close it with `status` */
};

struct frame_event {
    enum frame_event_kind kind;
    struct span bytes; /* the piece, or the content of a control frame (of a close: all of it) */
    bool binary;       /* of the message */
    bool last;         /* the message ends with this piece */
    uint16_t status;   /* FRAME_CLOSE: the client's, 1005 for none; FRAME_BROKEN: the server's */
    const char *what;  /* FRAME_BROKEN: the fault; a constant */
};

/* A character that was cut in two. Zeroed: there is none. */
struct utf8_reader {
    uint8_t left;      /* bytes that are missing */
    uint8_t low, high; /* bounds of the next byte */
};

struct frame_reader {
    size_t limit;          /* bytes of a message: its owner sets it; all else begins zeroed */
    size_t message_length; /* of the present message, as far as its frames are known */
    uint64_t left;         /* bytes of this frame that have not come */
    uint8_t head[14];
    uint8_t head_length; /* bytes of the head that came; 0: between two frames */
    uint8_t mask_at;     /* which byte of the mask is next */
    bool in_payload;     /* the head is whole */
    bool in_message;     /* a message has begun and not ended */
    bool binary;
    struct utf8_reader utf8;
    uint8_t control_length;
    char control[FRAME_CONTROL_LIMIT];
};

/*
 * Read bytes, which are changed (unmasked in place). Returns how many were read, and their meaning.
 * The event's bytes are borrowed until the next call. Call it again with the others; after
 * FRAME_TOO_LONG, FRAME_BROKEN and FRAME_CLOSE it may get nothing more.
 */
size_t frame_read(struct frame_reader *reader, char *bytes, size_t length,
                  struct frame_event *event);

#endif
