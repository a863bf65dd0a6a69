/* One mutation: {"export","key","patch","append","unset","slot","index","op","if"}. */
#include "ingest/decode.h"

#include <stdlib.h>

enum {
    MAX_PATHS = 256 /* of one mutation, in append or unset; those of append are compared pairwise */
};

enum { EXPORT, KEY, PATCH, APPEND, UNSET, SLOT, INDEX, OP, IF, MUTATION_MEMBERS };
static const char *const mutation_names[] = {"export", "key",   "patch", "append", "unset",
                                             "slot",   "index", "op",    "if"};
static const struct member_names mutation_members = {
    "a mutation has export, key, patch, append, unset, slot, index, op and if", mutation_names,
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

/* An entity that was stored under a longer limit can still be deleted. */
static bool decode_key(struct decoder *decoder, uint32_t node, enum row_operation operation,
                       struct span *key)
{
    if (node == DOC_NONE)
        return error_set(decoder->error, ERROR_INVALID_MESSAGE,
                         "key is missing; it names the entity within the export");
    size_t limit =
        operation == ROW_DELETE ? (size_t)INGEST_LONGEST_KEY : decoder->options->max_key_bytes;
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

static bool decode_operation(struct decoder *decoder, uint32_t node, enum row_operation *operation)
{
    static const char *const names[] = {
        [ROW_PATCH] = "patch", [ROW_UPSERT] = "upsert", [ROW_DELETE] = "delete"};
    *operation = ROW_PATCH;
    if (decode_is_null(decoder, node))
        return true;
    struct span text = doc_text(decoder->doc, node);
    if (decode_has_type(decoder, node, DOC_STRING))
        for (size_t i = ROW_PATCH; i < sizeof names / sizeof *names; i++)
            if (span_equal(decode_inside_quotes(text), span_of(names[i]))) {
                *operation = (enum row_operation)i;
                return true;
            }
    return error_set(decoder->error, ERROR_INVALID_MESSAGE,
                     "op is %.*s; it must be \"patch\", \"upsert\" or \"delete\"",
                     text.length > 64 ? 64 : (int)text.length, text.data);
}

/* The document's text has room for two bytes more, see ingest_submission. */
static bool use_empty_patch(struct decoder *decoder, struct mutation *mutation)
{
    if (decoder->empty == DOC_NONE &&
        !doc_parse(&decoder->submission->doc, span_of("{}"), 1, &decoder->empty, decoder->error))
        return false;
    mutation->patch = decoder->empty;
    return true;
}

static bool decode_patch(struct decoder *decoder, uint32_t node, struct mutation *mutation)
{
    if (mutation->operation == ROW_DELETE)
        return decode_is_null(decoder, node) || error_set(decoder->error, ERROR_INVALID_MESSAGE,
                                                          "patch does not go with op \"delete\"");
    if (decode_is_null(decoder, node) && mutation->unset_count)
        return use_empty_patch(decoder, mutation);
    if (decode_is_null(decoder, node))
        return error_set(decoder->error, ERROR_INVALID_MESSAGE,
                         "patch is missing; a mutation needs one unless its op is \"delete\" or it "
                         "has unset");
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
    if (mutation->operation != ROW_PATCH)
        return error_set(decoder->error, ERROR_INVALID_MESSAGE,
                         "append goes with op \"patch\" only");
    if (count > MAX_PATHS)
        return error_set(decoder->error, ERROR_INVALID_MESSAGE,
                         "append names %u paths; at most %d are allowed", count, MAX_PATHS);
    mutation->appends = submission_zeroed(decoder->submission, count * sizeof *mutation->appends);
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

static bool decode_unset_path(struct decoder *decoder, uint32_t node, struct span *path)
{
    if (!decode_has_type(decoder, node, DOC_STRING))
        return error_set(decoder->error, ERROR_INVALID_MESSAGE, "unset must hold strings only");
    *path = decode_inside_quotes(doc_text(decoder->doc, node));
    return !span_equal(*path, span_of("_seq")) ||
           error_set(decoder->error, ERROR_INVALID_MESSAGE,
                     "unset names _seq, which every entity has");
}

static int by_text(const void *a, const void *b)
{
    return span_compare(*(const struct span *)a, *(const struct span *)b);
}

static bool decode_unset(struct decoder *decoder, uint32_t node, struct mutation *mutation)
{
    const struct doc *doc = decoder->doc;
    if (decode_is_null(decoder, node))
        return true;
    if (!decode_has_type(decoder, node, DOC_ARRAY))
        return error_set(decoder->error, ERROR_INVALID_MESSAGE,
                         "unset must be an array of paths, e.g. [\"bids.101\",\"note\"]");
    uint32_t count = doc->nodes[node].count;
    if (!count)
        return true;
    if (mutation->operation != ROW_PATCH)
        return error_set(decoder->error, ERROR_INVALID_MESSAGE,
                         "unset goes with op \"patch\" only");
    if (count > MAX_PATHS)
        return error_set(decoder->error, ERROR_INVALID_MESSAGE,
                         "unset names %u paths; at most %d are allowed", count, MAX_PATHS);
    struct span *paths = submission_zeroed(decoder->submission, count * sizeof *paths);
    if (!paths)
        return decode_out_of_memory(decoder);
    mutation->unset = paths;
    for (uint32_t child = node + 1; child < doc->nodes[node].end; child = doc->nodes[child].end)
        if (!decode_unset_path(decoder, child, &paths[mutation->unset_count++]))
            return false;
    qsort(paths, count, sizeof *paths, by_text);
    return true;
}

static bool decode_condition(struct decoder *decoder, uint32_t node, struct mutation *mutation)
{
    if (decode_is_null(decoder, node))
        return true;
    struct span text = doc_text(decoder->doc, node);
    if (!decode_has_type(decoder, node, DOC_STRING) || !span_equal(text, span_of("\"newer\"")))
        return error_set(decoder->error, ERROR_INVALID_MESSAGE, "if is %.*s; it must be \"newer\"",
                         text.length > 64 ? 64 : (int)text.length, text.data);
    mutation->newer = true;
    return mutation->has_seq ||
           error_set(decoder->error, ERROR_INVALID_MESSAGE,
                     "if \"newer\" needs slot and index, which say how new the mutation is");
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
           decode_operation(decoder, members[OP], &mutation->operation) &&
           decode_key(decoder, members[KEY], mutation->operation, &mutation->key) &&
           decode_unset(decoder, members[UNSET], mutation) &&
           decode_patch(decoder, members[PATCH], mutation) &&
           decode_append(decoder, members[APPEND], mutation) &&
           decode_seq(decoder, members[SLOT], members[INDEX], &mutation->has_seq, &mutation->seq) &&
           decode_condition(decoder, members[IF], mutation);
}
