/* Members and scalars of what producers send. */
#include "ingest/decode.h"

bool decode_is_null(const struct decoder *decoder, uint32_t node)
{
    return node == DOC_NONE || decoder->doc->nodes[node].type == DOC_NULL;
}

bool decode_has_type(const struct decoder *decoder, uint32_t node, enum doc_type type)
{
    return decoder->doc->nodes[node].type == type;
}

static size_t name_index(const struct member_names *members, struct span name)
{
    size_t i = 0;
    while (i < members->count && !span_equal(name, span_of(members->names[i])))
        i++;
    return i;
}

bool decode_members(struct decoder *decoder, uint32_t object, const struct member_names *members,
                    uint32_t *nodes)
{
    const struct doc *doc = decoder->doc;
    struct span unknown = span_make(NULL, 0);
    for (size_t i = 0; i < members->count; i++)
        nodes[i] = DOC_NONE;
    for (uint32_t child = object + 1; child < doc->nodes[object].end;
         child = doc->nodes[child].end) {
        size_t i = name_index(members, doc_key(doc, child));
        if (i < members->count)
            nodes[i] = child;
        else if (!unknown.data)
            unknown = doc_key(doc, child);
    }
    /* Only now, so that the caller can still see whose request is refused. */
    if (unknown.data)
        return error_set(decoder->error, ERROR_INVALID_MESSAGE, "unknown member \"%.*s\"; %s",
                         unknown.length > 64 ? 64 : (int)unknown.length, unknown.data,
                         members->what);
    return true;
}

bool decode_out_of_memory(struct decoder *decoder)
{
    return error_set(decoder->error, ERROR_MEMORY, "out of memory while decoding a request");
}

bool decode_string(struct decoder *decoder, uint32_t node, struct span *out)
{
    *out = decode_inside_quotes(doc_text(decoder->doc, node));
    if (!out->length || !memchr(out->data, '\\', out->length))
        return true;
    struct buffer decoded;
    buffer_init(&decoded, out->length);
    if (doc_decode_string(decoder->doc, node, &decoded))
        *out = submission_keep(decoder->submission, buffer_span(&decoded));
    else
        out->data = NULL;
    buffer_fini(&decoded);
    return out->data || decode_out_of_memory(decoder);
}

bool decode_natural(struct decoder *decoder, uint32_t node, const char *name, int64_t *out)
{
    if (doc_integer(decoder->doc, node, out) && *out >= 0)
        return true;
    return error_set(decoder->error, ERROR_INVALID_MESSAGE,
                     "%s must be an integer from 0 to 9223372036854775807", name);
}

bool decode_seq(struct decoder *decoder, uint32_t slot, uint32_t index, bool *has_seq,
                struct seq *seq)
{
    if (decode_is_null(decoder, slot) && decode_is_null(decoder, index))
        return true;
    if (decode_is_null(decoder, slot) || decode_is_null(decoder, index))
        return error_set(decoder->error, ERROR_INVALID_MESSAGE,
                         "%s is there without %s; the two go together",
                         decode_is_null(decoder, slot) ? "index" : "slot",
                         decode_is_null(decoder, slot) ? "slot" : "index");
    *has_seq = true;
    if (!decode_natural(decoder, slot, "slot", &seq->slot) ||
        !decode_natural(decoder, index, "index", &seq->index))
        return false;
    if (seq->slot <= SEQ_GIVEN && seq->index <= SEQ_GIVEN)
        return true;
    return error_set(decoder->error, ERROR_INVALID_MESSAGE,
                     "%s is %lld; at most %lld is taken, so that there is a seq behind it",
                     seq->slot > SEQ_GIVEN ? "slot" : "index", (long long)INT64_MAX,
                     (long long)SEQ_GIVEN);
}
