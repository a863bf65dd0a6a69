/*
 * Applying one patch or upsert: what it takes out of the entity goes first, then it is merged; and
 * what of it goes into the log and to subscribers.
 *
 * Clients merge patches into what they hold, deeply, and cannot take anything out. So a patch that
 * takes out something that was there is made a replacement, for them and in the log. The log needs
 * no rule of its own then: whoever replays it merges, and nothing else.
 */
#include "engine/engine_internal.h"

enum { MERGED_DEPTH = 1024 }; /* more than max_depth may ever be */

struct patching {
    struct writer *writer;
    struct submission *submission;
    const struct mutation *mutation;
    struct entity *entity;
    /* The object to merge: the mutation's patch, or that without nulls. */
    const struct doc *doc;
    uint32_t patch;
    bool existed, replaces; /* replaces: it is an upsert */
    bool whole;             /* subscribers get the whole entity */
    bool rewritten;         /* it is a patch, but the log gets the whole entity, too */
    bool drafted; /* it is merged in the entity's draft, and not into writer->scratch.merged */
    uint32_t max_array;
    struct seq seq;
    struct span seq_text;
    char printed[SEQ_SIZE];
    struct error *error;
};

static bool out_of_memory(struct patching *patching, const char *doing)
{
    return error_set(patching->error, ERROR_MEMORY, "out of memory while %s", doing);
}

static bool appends(const struct patching *patching)
{
    return patching->mutation->append_count && !patching->replaces;
}

/* ---- what is taken out ---- */

/* The patch without its nulls, in a document of its own. */
static bool strip_nulls(struct patching *patching)
{
    struct writer *writer = patching->writer;
    doc_clear(&writer->scratch.stripped);
    buffer_clear(&writer->scratch.patch);
    if (!doc_print_without_nulls(&writer->scratch.patch, patching->doc, patching->patch))
        return out_of_memory(patching, "reading a patch");
    if (!doc_parse(&writer->scratch.stripped, buffer_span(&writer->scratch.patch), MERGED_DEPTH,
                   &patching->patch, patching->error))
        return false;
    patching->doc = &writer->scratch.stripped;
    return true;
}

/* The base of the merge: the entity without the members that the mutation removes. */
static bool take_out(struct patching *patching, struct span *base)
{
    const struct mutation *mutation = patching->mutation;
    bool has_null = !patching->replaces && patching->entity->export->null_removes &&
                    doc_has_null(patching->doc, patching->patch);
    struct merge_removal removal = {.paths = mutation->unset,
                                    .count = mutation->unset_count,
                                    .doc = patching->doc,
                                    .nulls = has_null ? patching->patch : (uint32_t)DOC_NONE};
    *base = patching->replaces ? span_make(NULL, 0) : text_span(patching->entity->data);
    if (base->data && (has_null || mutation->unset_count)) {
        struct buffer *rest = &patching->writer->scratch.rest;
        bool removed;
        buffer_clear(rest);
        if (!merge_remove(rest, *base, &removal, &removed, patching->error))
            return false;
        patching->rewritten = removed;
        *base = buffer_span(rest);
    }
    return !has_null || strip_nulls(patching);
}

/* ---- merging ---- */

/* A limit that was lowered must not keep an entity from becoming smaller. */
static size_t size_limit(const struct patching *patching, size_t now)
{
    size_t limit = patching->writer->engine->options.max_entity_bytes;
    return now > limit ? now : limit;
}

/* Whether what is about to be merged may be so much. Small ones are not counted. */
static bool may_be_large(struct patching *patching)
{
    const struct text *data = patching->entity->data;
    size_t kept = data && !patching->replaces ? data->length : 0;
    size_t bytes = kept + doc_text(patching->doc, patching->patch).length;
    return bytes <= KEPT_ENTITY || large_admits(patching->writer, bytes, patching->error);
}

static bool merge_text(struct patching *patching)
{
    struct writer *writer = patching->writer;
    const struct mutation *mutation = patching->mutation;
    struct span base;
    if (!writer_draft_end(writer, patching->entity, patching->error) || !may_be_large(patching) ||
        !take_out(patching, &base))
        return false;
    const struct text *data = patching->entity->data;
    writer->scratch.merged.limit = size_limit(patching, data ? data->length : 0);
    buffer_clear(&writer->scratch.merged);
    if (!merge_object(&writer->scratch.merged, base, patching->doc, patching->patch,
                      patching->replaces ? NULL : mutation->appends,
                      patching->replaces ? 0 : mutation->append_count, patching->max_array,
                      patching->seq_text, patching->error))
        return false;
    writer_note_merged(writer, writer->scratch.merged.length);
    return true;
}

/* The same in the entity's draft; what becomes small enough to travel with its change has none. */
static bool merge_draft(struct patching *patching)
{
    struct writer *writer = patching->writer;
    const struct mutation *mutation = patching->mutation;
    struct merge_draft *draft = writer_draft(writer, patching->entity, patching->error);
    if (!draft)
        return false;
    size_t limit = size_limit(patching, merge_draft_size(draft).length);
    size_t memory = merge_draft_size(draft).memory;
    if (!merge_draft_patch(draft, patching->doc, patching->patch, mutation->appends,
                           mutation->append_count, patching->max_array, patching->seq_text,
                           patching->error))
        return false;
    writer->applying.merged += merge_draft_size(draft).memory - memory;
    if (merge_draft_size(draft).length > limit)
        return error_set(patching->error, ERROR_TOO_LARGE,
                         "the merged entity would be larger than %zu bytes", limit);
    patching->drafted = merge_draft_size(draft).length > KEPT_ENTITY;
    return patching->drafted || writer_draft_print(writer, patching->entity, patching->error);
}

static bool merge(struct patching *patching)
{
    bool drafts = writer_may_draft(patching->writer, patching->submission, patching->mutation,
                                   patching->entity);
    return drafts ? merge_draft(patching) : merge_text(patching);
}

/* Whether it moves the row to another scope: to some who see it from now on it is new, and the log
 * alone must be able to tell them. */
static bool is_moved(const struct patching *patching)
{
    const struct view_scope *scope = patching->entity->export->scope;
    if (!scope || patching->whole || patching->drafted)
        return false;
    struct span before = view_scope_label(scope, text_span(patching->entity->data));
    struct span merged = buffer_span(&patching->writer->scratch.merged);
    return !span_equal(before, view_scope_label(scope, merged));
}

/* The entity as a replay of the log makes it from its whole text. */
static bool rewrite(struct patching *patching)
{
    struct writer *writer = patching->writer;
    struct doc doc;
    uint32_t whole;
    doc_init(&doc, UINT32_MAX, UINT32_MAX);
    buffer_clear(&writer->scratch.patch);
    writer_note_merged(writer, writer->scratch.merged.length);
    bool done = doc_parse(&doc, buffer_span(&writer->scratch.merged), MERGED_DEPTH, &whole,
                          patching->error) &&
                merge_object(&writer->scratch.patch, span_make(NULL, 0), &doc, whole, NULL, 0,
                             patching->max_array, patching->seq_text, patching->error);
    doc_fini(&doc);
    buffer_clear(&writer->scratch.merged);
    return done && (buffer_add_span(&writer->scratch.merged, buffer_span(&writer->scratch.patch)) ||
                    out_of_memory(patching, "merging"));
}

/* ---- cut arrays ---- */

/* A mutation counts once, by the first array that it cost elements. */
static void note_truncation(struct patching *patching)
{
    struct export_state *export = patching->entity->export;
    const struct mutation *mutation = patching->mutation;
    struct buffer path;
    for (size_t i = 0; appends(patching) && i < mutation->append_count; i++)
        if (mutation->appends[i].cut) {
            writer_note_truncation(patching->writer, patching->submission, export,
                                   mutation->appends[i].path);
            return;
        }
    buffer_init(&path, UINT32_MAX);
    if (doc_find_long_array(patching->doc, patching->patch, patching->max_array, &path))
        writer_note_truncation(patching->writer, patching->submission, export, buffer_span(&path));
    buffer_fini(&path);
}

/* ---- for subscribers ---- */

/* ["a","b.c"]: the paths that a client must append at, those that were sent whole left out. */
static bool print_append(struct buffer *out, const struct mutation *mutation)
{
    for (size_t i = 0; i < mutation->append_count; i++) {
        if (mutation->appends[i].full)
            continue;
        buffer_add_string(out, out->length ? ",\"" : "[\"");
        buffer_add_span(out, mutation->appends[i].path);
        buffer_add_char(out, '"');
    }
    if (out->length)
        buffer_add_char(out, ']');
    return !out->failed;
}

/* The object in which merge_print_patch looks for arrays that are sent whole. */
static bool find_merged(struct patching *patching, struct span *merged)
{
    struct writer *writer = patching->writer;
    const struct mutation *mutation = patching->mutation;
    bool full = false;
    *merged = buffer_span(&writer->scratch.merged);
    if (!patching->drafted)
        return true;
    for (size_t i = 0; i < mutation->append_count; i++)
        full = full || mutation->appends[i].full;
    *merged = span_of("{}");
    if (!full)
        return true;
    buffer_clear(&writer->scratch.rest);
    bool printed = merge_draft_print(writer_draft(writer, patching->entity, patching->error),
                                     patching->doc, patching->patch, &writer->scratch.rest);
    *merged = buffer_span(&writer->scratch.rest);
    return printed || out_of_memory(patching, "printing a patch");
}

/* The change's data for subscribers, if it is not the whole entity. */
static bool print_for_subscribers(struct patching *patching)
{
    struct writer *writer = patching->writer;
    const struct mutation *mutation = patching->mutation;
    buffer_clear(&writer->scratch.patch);
    buffer_clear(&writer->scratch.append);
    if (appends(patching) && !patching->rewritten &&
        !print_append(&writer->scratch.append, mutation))
        return out_of_memory(patching, "printing append paths");
    struct span merged;
    return patching->whole ||
           (find_merged(patching, &merged) &&
            merge_print_patch(&writer->scratch.patch, patching->doc, patching->patch,
                              mutation->appends, mutation->append_count, patching->max_array,
                              patching->seq_text, merged, patching->error));
}

static bool record(struct patching *patching)
{
    struct writer *writer = patching->writer;
    struct text *data = patching->drafted
                            ? text_ref(patching->entity->data)
                            : text_new(writer->scratch.merged.data, writer->scratch.merged.length);
    if (!data)
        return out_of_memory(patching, "merging");
    enum row_operation operation = !patching->existed ? ROW_CREATE
                                   : patching->whole  ? ROW_UPSERT
                                                      : ROW_PATCH;
    struct span append =
        writer->scratch.append.length ? buffer_span(&writer->scratch.append) : span_make(NULL, 0);
    return writer_record(
        writer, patching->entity, operation, patching->seq, data,
        buffer_span(patching->whole ? &writer->scratch.merged : &writer->scratch.patch), append,
        patching->submission->received_us, patching->error);
}

/* ---- for the log ---- */

/* {"a":3}: for the log, the length of each array after the change. By it a replay can tell what
 * the array was then: the first so many elements of what it is now, or something overwritten. */
static bool print_log_append(struct buffer *out, const struct mutation *mutation)
{
    buffer_clear(out);
    for (size_t i = 0; i < mutation->append_count; i++) {
        if (!mutation->appends[i].length)
            continue;
        buffer_add_string(out, out->length ? ",\"" : "{\"");
        buffer_add_span(out, mutation->appends[i].path);
        buffer_printf(out, "\":%u", mutation->appends[i].length);
    }
    if (out->length)
        buffer_add_char(out, '}');
    return !out->failed;
}

/* The patch, with its arrays cut. */
static bool print_log_patch(struct patching *patching, struct span *text)
{
    const struct doc *doc = patching->doc;
    *text = doc_text(doc, patching->patch);
    if (!patching->max_array || doc->longest_array <= patching->max_array)
        return true;
    struct buffer *cut = &patching->writer->scratch.patch;
    buffer_clear(cut);
    if (!doc_print_cut(doc, patching->patch, patching->max_array, cut))
        return false;
    *text = buffer_span(cut);
    return true;
}

/* Note in the pending change what its log row holds, in memory that outlives this mutation. */
static bool keep_for_log(struct patching *patching)
{
    struct writer *writer = patching->writer;
    struct pending_change *pending = &writer->applying.pending[writer->applying.pending_count - 1];
    struct submission *submission = patching->submission;
    struct span text = buffer_span(&writer->scratch.merged);
    if (!patching->rewritten && !print_log_patch(patching, &text))
        return out_of_memory(patching, "printing a patch");
    bool lasts = !patching->rewritten &&
                 text.data == doc_text(&submission->doc, patching->mutation->patch).data;
    pending->log_patch = lasts ? text : submission_keep(submission, text);
    if (!pending->log_patch.data)
        return out_of_memory(patching, "keeping a patch");
    if (patching->rewritten || !appends(patching))
        return true;
    if (!print_log_append(&writer->scratch.log_append, patching->mutation))
        return out_of_memory(patching, "printing append paths");
    if (!writer->scratch.log_append.length)
        return true;
    pending->log_append = submission_keep(submission, buffer_span(&writer->scratch.log_append));
    return pending->log_append.data || out_of_memory(patching, "keeping append paths");
}

/* ---- the whole of it ---- */

bool writer_apply_patch(struct writer *writer, struct submission *submission,
                        const struct mutation *mutation, struct entity *entity, struct error *error)
{
    bool existed = entity->data != NULL, replaces = mutation->operation == ROW_UPSERT;
    struct patching patching = {.writer = writer,
                                .submission = submission,
                                .mutation = mutation,
                                .entity = entity,
                                .doc = &submission->doc,
                                .patch = mutation->patch,
                                .existed = existed,
                                .replaces = replaces,
                                .whole = replaces || !existed,
                                .max_array = entity->export->max_array,
                                .error = error};
    patching.seq = writer_next_seq(writer, mutation);
    patching.seq_text = span_make(patching.printed, seq_print(patching.printed, patching.seq));
    if (!merge(&patching))
        return false;
    patching.rewritten = patching.rewritten || is_moved(&patching);
    patching.whole = patching.whole || patching.rewritten;
    if ((patching.rewritten && !rewrite(&patching)) || !print_for_subscribers(&patching) ||
        !record(&patching))
        return false;
    note_truncation(&patching);
    return keep_for_log(&patching);
}
