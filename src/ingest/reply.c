/* The answers to producers, as JSON. */
#include "ingest/ingest.h"

#include "wire/wire.h"

static void print_last(struct buffer *out, const struct ingest_reply *reply)
{
    if (!reply->has_last)
        return;
    if (reply->last_batch < 0)
        buffer_add_string(out, ",\"last_batch\":null");
    else
        buffer_printf(out, ",\"last_batch\":%lld", (long long)reply->last_batch);
    if (reply->last_mark.data) {
        buffer_add_string(out, ",\"mark\":");
        doc_escape(out, reply->last_mark);
    }
}

static void print_unknown(struct buffer *out, const struct ingest_reply *reply)
{
    for (size_t i = 0; i < reply->unknown_count; i++) {
        buffer_add_string(out, i ? "," : ",\"unknown_exports\":[");
        doc_escape(out, reply->unknown_exports[i]);
    }
    if (reply->unknown_count)
        buffer_add_char(out, ']');
}

static void print_counts(struct buffer *out, const struct ingest_reply *reply)
{
    buffer_printf(out, "\"applied\":%llu,\"ignored\":%llu,\"duplicate\":%llu",
                  (unsigned long long)reply->applied, (unsigned long long)reply->ignored,
                  (unsigned long long)reply->duplicate);
    if (reply->stale)
        buffer_printf(out, ",\"stale\":%llu", (unsigned long long)reply->stale);
    if (reply->truncated)
        buffer_printf(out, ",\"truncated\":%llu", (unsigned long long)reply->truncated);
    if (reply->has_seq) {
        char seq[SEQ_SIZE];
        size_t length = seq_print(seq, (struct seq){reply->seq.slot, reply->seq.index});
        buffer_printf(out, ",\"seq\":\"%.*s\"", (int)length, seq);
    }
    print_last(out, reply);
    print_unknown(out, reply);
}

/* The fields of an error, and of one about the order of batches where the producer is. */
static bool print_error(struct buffer *out, const struct ingest_reply *reply)
{
    if (!wire_error_body(out, &reply->error, error_retry_after(&reply->error)))
        return false;
    out->length--; /* the closing brace */
    print_last(out, reply);
    return buffer_add_char(out, '}');
}

static void print_id(struct buffer *out, struct span id)
{
    buffer_add_span(out, id.data ? id : span_of("null"));
}

bool ingest_reply_print(struct buffer *out, enum ingest_format format,
                        const struct ingest_reply *reply)
{
    bool refused = reply->error.code != ERROR_NONE;
    if (format == INGEST_LINES && refused)
        return print_error(out, reply);
    if (reply->answer.data)
        return buffer_add_span(out, reply->answer);
    buffer_add_char(out, '{');
    if (format == INGEST_MESSAGE) {
        buffer_add_string(out, refused ? "\"nack\":" : "\"ack\":");
        print_id(out, reply->id);
        buffer_add_char(out, ',');
    }
    if (refused) {
        buffer_add_string(out, "\"error\":");
        print_error(out, reply);
    } else {
        print_counts(out, reply);
    }
    return buffer_add_char(out, '}');
}
