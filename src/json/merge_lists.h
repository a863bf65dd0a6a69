/*
 * The paths that a mutation lists to append at, during one merge: whether an array is listed, and
 * what the merge reports of it. Shared by the two ways of merging.
 */
#ifndef JSON_MERGE_LISTS_H
#define JSON_MERGE_LISTS_H

#include "json/doc_internal.h"

struct merge_lists {
    const struct doc *doc; /* the patch's */
    struct merge_append *appends;
    size_t append_count;
    uint32_t max_array;
};

/* All borrowed. What an earlier merge reported is forgotten. */
struct merge_lists merge_lists_begin(const struct doc *doc, struct merge_append *appends,
                                     size_t append_count, uint32_t max_array);
bool merge_lists_have(const struct merge_lists *lists, const struct doc_path *path);
/* Elements that are left of an array of the patch when it is cut. */
uint32_t merge_lists_cut_count(const struct merge_lists *lists, uint32_t node);
/* Tell whoever listed this path how long the array there is now. Two places can have one path,
 * when names hold dots; then the longer one counts. */
void merge_lists_report(struct merge_lists *lists, const struct doc_path *path, size_t length);
/* ... that the array there lost elements. */
void merge_lists_report_cut(struct merge_lists *lists, const struct doc_path *path);
/* The value `node` of the patch was taken whole: report the arrays in it. */
void merge_lists_report_within(struct merge_lists *lists, uint32_t node,
                               const struct doc_path *path);

#endif
