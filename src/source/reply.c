/* What producers are told, as JSON. */
#include "source/source.h"

#include "wire/wire.h"

static void print_counts(struct buffer *out, const struct source_reply *reply)
{
    buffer_printf(out, "\"applied\":%llu,\"ignored\":%llu,\"duplicate\":%llu",
                  (unsigned long long)reply->applied, (unsigned long long)reply->ignored,
                  (unsigned long long)reply->duplicate);
    if (reply->has_seq) {
        char seq[SEQ_SIZE];
        size_t length = seq_print(seq, (struct seq){reply->seq.slot, reply->seq.index});
        buffer_printf(out, ",\"seq\":\"%.*s\"", (int)length, seq);
    }
}

static void print_id(struct buffer *out, struct span id)
{
    buffer_add_span(out, id.data ? id : span_of("null"));
}

bool source_reply_print(struct buffer *out, enum source_format format,
                        const struct source_reply *reply)
{
    bool refused = reply->error.code != ERROR_NONE;
    if (format == SOURCE_LINES && refused)
        return wire_error_body(out, &reply->error, error_retry_after(&reply->error));
    buffer_add_char(out, '{');
    if (format == SOURCE_MESSAGE) {
        buffer_add_string(out, refused ? "\"nack\":" : "\"ack\":");
        print_id(out, reply->id);
        buffer_add_char(out, ',');
    }
    if (refused) {
        buffer_add_string(out, "\"error\":");
        wire_error_body(out, &reply->error, error_retry_after(&reply->error));
    } else {
        print_counts(out, reply);
    }
    return buffer_add_char(out, '}');
}
