/*
 * Version 2: what names a subscription, before what is shared by all who see the same.
 *
 * A compressed body is a gzip member. Deflate allows a block that is not compressed, so the head
 * goes before the body's own blocks as one of those, and the sum at the end is worked out from both
 * parts. Nothing is compressed twice.
 */
#include "wire/wire_internal.h"

#include <zlib.h>

enum { FIN = 0x80, STORED_BLOCK = 5 /* bytes before what it holds */ };

enum wire_part wire_part_of(struct span bytes)
{
    if (!bytes.length)
        return WIRE_WHOLE;
    return (enum wire_part)(((unsigned char)bytes.data[0] & FRAME_PART_BITS) >> FRAME_PART_SHIFT);
}

static bool is_compressed(struct span payload)
{
    return payload.length >= WIRE_GZIP_START && wire_is_gzip(payload);
}

static uint32_t read_number(const char *at)
{
    uint32_t number = 0;
    for (int i = 3; i >= 0; i--)
        number = number << 8 | (unsigned char)at[i];
    return number;
}

static void put_number(struct buffer *out, uint32_t number)
{
    char bytes[4];
    for (int i = 0; i < 4; i++, number >>= 8)
        bytes[i] = (char)(number & 0xff);
    put(out, bytes, sizeof bytes);
}

static void put_stored(struct buffer *out, struct span head)
{
    unsigned length = (unsigned)head.length, inverse = ~length;
    char block[STORED_BLOCK] = {0, (char)(length & 0xff), (char)(length >> 8 & 0xff),
                                (char)(inverse & 0xff), (char)(inverse >> 8 & 0xff)};
    put(out, block, sizeof block);
    put_span(out, head);
}

/* The sum of both parts, and their length, in the place of the body's. */
static void put_gzip_end(struct buffer *out, struct span end, const struct wire_joint *joint)
{
    uint32_t sum = read_number(end.data), length = read_number(end.data + 4);
    put_number(out, (uint32_t)crc32_combine(joint->head_sum, sum, (z_off_t)length));
    put_number(out, length + joint->head_length);
}

static void put_header(struct buffer *out, unsigned char first, size_t payload)
{
    char header[FRAME_LONG_HEADER];
    put(out, header, frame_write_header(header, first, payload));
}

static void put_first(struct buffer *out, struct span payload, struct span head,
                      unsigned char first, struct wire_joint *joint)
{
    joint->compressed = is_compressed(payload);
    if (!joint->compressed) {
        put_header(out, first, head.length + payload.length);
        put_span(out, head);
        put_span(out, payload);
        return;
    }
    joint->head_sum =
        (uint32_t)crc32(crc32(0, NULL, 0), (const Bytef *)head.data, (uInt)head.length);
    joint->head_length = (uint32_t)head.length;
    put_header(out, first, STORED_BLOCK + head.length + payload.length);
    put(out, payload.data, WIRE_GZIP_START);
    put_stored(out, head);
    put(out, payload.data + WIRE_GZIP_START, payload.length - WIRE_GZIP_START);
}

bool wire_behind_head(struct buffer *out, struct span frame, struct span head,
                      struct wire_joint *joint)
{
    struct span payload;
    bool final;
    INVARIANT(head.length <= WIRE_HEAD);
    if (!wire_frame_payload(frame, &payload, &final))
        return false;
    unsigned char first = (unsigned char)frame.data[0] & (unsigned char)~FRAME_PART_BITS;
    if (joint->inside)
        put(out, frame.data, wire_frame_length(frame));
    else
        put_first(out, payload, head, first, joint);
    if (final && joint->compressed && !out->failed) {
        INVARIANT(payload.length >= WIRE_GZIP_END); /* see wire_batch_end */
        out->length -= WIRE_GZIP_END;
        put_gzip_end(out, span_make(payload.data + payload.length - WIRE_GZIP_END, WIRE_GZIP_END),
                     joint);
    }
    if (final)
        *joint = (struct wire_joint){.inside = false};
    else
        joint->inside = true;
    return !out->failed;
}

/* The length of the live frame that `bytes` begin with, if it is a whole message; else 0. */
static size_t live_length(struct span bytes, size_t *payload)
{
    static const unsigned char live = FIN | WIRE_LIVE << FRAME_PART_SHIFT | FRAME_BINARY;
    const unsigned char *byte = (const unsigned char *)bytes.data;
    if (bytes.length < FRAME_LONG_HEADER || byte[0] != live || byte[1] > FRAME_LENGTH_IN_TWO)
        return 0;
    bool is_long = byte[1] == FRAME_LENGTH_IN_TWO;
    *payload = is_long ? (size_t)byte[2] << 8 | byte[3] : byte[1];
    size_t length = *payload + (is_long ? FRAME_LONG_HEADER : FRAME_SHORT_HEADER);
    return length <= bytes.length ? length : 0;
}

/* Room is made once for as many frames as there are. */
bool wire_live_behind_head(struct buffer *out, struct span bytes, struct span head, size_t *joined)
{
    size_t count = 0, payload, length, at = 0;
    INVARIANT(head.length <= WIRE_HEAD);
    while ((length = live_length(span_make(bytes.data + at, bytes.length - at), &payload))) {
        at += length;
        count++;
    }
    *joined = at;
    size_t more = at + count * (head.length + FRAME_LONG_HEADER);
    char *to = count ? buffer_reserve(out, more) : NULL;
    if (!to)
        return !count;
    char *start = to;
    for (at = 0; at < *joined; at += length) {
        length = live_length(span_make(bytes.data + at, *joined - at), &payload);
        to += frame_write_header(to, FIN | FRAME_BINARY, head.length + payload);
        memcpy(to, head.data, head.length);
        memcpy(to + head.length, bytes.data + at + length - payload, payload);
        to += head.length + payload;
    }
    out->length += (size_t)(to - start);
    return true;
}

bool wire_live_with_room(struct buffer *out, struct span frame, size_t room)
{
    size_t payload, length = live_length(frame, &payload);
    INVARIANT(room <= WIRE_HEAD);
    if (!length || length < frame.length)
        return true;
    put_header(out, FIN | FRAME_BINARY, room + payload);
    char *head = buffer_reserve(out, room);
    if (!head)
        return false;
    memset(head, ' ', room);
    out->length += room;
    put(out, frame.data + length - payload, payload);
    return !out->failed;
}

/* ---- heads ---- */

bool wire_head(struct buffer *out, struct span id)
{
    put_string(out, "{\"protocolVersion\":2,\"subscriptionId\":");
    if (id.data)
        doc_escape(out, id);
    else
        put_string(out, "null");
    put_string(out, ",");
    return !out->failed;
}

bool wire_head_accepted(struct buffer *out, struct span id, struct span query, int64_t take)
{
    wire_head(out, id);
    put_string(out, "\"query\":");
    put(out, query.data, query.length - 1);
    if (take)
        buffer_printf(out, ",\"take\":%lld", (long long)take);
    put_string(out, "},");
    return !out->failed;
}

static void put_named(struct buffer *out, const char *name, struct span value)
{
    if (!value.data)
        return;
    buffer_printf(out, "\"%s\":", name);
    doc_escape(out, value);
    put_string(out, ",");
}

bool wire_head_batch(struct buffer *out, const struct wire_batch_head *head)
{
    wire_head(out, head->id);
    put_named(out, "snapshotId", head->snapshot);
    put_string(out, head->authoritative ? "\"authoritative\":true," : "\"authoritative\":false,");
    put_named(out, "key", head->key);
    put_named(out, "epoch", head->epoch);
    return !out->failed;
}

bool wire_unsubscribed(struct buffer *out, struct span id)
{
    struct frame_draft draft = frame_open(out, 80 + id.length);
    wire_head(out, id);
    put_string(out, "\"op\":\"unsubscribed\"}");
    return frame_close(out, draft, FRAME_BINARY);
}
