#include "net/frames.h"

enum {
    FIN = 0x80,
    RESERVED = 0x70,
    OPCODE = 0x0f,
    MASKED = 0x80,
    LENGTH = 0x7f,
    LENGTH_16 = 126,
    LENGTH_64 = 127,
    MASK_BYTES = 4,
    OP_CONTINUATION = 0,
    OP_TEXT = 1,
    OP_BINARY = 2,
    OP_CONTROL = 8,
    OP_CLOSE = 8,
    OP_PING = 9,
    OP_PONG = 10,
    STATUS_PROTOCOL = 1002,
    STATUS_NONE = 1005,
    STATUS_NO_UTF8 = 1007
};

/* ---- UTF-8 ---- */

/* The requirements of a character's first byte on the others. */
static bool begin_character(struct utf8_reader *reader, unsigned char c)
{
    reader->low = 0x80;
    reader->high = 0xbf;
    if (c < 0x80)
        return true;
    if (c < 0xc2 || c > 0xf4)
        return false;
    reader->left = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
    if (c == 0xe0)
        reader->low = 0xa0; /* shorter ones would be written longer than needed, */
    else if (c == 0xed)
        reader->high = 0x9f; /* ... these are halves of UTF-16, */
    else if (c == 0xf0)
        reader->low = 0x90;
    else if (c == 0xf4)
        reader->high = 0x8f; /* ... and these are beyond the last character */
    return true;
}

enum { ASCII_RUN = 32 }; /* bytes that are looked at together */

/* Skip runs of characters of one byte, of which most texts are made; where the next one begins. */
static size_t skip_ascii(struct span bytes, size_t at)
{
    uint64_t words[ASCII_RUN / sizeof(uint64_t)];
    for (; bytes.length - at >= ASCII_RUN; at += ASCII_RUN) {
        memcpy(words, bytes.data + at, ASCII_RUN);
        if ((words[0] | words[1] | words[2] | words[3]) & UINT64_C(0x8080808080808080))
            break;
    }
    return at;
}

static bool take_byte(struct utf8_reader *reader, unsigned char c)
{
    if (!reader->left)
        return begin_character(reader, c);
    if (c < reader->low || c > reader->high)
        return false;
    reader->left--;
    reader->low = 0x80;
    reader->high = 0xbf;
    return true;
}

/* Whether these bytes continue valid UTF-8; at the end of a text, `reader->left` must be 0. */
static bool goes_on(struct utf8_reader *reader, struct span bytes)
{
    for (size_t i = 0; i < bytes.length; i++) {
        if (!reader->left && i % ASCII_RUN == 0)
            i = skip_ascii(bytes, i);
        if (i < bytes.length && !take_byte(reader, (unsigned char)bytes.data[i]))
            return false;
    }
    return true;
}

/* ---- the head of a frame ---- */

static unsigned opcode_of(const struct frame_reader *reader)
{
    return reader->head[0] & OPCODE;
}

static bool is_control(const struct frame_reader *reader)
{
    return reader->head[0] & OP_CONTROL;
}

static bool is_last_frame(const struct frame_reader *reader)
{
    return reader->head[0] & FIN;
}

static void broken(struct frame_event *event, uint16_t status, const char *what)
{
    event->kind = FRAME_BROKEN;
    event->status = status;
    event->what = what;
}

/* Bytes of the extended length. */
static size_t extended(const struct frame_reader *reader)
{
    unsigned length = reader->head[1] & LENGTH;
    return length == LENGTH_16 ? 2 : length == LENGTH_64 ? 8 : 0;
}

/* The fault of the first two bytes; NULL: none. */
static const char *first_fault(const struct frame_reader *reader)
{
    unsigned opcode = opcode_of(reader);
    if (reader->head[0] & RESERVED)
        return "a reserved bit is set, and no extension was agreed on";
    if (opcode > OP_PONG || (opcode > OP_BINARY && opcode < OP_CLOSE))
        return "the opcode is unknown";
    if (!(reader->head[1] & MASKED))
        return "a frame of a client must be masked";
    if (is_control(reader) && (!is_last_frame(reader) || extended(reader)))
        return "a control frame is in pieces, or has more than 125 bytes";
    if (!is_control(reader) && (opcode == OP_CONTINUATION) != reader->in_message)
        return reader->in_message ? "a message begins within another"
                                  : "a message goes on that has not begun";
    return NULL;
}

static const char *length_fault(const struct frame_reader *reader)
{
    if (extended(reader) == 2 && reader->left < LENGTH_16)
        return "a length is written longer than it is";
    if (extended(reader) == 8 && (reader->left <= UINT16_MAX || reader->left >> 63))
        return "a length is written longer than it is, or has its first bit set";
    return NULL;
}

static void begin_payload(struct frame_reader *reader, struct frame_event *event)
{
    reader->in_payload = true;
    reader->mask_at = 0;
    reader->control_length = 0;
    if (is_control(reader))
        return;
    if (!reader->in_message) {
        reader->in_message = true;
        reader->binary = opcode_of(reader) == OP_BINARY;
        reader->message_length = 0;
        reader->utf8 = (struct utf8_reader){0};
    }
    if (reader->left > reader->limit - reader->message_length)
        event->kind = FRAME_TOO_LONG;
    else
        reader->message_length += (size_t)reader->left;
}

/* Looks at each part of the head as soon as it is there. */
static void head_grew(struct frame_reader *reader, struct frame_event *event)
{
    size_t length_end = 2 + extended(reader);
    const char *fault = NULL;
    if (reader->head_length == 2) {
        fault = first_fault(reader);
        reader->left = reader->head[1] & LENGTH;
    }
    if (!fault && reader->head_length == length_end && length_end > 2) {
        reader->left = 0;
        for (size_t i = 2; i < length_end; i++)
            reader->left = reader->left << 8 | reader->head[i];
        fault = length_fault(reader);
    }
    if (fault)
        broken(event, STATUS_PROTOCOL, fault);
    else if (reader->head_length == length_end + MASK_BYTES)
        begin_payload(reader, event);
}

/* ---- the payload ---- */

static void unmask(struct frame_reader *reader, char *bytes, size_t length)
{
    const uint8_t *mask = reader->head + 2 + extended(reader);
    uint64_t eight = 0;
    size_t at = 0;
    while (at < length && reader->mask_at) {
        bytes[at++] ^= (char)mask[reader->mask_at];
        reader->mask_at = (reader->mask_at + 1) % MASK_BYTES;
    }
    memcpy(&eight, mask, MASK_BYTES);
    memcpy((char *)&eight + MASK_BYTES, mask, MASK_BYTES);
    for (; at + sizeof eight <= length; at += sizeof eight) {
        uint64_t word;
        memcpy(&word, bytes + at, sizeof word);
        word ^= eight;
        memcpy(bytes + at, &word, sizeof word);
    }
    while (at < length) {
        bytes[at++] ^= (char)mask[reader->mask_at];
        reader->mask_at = (reader->mask_at + 1) % MASK_BYTES;
    }
}

static void frame_ended(struct frame_reader *reader)
{
    reader->in_payload = false;
    reader->head_length = 0;
    if (!is_control(reader) && is_last_frame(reader))
        reader->in_message = false;
}

static bool is_close_status(unsigned status)
{
    return (status >= 1000 && status <= 1003) || (status >= 1007 && status <= 1014) ||
           (status >= 3000 && status <= 4999);
}

static void read_close(const struct frame_reader *reader, struct frame_event *event)
{
    const unsigned char *text = (const unsigned char *)reader->control;
    struct utf8_reader utf8 = {0};
    event->status = STATUS_NONE;
    if (!reader->control_length)
        return;
    unsigned status = reader->control_length > 1 ? (unsigned)text[0] << 8 | text[1] : 0;
    if (!is_close_status(status))
        broken(event, STATUS_PROTOCOL, "the status of a close frame is none that may be sent");
    else if (!goes_on(&utf8, span_make(reader->control + 2, reader->control_length - 2u)) ||
             utf8.left)
        broken(event, STATUS_NO_UTF8, "the reason of a close frame is not UTF-8");
    else
        event->status = (uint16_t)status;
}

static void take_control(struct frame_reader *reader, const char *bytes, size_t length,
                         struct frame_event *event)
{
    memcpy(reader->control + reader->control_length, bytes, length);
    reader->control_length = (uint8_t)(reader->control_length + length);
    if (reader->left)
        return;
    event->kind = opcode_of(reader) == OP_PING   ? FRAME_PING
                  : opcode_of(reader) == OP_PONG ? FRAME_PONG
                                                 : FRAME_CLOSE;
    event->bytes = span_make(reader->control, reader->control_length);
    if (event->kind == FRAME_CLOSE)
        read_close(reader, event);
    frame_ended(reader);
}

static void take_piece(struct frame_reader *reader, const char *bytes, size_t length,
                       struct frame_event *event)
{
    event->kind = FRAME_MESSAGE;
    event->bytes = span_make(bytes, length);
    event->binary = reader->binary;
    event->last = !reader->left && is_last_frame(reader);
    if (!reader->binary &&
        (!goes_on(&reader->utf8, event->bytes) || (event->last && reader->utf8.left)))
        broken(event, STATUS_NO_UTF8, "a text message is not UTF-8");
    else if (!reader->left)
        frame_ended(reader);
}

size_t frame_read(struct frame_reader *reader, char *bytes, size_t length,
                  struct frame_event *event)
{
    size_t at = 0;
    *event = (struct frame_event){.kind = FRAME_NOTHING};
    while (!reader->in_payload) {
        if (at == length)
            return at;
        reader->head[reader->head_length++] = (uint8_t)bytes[at++];
        if (reader->head_length >= 2)
            head_grew(reader, event);
        if (event->kind != FRAME_NOTHING)
            return at;
    }
    size_t piece = length - at < reader->left ? length - at : (size_t)reader->left;
    if (!piece && reader->left)
        return at;
    reader->left -= piece;
    unmask(reader, bytes + at, piece);
    if (is_control(reader))
        take_control(reader, bytes + at, piece, event);
    else
        take_piece(reader, bytes + at, piece, event);
    return at + piece;
}
