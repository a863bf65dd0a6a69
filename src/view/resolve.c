/*
 * From pipelines to stages. A view over another one goes on where that one ended, so a source
 * without a cut is merged into what is over it, and the same stage is made but once.
 */
#include "view/view_internal.h"

#include <inttypes.h>

static bool out_of_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "no memory for a view");
}

/* ---- stages ---- */

/*
 * The edition of the rules by which values are ordered, and bytes of sort keys made. It is part of
 * a definition, so that stages from before the rules were changed are built anew. 2: integers in
 * texts count as numbers.
 */
enum { ORDER_RULES = 2 };

/* Which rows it has, in which order: `{…` without the end. */
static void print_rows(struct buffer *out, const struct draft *draft)
{
    if (draft->source) {
        buffer_add_string(out, "{\"source\":");
        buffer_add_string(out, draft->source->shown.whole);
    } else {
        buffer_add_string(out, "{\"export\":");
        doc_escape(out, span_of(draft->export_name));
    }
    if (draft->predicate || draft->sort)
        buffer_printf(out, ",\"rules\":%d", ORDER_RULES);
    if (draft->predicate) {
        buffer_add_string(out, ",\"filter\":");
        predicate_print(out, draft->predicate);
    }
    if (draft->sort) {
        buffer_add_string(out, draft->descending ? ",\"desc\":" : ",\"asc\":");
        view_path_print(out, draft->sort);
    }
    if (draft->scope) {
        buffer_add_string(out, ",\"scope\":");
        view_path_print(out, &draft->scope->path);
    }
}

static void print_cut(struct buffer *out, const struct draft *draft)
{
    if (draft->has_cut && draft->cut.last) {
        buffer_add_string(out, ",\"last\":true");
    } else if (draft->has_cut) {
        if (draft->cut.skip > 0)
            buffer_printf(out, ",\"skip\":%" PRId64, draft->cut.skip);
        if (draft->cut.take != VIEW_ALL)
            buffer_printf(out, ",\"take\":%" PRId64, draft->cut.take);
    }
}

/* With its cut, or without. */
static char *print_stage(const struct draft *draft, bool cut)
{
    struct buffer text;
    buffer_init(&text, SIZE_MAX);
    print_rows(&text, draft);
    if (cut)
        print_cut(&text, draft);
    buffer_add_char(&text, '}');
    char *printed = buffer_string(&text) ? buffer_take(&text, NULL) : NULL;
    buffer_fini(&text);
    return printed;
}

static bool reserve_stage(struct view_set *set)
{
    if (set->stage_count < set->stage_capacity)
        return true;
    size_t capacity = set->stage_capacity ? set->stage_capacity * 2 : 16;
    struct stage **stages = memory_resize(set->stages, capacity * sizeof(*stages));
    if (stages) {
        set->stages = stages;
        set->stage_capacity = capacity;
    }
    return stages != NULL;
}

static void fill_stage(struct stage *stage, const struct draft *draft)
{
    if (draft->sort)
        stage->sort = *draft->sort;
    stage->shown = (struct view_stage){
        .source = draft->source ? &draft->source->shown : NULL,
        .export_name = draft->export_name,
        .cut = draft->cut,
        .has_cut = draft->has_cut,
        .timed = draft->predicate && draft->predicate->timed,
        .sort_path = stage->sort.raw,
        .sort_path_count = stage->sort.count,
        .sort = &stage->sort,
        .descending = draft->sort ? draft->descending : true,
        .definition = stage->definition,
        .whole = stage->whole,
        .predicate = predicate_ref(draft->predicate),
        .scope = draft->scope,
    };
}

/* Takes the text over. */
static struct stage *add_stage(struct view_set *set, const struct draft *draft, char *whole)
{
    struct stage *stage = reserve_stage(set) ? memory_new(sizeof *stage) : NULL;
    if (!stage) {
        memory_free(whole);
        return NULL;
    }
    stage->whole = whole;
    stage->definition = print_stage(draft, false);
    fill_stage(stage, draft);
    if (!stage->definition || !map_add(&set->by_definition, stage)) {
        stage_free(stage);
        return NULL;
    }
    set->stages[set->stage_count++] = stage;
    return stage;
}

/* The stage that is drafted, made if there is none like it. */
static struct stage *find_stage(struct view_set *set, const struct draft *draft)
{
    char *whole = print_stage(draft, true);
    struct stage *stage = whole ? map_get(&set->by_definition, span_of(whole)) : NULL;
    if (!whole || !stage)
        return whole ? add_stage(set, draft, whole) : NULL;
    memory_free(whole);
    return stage;
}

/* The same rows by label, without the cut: that is over the rows of all. */
static bool make_by_label(struct view_set *set, const struct draft *draft,
                          const struct view_scope *scope, const struct view_stage **by_label)
{
    struct draft labelled = *draft;
    labelled.scope = scope;
    labelled.has_cut = false;
    labelled.cut = (struct view_cut){.take = VIEW_ALL};
    struct stage *stage = find_stage(set, &labelled);
    *by_label = stage ? &stage->shown : NULL;
    return stage != NULL;
}

/* The path and direction of a query with one key; NULL: it has more, or none, or one that shows
 * less of an entity than the path alone says. */
static const struct view_path *only_sort(const struct view_query *query, bool *descending)
{
    if (view_query_traits(query).sorts != 1)
        return NULL;
    struct view_query_sort sort = view_query_sort(query, 0);
    *descending = sort.descending;
    return sort.path->within ? NULL : sort.path;
}

const struct view_stage *view_set_order(const struct view_set *set, const struct view *view,
                                        const struct view_query *query)
{
    const struct view_stage *own = view->stage;
    struct draft draft = {.export_name = view->export_name, .cut = {.take = VIEW_ALL}};
    draft.sort = only_sort(query, &draft.descending);
    if (!draft.sort || (own && own->has_cut))
        return NULL;
    if (own) {
        draft.source = (const struct stage *)own->source;
        draft.predicate = own->predicate;
    }
    char *whole = print_stage(&draft, true);
    const struct stage *stage = whole ? map_get(&set->by_definition, span_of(whole)) : NULL;
    memory_free(whole);
    return stage ? &stage->shown : NULL;
}

/* ---- steps ---- */

/* Close the draft as a stage and begin another over it, in the same order, without a cut. */
static bool begin_stage(struct view_set *set, struct draft *draft)
{
    const struct stage *stage = find_stage(set, draft);
    if (!stage)
        return false;
    predicate_unref(draft->predicate);
    draft->predicate = NULL;
    draft->source = stage;
    draft->cut = (struct view_cut){.take = VIEW_ALL};
    draft->has_cut = false;
    return true;
}

static bool add_filter(struct draft *draft, struct view_predicate *predicate)
{
    bool failed;
    struct view_predicate *both = predicate_and(draft->predicate, predicate, &failed);
    if (failed)
        return false;
    predicate_unref(draft->predicate);
    draft->predicate = both;
    return true;
}

/* Nothing at all is left: the one form of it. */
static const struct view_cut cut_nothing = {.skip = 0, .take = 0, .last = false};

static void skip_rows(struct draft *draft, int64_t count)
{
    struct view_cut *cut = &draft->cut;
    if (count == 0)
        return;
    draft->has_cut = true;
    if (cut->last || (cut->take != VIEW_ALL && cut->take <= count)) {
        *cut = cut_nothing;
        return;
    }
    cut->skip = cut->skip > INT64_MAX - count ? INT64_MAX : cut->skip + count;
    if (cut->take != VIEW_ALL)
        cut->take -= count;
}

static void take_rows(struct draft *draft, int64_t count)
{
    struct view_cut *cut = &draft->cut;
    draft->has_cut = true;
    if (count == 0)
        *cut = cut_nothing;
    else if (cut->take == VIEW_ALL || cut->take > count)
        cut->take = count;
}

static bool take_last(struct view_set *set, struct draft *draft)
{
    /* Of one row, or none, the last is what there is. */
    if (draft->has_cut && draft->cut.take != VIEW_ALL && draft->cut.take <= 1)
        return true;
    if (draft->has_cut && !begin_stage(set, draft))
        return false;
    draft->has_cut = true;
    draft->cut = (struct view_cut){.take = 1, .last = true};
    return true;
}

static bool apply_step(struct view_set *set, struct draft *draft, const struct view_step *step)
{
    bool whole = step->kind == STEP_FILTER || step->kind == STEP_SORT;
    if (whole && draft->has_cut && !begin_stage(set, draft))
        return false;
    switch (step->kind) {
    case STEP_FILTER:
        return add_filter(draft, step->predicate);
    case STEP_SORT:
        draft->sort = &step->path;
        draft->descending = step->descending;
        return true;
    case STEP_SKIP:
        skip_rows(draft, step->count);
        return true;
    case STEP_TAKE:
        take_rows(draft, step->count);
        return true;
    case STEP_LAST:
        return take_last(set, draft);
    }
    return false;
}

/* ---- sources ---- */

static bool unknown_source(const struct view_set *set, const struct view_entry *entry,
                           struct error *error)
{
    const struct pipeline *pipeline = entry->pipeline;
    struct nearest nearest = {.given = pipeline->source};
    const struct view_export *export;
    const struct view *view;
    for (size_t i = 0; !pipeline->source_is_view && (export = view_set_export_at(set, i)); i++)
        nearest_offer(&nearest, export->name);
    for (size_t i = 0; pipeline->source_is_view && (view = view_set_at(set, i)); i++)
        if (view != entry->view)
            nearest_offer(&nearest, view->id);
    const char *kind = pipeline->source_is_view ? "view" : "export";
    if (nearest.name)
        return error_set(error, ERROR_CONFIGURATION,
                         "view '%s': there is no %s '%.100s' for its source; did you mean '%s'?",
                         entry->view->id, kind, pipeline->source, nearest.name);
    return error_set(error, ERROR_CONFIGURATION,
                     "view '%s': there is no %s '%.100s' for its source", entry->view->id, kind,
                     pipeline->source);
}

static bool resolve(struct view_set *set, struct view_entry *entry, unsigned depth,
                    struct error *error);

static bool start_from_export(const struct view_set *set, struct view_entry *entry,
                              struct span name, struct error *error)
{
    struct draft *draft = &entry->pipeline->draft;
    const struct set_export *export = map_get(&set->by_name, name);
    *draft = (struct draft){.export_name = export ? export->name : NULL, .cut = {.take = VIEW_ALL}};
    return draft->export_name || unknown_source(set, entry, error);
}

static bool start_from_view(struct view_set *set, struct view_entry *entry, unsigned depth,
                            struct error *error)
{
    struct view_entry *source = map_get(&set->by_id, span_of(entry->pipeline->source));
    if (!source)
        return unknown_source(set, entry, error);
    if (source->view->key_count > 0)
        return error_set(error, ERROR_CONFIGURATION,
                         "view '%s': its source '%s' shows only some keys, so it cannot be one; "
                         "use a filter there",
                         entry->view->id, source->view->id);
    if (!source->pipeline)
        return start_from_export(set, entry, span_of(source->view->export_name), error);
    if (source->pipeline->state == PIPELINE_RESOLVING)
        return error_set(
            error, ERROR_CONFIGURATION,
            "view '%s': its source '%s' leads back to it; a view cannot be over itself",
            entry->view->id, source->view->id);
    if (!resolve(set, source, depth + 1, error))
        return false;
    entry->pipeline->draft = source->pipeline->draft;
    predicate_ref(entry->pipeline->draft.predicate);
    return true;
}

/* The projection of the view is known now. */
static bool finish(struct view_set *set, struct view_entry *entry, struct error *error)
{
    struct pipeline *pipeline = entry->pipeline;
    struct stage *stage = find_stage(set, &pipeline->draft);
    const char *name = pipeline->draft.export_name;
    char *copy = stage ? memory_copy_string(name, strlen(name)) : NULL;
    if (!copy)
        return out_of_memory(error);
    memory_free(entry->view->export_name);
    entry->view->export_name = copy;
    entry->view->stage = &stage->shown;
    entry->view->scope = view_set_export(set, span_of(entry->view->export_name))->scope;
    pipeline->state = PIPELINE_RESOLVED;
    return !entry->view->scope || stage->shown.by_label ||
           make_by_label(set, &pipeline->draft, entry->view->scope, &stage->shown.by_label) ||
           out_of_memory(error);
}

static bool resolve(struct view_set *set, struct view_entry *entry, unsigned depth,
                    struct error *error)
{
    enum { DEEPEST = 1000 }; /* of the recursion, on a thread's stack */
    struct pipeline *pipeline = entry->pipeline;
    if (pipeline->state == PIPELINE_RESOLVED)
        return true;
    if (depth > DEEPEST)
        return error_set(error, ERROR_CONFIGURATION, "view '%s' has more than %d views below it",
                         entry->view->id, DEEPEST);
    pipeline->state = PIPELINE_RESOLVING;
    bool good = pipeline->source_is_view
                    ? start_from_view(set, entry, depth, error)
                    : start_from_export(set, entry, span_of(pipeline->source), error);
    if (!good)
        return false;
    for (size_t i = 0; i < pipeline->count; i++)
        if (!apply_step(set, &pipeline->draft, &pipeline->steps[i]))
            return out_of_memory(error);
    return finish(set, entry, error);
}

bool view_set_resolve(struct view_set *set, struct error *error)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->order[i]->pipeline && !resolve(set, set->order[i], 0, error))
            return false;
    for (struct view_scope *scope = set->scopes; scope; scope = scope->next) {
        const struct draft all = {.export_name = scope->export_name, .cut = {.take = VIEW_ALL}};
        if (!make_by_label(set, &all, scope, &scope->by_label))
            return out_of_memory(error);
    }
    return true;
}

const struct view_stage *view_set_stage_at(const struct view_set *set, size_t index)
{
    return index < set->stage_count ? &set->stages[index]->shown : NULL;
}
