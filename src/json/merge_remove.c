/*
 * The removal of members from an entity, before its patch is merged: members at paths, and those
 * that are null in the patch. One walk over the entity's canonical text, which is copied in runs
 * but for these.
 */
#include "json/doc_internal.h"
#include "json/doc_scan.h"

struct remover {
    const struct merge_removal *removal;
    struct doc_writer out;
    struct doc_scan scan;
    bool removed, out_of_memory;
};

/* ---- the members of one object of the patch, by name ---- */

struct members {
    const struct doc *doc;
    uint32_t object; /* DOC_NONE: the patch has none here */
    bool hashed;
    struct doc_names names;
};

static bool members_init(struct members *members, const struct doc *doc, uint32_t object)
{
    uint32_t twice;
    *members = (struct members){.doc = doc, .object = object};
    members->hashed = object != DOC_NONE && doc->nodes[object].count > DOC_FEW_MEMBERS;
    return !members->hashed || doc_names_init(&members->names, doc, object, &twice);
}

static void members_fini(struct members *members)
{
    if (members->hashed)
        doc_names_fini(&members->names);
}

static uint32_t members_find(const struct members *members, struct span name)
{
    const struct doc *doc = members->doc;
    if (members->object == DOC_NONE)
        return DOC_NONE;
    if (members->hashed)
        return doc_names_find(&members->names, doc, name);
    uint32_t end = doc->nodes[members->object].end;
    for (uint32_t child = members->object + 1; child < end; child = doc->nodes[child].end)
        if (span_equal(doc_key(doc, child), name))
            return child;
    return DOC_NONE;
}

/* ---- the paths that lead on from one place: neighbours, because paths are sorted ---- */

struct onward {
    const struct span *paths;
    size_t count;
    size_t offset; /* where each goes on from the place */
};

/* Compares the rest of a path with a name with `end` behind it ('\0': nothing). Equal is also
 * one that goes on behind `end`. */
static int compare_rest(struct span rest, struct span name, char end)
{
    size_t common = rest.length < name.length ? rest.length : name.length;
    int order = memcmp(rest.data, name.data, common);
    if (order || rest.length < name.length)
        return order ? order : -1;
    if (!end)
        return rest.length > name.length;
    return rest.length == name.length ? -1 : (unsigned char)rest.data[name.length] - end;
}

static struct span rest_of(const struct onward *onward, size_t i)
{
    struct span path = onward->paths[i];
    return span_make(path.data + onward->offset, path.length - onward->offset);
}

/* The first path that is not below the name with `end` behind it. */
static size_t seek(const struct onward *onward, struct span name, char end)
{
    size_t low = 0, high = onward->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_rest(rest_of(onward, middle), name, end) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* No part of a path is empty, so a member without a name has none. */
static bool is_unset(const struct onward *onward, struct span name)
{
    size_t i = seek(onward, name, '\0');
    return name.length && i < onward->count && span_equal(rest_of(onward, i), name);
}

/* The paths that lead into the member of that name. */
static struct onward into_member(const struct onward *onward, struct span name)
{
    if (!name.length)
        return (struct onward){onward->paths, 0, onward->offset};
    size_t from = seek(onward, name, '.'), to = seek(onward, name, '.' + 1);
    return (struct onward){onward->paths + from, to - from, onward->offset + name.length + 1};
}

/* ---- the walk ---- */

/* A comma that would follow the opening brace belongs to a member that went. */
static void put_run(struct remover *remover, const char *from, const char *to)
{
    bool first = !remover->out.full && remover->out.at[-1] == '{';
    if (first && from < to && *from == ',')
        from++;
    doc_put(&remover->out, from, (size_t)(to - from));
}

/* The walk stands on an object; `patch` is the patch's object at its place, or DOC_NONE. */
static void remove_within(struct remover *remover, uint32_t patch, const struct onward *onward,
                          bool is_top)
{
    const struct doc *doc = remover->removal->doc;
    struct doc_scan *scan = &remover->scan;
    struct members members;
    struct span name;
    if (!members_init(&members, doc, patch)) {
        remover->out_of_memory = scan->broken = true;
        members_fini(&members);
        return;
    }
    if (!doc_scan_take(scan, '{'))
        scan->broken = true;
    doc_put_char(&remover->out, '{');
    const char *copied = scan->at, *before = scan->at;
    while (!scan->broken && doc_scan_member(scan, &name)) {
        uint32_t node = members_find(&members, name);
        enum doc_type type = node == DOC_NONE ? DOC_TRUE : doc->nodes[node].type;
        struct onward inner = into_member(onward, name);
        /* "_seq" at the top is not the producer's. */
        bool seq = is_top && span_equal(name, span_of("_seq"));
        if (!seq && (type == DOC_NULL || is_unset(onward, name))) {
            put_run(remover, copied, before);
            doc_scan_skip(scan);
            copied = scan->at;
            remover->removed = true;
        } else if (doc_scan_is(scan, '{') && (type == DOC_OBJECT || inner.count)) {
            put_run(remover, copied, scan->at);
            remove_within(remover, type == DOC_OBJECT ? node : (uint32_t)DOC_NONE, &inner, false);
            copied = scan->at;
        } else {
            doc_scan_skip(scan);
        }
        before = scan->at;
    }
    put_run(remover, copied, scan->at);
    if (!doc_scan_take(scan, '}'))
        scan->broken = true;
    doc_put_char(&remover->out, '}');
    members_fini(&members);
}

bool merge_remove(struct buffer *out, struct span entity, const struct merge_removal *removal,
                  bool *removed, struct error *error)
{
    static const char what[] = "the entity without what is taken out";
    struct remover remover = {.removal = removal, .scan = doc_scan_of(entity)};
    if (!doc_writer_open(&remover.out, out, entity.length))
        return doc_writer_error(&remover.out, out, what, error);
    struct onward onward = {removal->paths, removal->count, 0};
    remove_within(&remover, removal->nulls, &onward, true);
    *removed = remover.removed;
    if (remover.out_of_memory || remover.scan.broken || remover.scan.at != remover.scan.end) {
        out->failed = true;
        return remover.out_of_memory
                   ? error_set(error, ERROR_MEMORY, "out of memory for %s", what)
                   : error_set(error, ERROR_DATABASE,
                               "the stored entity is damaged at byte %zu of its text; send it "
                               "again whole, with \"op\":\"upsert\"",
                               (size_t)(remover.scan.at - entity.data) + 1);
    }
    return doc_writer_close(&remover.out, out) || doc_writer_error(&remover.out, out, what, error);
}

/* ---- a patch without its nulls ---- */

bool doc_has_null(const struct doc *doc, uint32_t object)
{
    uint32_t end = doc->nodes[object].end;
    for (uint32_t child = object + 1; child < end; child = doc->nodes[child].end) {
        enum doc_type type = doc->nodes[child].type;
        if (type == DOC_NULL || (type == DOC_OBJECT && doc_has_null(doc, child)))
            return true;
    }
    return false;
}

static void print_without(struct doc_writer *out, const struct doc *doc, uint32_t object)
{
    uint32_t end = doc->nodes[object].end;
    doc_put_char(out, '{');
    for (uint32_t child = object + 1; child < end; child = doc->nodes[child].end) {
        const struct doc_node *it = &doc->nodes[child];
        if (it->type == DOC_NULL)
            continue;
        if (!out->full && out->at[-1] != '{')
            doc_put_char(out, ',');
        doc_put(out, doc_key(doc, child).data - 1, it->value - it->key + 1);
        if (it->type == DOC_OBJECT)
            print_without(out, doc, child);
        else
            doc_put_value(out, doc, child, 0);
    }
    doc_put_char(out, '}');
}

bool doc_print_without_nulls(struct buffer *out, const struct doc *doc, uint32_t object)
{
    struct doc_writer writer;
    if (!doc_writer_open(&writer, out, doc->nodes[object].value_length))
        return false;
    print_without(&writer, doc, object);
    return doc_writer_close(&writer, out);
}

/* ---- long arrays ---- */

static bool holds_long_array(const struct doc *doc, uint32_t node, uint32_t max_array)
{
    for (uint32_t i = node; i < doc->nodes[node].end; i++)
        if (doc->nodes[i].type == DOC_ARRAY && doc->nodes[i].count > max_array)
            return true;
    return false;
}

static void print_path(struct buffer *out, const struct doc_path *path)
{
    if (path->parent)
        print_path(out, path->parent);
    if (out->length)
        buffer_add_char(out, '.');
    buffer_add_span(out, path->name);
}

static bool find_long(const struct doc *doc, uint32_t object, uint32_t max_array,
                      const struct doc_path *parent, struct buffer *path)
{
    uint32_t end = doc->nodes[object].end;
    for (uint32_t child = object + 1; child < end; child = doc->nodes[child].end) {
        struct doc_path here = {parent, doc_key(doc, child)};
        if (doc->nodes[child].type == DOC_OBJECT) {
            if (find_long(doc, child, max_array, &here, path))
                return true;
        } else if (holds_long_array(doc, child, max_array)) {
            print_path(path, &here);
            return true;
        }
    }
    return false;
}

bool doc_find_long_array(const struct doc *doc, uint32_t object, uint32_t max_array,
                         struct buffer *path)
{
    return max_array && doc->longest_array > max_array &&
           find_long(doc, object, max_array, NULL, path);
}
