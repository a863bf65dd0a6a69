#include "rows/label_index.h"

struct label_list {
    struct link entries;
    size_t length;
    char label[];
};

static struct span list_label(const void *value)
{
    const struct label_list *list = value;
    return span_make(list->label, list->length);
}

void label_index_init(struct label_index *index)
{
    link_init(&index->everything);
    map_init(&index->labels, list_label);
}

void label_index_fini(struct label_index *index)
{
    INVARIANT(link_alone(&index->everything) && index->labels.count == 0);
    map_fini(&index->labels);
}

static struct label_list *get_list(struct label_index *index, struct span label)
{
    struct label_list *list = map_get(&index->labels, label);
    if (list)
        return list;
    list = memory_alloc(sizeof *list + label.length);
    if (!list)
        return NULL;
    *list = (struct label_list){.length = label.length};
    memcpy(list->label, label.data, label.length);
    link_init(&list->entries);
    if (map_add(&index->labels, list))
        return list;
    memory_free(list);
    return NULL;
}

static bool add_place(struct label_index *index, struct label_member *member, void *target,
                      struct span label)
{
    struct label_list *list = label.data ? get_list(index, label) : NULL;
    struct label_entry *entry = &member->entries[member->count];
    if (label.data && !list)
        return false;
    entry->list = list;
    entry->target = target;
    link_append(list ? &list->entries : &index->everything, &entry->in_list);
    member->count++;
    return true;
}

bool label_index_add(struct label_index *index, struct label_member *member, void *target,
                     const struct row_scope *scope)
{
    size_t labels = scope ? scope->label_count : 0;
    *member = (struct label_member){.entries = memory_new((labels + 1) * sizeof *member->entries)};
    bool done = member->entries != NULL;
    if (done && !labels)
        return add_place(index, member, target, span_make(NULL, 0));
    for (size_t i = 0; done && i < labels; i++)
        done = add_place(index, member, target, scope->labels[i]);
    if (!done)
        label_index_remove(index, member);
    return done;
}

void label_index_remove(struct label_index *index, struct label_member *member)
{
    for (size_t i = 0; i < member->count; i++) {
        struct label_list *list = member->entries[i].list;
        link_remove(&member->entries[i].in_list);
        if (!list || !link_alone(&list->entries))
            continue;
        map_remove(&index->labels, list_label(list));
        memory_free(list);
    }
    memory_free(member->entries);
    *member = (struct label_member){.entries = NULL};
}

struct link *label_index_find(const struct label_index *index, struct span label)
{
    struct label_list *list =
        label.length && index->labels.count ? map_get(&index->labels, label) : NULL;
    return list ? &list->entries : NULL;
}
