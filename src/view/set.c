/*
 * The set of views. Invariants:
 *  1. every export has its three plain views (perhaps replaced), so that an export is known
 *     exactly when "<export>/list" is;
 *  2. `order` and `by_id` hold the same entries;
 *  3. a view that was replaced lives on behind its entry, because a view is immutable while the
 *     set lives and somebody may still hold it.
 */
#include "view/view_internal.h"

struct entry {
    struct view *view;
    struct entry *replaced; /* what had this id before */
};

struct view_set {
    bool open;
    struct map by_id;
    struct entry **order; /* by first definition */
    size_t count, capacity;
};

static struct span entry_id(const void *value)
{
    const struct entry *entry = value;
    return span_of(entry->view->id);
}

static struct entry *entry_new(struct view *view, struct entry *replaced)
{
    struct entry *entry = memory_alloc(sizeof *entry);
    if (entry)
        *entry = (struct entry){view, replaced};
    return entry;
}

static void entry_free(struct entry *entry)
{
    while (entry) {
        struct entry *replaced = entry->replaced;
        view_free(entry->view);
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
    }
    return set;
}

void view_set_free(struct view_set *set)
{
    if (!set)
        return;
    map_fini(&set->by_id);
    for (size_t i = 0; i < set->count; i++)
        entry_free(set->order[i]);
    memory_free(set->order);
    memory_free(set);
}

/* ---- asking ---- */

bool view_set_is_open(const struct view_set *set)
{
    return set->open;
}

const struct view *view_set_find(const struct view_set *set, struct span id)
{
    const struct entry *entry = map_get(&set->by_id, id);
    return entry ? entry->view : NULL;
}

bool view_set_has_export(const struct view_set *set, struct span export_name)
{
    static const char suffix[] = "/list";
    char id[VIEW_NAME_LONGEST + sizeof suffix];
    if (export_name.length == 0 || export_name.length > VIEW_NAME_LONGEST)
        return false;
    memcpy(id, export_name.data, export_name.length);
    memcpy(id + export_name.length, suffix, sizeof suffix);
    return view_set_find(set, span_make(id, export_name.length + sizeof suffix - 1)) != NULL;
}

const struct view *view_set_at(const struct view_set *set, size_t index)
{
    return index < set->count ? set->order[index]->view : NULL;
}

/* ---- adding ---- */

static bool reserve_entry(struct view_set *set)
{
    if (set->count < set->capacity)
        return true;
    size_t capacity = set->capacity ? set->capacity * 2 : 16;
    struct entry **order = memory_resize(set->order, capacity * sizeof *order);
    if (order) {
        set->order = order;
        set->capacity = capacity;
    }
    return order != NULL;
}

/* Takes the view over when it succeeds. */
static bool insert(struct view_set *set, struct view *view)
{
    struct entry *known = map_get(&set->by_id, span_of(view->id));
    if (known) {
        struct entry *replaced = entry_new(known->view, known->replaced);
        if (replaced)
            *known = (struct entry){view, replaced};
        return replaced != NULL;
    }
    struct entry *entry = reserve_entry(set) ? entry_new(view, NULL) : NULL;
    if (!entry || !map_add(&set->by_id, entry)) {
        memory_free(entry);
        return false;
    }
    set->order[set->count++] = entry;
    return true;
}

/* Undo insertions that made new entries. */
static void cut_back(struct view_set *set, size_t count)
{
    while (set->count > count) {
        struct entry *entry = set->order[--set->count];
        map_remove(&set->by_id, entry_id(entry));
        entry_free(entry);
    }
}

static bool out_of_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "no memory for a view");
}

bool view_set_add_export(struct view_set *set, struct span name, struct error *error)
{
    static const struct {
        const char *name;
        enum view_mode mode;
    } plain[] = {{"list", VIEW_LIST}, {"state", VIEW_STATE}, {"append", VIEW_APPEND}};

    if (!view_export_name_check(name, error))
        return false;
    if (view_set_has_export(set, name))
        return true;
    size_t before = set->count;
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        struct view_source source = {
            .export_name = name, .name = span_of(plain[i].name), .mode = plain[i].mode};
        struct view *view = view_new(&source, error);
        if (!view || !insert(set, view)) {
            view_free(view);
            cut_back(set, before);
            return out_of_memory(error);
        }
    }
    return true;
}

bool view_set_define(struct view_set *set, struct span export_name, struct span name,
                     enum view_mode mode, const struct span *paths, size_t path_count,
                     const struct span *keys, size_t key_count, struct error *error)
{
    struct view_source source = {export_name, name, mode, paths, path_count, keys, key_count};
    struct view *view = view_new(&source, error);
    if (!view)
        return false;
    size_t before = set->count;
    if (!view_set_add_export(set, export_name, error)) {
        view_free(view);
        return false;
    }
    if (!insert(set, view)) {
        view_free(view);
        cut_back(set, before);
        return out_of_memory(error);
    }
    return true;
}
