/*
 * The frames of a live subscription: its acknowledgement and one frame per change. wire_change is
 * the hottest function of the folder (once per change and view), hence the prepared pieces.
 */
#include "wire/wire_internal.h"

/* Bytes of a change frame that are neither view, key, data, append nor seq; a guess, see
 * frame_open. */
enum { CHANGE_FIXED = 76 };

const char *const wire_mode_names[] = {
    [WIRE_STATE] = "state", [WIRE_LIST] = "list", [WIRE_APPEND] = "append"};

static const char *const change_starts[] = {[WIRE_STATE] = "{\"mode\":\"state\",\"entity\":",
                                            [WIRE_LIST] = "{\"mode\":\"list\",\"entity\":",
                                            [WIRE_APPEND] = "{\"mode\":\"append\",\"entity\":"};

/* Of the others no client is told. To clients of version 1 a removal is a delete. */
static const char *const change_operations[] = {[ROW_PATCH] = ",\"op\":\"patch\",\"key\":",
                                                [ROW_UPSERT] = ",\"op\":\"upsert\",\"key\":",
                                                [ROW_DELETE] = ",\"op\":\"delete\",\"key\":",
                                                [ROW_REMOVE] = ",\"op\":\"delete\",\"key\":"};

/* Of version 2, whose bodies say first what they are. */
static const char *const body_starts[] = {[ROW_PATCH] = "\"op\":\"patch\",\"mode\":\"",
                                          [ROW_UPSERT] = "\"op\":\"upsert\",\"mode\":\"",
                                          [ROW_DELETE] = "\"op\":\"delete\",\"mode\":\"",
                                          [ROW_REMOVE] = "\"op\":\"remove\",\"mode\":\""};

/* The member that the client is to believe comes last: an object may have one of that name. */
void put_versioned(struct buffer *out, const struct wire_encoding *encoding, struct span data,
                   int64_t change)
{
    bool is_empty = data.length <= 2;
    put(out, data.data, data.length - 1);
    put_string(out, is_empty ? "\"_version\":\"" : ",\"_version\":\"");
    put_string(out, encoding->epoch);
    buffer_printf(out, ":%lld\"}", (long long)change);
}

static void put_names(struct buffer *out, const struct wire_change *change)
{
    if (!change->encoding) {
        put_string(out, change_starts[change->mode]);
        doc_escape(out, change->view);
        put_string(out, change_operations[change->operation]);
    } else {
        put_string(out, body_starts[change->operation]);
        put_string(out, wire_mode_names[change->mode]);
        put_string(out, "\",\"entity\":");
        doc_escape(out, change->view);
        put_string(out, ",\"key\":");
    }
    doc_escape(out, change->key);
}

bool wire_change(struct buffer *out, const struct wire_change *change)
{
    struct frame_draft draft =
        frame_open(out, CHANGE_FIXED + change->view.length + change->key.length +
                            change->data.length + change->append.length + change->seq.length);
    put_names(out, change);
    put_string(out, ",\"data\":");
    if (!change->data.data)
        put_string(out, "null");
    else if (change->encoding)
        put_versioned(out, change->encoding, change->data, change->change);
    else
        put_span(out, change->data);
    if (change->append.data) {
        put_string(out, ",\"append\":");
        put_span(out, change->append);
    }
    if (change->seq.data) {
        /* Digits and a colon: nothing to escape. */
        put_string(out, ",\"seq\":\"");
        put_span(out, change->seq);
        put_string(out, "\"");
    }
    if (change->encoding && change->on_tape)
        buffer_printf(out, ",\"offset\":%lld", (long long)change->change);
    put_string(out, "}");
    return frame_close(out, draft,
                       change->encoding ? frame_of_part(FRAME_BINARY, WIRE_LIVE) : FRAME_BINARY);
}

bool wire_event(struct buffer *json, const struct wire_change *change, int64_t at)
{
    buffer_printf(json, "%s{\"offset\":%lld,\"time\":%lld", json->length ? ",\n" : "",
                  (long long)change->change, (long long)at);
    put_string(json, change_operations[change->operation]);
    doc_escape(json, change->key);
    put_string(json, ",\"data\":");
    put_span(json, change->data.data ? change->data : span_of("null"));
    if (change->append.data) {
        put_string(json, ",\"append\":");
        put_span(json, change->append);
    }
    if (change->seq.data) {
        put_string(json, ",\"seq\":\"");
        put_span(json, change->seq);
        put_string(json, "\"");
    }
    put_string(json, "}");
    return !json->failed;
}

/* Take `text` from the start of `rest`. */
static bool take_text(struct span *rest, const char *text)
{
    size_t length = strlen(text);
    if (rest->length < length || memcmp(rest->data, text, length) != 0)
        return false;
    *rest = span_make(rest->data + length, rest->length - length);
    return true;
}

/* Take the one of `texts` that `rest` starts with; *which is its number. */
static bool take_any(struct span *rest, const char *const *texts, size_t count, size_t *which)
{
    for (*which = 0; *which < count; (*which)++)
        if (texts[*which] && take_text(rest, texts[*which]))
            return true;
    return false;
}

static bool take_string(struct span *rest, struct span *string)
{
    size_t at = 1;
    if (!rest->length || rest->data[0] != '"')
        return false;
    while (at < rest->length && rest->data[at] != '"')
        at += rest->data[at] == '\\' ? 2 : 1;
    if (at >= rest->length)
        return false;
    *string = span_make(rest->data, at + 1);
    *rest = span_make(rest->data + at + 1, rest->length - at - 1);
    return true;
}

bool wire_change_names(struct span payload, enum row_operation *operation, struct span *view,
                       struct span *key)
{
    size_t mode, which;
    if (!take_any(&payload, change_starts, sizeof change_starts / sizeof *change_starts, &mode) ||
        !take_string(&payload, view) ||
        !take_any(&payload, change_operations, sizeof change_operations / sizeof *change_operations,
                  &which))
        return false;
    *operation = (enum row_operation)which;
    return take_string(&payload, key);
}

static void put_key(struct buffer *out, const struct wire_sort *sort)
{
    put_string(out, "{\"field\":[");
    for (size_t i = 0; i < sort->count; i++) {
        if (i > 0)
            put_string(out, ",");
        doc_escape(out, sort->path[i]);
    }
    put_string(out, sort->descending ? "],\"order\":\"desc\"}" : "],\"order\":\"asc\"}");
}

/* Clients of version 1 know one key; all of several stand beside it. */
static void put_sort(struct buffer *out, const struct wire_subscribed *subscribed)
{
    static const struct span seq = {"_seq", 4};
    static const struct wire_sort by_seq = {&seq, 1, true};
    const struct wire_sort *first = subscribed->sorted_by_seq ? &by_seq : subscribed->sorts;
    if (!subscribed->sorted_by_seq && !subscribed->sort_count)
        return;
    put_string(out, ",\"sort\":");
    put_key(out, first);
    for (size_t i = 0; subscribed->sort_count > 1 && i < subscribed->sort_count; i++) {
        put_string(out, i ? "," : ",\"sorts\":[");
        put_key(out, &subscribed->sorts[i]);
    }
    put_string(out, subscribed->sort_count > 1 ? "]" : "");
}

static bool put_accepted(struct buffer *out, const struct wire_subscribed *subscribed)
{
    const struct wire_tape *tape = subscribed->tape;
    struct frame_draft draft = frame_open(out, 192);
    put_string(out, "\"op\":\"subscribed\",\"mode\":\"");
    put_string(out, wire_mode_names[subscribed->mode]);
    put_string(out, "\"");
    put_sort(out, subscribed);
    if (tape) {
        put_string(out, ",\"replayWindow\":");
        wire_put_tape(out, tape);
    }
    if (subscribed->epoch.data) {
        put_string(out, ",\"epoch\":");
        doc_escape(out, subscribed->epoch);
    }
    if (subscribed->resumed >= 0)
        put_string(out, subscribed->resumed ? ",\"resumed\":true" : ",\"resumed\":false");
    put_string(out, ",\"wholeEntities\":true}");
    return frame_close(
        out, draft,
        frame_of_part(FRAME_BINARY, subscribed->resumed > 0 ? WIRE_RESUMED : WIRE_ACCEPTED));
}

bool wire_subscribed(struct buffer *out, const struct wire_subscribed *subscribed)
{
    if (subscribed->encoding)
        return put_accepted(out, subscribed);
    struct frame_draft draft =
        frame_open(out, 192 + subscribed->view.length + subscribed->epoch.length);
    put_string(out, "{\"op\":\"subscribed\",\"view\":");
    doc_escape(out, subscribed->view);
    put_string(out, ",\"mode\":\"");
    put_string(out, wire_mode_names[subscribed->mode]);
    put_string(out, "\"");
    put_sort(out, subscribed);
    if (subscribed->has_take)
        buffer_printf(out, ",\"take\":%lld,\"skip\":%lld", (long long)subscribed->take,
                      (long long)subscribed->skip);
    if (subscribed->epoch.data) {
        put_string(out, ",\"epoch\":");
        doc_escape(out, subscribed->epoch);
    }
    if (subscribed->resumed >= 0)
        put_string(out, subscribed->resumed ? ",\"resumed\":true" : ",\"resumed\":false");
    put_string(out, "}");
    return frame_close(out, draft, FRAME_BINARY);
}
