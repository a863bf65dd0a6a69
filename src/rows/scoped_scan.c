#include "rows/scoped_scan.h"
#include "base/base.h"

#include <string.h>

/* Whether somebody sees so much that nothing is gained by labels. */
static bool reads_all(struct scoped scoped)
{
    return !scoped.scope || scoped.scope->all || (scoped.was && scoped.was->all);
}

/* The labels of both, each once; they are borrowed from the scopes, the list is the caller's. */
static bool gather_labels(struct scoped scoped, struct store_labels *labels, struct error *error)
{
    size_t own = scoped.scope->label_count;
    size_t others = scoped.was ? scoped.was->label_count : 0;
    struct span *list = memory_new((own + others) * sizeof *list);
    *labels = (struct store_labels){.list = list};
    if (!list)
        return error_set(error, ERROR_MEMORY, "out of memory while reading rows of a scope");
    for (size_t i = 0; i < own; i++)
        list[labels->count++] = scoped.scope->labels[i];
    for (size_t i = 0; i < others; i++)
        if (!row_scope_sees(scoped.scope, scoped.was->labels[i]))
            list[labels->count++] = scoped.was->labels[i];
    return true;
}

bool scoped_find_rows(struct scoped scoped, const struct view_stage *by_label,
                      struct store_reader *reader, int64_t *stage, struct error *error)
{
    int64_t built;
    bool found;
    *stage = 0;
    return reads_all(scoped) || !by_label ||
           store_read_stage(reader, span_of(by_label->definition), stage, &built, &found, error);
}

bool scoped_scan_rows(struct scoped scoped, struct store_reader *reader, int64_t stage,
                      struct span after, int64_t limit, store_each_row each, void *argument,
                      struct error *error)
{
    struct store_labels labels;
    bool done = gather_labels(scoped, &labels, error) &&
                store_scan_labelled(reader, stage, &labels, after, limit, each, argument, error);
    memory_free((void *)labels.list);
    return done;
}

bool scoped_scan_changes(struct scoped scoped, struct store_reader *reader, uint32_t export_id,
                         struct span key, int64_t from, int64_t to, bool with_entities,
                         store_each_change each, void *argument, struct error *error)
{
    struct store_labels labels;
    if (key.data || reads_all(scoped))
        return store_scan_changes(reader, export_id, key, from, to, -1, with_entities, each,
                                  argument, error);
    bool done = gather_labels(scoped, &labels, error) &&
                store_scan_labelled_changes(reader, export_id, &labels, from, to, -1, with_entities,
                                            each, argument, error);
    memory_free((void *)labels.list);
    return done;
}

bool scoped_scan_tombstones(struct scoped scoped, struct store_reader *reader, uint32_t export_id,
                            int64_t before, int64_t limit,
                            bool (*each)(void *argument, const struct store_tombstone *tombstone),
                            void *argument, struct error *error)
{
    struct store_labels labels;
    if (reads_all(scoped))
        return store_scan_tombstones(reader, export_id, before, limit, each, argument, error);
    bool done = gather_labels(scoped, &labels, error) &&
                store_scan_labelled_tombstones(reader, export_id, &labels, before, limit, each,
                                               argument, error);
    memory_free((void *)labels.list);
    return done;
}
