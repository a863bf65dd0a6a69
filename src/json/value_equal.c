/* When two values mean the same. */
#include "json/doc_internal.h"
#include "json/doc_scan.h"
#include "json/value.h"

/* ---- equal ---- */

static bool equal_arrays(struct span left, struct span right)
{
    struct doc_scan a = doc_scan_of(left), b = doc_scan_of(right);
    doc_scan_take(&a, '[');
    doc_scan_take(&b, '[');
    while (!a.broken && !b.broken && !doc_scan_is(&a, ']') && !doc_scan_is(&b, ']')) {
        if (!doc_value_equal(doc_scan_value(&a), doc_scan_value(&b)))
            return false;
        doc_scan_take(&a, ',');
        doc_scan_take(&b, ',');
    }
    return doc_scan_is(&a, ']') && doc_scan_is(&b, ']');
}

/* Equal objects mostly have one order, so a member is first looked for where the other stands. */
static bool equal_objects(struct span left, struct span right)
{
    struct doc_scan a = doc_scan_of(left), b = doc_scan_of(right);
    struct span name, other;
    if (doc_scan_members(left) != doc_scan_members(right))
        return false;
    doc_scan_take(&a, '{');
    doc_scan_take(&b, '{');
    while (doc_scan_member(&a, &name)) {
        struct span value = doc_scan_value(&a), found = {NULL, 0};
        bool beside = doc_scan_member(&b, &other);
        if (beside)
            found = doc_scan_value(&b);
        if (!beside || !span_equal(name, other))
            found = doc_value_at(right, &name, 1);
        if (!found.data || !doc_value_equal(value, found))
            return false;
    }
    return true;
}

bool doc_value_equal(struct span left, struct span right)
{
    enum doc_kind kind = doc_kind_of(left), other = doc_kind_of(right);
    kind = kind == DOC_KIND_ABSENT ? DOC_KIND_NULL : kind;
    other = other == DOC_KIND_ABSENT ? DOC_KIND_NULL : other;
    if (kind != other)
        return false;
    if (kind != DOC_KIND_CONTAINER)
        return doc_kind_compare(kind, left, right) == 0;
    if (span_equal(left, right))
        return true;
    if (left.data[0] != right.data[0])
        return false;
    return left.data[0] == '[' ? equal_arrays(left, right) : equal_objects(left, right);
}

bool doc_array_has(struct span array, struct span value)
{
    if (!array.length || array.data[0] != '[')
        return false;
    struct doc_scan scan = doc_scan_of(array);
    doc_scan_take(&scan, '[');
    while (!scan.broken && scan.at < scan.end && !doc_scan_is(&scan, ']')) {
        if (doc_value_equal(doc_scan_value(&scan), value))
            return true;
        doc_scan_take(&scan, ',');
    }
    return false;
}
