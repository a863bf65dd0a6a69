/*
 * The merge: one walk over the entity's canonical text, in which what the patch touches is written
 * anew and all between is copied in runs. No tree of the entity is ever made.
 *
 * The result is never longer than entity, patch and "_seq" together: every byte of either is
 * copied at most once, and each comma that is added stands for a bracket that is dropped.
 */
#include "json/doc_internal.h"
#include "json/doc_scan.h"
#include "json/merge_lists.h"

struct merge {
    const struct doc *doc;
    struct doc_writer out;
    struct doc_scan scan; /* over the entity */
    struct merge_lists lists;
    uint32_t max_array;
    struct span seq;
    bool out_of_memory;
};

/* ---- the members of one object of the patch, and which of them the entity has had ---- */

struct level {
    uint32_t object;
    uint32_t count, matched;
    uint64_t lengths;  /* bit n: some name has n bytes, modulo 64; ends most searches early */
    uint32_t used_few; /* when there are few: a bit for each of `members` */
    uint32_t members[DOC_FEW_MEMBERS]; /* only `count` of them are set */
    uint64_t *used_many;               /* when there are many: a bit for each node behind object */
    struct doc_names names;
};

static bool level_init(struct level *level, const struct doc *doc, uint32_t object)
{
    const struct doc_node *it = &doc->nodes[object];
    uint32_t twice, i = 0;
    level->object = object;
    level->count = it->count;
    level->matched = level->used_few = 0;
    level->lengths = 0;
    level->used_many = NULL;
    level->names.slots = NULL;
    if (level->count > DOC_FEW_MEMBERS) {
        level->used_many = memory_new(((it->end - object) / 64 + 1) * sizeof(uint64_t));
        return level->used_many && doc_names_init(&level->names, doc, object, &twice);
    }
    for (uint32_t child = object + 1; child < it->end; child = doc->nodes[child].end) {
        level->members[i++] = child;
        level->lengths |= UINT64_C(1) << doc->nodes[child].key_length % 64;
    }
    return true;
}

static void level_fini(struct level *level)
{
    if (level->used_many) {
        memory_free(level->used_many);
        doc_names_fini(&level->names);
    }
}

static uint32_t take_of_many(struct level *level, const struct doc *doc, struct span name)
{
    uint32_t node = doc_names_find(&level->names, doc, name);
    if (node != DOC_NONE) {
        uint32_t bit = node - level->object;
        level->used_many[bit / 64] |= UINT64_C(1) << bit % 64;
        level->matched++;
    }
    return node;
}

/* The member of that name, which is thereby used; or DOC_NONE. */
static uint32_t level_take(struct level *level, const struct doc *doc, struct span name)
{
    if (level->matched == level->count)
        return DOC_NONE;
    if (level->used_many)
        return take_of_many(level, doc, name);
    if (!(level->lengths >> name.length % 64 & 1))
        return DOC_NONE;
    for (uint32_t i = 0; i < level->count; i++) {
        if (span_equal(doc_key(doc, level->members[i]), name)) {
            level->used_few |= UINT32_C(1) << i;
            level->matched++;
            return level->members[i];
        }
    }
    return DOC_NONE;
}

/* Whether the entity had the member `node`, which is the object's child number `i`. */
static bool level_used(const struct level *level, uint32_t i, uint32_t node)
{
    if (!level->used_many)
        return level->used_few >> i & 1;
    uint32_t bit = node - level->object;
    return level->used_many[bit / 64] >> bit % 64 & 1;
}

/* ---- arrays at listed paths ---- */

/* Write the last `count` elements of an array of the patch, without brackets. */
static void put_elements(struct merge *merge, uint32_t array, uint32_t count)
{
    const struct doc *doc = merge->doc;
    const struct doc_node *it = &doc->nodes[array];
    if (count == 0)
        return;
    uint32_t first = doc_child_after(doc, array, it->count - count);
    struct doc_range range = {doc->nodes[first].value, it->value + it->value_length - 1, first,
                              it->end};
    doc_put_cut(&merge->out, doc, range, merge->max_array);
}

/* The walk stands on an array of the entity: write it with the patch's elements behind its own. */
static void extend_array(struct merge *merge, uint32_t node, const struct doc_path *path)
{
    struct doc_scan old = merge->scan;
    doc_scan_take(&old, '[');
    merge->scan = old;
    size_t added = merge_lists_cut_count(&merge->lists, node);
    size_t most = merge_lists_most(&merge->lists, path);
    if (most && added > most)
        added = most;
    size_t present = doc_scan_elements(&merge->scan, SIZE_MAX);
    const char *old_end = merge->scan.at;
    if (!doc_scan_take(&merge->scan, ']'))
        merge->scan.broken = true;
    size_t kept = present;
    if (most && present > most - added)
        kept = most - added;
    if (kept < present) {
        doc_scan_elements(&old, present - kept);
        doc_scan_take(&old, ',');
    }
    doc_put_char(&merge->out, '[');
    if (kept)
        doc_put(&merge->out, old.at, (size_t)(old_end - old.at));
    if (kept && added)
        doc_put_char(&merge->out, ',');
    put_elements(merge, node, (uint32_t)added);
    doc_put_char(&merge->out, ']');
    bool cut = kept < present || added < merge->doc->nodes[node].count;
    merge_lists_report(&merge->lists, path, kept + added, cut);
}

/* ---- objects ---- */

static void merge_object_here(struct merge *merge, uint32_t patch, const struct doc_path *parent);

/* The walk stands on a value that the patch has, too. */
static void merge_value(struct merge *merge, uint32_t node, const struct doc_path *path)
{
    enum doc_type type = merge->doc->nodes[node].type;
    if (type == DOC_OBJECT && doc_scan_is(&merge->scan, '{')) {
        merge_object_here(merge, node, path);
    } else if (type == DOC_ARRAY && doc_scan_is(&merge->scan, '[') &&
               merge_lists_have(&merge->lists, path)) {
        extend_array(merge, node, path);
    } else {
        doc_put_value(&merge->out, merge->doc, node, merge->max_array);
        merge_lists_report_within(&merge->lists, node, path);
        doc_scan_skip(&merge->scan);
    }
}

static inline bool is_seq(const struct merge *merge, const struct doc_path *parent,
                          struct span name)
{
    return !parent && merge->seq.data && name.length == 4 && memcmp(name.data, "_seq", 4) == 0;
}

static void put_seq(struct merge *merge)
{
    doc_put_char(&merge->out, '"');
    doc_put(&merge->out, merge->seq.data, merge->seq.length);
    doc_put_char(&merge->out, '"');
}

/* The entity's own members, up to the closing brace. Returns whether "_seq" was among them. */
static bool merge_members(struct merge *merge, struct level *level, const struct doc_path *parent)
{
    const char *copied = merge->scan.at; /* what is before this has been written */
    bool had_seq = false;
    struct span name;
    if (!doc_scan_take(&merge->scan, '{'))
        merge->scan.broken = true;
    while (!merge->scan.broken && doc_scan_member(&merge->scan, &name)) {
        bool seq = is_seq(merge, parent, name);
        uint32_t node = seq ? (uint32_t)DOC_NONE : level_take(level, merge->doc, name);
        if (!seq && node == DOC_NONE) {
            doc_scan_skip(&merge->scan);
            continue;
        }
        doc_put(&merge->out, copied, (size_t)(merge->scan.at - copied));
        if (seq) {
            had_seq = true;
            put_seq(merge);
            doc_scan_skip(&merge->scan);
        } else {
            struct doc_path path = {parent, name};
            merge_value(merge, node, &path);
        }
        copied = merge->scan.at;
    }
    doc_put(&merge->out, copied, (size_t)(merge->scan.at - copied));
    return had_seq;
}

static void put_comma(struct merge *merge)
{
    /* Canonical text ends in a brace that opens only when the object has no member so far. */
    if (!merge->out.full && merge->out.at[-1] != '{')
        doc_put_char(&merge->out, ',');
}

/* The members of the patch that the entity did not have. */
static void put_new_members(struct merge *merge, const struct level *level,
                            const struct doc_path *parent)
{
    const struct doc *doc = merge->doc;
    uint32_t child = level->object + 1;
    if (level->matched == level->count)
        return;
    for (uint32_t i = 0; i < level->count; i++, child = doc->nodes[child].end) {
        struct doc_path path = {parent, doc_key(doc, child)};
        if (level_used(level, i, child) || is_seq(merge, parent, path.name))
            continue;
        const struct doc_node *it = &doc->nodes[child];
        struct doc_range member = {it->key - 1, it->value + it->value_length, child, it->end};
        put_comma(merge);
        doc_put_cut(&merge->out, doc, member, merge->max_array);
        merge_lists_report_within(&merge->lists, child, &path);
    }
}

/* The walk stands on an object of the entity: write it merged with the patch's. */
static void merge_object_here(struct merge *merge, uint32_t patch, const struct doc_path *parent)
{
    struct level level;
    if (!level_init(&level, merge->doc, patch)) {
        merge->out_of_memory = true;
        /* Nothing of the result will be used; stopping the walk ends all levels. */
        merge->scan.broken = true;
        level_fini(&level);
        return;
    }
    bool had_seq = merge_members(merge, &level, parent);
    /* A broken walk may not even have written the brace that put_comma looks at. */
    if (!merge->scan.broken)
        put_new_members(merge, &level, parent);
    if (!merge->scan.broken && !parent && merge->seq.data && !had_seq) {
        put_comma(merge);
        doc_put(&merge->out, "\"_seq\":", 7);
        put_seq(merge);
    }
    if (!doc_scan_take(&merge->scan, '}'))
        merge->scan.broken = true;
    doc_put_char(&merge->out, '}');
    level_fini(&level);
}

static bool finish(struct merge *merge, struct buffer *out, struct span entity, struct error *error)
{
    static const char what[] = "the merged entity";
    if (merge->out_of_memory) {
        out->failed = true;
        return error_set(error, ERROR_MEMORY, "out of memory for %s", what);
    }
    if (merge->scan.broken || merge->scan.at != merge->scan.end) {
        out->failed = true;
        return error_set(error, ERROR_DATABASE,
                         "the stored entity is damaged at byte %zu of its text; send it again "
                         "whole, with \"op\":\"upsert\"",
                         (size_t)(merge->scan.at - entity.data) + 1);
    }
    return doc_writer_close(&merge->out, out) || doc_writer_error(&merge->out, out, what, error);
}

bool merge_object(struct buffer *out, struct span entity, const struct doc *doc, uint32_t patch,
                  struct merge_append *appends, size_t append_count, uint32_t max_array,
                  struct span seq, struct error *error)
{
    if (!entity.data)
        entity = span_of("{}");
    struct merge merge = {
        .doc = doc,
        .scan = doc_scan_of(entity),
        .lists = merge_lists_begin(doc, appends, append_count, max_array),
        .max_array = max_array,
        .seq = seq,
    };
    size_t bound = entity.length + doc->nodes[patch].value_length + seq.length + 16;
    if (!doc_writer_open(&merge.out, out, bound))
        return doc_writer_error(&merge.out, out, "the merged entity", error);
    merge_object_here(&merge, patch, NULL);
    return finish(&merge, out, entity, error);
}
