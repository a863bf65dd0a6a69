/*
 * Projection: an object's text with only the members that some paths name.
 *
 * Invariant: it commutes with merging: projecting the merge of an entity and a patch gives the
 * merge of their projections. Otherwise a client of a projected view could not follow. That is why
 * an object on the way to a named member stays, even when it is left empty, and why whatever stands
 * in the place of such an object is shown as it is: a patch that overwrites it must be seen.
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

static bool leads_to_named(const struct projection *projection, const struct doc_path *path)
{
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
        if (!named && doc_scan_is(scan, '{')) {
            project_object(projection, &here);
        } else {
            doc_scan_skip(scan);
            doc_put(&projection->out, value, (size_t)(scan->at - value));
        }
    }
    if (!doc_scan_take(scan, '}'))
        scan->broken = true;
    doc_put_char(&projection->out, '}');
}

bool doc_project(struct buffer *out, struct span object, const struct span *paths, size_t count)
{
    struct projection projection = {.scan = doc_scan_of(object), .paths = paths, .count = count};
    if (!doc_scan_is(&projection.scan, '{') ||
        !doc_writer_open(&projection.out, out, object.length))
        return false;
    project_object(&projection, NULL);
    if (projection.scan.broken)
        out->failed = true;
    return !projection.scan.broken && doc_writer_close(&projection.out, out);
}
