/*
 * Projection: an object's text with only the members that some paths name.
 *
 * Invariants:
 *  1. Nothing shows that no path names, whatever stands on the way to a named member: of an object
 *     only its members on the way, of an array its elements in the same way, anything else as null.
 *  2. It commutes with merging, with extending an array and with cutting one: projecting the merge
 *     of an entity and a patch gives the merge of their projections. Otherwise a client of a
 *     projected view could not follow. That is why an object on the way stays, even when it is left
 *     empty, why an array keeps the number of its elements, and why a null stands for a text: a
 *     patch that overwrites an object with it must be seen.
 */
#include "json/doc_internal.h"
#include "json/doc_scan.h"

struct projection {
    struct doc_writer out;
    struct doc_scan scan;
    const struct span *paths;
    size_t count;
};

static bool is_named(const struct projection *projection, const struct doc_path *path)
{
    if (!path->parent && span_equal(path->name, span_of("_seq")))
        return true;
    for (size_t i = 0; i < projection->count; i++)
        if (doc_path_equal(path, projection->paths[i]))
            return true;
    return false;
}

/* A member "" at the top has no path that could be named, nor has what is below it. */
static bool leads_to_named(const struct projection *projection, const struct doc_path *path)
{
    if (!path->parent && path->name.length == 0)
        return false;
    for (size_t i = 0; i < projection->count; i++)
        if (doc_path_leads_to(path, projection->paths[i]))
            return true;
    return false;
}

static void put_name(struct projection *projection, struct span name, bool first)
{
    if (!first)
        doc_put_char(&projection->out, ',');
    doc_put_char(&projection->out, '"');
    doc_put(&projection->out, name.data, name.length);
    doc_put(&projection->out, "\":", 2);
}

static void project_value(struct projection *projection, const struct doc_path *path);

/* The walk stands on an array. Its elements have its own path. */
static void project_array(struct projection *projection, const struct doc_path *path)
{
    struct doc_scan *scan = &projection->scan;
    doc_scan_take(scan, '[');
    doc_put_char(&projection->out, '[');
    while (!scan->broken && scan->at < scan->end && !doc_scan_is(scan, ']')) {
        project_value(projection, path);
        if (!doc_scan_take(scan, ','))
            break;
        doc_put_char(&projection->out, ',');
    }
    if (!doc_scan_take(scan, ']'))
        scan->broken = true;
    doc_put_char(&projection->out, ']');
}

/* The walk stands on an object. */
static void project_object(struct projection *projection, const struct doc_path *parent)
{
    struct doc_scan *scan = &projection->scan;
    struct doc_path here = {.parent = parent};
    bool any = false;
    doc_scan_take(scan, '{');
    doc_put_char(&projection->out, '{');
    while (!scan->broken && doc_scan_member(scan, &here.name)) {
        const char *value = scan->at;
        bool named = is_named(projection, &here);
        if (!named && !leads_to_named(projection, &here)) {
            doc_scan_skip(scan);
            continue;
        }
        put_name(projection, here.name, !any);
        any = true;
        if (!named) {
            project_value(projection, &here);
        } else {
            doc_scan_skip(scan);
            doc_put(&projection->out, value, (size_t)(scan->at - value));
        }
    }
    if (!doc_scan_take(scan, '}'))
        scan->broken = true;
    doc_put_char(&projection->out, '}');
}

/* The walk stands on what is on the way to a named member. */
static void project_value(struct projection *projection, const struct doc_path *path)
{
    if (doc_scan_is(&projection->scan, '{')) {
        project_object(projection, path);
    } else if (doc_scan_is(&projection->scan, '[')) {
        project_array(projection, path);
    } else {
        doc_scan_skip(&projection->scan);
        doc_put(&projection->out, "null", 4);
    }
}

/* Up to `bound` bytes; whether they were enough is in projection->out.full. */
static bool project_within(struct projection *projection, struct buffer *out, struct span object,
                           size_t bound)
{
    projection->scan = doc_scan_of(object);
    if (!doc_writer_open(&projection->out, out, bound))
        return false;
    project_object(projection, NULL);
    return true;
}

bool doc_project(struct buffer *out, struct span object, const struct span *paths, size_t count)
{
    struct projection projection = {.scan = doc_scan_of(object), .paths = paths, .count = count};
    if (!doc_scan_is(&projection.scan, '{') ||
        !project_within(&projection, out, object, object.length))
        return false;
    /* A null may be longer than what it stands for: at most [1,1] becomes [null,null]. */
    if (projection.out.full && !out->failed &&
        !project_within(&projection, out, object, 3 * object.length))
        return false;
    if (projection.scan.broken)
        out->failed = true;
    return !projection.scan.broken && doc_writer_close(&projection.out, out);
}
