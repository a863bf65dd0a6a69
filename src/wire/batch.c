/* Snapshot batches and the compressor for them; gunzip.c is the way back. */
#include "wire/wire_internal.h"

#include <limits.h>
#include <zlib.h>

enum {
    GZIP_LEVEL = 1,               /* fast: a snapshot is built while somebody waits for it */
    GZIP_WINDOW = MAX_WBITS + 16, /* 16 asks zlib for gzip's header and trailer */
    GZIP_MEMORY = 8               /* zlib's default */
};

struct wire_gzip {
    z_stream stream;
    struct buffer scratch; /* a compressed batch, before it is framed */
};

/* ---- compressing ---- */

static voidpf gzip_alloc(voidpf opaque, uInt items, uInt size)
{
    (void)opaque;
    return memory_alloc((size_t)items * size);
}

static void gzip_release(voidpf opaque, voidpf memory)
{
    (void)opaque;
    memory_free(memory);
}

struct wire_gzip *wire_gzip_new(void)
{
    struct wire_gzip *gzip = memory_new(sizeof *gzip);
    if (!gzip)
        return NULL;
    gzip->stream.zalloc = gzip_alloc;
    gzip->stream.zfree = gzip_release;
    if (deflateInit2(&gzip->stream, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        memory_free(gzip);
        return NULL;
    }
    buffer_init(&gzip->scratch, UINT_MAX);
    return gzip;
}

void wire_gzip_free(struct wire_gzip *gzip)
{
    if (gzip) {
        deflateEnd(&gzip->stream);
        buffer_fini(&gzip->scratch);
        memory_free(gzip);
    }
}

/*
 * Append the payload as one gzip member of at most `room` bytes. False when it needs more (then
 * nothing is appended) or when `out` has failed. The stream is reset after its use and not before:
 * deflateBound counts too little for a stream that is at its end.
 */
static bool compress_within(struct wire_gzip *gzip, struct span payload, size_t room,
                            struct buffer *out)
{
    z_stream *stream = &gzip->stream;
    char *target = buffer_reserve(out, room);
    if (!target || payload.length > UINT_MAX || room > UINT_MAX)
        return false;
    /* zlib only reads its input, but has no const there unless built so. */
    stream->next_in = (Bytef *)(uintptr_t)payload.data;
    stream->avail_in = (uInt)payload.length;
    stream->next_out = (Bytef *)target;
    stream->avail_out = (uInt)room;
    bool complete = deflate(stream, Z_FINISH) == Z_STREAM_END;
    if (complete)
        out->length += room - stream->avail_out;
    deflateReset(stream);
    return complete;
}

bool wire_gzip_member(struct wire_gzip *gzip, struct span payload, struct buffer *out)
{
    if (!compress_within(gzip, payload, deflateBound(&gzip->stream, payload.length), out)) {
        out->failed = true;
        return false;
    }
    return true;
}

/* ---- batches ---- */

void wire_batch_init(struct wire_batch *batch, const struct wire_encoding *encoding, size_t limit)
{
    batch->encoding = encoding;
    buffer_init(&batch->json, limit);
    batch->rows = 0;
    batch->more = WIRE_MORE_UNSAID;
}

void wire_batch_fini(struct wire_batch *batch)
{
    buffer_fini(&batch->json);
}

bool wire_batch_start(struct wire_batch *batch, enum wire_mode mode, struct span view)
{
    struct buffer *json = &batch->json;
    buffer_clear(json);
    batch->rows = 0;
    batch->more = WIRE_MORE_UNSAID;
    buffer_add_string(json, batch->encoding ? "\"mode\":\"" : "{\"mode\":\"");
    buffer_add_string(json, wire_mode_names[mode]);
    buffer_add_string(json, "\",\"entity\":");
    doc_escape(json, view);
    return buffer_add_string(json, ",\"op\":\"snapshot\",\"data\":[");
}

bool wire_batch_row(struct wire_batch *batch, struct span key, struct span data, int64_t change)
{
    struct buffer *json = &batch->json;
    put_string(json, batch->rows ? ",{\"key\":" : "{\"key\":");
    doc_escape(json, key);
    put_string(json, ",\"data\":");
    if (batch->encoding)
        put_versioned(json, batch->encoding, data, change);
    else
        put_span(json, data);
    put_string(json, "}");
    batch->rows++;
    return !json->failed;
}

static void put_end(struct wire_batch *batch, bool complete, struct span seq)
{
    struct buffer *json = &batch->json;
    put_string(json, complete ? "],\"complete\":true" : "],\"complete\":false");
    if (seq.data) {
        put_string(json, ",\"seq\":\"");
        put_span(json, seq);
        put_string(json, "\"");
    }
    if (complete && batch->more != WIRE_MORE_UNSAID)
        put_string(json, batch->more == WIRE_MORE ? ",\"more\":true" : ",\"more\":false");
    put_string(json, "}");
}

/* The end of a compressed body must stand in one frame, where its head changes it. */
static bool may_compress(const struct wire_batch *batch, size_t length)
{
    size_t last = length % WIRE_FRAGMENT;
    return !batch->encoding || length < WIRE_FRAGMENT || last == 0 || last >= WIRE_GZIP_END;
}

bool wire_batch_end(struct wire_batch *batch, bool complete, struct span seq,
                    struct wire_gzip *gzip, struct buffer *out)
{
    struct buffer *json = &batch->json;
    put_end(batch, complete, seq);
    if (json->failed)
        return false;
    struct span payload = buffer_span(json);
    if (payload.length >= WIRE_GZIP_MINIMUM) {
        /* One byte less than the payload is all the room that a useful result may take. */
        buffer_clear(&gzip->scratch);
        if (compress_within(gzip, payload, payload.length - 1, &gzip->scratch) &&
            may_compress(batch, gzip->scratch.length))
            payload = buffer_span(&gzip->scratch);
    }
    return wire_binary(out, payload,
                       !batch->encoding ? WIRE_WHOLE
                       : complete       ? WIRE_LAST_BATCH
                                        : WIRE_BATCH);
}

bool wire_batch_nothing(struct buffer *out, const struct wire_encoding *encoding,
                        enum wire_mode mode, struct span view)
{
    struct wire_batch batch;
    struct span none = span_make(NULL, 0);
    wire_batch_init(&batch, encoding, WIRE_GZIP_MINIMUM);
    bool done = wire_batch_start(&batch, mode, view);
    put_end(&batch, true, none);
    done =
        done && !batch.json.failed && wire_binary(out, buffer_span(&batch.json), WIRE_LAST_BATCH);
    wire_batch_fini(&batch);
    return done;
}
