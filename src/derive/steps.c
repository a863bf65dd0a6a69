/* Steps and what they are made of. */
#include "derive/derive_internal.h"

#include <stdlib.h>

struct derive_step *derive_steps_add(struct derive_steps *steps)
{
    if (!array_reserve((void **)&steps->items, steps->count, &steps->capacity,
                       sizeof *steps->items))
        return NULL;
    struct derive_step *step = &steps->items[steps->count++];
    *step = (struct derive_step){.before_id = 0};
    return step;
}

bool id_set_add(struct id_set *set, int64_t id)
{
    if (!array_reserve((void **)&set->ids, set->count, &set->capacity, sizeof *set->ids))
        return false;
    set->ids[set->count++] = id;
    return true;
}

static int compare_ids(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

void id_set_sort(struct id_set *set)
{
    if (set->count)
        qsort(set->ids, set->count, sizeof *set->ids, compare_ids);
}

bool id_set_has(const struct id_set *set, int64_t id)
{
    return set->count && bsearch(&id, set->ids, set->count, sizeof *set->ids, compare_ids);
}

/* A copy that lives until the transaction ends. */
static struct span keep(struct derive *derive, struct span bytes)
{
    struct text *text = NULL;
    if (array_reserve((void **)&derive->texts, derive->text_count, &derive->text_capacity,
                      sizeof(struct text *)))
        text = text_new(bytes.data, bytes.length);
    if (!text)
        return span_make(NULL, 0);
    derive->texts[derive->text_count++] = text;
    return text_span(text);
}

bool derive_fetch(struct derive *derive, int64_t id, struct derive_step *step, bool *found,
                  struct error *error)
{
    struct store_entity entity;
    if (!store_read_entity_by_id(store_writer_reader(derive->context.store), 0, id, &entity, found,
                                 error))
        return false;
    if (!*found)
        return true;
    struct span key = keep(derive, entity.key), data = keep(derive, entity.data);
    if (!key.data || !data.data)
        return error_set(error, ERROR_MEMORY, "out of memory while keeping a view");
    *step = (struct derive_step){.key = key,
                                 .before = data,
                                 .after = data,
                                 .before_seq = entity.seq,
                                 .after_seq = entity.seq,
                                 .before_id = id,
                                 .after_id = id,
                                 .unchanged = true};
    return true;
}

void derive_touch_export(struct derive *derive, struct derived_export *export)
{
    if (export->touched)
        return;
    export->touched = true;
    export->next_touched = derive->touched;
    derive->touched = export;
}

void derive_expect_turn(struct derive *derive, struct derived *derived, int64_t at)
{
    if (heap_has(&derived->recheck) && derived->recheck.order <= at)
        return;
    heap_remove(&derive->rechecks, &derived->recheck);
    heap_add(&derive->rechecks, &derived->recheck, at);
}
