/* One mutation: {"export","key","patch","append","slot","index","op"}. */
#include "source/decode.h"

enum { MAX_APPENDS = 256 /* of one mutation; they are compared pairwise */ };

enum { EXPORT, KEY, PATCH, APPEND, SLOT, INDEX, OP, MUTATION_MEMBERS };
static const char *const mutation_names[] = {"export", "key",   "patch", "append",
                                             "slot",   "index", "op"};
static const struct member_names mutation_members = {
    "a mutation has export, key, patch, append, slot, index and op", mutation_names,
    MUTATION_MEMBERS};

/* ---- keys ---- */

/* An array of 0 … 255 as lower-case hex; *is_bytes tells whether it is one. */
static bool decode_bytes(struct decoder *decoder, uint32_t array, bool *is_bytes, struct span *out)
{
    static const char digits[] = "0123456789abcdef";
    const struct doc *doc = decoder->doc;
    struct buffer hex;
    buffer_init(&hex, 2 * (size_t)doc->nodes[array].count + 1);
    *is_bytes = true;
    for (uint32_t child = array + 1; *is_bytes && child < doc->nodes[array].end;
         child = doc->nodes[child].end) {
        int64_t byte;
        *is_bytes = doc_integer(doc, child, &byte) && byte >= 0 && byte <= 255;
        if (*is_bytes) {
            buffer_add_char(&hex, digits[byte >> 4]);
            buffer_add_char(&hex, digits[byte & 15]);
        }
    }
    if (*is_bytes)
        *out = submission_keep(decoder->submission, buffer_span(&hex));
    bool done = !hex.failed && (!*is_bytes || out->data);
    buffer_fini(&hex);
    return done || decode_out_of_memory(decoder);
}

static bool decode_key_value(struct decoder *decoder, uint32_t node, struct span *key)
{
    bool is_bytes = false;
    switch (decoder->doc->nodes[node].type) {
    case DOC_STRING:
        return decode_string(decoder, node, key);
    case DOC_WIDE:
        *key = decode_inside_quotes(doc_text(decoder->doc, node));
        return true;
    case DOC_ARRAY:
        if (!decode_bytes(decoder, node, &is_bytes, key))
            return false;
        if (is_bytes)
            return true;
        break;
    default:
        break;
    }
    *key = doc_text(decoder->doc, node);
    return true;
}

static bool decode_key(struct decoder *decoder, uint32_t node, struct span *key)
{
    if (node == DOC_NONE)
        return error_set(decoder->error, ERROR_INVALID_MESSAGE,
                         "key is missing; it names the entity within the export");
    size_t limit = decoder->options->max_key_bytes;
    if (!decode_key_value(decoder, node, key))
        return false;
    if (key->length > limit)
        return error_set(decoder->error, ERROR_INVALID_MESSAGE,
                         "key has %zu bytes; at most %zu are allowed", key->length, limit);
    if (memchr(key->data, '\0', key->length))
        return error_set(decoder->error, ERROR_INVALID_MESSAGE,
                         "key holds a NUL character; no subscriber could name it");
    return true;
}

/* ---- the parts of a mutation ---- */

static bool decode_export(struct decoder *decoder, uint32_t node, struct span *name)
{
    if (decode_is_null(decoder, node))
        return error_set(decoder->error, ERROR_INVALID_MESSAGE,
                         "export is missing; it names the kind of entity");
    if (!decode_has_type(decoder, node, DOC_STRING))
        return error_set(decoder->error, ERROR_INVALID_MESSAGE, "export must be a string");
    if (!decode_string(decoder, node, name))
        return false;
    if (view_export_name_check(*name, decoder->error))
        return true;
    /* To a producer a bad name is a bad message, whatever else it is used for. */
    decoder->error->code = ERROR_INVALID_MESSAGE;
    return error_prefix(decoder->error, "export");
}

static bool decode_operation(struct decoder *decoder, uint32_t node,
                             enum mutation_operation *operation)
{
    static const char *const names[] = {"patch", "upsert", "delete"};
    *operation = MUTATION_PATCH;
    if (decode_is_null(decoder, node))
        return true;
    struct span text = doc_text(decoder->doc, node);
    if (decode_has_type(decoder, node, DOC_STRING))
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            if (span_equal(decode_inside_quotes(text), span_of(names[i]))) {
                *operation = (enum mutation_operation)i;
                return true;
            }
    return error_set(decoder->error, ERROR_INVALID_MESSAGE,
                     "op is %.*s; it must be \"patch\", \"upsert\" or \"delete\"",
                     text.length > 64 ? 64 : (int)text.length, text.data);
}

static bool decode_patch(struct decoder *decoder, uint32_t node, struct mutation *mutation)
{
    if (mutation->operation == MUTATION_DELETE)
        return decode_is_null(decoder, node) || error_set(decoder->error, ERROR_INVALID_MESSAGE,
                                                          "patch does not go with op \"delete\"");
    if (decode_is_null(decoder, node))
        return error_set(decoder->error, ERROR_INVALID_MESSAGE,
                         "patch is missing; a mutation needs one unless its op is \"delete\"");
    if (!decode_has_type(decoder, node, DOC_OBJECT))
        return error_set(decoder->error, ERROR_INVALID_MESSAGE, "patch must be an object");
    if (doc_depth(decoder->doc, node) > decoder->options->max_depth)
        return error_set(decoder->error, ERROR_INVALID_MESSAGE,
                         "patch is nested deeper than %u levels", decoder->options->max_depth);
    mutation->patch = node;
    return true;
}

static bool is_listed(const struct mutation *mutation, struct span path)
{
    for (size_t i = 0; i < mutation->append_count; i++)
        if (span_equal(mutation->appends[i].path, path))
            return true;
    return false;
}

static bool decode_append(struct decoder *decoder, uint32_t node, struct mutation *mutation)
{
    const struct doc *doc = decoder->doc;
    if (decode_is_null(decoder, node))
        return true;
    if (!decode_has_type(decoder, node, DOC_ARRAY))
        return error_set(decoder->error, ERROR_INVALID_MESSAGE,
                         "append must be an array of paths, e.g. [\"rounds\",\"player.moves\"]");
    uint32_t count = doc->nodes[node].count;
    if (!count)
        return true;
    if (mutation->operation != MUTATION_PATCH)
        return error_set(decoder->error, ERROR_INVALID_MESSAGE,
                         "append goes with op \"patch\" only");
    if (count > MAX_APPENDS)
        return error_set(decoder->error, ERROR_INVALID_MESSAGE,
                         "append names %u paths; at most %d are allowed", count, MAX_APPENDS);
    mutation->appends = submission_appends(decoder->submission, count);
    if (!mutation->appends)
        return decode_out_of_memory(decoder);
    for (uint32_t child = node + 1; child < doc->nodes[node].end; child = doc->nodes[child].end) {
        if (!decode_has_type(decoder, child, DOC_STRING))
            return error_set(decoder->error, ERROR_INVALID_MESSAGE,
                             "append must hold strings only");
        struct span path = decode_inside_quotes(doc_text(doc, child));
        if (!is_listed(mutation, path))
            mutation->appends[mutation->append_count++].path = path;
    }
    return true;
}

/* ---- the whole of it ---- */

bool decode_mutation(struct decoder *decoder, uint32_t node, const struct mutation *defaults)
{
    uint32_t members[MUTATION_MEMBERS];
    if (!decode_has_type(decoder, node, DOC_OBJECT))
        return error_set(decoder->error, ERROR_INVALID_MESSAGE, "a mutation must be an object");
    if (!decode_members(decoder, node, &mutation_members, members))
        return false;
    /* No other mutation is added while this one is borrowed. */
    struct mutation *mutation = submission_add(decoder->submission);
    if (!mutation)
        return decode_out_of_memory(decoder);
    mutation->has_seq = defaults->has_seq;
    mutation->seq = defaults->seq;
    return decode_export(decoder, members[EXPORT], &mutation->export_name) &&
           decode_key(decoder, members[KEY], &mutation->key) &&
           decode_operation(decoder, members[OP], &mutation->operation) &&
           decode_patch(decoder, members[PATCH], mutation) &&
           decode_append(decoder, members[APPEND], mutation) &&
           decode_seq(decoder, members[SLOT], members[INDEX], &mutation->has_seq, &mutation->seq);
}
