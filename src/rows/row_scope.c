#include "rows/row_scope.h"

#include "base/base.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct span row_scope_name(const void *value)
{
    const struct row_scope *scope = value;
    return span_make(scope->name, scope->name_length);
}

/* ---- making ---- */

static int compare_values(const void *a, const void *b)
{
    const struct span *left = a, *right = b;
    return span_compare(*left, *right);
}

static void sort_values(struct span *values, size_t *count)
{
    size_t kept = 0;
    qsort(values, *count, sizeof *values, compare_values);
    for (size_t i = 0; i < *count; i++)
        if (!kept || !span_equal(values[kept - 1], values[i]))
            values[kept++] = values[i];
    *count = kept;
}

/* The labels' texts are copied; the array passes over. NULL: there are none. */
static struct row_scope *scope_new(struct map *all, struct span *labels, size_t count,
                                   const struct buffer *name)
{
    struct row_scope *scope = memory_new(sizeof *scope);
    char *copy = scope ? memory_copy_string(name->data, name->length) : NULL;
    if (!copy) {
        memory_free(scope);
        return NULL;
    }
    *scope = (struct row_scope){.registry = all,
                                .references = 1,
                                .labels = labels,
                                .label_count = count,
                                .name_length = name->length,
                                .name = copy};
    for (size_t i = 1, at = 0; i < count; i++) {
        labels[i].data = copy + at;
        at += labels[i].length + 1;
    }
    if (map_add(all, scope))
        return scope;
    memory_free(copy);
    memory_free(scope);
    return NULL;
}

/* Takes the array over: a free place, then the values. */
static struct row_scope *find_or_make(struct map *all, struct span *labels, size_t count)
{
    struct buffer name;
    struct row_scope *scope = NULL;
    buffer_init(&name, SIZE_MAX / 2);
    labels[0] = span_of(VIEW_SCOPE_PUBLIC);
    sort_values(labels + 1, &count);
    for (size_t i = 1; i <= count; i++) {
        if (i > 1)
            buffer_add_char(&name, ',');
        buffer_add_span(&name, labels[i]);
    }
    if (!name.failed) {
        scope = row_scope_ref(map_get(all, buffer_span(&name)));
        if (!scope) {
            scope = scope_new(all, labels, count + 1, &name);
            labels = scope ? NULL : labels;
        }
    }
    buffer_fini(&name);
    memory_free(labels);
    return scope;
}

struct row_scope *row_scope_get(struct map *all, const struct auth_identity *identity)
{
    size_t count = identity ? identity->row_scopes.count : 0;
    struct span *labels = memory_new((count + 1) * sizeof *labels);
    size_t *ends = labels ? memory_new((count + 1) * sizeof *ends) : NULL;
    struct buffer texts;
    struct row_scope *scope = NULL;
    buffer_init(&texts, SIZE_MAX / 2);
    for (size_t i = 0; ends && i < count; i++) {
        doc_escape(&texts, span_of(identity->row_scopes.items[i]));
        ends[i] = texts.length;
    }
    if (ends && !texts.failed) {
        for (size_t i = 0; i < count; i++) {
            size_t start = i ? ends[i - 1] : 0;
            labels[i + 1] = span_make(texts.data + start, ends[i] - start);
        }
        scope = find_or_make(all, labels, count);
        labels = NULL;
    }
    memory_free(labels);
    memory_free(ends);
    buffer_fini(&texts);
    return scope;
}

struct row_scope *row_scope_get_all(struct map *all)
{
    struct span name = span_of("all"); /* which no list of values is */
    struct row_scope *scope = row_scope_ref(map_get(all, name));
    struct buffer text;
    if (scope)
        return scope;
    buffer_init(&text, 16);
    if (buffer_add_span(&text, name))
        scope = scope_new(all, NULL, 0, &text);
    buffer_fini(&text);
    if (scope)
        scope->all = true;
    return scope;
}

struct row_scope *row_scope_join(struct map *all, const struct row_scope *one,
                                 const struct row_scope *other)
{
    if (one->all || other->all)
        return row_scope_get_all(all);
    size_t own = one->label_count - 1, others = other->label_count - 1;
    struct span *labels = memory_new((1 + own + others) * sizeof *labels);
    if (!labels)
        return NULL;
    memcpy(labels + 1, one->labels + 1, own * sizeof *labels);
    memcpy(labels + 1 + own, other->labels + 1, others * sizeof *labels);
    return find_or_make(all, labels, own + others);
}

struct row_scope *row_scope_ref(struct row_scope *scope)
{
    if (scope)
        scope->references++;
    return scope;
}

void row_scope_unref(struct row_scope *scope)
{
    if (!scope || --scope->references)
        return;
    map_remove(scope->registry, row_scope_name(scope));
    memory_free(scope->labels);
    memory_free(scope->name);
    memory_free(scope);
}

/* ---- asking ---- */

bool row_scope_sees(const struct row_scope *scope, struct span label)
{
    if (!scope)
        return true;
    if (scope->all)
        return label.length > 0;
    if (label.length && label.data[0] == '"')
        return bsearch(&label, scope->labels + 1, scope->label_count - 1, sizeof label,
                       compare_values) != NULL;
    return span_equal(label, span_of(VIEW_SCOPE_PUBLIC));
}

static struct sight sight_of(const struct row_scope *scope, bool made, bool deleted,
                             struct span label, struct span left)
{
    return (struct sight){.before = !made && row_scope_sees(scope, left.data ? left : label),
                          .after = !deleted && row_scope_sees(scope, label)};
}

struct sight row_scope_sight(const struct row_scope *scope, const struct change *change)
{
    bool deleted = row_is_gone(change->operation);
    return sight_of(scope, change->operation == ROW_CREATE, deleted, change_scope(change),
                    change_scope_left(change));
}

struct sight row_scope_log_sight(const struct row_scope *scope, const struct store_change *change)
{
    bool deleted = row_is_gone(change->operation);
    return sight_of(scope, change->operation == ROW_CREATE, deleted, change->scope,
                    change->scope_left);
}
