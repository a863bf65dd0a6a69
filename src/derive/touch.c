/*
 * The report of a transaction to the loop: which stages it touched, where, and for which labels if
 * rows are scoped.
 */
#include "derive/derive_internal.h"

static struct span touch_label(const void *value)
{
    const struct derive_touch *touch = value;
    return span_make(touch->label, touch->length);
}

void derive_touch_init(struct derived *derived)
{
    buffer_init(&derived->lowest, SIZE_MAX / 2);
    map_init(&derived->touches, touch_label);
}

void derive_touch_clear(struct derived *derived)
{
    size_t position = 0;
    struct derive_touch *touch;
    while ((touch = map_next(&derived->touches, &position))) {
        map_remove(&derived->touches, touch_label(touch));
        buffer_fini(&touch->lowest);
        memory_free(touch);
    }
    derived->touched = false;
}

/* ---- noting ---- */

static bool lower(struct buffer *lowest, struct span sort_key)
{
    if (lowest->length && span_compare(sort_key, buffer_span(lowest)) >= 0)
        return true;
    buffer_clear(lowest);
    return buffer_add_span(lowest, sort_key);
}

static struct derive_touch *get_touch(struct derived *derived, struct span label)
{
    struct derive_touch *touch = map_get(&derived->touches, label);
    if (touch)
        return touch;
    touch = memory_alloc(sizeof *touch + label.length);
    if (!touch)
        return NULL;
    *touch = (struct derive_touch){.length = label.length};
    memcpy(touch->label, label.data, label.length);
    buffer_init(&touch->lowest, SIZE_MAX / 2);
    if (map_add(&derived->touches, touch))
        return touch;
    memory_free(touch);
    return NULL;
}

bool derive_touch(struct derived *derived, struct span entity, struct span sort_key)
{
    const struct view_scope *scope = derived->export->scope;
    if (!derived->touched)
        buffer_clear(&derived->lowest);
    derived->touched = true;
    if (!scope)
        return lower(&derived->lowest, sort_key);
    struct derive_touch *touch = get_touch(derived, view_scope_label(scope, entity));
    return touch && lower(&touch->lowest, sort_key);
}

/* ---- telling ---- */

void derive_touched_free(struct derive_touched *touches, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        memory_free((void *)touches[i].sort_key.data);
        memory_free((void *)touches[i].label.data);
    }
    memory_free(touches);
}

static struct span copy(struct span bytes)
{
    return span_make(memory_copy_string(bytes.data, bytes.length), bytes.length);
}

static bool tell(struct derive *derive, const struct view_stage *stage, const struct buffer *lowest,
                 const struct derive_touch *touch)
{
    struct derive_touched told = {.stage = stage, .sort_key = copy(buffer_span(lowest))};
    if (touch)
        told.label = copy(touch_label(touch));
    derive->touches[derive->touch_count++] = told;
    return told.sort_key.data && (!touch || told.label.data);
}

/* For each stage of the set that it is kept for. */
static bool tell_stage(struct derive *derive, const struct derived *derived)
{
    bool done = true;
    for (const struct kept_stage *kept = derived->views; done && kept; kept = kept->next_of_kept) {
        size_t position = 0;
        const struct derive_touch *touch;
        if (!derived->touches.count)
            done = tell(derive, kept->stage, &derived->lowest, NULL);
        while (done && (touch = map_next(&derived->touches, &position)))
            done = tell(derive, kept->stage, &touch->lowest, touch);
    }
    return done;
}

static size_t count_touches(const struct derived *derived)
{
    size_t labels = derived->touches.count, count = 0;
    for (const struct kept_stage *kept = derived->views; kept; kept = kept->next_of_kept)
        count += labels ? labels : 1;
    return count;
}

static struct derived *first_touched(struct derived *derived)
{
    while (derived && !derived->touched)
        derived = derived->next_of_export;
    return derived;
}

static size_t count_all(const struct derive *derive)
{
    size_t count = 0;
    for (const struct derived_export *at = derive->touched; at; at = at->next_touched)
        for (const struct derived *derived = first_touched(at->stages); derived;
             derived = first_touched(derived->next_of_export))
            count += count_touches(derived);
    return count;
}

bool derive_note_touches(struct derive *derive, struct error *error)
{
    size_t count = count_all(derive);
    if (count == 0)
        return true;
    derive->touches = memory_new(count * sizeof *derive->touches);
    bool done = derive->touches != NULL;
    for (const struct derived_export *at = derive->touched; done && at; at = at->next_touched)
        for (const struct derived *derived = first_touched(at->stages); done && derived;
             derived = first_touched(derived->next_of_export))
            done = tell_stage(derive, derived);
    return done || error_set(error, ERROR_MEMORY, "out of memory while keeping a view");
}
