/*
 * The paths in a mutation's `append`, during one merge: whether an array is listed, and what the
 * merge reports of it. Both ways of merging share them.
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

/* All borrowed. The reports of an earlier merge are forgotten. */
struct merge_lists merge_lists_begin(const struct doc *doc, struct merge_append *appends,
                                     size_t append_count, uint32_t max_array);
bool merge_lists_have(const struct merge_lists *lists, const struct doc_path *path);
/* Elements that an array at a listed path keeps when it is extended; 0: all. */
uint32_t merge_lists_most(const struct merge_lists *lists, const struct doc_path *path);
/* The number of elements that remain of an array of the patch when it is cut. */
uint32_t merge_lists_cut_count(const struct merge_lists *lists, uint32_t node);
/* Report the present length of the array at a listed path, and that it lost elements. Two places
 * can have one path, when names hold dots; then the longer array counts. */
void merge_lists_report(struct merge_lists *lists, const struct doc_path *path, size_t length,
                        bool cut);
/* Report the arrays within the value `node`, which the merge copied whole from the patch. */
void merge_lists_report_within(struct merge_lists *lists, uint32_t node,
                               const struct doc_path *path);

#endif
