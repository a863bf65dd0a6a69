/*
 * Drafts: large entities that one submission patches more than once. The first patch is merged
 * into the text; from the second on the entity has a draft, in which patches are merged at a cost
 * of their own, and the text is printed once, when the submission is through. Each mutation still
 * has its own change.
 *
 * Until then entity->data is the text that the draft began with. So a draft is only for patches
 * after which nobody has to look at the new text: those that take nothing out, and leave the field
 * by which rows are scoped alone.
 */
#include "engine/engine_internal.h"

struct draft {
    struct entity *entity;
    struct draft *next; /* of the submission's */
    struct merge_draft *merge;
    struct span label; /* of the row, in entity->data */
};

/* ---- a draft ---- */

static bool leaves_scope(const struct doc *doc, uint32_t patch, const struct view_scope *scope)
{
    uint32_t end = doc->nodes[patch].end;
    for (uint32_t child = patch + 1; scope && child < end; child = doc->nodes[child].end)
        if (view_scope_begins_with(scope, doc_key(doc, child)))
            return false;
    return true;
}

bool writer_may_draft(const struct writer *writer, const struct submission *submission,
                      const struct mutation *mutation, const struct entity *entity)
{
    const struct export_state *export = entity->export;
    bool again = entity->draft || entity->change > writer->applying.first_change;
    return again && entity->data && entity->data->length > KEPT_ENTITY &&
           mutation->operation == ROW_PATCH && !mutation->unset_count &&
           !(export->null_removes && doc_has_null(&submission->doc, mutation->patch)) &&
           leaves_scope(&submission->doc, mutation->patch, export->scope);
}

struct merge_draft *writer_draft(struct writer *writer, struct entity *entity, struct error *error)
{
    if (entity->draft)
        return entity->draft->merge;
    INVARIANT(entity->data && entity->noted == writer->applying.number);
    if (!large_admits(writer, entity->data->length, error))
        return NULL;
    struct draft *draft = memory_new(sizeof *draft);
    if (draft)
        draft->merge = merge_draft_new(text_span(entity->data));
    if (!draft || !draft->merge) {
        memory_free(draft);
        error_set(error, ERROR_MEMORY, "out of memory while merging");
        return NULL;
    }
    draft->entity = entity;
    draft->label = export_label(entity->export, entity->data);
    draft->next = writer->applying.drafts;
    writer->applying.drafts = entity->draft = draft;
    writer_note_merged(writer, entity->data->length);
    return draft->merge;
}

struct span entity_draft_label(const struct entity *entity)
{
    INVARIANT(entity->draft && entity->draft->entity == entity);
    return entity->draft->label;
}

void writer_draft_drop(struct writer *writer, struct entity *entity)
{
    struct draft *draft = entity->draft, **at = &writer->applying.drafts;
    if (!draft)
        return;
    INVARIANT(draft->entity == entity && writer->applying.drafts);
    while (*at != draft)
        at = &(*at)->next;
    *at = draft->next;
    entity->draft = NULL;
    merge_draft_free(draft->merge);
    memory_free(draft);
}

bool writer_draft_print(struct writer *writer, struct entity *entity, struct error *error)
{
    struct buffer *merged = &writer->scratch.merged;
    INVARIANT(entity->draft && entity->data);
    buffer_clear(merged);
    merged->limit = UINT32_MAX; /* each patch was held against the limit */
    writer_note_merged(writer, merge_draft_size(entity->draft->merge).length);
    return merge_draft_print(entity->draft->merge, NULL, DOC_NONE, merged) ||
           error_set(error, ERROR_MEMORY, "out of memory for the merged entity");
}

bool writer_draft_end(struct writer *writer, struct entity *entity, struct error *error)
{
    if (!entity->draft)
        return true;
    struct text *data = NULL;
    if (writer_draft_print(writer, entity, error))
        data = text_new(writer->scratch.merged.data, writer->scratch.merged.length);
    if (!data)
        return error_set(error, ERROR_MEMORY, "out of memory for the merged entity");
    writer_draft_drop(writer, entity);
    entity_cache_set_data(&writer->cache, entity, data);
    return true;
}

bool writer_drafts_end(struct writer *writer, bool drop, struct error *error)
{
    while (writer->applying.drafts) {
        struct entity *entity = writer->applying.drafts->entity;
        if (drop)
            writer_draft_drop(writer, entity);
        else if (!writer_draft_end(writer, entity, error))
            return false;
    }
    return true;
}
