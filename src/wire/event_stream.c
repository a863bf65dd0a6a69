#include "wire/event_stream.h"

#include "base/invariant.h"
#include "wire/wire_internal.h"

#include <ctype.h>
#include <zlib.h>

enum {
    GZIP_ONLY = 16 + MAX_WBITS,
    NAME_BYTES = 16,
    EPOCH_BYTES = 256,
    TAIL_BYTES = 96 /* of a message: its cursor stands within */
};

struct wire_events {
    struct buffer frames; /* what was taken, */
    size_t at;            /* ... of it, frames that were begun, */
    struct span payload;  /* ... and what is left of the one at hand */
    bool in_frame, in_message, in_event;
    bool last;       /* the frame at hand ends its message */
    bool begins;     /* the event begins a subscription that does not go on from a cursor */
    bool compressed; /* the message is */
    z_stream inflate;
    struct buffer plain;   /* what a step inflated */
    char tail[TAIL_BYTES]; /* the last bytes of the message so far */
    size_t tail_length;
    char epoch[EPOCH_BYTES]; /* of the subscription; "": none was told */
    struct buffer out;
    bool failed;
};

/* ---- life ---- */

/* Its buffers, which are empty then. */
static void release(struct wire_events *events)
{
    buffer_fini(&events->frames);
    buffer_fini(&events->plain);
    buffer_fini(&events->out);
    buffer_init(&events->frames, SIZE_MAX);
    buffer_init(&events->plain, WIRE_FRAGMENT);
    buffer_init(&events->out, SIZE_MAX);
    events->at = 0;
}

struct wire_events *wire_events_new(void)
{
    struct wire_events *events = memory_new(sizeof *events);
    if (!events)
        return NULL;
    release(events);
    return events;
}

static void end_inflating(struct wire_events *events)
{
    if (events->compressed)
        inflateEnd(&events->inflate);
    events->compressed = false;
}

void wire_events_free(struct wire_events *events)
{
    if (!events)
        return;
    end_inflating(events);
    release(events);
    memory_free(events);
}

bool wire_events_wait(const struct wire_events *events)
{
    return events->in_frame || events->at < events->frames.length;
}

bool wire_events_take(struct wire_events *events, struct span frames)
{
    INVARIANT(!wire_events_wait(events));
    if (!frames.length) { /* nothing is told for now: most streams are silent most of the time */
        release(events);
        return true;
    }
    buffer_clear(&events->frames);
    events->at = 0;
    return buffer_add_span(&events->frames, frames);
}

void wire_events_drop(struct wire_events *events)
{
    end_inflating(events);
    buffer_clear(&events->frames);
    events->at = 0;
    events->in_frame = events->in_message = events->in_event = false;
}

/* ---- what a message says of itself ---- */

/* The text behind `start` up to a quote. Neither can be part of a name or a value in front of it,
 * where quotes are escaped. */
static bool find_text(struct span message, const char *start, struct span *text)
{
    const char *found = memmem(message.data, message.length, start, strlen(start));
    if (!found)
        return false;
    const char *from = found + strlen(start), *end = message.data + message.length;
    const char *quote = memchr(from, '"', (size_t)(end - from));
    if (quote)
        *text = span_make(from, (size_t)(quote - from));
    return quote != NULL;
}

static struct span name_of(struct span message)
{
    struct span name;
    return find_text(message, "\"op\":\"", &name) && name.length < NAME_BYTES ? name
                                                                              : span_of("error");
}

static void note_epoch(struct wire_events *events, struct span message)
{
    struct span epoch;
    if (!find_text(message, ",\"epoch\":\"", &epoch) || epoch.length >= EPOCH_BYTES)
        return;
    memcpy(events->epoch, epoch.data, epoch.length);
    events->epoch[epoch.length] = '\0';
}

static bool is_resumed(struct span message)
{
    static const char member[] = ",\"resumed\":true";
    return memmem(message.data, message.length, member, strlen(member)) != NULL;
}

static void note_tail(struct wire_events *events, struct span text)
{
    size_t kept = events->tail_length;
    if (text.length >= TAIL_BYTES) {
        text = span_make(text.data + text.length - TAIL_BYTES, TAIL_BYTES);
        kept = 0;
    } else if (kept + text.length > TAIL_BYTES) {
        size_t dropped = kept + text.length - TAIL_BYTES;
        memmove(events->tail, events->tail + dropped, kept - dropped);
        kept -= dropped;
    }
    memcpy(events->tail + kept, text.data, text.length);
    events->tail_length = kept + text.length;
}

/* The cursor is the last member, or stands before "more". Rows end with a brace, so a member "seq"
 * of theirs is not taken for it. */
static bool cursor_of(const struct wire_events *events, struct span *seq)
{
    static const char start[] = ",\"seq\":\"";
    static const char *const ends[] = {"\"}", "\",\"more\":true}", "\",\"more\":false}"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t length = strlen(ends[i]), left = events->tail_length;
        if (left < length || memcmp(events->tail + left - length, ends[i], length) != 0)
            continue;
        size_t end = left -= length;
        while (left &&
               (isdigit((unsigned char)events->tail[left - 1]) || events->tail[left - 1] == ':'))
            left--;
        if (left < strlen(start) || left == end)
            continue;
        *seq = span_make(events->tail + left, end - left);
        return memcmp(seq->data - strlen(start), start, strlen(start)) == 0;
    }
    return false;
}

/* ---- events ---- */

static void put_text(struct wire_events *events, struct span text)
{
    if (!text.length)
        return;
    if (!events->in_event) {
        struct span name = name_of(text);
        events->in_event = true;
        events->tail_length = 0;
        put_string(&events->out, "event: ");
        put_span(&events->out, name);
        put_string(&events->out, "\ndata: ");
        events->begins = span_equal(name, span_of("subscribed")) && !is_resumed(text);
        if (span_equal(name, span_of("subscribed")))
            note_epoch(events, text);
    }
    put_span(&events->out, text);
    note_tail(events, text);
}

/* Who forgets its rows must forget its cursor, too: an empty id is none, and is not sent again. */
static void end_event(struct wire_events *events)
{
    struct span seq;
    if (events->in_event && events->begins)
        put_string(&events->out, "\nid:");
    else if (events->in_event && *events->epoch && cursor_of(events, &seq)) {
        put_string(&events->out, "\nid: ");
        put_span(&events->out, seq);
        put_string(&events->out, "@");
        put_string(&events->out, events->epoch);
    }
    if (events->in_event)
        put_string(&events->out, "\n\n");
    events->in_event = events->in_message = false;
    end_inflating(events);
}

/* ---- frames ---- */

static bool begin_message(struct wire_events *events)
{
    events->in_message = true;
    if (!wire_is_gzip(events->payload))
        return true;
    events->inflate = (z_stream){0};
    events->compressed = inflateInit2(&events->inflate, GZIP_ONLY) == Z_OK;
    return events->compressed;
}

static bool begin_frame(struct wire_events *events)
{
    struct span rest =
        span_make(events->frames.data + events->at, events->frames.length - events->at);
    if (!wire_frame_payload(rest, &events->payload, &events->last))
        return false;
    events->at += wire_frame_length(rest);
    events->in_frame = true;
    return events->in_message || begin_message(events);
}

/* At most a buffer of what the frame at hand inflates to. */
static bool inflate_some(struct wire_events *events)
{
    z_stream *stream = &events->inflate;
    buffer_clear(&events->plain);
    char *room = buffer_reserve(&events->plain, WIRE_FRAGMENT);
    if (!room)
        return false;
    stream->next_in = (Bytef *)(uintptr_t)events->payload.data;
    stream->avail_in = (uInt)events->payload.length;
    stream->next_out = (Bytef *)room;
    stream->avail_out = WIRE_FRAGMENT;
    int result = inflate(stream, Z_NO_FLUSH);
    size_t taken = events->payload.length - stream->avail_in;
    events->payload = span_make(events->payload.data + taken, stream->avail_in);
    put_text(events, span_make(room, WIRE_FRAGMENT - stream->avail_out));
    events->in_frame = stream->avail_out == 0 || stream->avail_in > 0;
    return result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR;
}

/* A part of the frame at hand, or all of it. */
static bool convert(struct wire_events *events)
{
    if (!events->in_frame && !begin_frame(events))
        return false;
    if (events->compressed) {
        if (!inflate_some(events))
            return false;
    } else {
        put_text(events, events->payload);
        events->in_frame = false;
    }
    if (!events->in_frame && events->last)
        end_event(events);
    return !events->out.failed;
}

bool wire_events_next(struct wire_events *events, struct span *bytes)
{
    buffer_clear(&events->out);
    while (!events->failed && events->out.length < WIRE_FRAGMENT && wire_events_wait(events))
        events->failed = !convert(events);
    *bytes = buffer_span(&events->out);
    return !events->failed;
}

bool wire_events_end(struct buffer *out, uint16_t status, struct span reason)
{
    buffer_printf(out, "event: end\ndata: {\"status\":%d,\"reason\":", status);
    doc_escape(out, reason);
    return buffer_add_string(out, "}\n\n");
}

/* ---- bytes of a stream ---- */

struct wire_run wire_events_measure(struct span bytes)
{
    struct wire_run run = {.payload = bytes.length, .unfinished = bytes.length > 0};
    const char *at = bytes.data, *end = bytes.data + bytes.length;
    while ((at = memmem(at, (size_t)(end - at), "\n\n", 2))) {
        at += 2;
        run.messages++;
        run.unfinished = at < end;
    }
    return run;
}

struct span wire_events_within(struct span bytes, size_t most)
{
    size_t length = bytes.length < most ? bytes.length : most;
    while (length && !(length >= 2 && memcmp(bytes.data + length - 2, "\n\n", 2) == 0))
        length--;
    return span_make(bytes.data, length);
}

bool wire_event_id(struct span id, struct span *seq, struct span *epoch)
{
    const char *at = id.length ? memchr(id.data, '@', id.length) : NULL;
    if (!at)
        return false;
    size_t length = (size_t)(at - id.data);
    *seq = span_make(id.data, length);
    *epoch = span_make(at + 1, id.length - length - 1);
    return seq->length > 0 && epoch->length > 0;
}
