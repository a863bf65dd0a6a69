/*
 * The set of views. Invariants:
 *  1. every export has its three plain views (perhaps replaced), so that an export is known
 *     exactly when "<export>/list" is;
 *  2. `order` and `by_id` hold the same entries;
 *  3. `exports` and `by_name` hold the same exports, each before its views are added;
 *  4. a view that was replaced lives on behind its entry, because a view is immutable while the
 *     set lives and somebody may still hold it.
 */
#include "view/view_internal.h"

/* NULL is allowed. */
static void scope_free(struct view_scope *scope)
{
    if (!scope)
        return;
    view_path_fini(&scope->path);
    memory_free(scope->text);
    memory_free(scope);
}

/* NULL with an error. */
static struct view_scope *scope_new(const char *export_name, const struct tree *path,
                                    struct error *error)
{
    struct view_scope *scope = memory_new(sizeof *scope);
    struct buffer text;
    if (!scope) {
        error_set(error, ERROR_MEMORY, "no memory for a scope");
        return NULL;
    }
    scope->export_name = export_name;
    buffer_init(&text, SIZE_MAX);
    bool good = view_path_read(&scope->path, path, true, error);
    if (good) {
        view_path_print(&text, &scope->path);
        scope->text = buffer_string(&text) ? buffer_take(&text, NULL) : NULL;
        good = scope->text || error_set(error, ERROR_MEMORY, "no memory for a scope");
    }
    buffer_fini(&text);
    if (good)
        return scope;
    scope_free(scope);
    return NULL;
}

const struct view_stage *view_by_label(const struct view *view)
{
    if (!view->scope)
        return NULL;
    return view->stage ? view->stage->by_label : view->scope->by_label;
}

const char *view_scope_text(const struct view_scope *scope)
{
    return scope->text;
}

/* A text with dots may be one name, or several; an empty name leaves no trace in it. */
bool view_scope_begins_with(const struct view_scope *scope, struct span name)
{
    struct span dotted = scope->path.dotted;
    if (!dotted.data)
        return span_equal(scope->path.names[0], name);
    return !name.length || span_equal(dotted, name) ||
           (name.length < dotted.length && dotted.data[name.length] == '.' &&
            memcmp(dotted.data, name.data, name.length) == 0);
}

struct span view_scope_label(const struct view_scope *scope, struct span entity)
{
    struct span value = view_path_value(&scope->path, entity);
    if (!value.data || span_equal(value, span_of("null")) || span_equal(value, span_of("\"\"")))
        return span_of(VIEW_SCOPE_PUBLIC);
    if (value.data[0] == '"' && value.length <= VIEW_SCOPE_LONGEST)
        return value;
    return span_of(VIEW_SCOPE_NOBODY);
}

static struct span entry_id(const void *value)
{
    const struct view_entry *entry = value;
    return span_of(entry->view->id);
}

static struct span export_name(const void *value)
{
    const struct set_export *export = value;
    return span_make(export->name, export->length);
}

static struct span entity_name(const void *value)
{
    return span_of(value);
}

static struct span stage_whole(const void *value)
{
    return span_of(((const struct stage *)value)->whole);
}

static void entry_free(struct view_entry *entry)
{
    while (entry) {
        struct view_entry *replaced = entry->replaced;
        view_unref(entry->view);
        pipeline_free(entry->pipeline);
        memory_free(entry);
        entry = replaced;
    }
}

struct view_set *view_set_new(bool open)
{
    struct view_set *set = memory_new(sizeof *set);
    if (set) {
        set->open = open;
        map_init(&set->by_id, entry_id);
        map_init(&set->by_name, export_name);
        map_init(&set->entities, entity_name);
        map_init(&set->by_definition, stage_whole);
    }
    return set;
}

void stage_free(struct stage *stage)
{
    if (!stage)
        return;
    predicate_unref(stage->shown.predicate);
    memory_free(stage->definition);
    memory_free(stage->whole);
    memory_free(stage);
}

/* Stages borrow from pipelines, and those from the names of exports. */
void view_set_free(struct view_set *set)
{
    if (!set)
        return;
    map_fini(&set->by_definition);
    for (size_t i = 0; i < set->stage_count; i++)
        stage_free(set->stages[i]);
    memory_free(set->stages);
    map_fini(&set->by_id);
    for (size_t i = 0; i < set->count; i++)
        entry_free(set->order[i]);
    memory_free(set->order);
    for (struct view_scope *scope = set->scopes, *next; scope; scope = next) {
        next = scope->next;
        scope_free(scope);
    }
    map_fini(&set->by_name);
    for (size_t i = 0; i < set->export_count; i++)
        memory_free(set->exports[i]);
    memory_free(set->exports);
    size_t position = 0;
    char *entity;
    while ((entity = map_next(&set->entities, &position)))
        memory_free(entity);
    map_fini(&set->entities);
    memory_free(set);
}

/* ---- asking ---- */

bool view_set_is_open(const struct view_set *set)
{
    return set->open;
}

const struct view *view_set_find(const struct view_set *set, struct span id)
{
    const struct view_entry *entry = map_get(&set->by_id, id);
    return entry ? entry->view : NULL;
}

const struct view_export *view_set_export(const struct view_set *set, struct span name)
{
    const struct set_export *export = map_get(&set->by_name, name);
    return export ? &export->shown : NULL;
}

const struct view_export *view_set_export_at(const struct view_set *set, size_t index)
{
    return index < set->export_count ? &set->exports[index]->shown : NULL;
}

const struct view *view_set_at(const struct view_set *set, size_t index)
{
    return index < set->count ? set->order[index]->view : NULL;
}

/* ---- adding ---- */

static bool reserve(void **items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return true;
    size_t wanted = *capacity ? *capacity * 2 : 16;
    void *grown = memory_resize(*items, wanted * size);
    if (grown) {
        *items = grown;
        *capacity = wanted;
    }
    return grown != NULL;
}

static bool out_of_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "no memory for a view");
}

static bool add_entry(struct view_set *set, struct view_entry *entry)
{
    struct view_entry *known = map_get(&set->by_id, span_of(entry->view->id));
    struct set_export *export = map_get(&set->by_name, span_of(entry->view->export_name));
    if (known) {
        /* The newest stays where the first was, so that the map needs no change. */
        struct view_entry newest = *entry;
        newest.next = known->next;
        *entry = *known;
        *known = newest;
        known->replaced = entry;
        return true;
    }
    if (!reserve((void **)&set->order, set->count, &set->capacity, sizeof(*set->order)) ||
        !map_add(&set->by_id, entry))
        return false;
    set->order[set->count++] = entry;
    entry->next = export->views;
    export->views = entry;
    return true;
}

bool view_set_insert(struct view_set *set, struct view *view, struct pipeline *pipeline,
                     struct error *error)
{
    struct view_entry *entry = memory_new(sizeof *entry);
    if (!entry) {
        view_free(view);
        pipeline_free(pipeline);
    } else {
        *entry = (struct view_entry){.view = view, .pipeline = pipeline};
        view->scope = view_set_export(set, span_of(view->export_name))->scope;
        if (add_entry(set, entry))
            return true;
        entry_free(entry);
    }
    return out_of_memory(error);
}

/* Undo insertions that made new entries, and all exports that have some of them. */
static void cut_back(struct view_set *set, size_t count, size_t export_count)
{
    while (set->count > count) {
        struct view_entry *entry = set->order[--set->count];
        map_remove(&set->by_id, entry_id(entry));
        entry_free(entry);
    }
    while (set->export_count > export_count)
        memory_free(map_remove(&set->by_name, export_name(set->exports[--set->export_count])));
}

static bool add_export(struct view_set *set, struct span name)
{
    if (!reserve((void **)&set->exports, set->export_count, &set->export_capacity,
                 sizeof(*set->exports)))
        return false;
    struct set_export *export = memory_alloc(sizeof *export + name.length + 1);
    if (!export)
        return false;
    *export = (struct set_export){.shown = {.name = export->name}, .length = name.length};
    memcpy(export->name, name.data, name.length);
    export->name[name.length] = '\0';
    if (!map_add(&set->by_name, export)) {
        memory_free(export);
        return false;
    }
    set->exports[set->export_count++] = export;
    return true;
}

bool view_set_add_export(struct view_set *set, struct span name, struct error *error)
{
    if (!view_export_name_check(name, error))
        return false;
    if (view_set_export(set, name))
        return true;
    size_t before = set->count, exports_before = set->export_count;
    bool done = add_export(set, name);
    for (size_t i = 0; done && i < VIEW_PLAIN; i++) {
        struct view *view = view_new_plain(name, i, error);
        done = view && view_set_insert(set, view, NULL, error);
    }
    if (done)
        return true;
    cut_back(set, before, exports_before);
    return out_of_memory(error);
}

bool view_set_put(struct view_set *set, const struct view_source *source, struct view *view,
                  struct pipeline *pipeline, struct error *error)
{
    size_t before = set->count, exports_before = set->export_count;
    if (!view_set_add_export(set, source->export_name, error)) {
        view_free(view);
        pipeline_free(pipeline);
        return false;
    }
    if (view_set_insert(set, view, pipeline, error))
        return true;
    cut_back(set, before, exports_before);
    return false;
}

/* ---- scopes ---- */

bool view_set_scope(struct view_set *set, struct span export_name, const struct tree *path,
                    struct error *error)
{
    if (!view_set_add_export(set, export_name, error))
        return false;
    struct set_export *export = map_get(&set->by_name, export_name);
    struct view_scope *scope = scope_new(export->name, path, error);
    if (!scope)
        return false;
    export->shown.scope = scope;
    scope->next = set->scopes;
    set->scopes = scope;
    for (struct view_entry *entry = export->views; entry; entry = entry->next)
        entry->view->scope = scope;
    return true;
}
