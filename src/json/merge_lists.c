#include "json/merge_lists.h"

struct merge_lists merge_lists_begin(const struct doc *doc, struct merge_append *appends,
                                     size_t append_count, uint32_t max_array)
{
    for (size_t i = 0; i < append_count; i++) {
        appends[i].length = 0;
        appends[i].full = appends[i].cut = false;
    }
    return (struct merge_lists){doc, appends, append_count, max_array};
}

bool merge_lists_have(const struct merge_lists *lists, const struct doc_path *path)
{
    for (size_t i = 0; i < lists->append_count; i++)
        if (doc_path_equal(path, lists->appends[i].path))
            return true;
    return false;
}

uint32_t merge_lists_most(const struct merge_lists *lists, const struct doc_path *path)
{
    for (size_t i = 0; i < lists->append_count; i++)
        if (lists->appends[i].most && doc_path_equal(path, lists->appends[i].path))
            return lists->appends[i].most;
    return lists->max_array;
}

uint32_t merge_lists_cut_count(const struct merge_lists *lists, uint32_t node)
{
    uint32_t count = lists->doc->nodes[node].count;
    return lists->max_array && count > lists->max_array ? lists->max_array : count;
}

void merge_lists_report(struct merge_lists *lists, const struct doc_path *path, size_t length,
                        bool cut)
{
    for (size_t i = 0; i < lists->append_count; i++) {
        struct merge_append *append = &lists->appends[i];
        bool is_longer = length > append->length;
        if ((!is_longer && !cut) || !doc_path_equal(path, append->path))
            continue;
        append->cut = append->cut || cut;
        if (is_longer) {
            append->length = (uint32_t)length;
            append->full = lists->max_array && length >= lists->max_array;
        }
    }
}

static void report_within(struct merge_lists *lists, uint32_t node, const struct doc_path *path)
{
    const struct doc *doc = lists->doc;
    if (doc->nodes[node].type == DOC_ARRAY)
        merge_lists_report(lists, path, merge_lists_cut_count(lists, node), false);
    if (doc->nodes[node].type != DOC_OBJECT)
        return;
    uint32_t end = doc->nodes[node].end;
    for (uint32_t child = node + 1; child < end; child = doc->nodes[child].end) {
        struct doc_path inner = {path, doc_key(doc, child)};
        report_within(lists, child, &inner);
    }
}

void merge_lists_report_within(struct merge_lists *lists, uint32_t node,
                               const struct doc_path *path)
{
    if (lists->append_count)
        report_within(lists, node, path);
}
