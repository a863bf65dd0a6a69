/*
 * The way back from a compressed message, for clients: the frames of a snapshot may be gzip.
 */
#include "wire/wire.h"

#include <zlib.h>

enum { GZIP_OR_NOTHING = 16 + 15, STEP = 64 * 1024 };

bool wire_is_gzip(struct span message)
{
    return message.length >= 2 && memcmp(message.data, "\x1f\x8b", 2) == 0;
}

static bool inflate_into(z_stream *stream, struct buffer *out, struct error *error)
{
    int result = Z_OK;
    while (result == Z_OK) {
        /* Never ask for more than the cap still allows, or a message that just fits would fail. */
        size_t room = out->limit > out->length ? out->limit - out->length : 0;
        size_t step = room < STEP ? room : STEP;
        char *target = step > 0 ? buffer_reserve(out, step) : NULL;
        if (!target)
            return error_set(error, ERROR_TOO_LARGE, "a compressed message holds over %zu bytes",
                             out->limit);
        stream->next_out = (Bytef *)target;
        stream->avail_out = (uInt)step;
        result = inflate(stream, Z_NO_FLUSH);
        out->length += step - stream->avail_out;
        /* Several compressed files behind each other are one, too (RFC 1952, 2.2). */
        if (result == Z_STREAM_END && stream->avail_in > 0)
            result = inflateReset(stream);
    }
    if (result == Z_MEM_ERROR)
        return error_set(error, ERROR_MEMORY, "out of memory");
    return (result == Z_STREAM_END && stream->avail_in == 0) ||
           error_set(error, ERROR_INVALID_MESSAGE, "a compressed message is damaged");
}

bool wire_gunzip(struct span message, struct buffer *out, struct error *error)
{
    z_stream stream = {0};
    if (message.length > UINT32_MAX)
        return error_set(error, ERROR_TOO_LARGE, "a compressed message is larger than 4 GiB");
    if (inflateInit2(&stream, GZIP_OR_NOTHING) != Z_OK)
        return error_set(error, ERROR_MEMORY, "out of memory");
    stream.next_in = (Bytef *)message.data;
    stream.avail_in = (uInt)message.length;
    bool done = inflate_into(&stream, out, error);
    inflateEnd(&stream);
    return done;
}
