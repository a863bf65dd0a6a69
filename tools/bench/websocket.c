#include "bench/websocket.h"

/* One mask for all frames, so that messages can be made before the clock starts. It must not be
 * zero: a server that sees no mask to undo would be spared work that real clients cause. */
static const unsigned char mask[FRAME_MASK_SIZE] = {0x53, 0xa9, 0x1e, 0xc7};

static uint64_t big_endian(const unsigned char *bytes, size_t count)
{
    uint64_t number = 0;
    for (size_t i = 0; i < count; i++)
        number = number << 8 | bytes[i];
    return number;
}

enum frame_found frame_find(struct span bytes, struct frame *frame)
{
    const unsigned char *start = (const unsigned char *)bytes.data;
    if (bytes.length < 2)
        return FRAME_INCOMPLETE;
    if (start[0] & 0x70 || start[1] & 0x80)
        return FRAME_BROKEN;
    size_t header = 2;
    uint64_t length = start[1];
    if (length >= 126) {
        size_t wide = length == 126 ? 2 : 8;
        header += wide;
        if (bytes.length < header)
            return FRAME_INCOMPLETE;
        length = big_endian(start + 2, wide);
    }
    if (bytes.length - header < length)
        return FRAME_INCOMPLETE;
    frame->opcode = start[0] & 0x0f;
    frame->final = start[0] & 0x80;
    frame->payload = span_make(bytes.data + header, (size_t)length);
    frame->whole = span_make(bytes.data, header + (size_t)length);
    return FRAME_FOUND;
}

static size_t put_header(unsigned char *out, enum frame_opcode opcode, size_t length)
{
    size_t at = 2, wide = length < 126 ? 0 : length < 65536 ? 2 : 8;
    out[0] = (unsigned char)(0x80 | opcode);
    out[1] = (unsigned char)(0x80 | (wide == 0 ? length : wide == 2 ? 126 : 127));
    for (size_t i = wide; i-- > 0;)
        out[at++] = (unsigned char)((uint64_t)length >> (8 * i));
    memcpy(out + at, mask, FRAME_MASK_SIZE);
    return at + FRAME_MASK_SIZE;
}

size_t frame_add(struct buffer *out, enum frame_opcode opcode, struct span payload)
{
    unsigned char header[FRAME_HEADER_MOST];
    buffer_add(out, header, put_header(header, opcode, payload.length));
    size_t start = out->length;
    char *room = buffer_reserve(out, payload.length);
    if (!room)
        return SIZE_MAX;
    for (size_t i = 0; i < payload.length; i++)
        room[i] = (char)(payload.data[i] ^ frame_mask_at(i));
    out->length += payload.length;
    return start;
}

char frame_mask_at(size_t position)
{
    return (char)mask[position % FRAME_MASK_SIZE];
}
