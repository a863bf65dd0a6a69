/*
 * The patch as subscribers get it.
 */
#include "json/doc_internal.h"
#include "json/doc_scan.h"

struct printer {
    const struct doc *doc;
    struct doc_writer out;
    const struct merge_append *appends;
    size_t append_count;
    uint32_t max_array;
    struct span seq;
};

/* The entry of an array that is sent whole; NULL for any other place. */
static const struct merge_append *full_array(const struct printer *printer,
                                             const struct doc_path *path)
{
    for (size_t i = 0; i < printer->append_count; i++)
        if (printer->appends[i].full && doc_path_equal(path, printer->appends[i].path))
            return &printer->appends[i];
    return NULL;
}

static bool leads_to_full_array(const struct printer *printer, const struct doc_path *path)
{
    for (size_t i = 0; i < printer->append_count; i++)
        if (printer->appends[i].full && doc_path_leads_to(path, printer->appends[i].path))
            return true;
    return false;
}

/* The value of a member of canonical object text, with what follows it; absent if there is none. */
static struct span find_value(struct span object, struct span wanted)
{
    struct doc_scan scan = doc_scan_of(object);
    struct span name;
    doc_scan_take(&scan, '{');
    while (doc_scan_member(&scan, &name)) {
        if (span_equal(name, wanted))
            return span_make(scan.at, (size_t)(scan.end - scan.at));
        doc_scan_skip(&scan);
    }
    return span_make(NULL, 0);
}

static void print_object(struct printer *printer, uint32_t object, struct span merged,
                         const struct doc_path *parent);

/* The first `length` elements of the array that the text begins with, as an array. */
static void put_prefix(struct printer *printer, struct span array, uint32_t length)
{
    struct doc_scan scan = doc_scan_of(array);
    doc_scan_take(&scan, '[');
    doc_scan_elements(&scan, length);
    doc_put(&printer->out, array.data, (size_t)(scan.at - array.data));
    doc_put_char(&printer->out, ']');
}

/* `merged` begins with the text of the entity's object at the parent's place. */
static void print_value(struct printer *printer, uint32_t node, struct span merged,
                        const struct doc_path *path)
{
    enum doc_type type = printer->doc->nodes[node].type;
    const struct merge_append *array = type == DOC_ARRAY ? full_array(printer, path) : NULL;
    /* Looking up is a search through the entity, so only where it can matter. */
    if (array || (type == DOC_OBJECT && leads_to_full_array(printer, path))) {
        struct span whole = find_value(merged, path->name);
        if (!array && whole.data && *whole.data == '{') {
            print_object(printer, node, whole, path);
            return;
        }
        if (array && whole.data && *whole.data == '[') {
            put_prefix(printer, whole, array->length);
            return;
        }
    }
    doc_put_value(&printer->out, printer->doc, node, printer->max_array);
}

static void put_seq(struct printer *printer)
{
    doc_put_char(&printer->out, '"');
    doc_put(&printer->out, printer->seq.data, printer->seq.length);
    doc_put_char(&printer->out, '"');
}

static void print_object(struct printer *printer, uint32_t object, struct span merged,
                         const struct doc_path *parent)
{
    const struct doc *doc = printer->doc;
    uint32_t end = doc->nodes[object].end;
    bool wants_seq = !parent && printer->seq.data;
    doc_put_char(&printer->out, '{');
    for (uint32_t child = object + 1; child < end; child = doc->nodes[child].end) {
        const struct doc_node *it = &doc->nodes[child];
        struct doc_path path = {parent, doc_key(doc, child)};
        if (child > object + 1)
            doc_put_char(&printer->out, ',');
        doc_put(&printer->out, path.name.data - 1, it->value - it->key + 1);
        if (wants_seq && span_equal(path.name, span_of("_seq"))) {
            put_seq(printer);
            wants_seq = false;
        } else {
            print_value(printer, child, merged, &path);
        }
    }
    if (wants_seq) {
        if (doc->nodes[object].count)
            doc_put_char(&printer->out, ',');
        doc_put(&printer->out, "\"_seq\":", 7);
        put_seq(printer);
    }
    doc_put_char(&printer->out, '}');
}

bool merge_print_patch(struct buffer *out, const struct doc *doc, uint32_t patch,
                       const struct merge_append *appends, size_t append_count, uint32_t max_array,
                       struct span seq, struct span merged, struct error *error)
{
    static const char what[] = "the patch for subscribers";
    struct printer printer = {
        .doc = doc,
        .appends = appends,
        .append_count = append_count,
        .max_array = max_array,
        .seq = seq,
    };
    size_t bound = doc->nodes[patch].value_length + seq.length + 16;
    /* No part of the entity is taken twice: its names are unique at each level. */
    for (size_t i = 0; i < append_count; i++)
        if (appends[i].full) {
            bound += merged.length;
            break;
        }
    if (!doc_writer_open(&printer.out, out, bound))
        return doc_writer_error(&printer.out, out, what, error);
    print_object(&printer, patch, merged, NULL);
    return doc_writer_close(&printer.out, out) || doc_writer_error(&printer.out, out, what, error);
}
