/*
 * The difference of two objects, for people who ask what a change did. Both are parsed: this is no
 * hot path, and what is compared is a few rows of a history.
 */
#include "json/doc_internal.h"

enum {
    DIFF_DEPTH = 1024,     /* more than max_depth may ever be */
    DIFF_COMPARISONS = 16, /* of elements, for each that two arrays have */
    DIFF_EXTRA = 64 * 1024 /* bytes of a diff beyond those of both rows, twice */
};

struct diff {
    struct buffer *out;
    struct doc before, after;
    size_t most; /* bytes of `out`. Each element repeats the names that lead to it, so many members
                    below a long name would take the square of what the rows have */
    bool any;
    bool out_of_memory;
};

static bool is_spent(const struct diff *diff)
{
    return diff->out_of_memory || diff->out->failed || diff->out->length > diff->most;
}

/* ---- the members of one object, by name ---- */

struct lookup {
    const struct doc *doc;
    uint32_t object;
    bool hashed;
    struct doc_names names;
};

static bool lookup_init(struct lookup *lookup, const struct doc *doc, uint32_t object)
{
    uint32_t twice;
    *lookup = (struct lookup){.doc = doc, .object = object};
    lookup->hashed = doc->nodes[object].count > DOC_FEW_MEMBERS;
    return !lookup->hashed || doc_names_init(&lookup->names, doc, object, &twice);
}

static void lookup_fini(struct lookup *lookup)
{
    if (lookup->hashed)
        doc_names_fini(&lookup->names);
}

static uint32_t lookup_find(const struct lookup *lookup, struct span name)
{
    const struct doc *doc = lookup->doc;
    if (lookup->hashed)
        return doc_names_find(&lookup->names, doc, name);
    uint32_t end = doc->nodes[lookup->object].end;
    for (uint32_t child = lookup->object + 1; child < end; child = doc->nodes[child].end)
        if (span_equal(doc_key(doc, child), name))
            return child;
    return DOC_NONE;
}

/* ---- printing ---- */

static bool print_names(struct buffer *out, const struct doc_path *path)
{
    if (!path)
        return false;
    if (print_names(out, path->parent))
        buffer_add_char(out, ',');
    buffer_add_char(out, '"');
    buffer_add_span(out, path->name);
    buffer_add_char(out, '"');
    return true;
}

static void begin(struct diff *diff, const struct doc_path *path)
{
    buffer_add_string(diff->out, diff->any ? ",{\"path\":[" : "{\"path\":[");
    print_names(diff->out, path);
    buffer_add_char(diff->out, ']');
    diff->any = true;
}

/* An absent value is left out. */
static void put(struct diff *diff, const struct doc_path *path, struct span from, struct span to)
{
    begin(diff, path);
    if (from.data) {
        buffer_add_string(diff->out, ",\"from\":");
        buffer_add_span(diff->out, from);
    }
    if (to.data) {
        buffer_add_string(diff->out, ",\"to\":");
        buffer_add_span(diff->out, to);
    }
    buffer_add_char(diff->out, '}');
}

/* ---- arrays ---- */

/* Whether the elements of the former array from the child `first` on begin the later one. */
static bool is_begin(const struct diff *diff, uint32_t before, uint32_t after, uint32_t first,
                     int64_t *comparisons)
{
    const struct doc *old = &diff->before, *new = &diff->after;
    uint32_t end = old->nodes[before].end, other = after + 1;
    for (uint32_t child = first; child < end; child = old->nodes[child].end) {
        --*comparisons;
        if (other >= new->nodes[after].end ||
            !span_equal(doc_text(old, child), doc_text(new, other)))
            return false;
        other = new->nodes[other].end;
    }
    return true;
}

/* How many elements went at the beginning, if the others are the beginning of the later array. An
 * array of equal elements could be compared for ever, so there is an end to it. */
static bool find_kept(const struct diff *diff, uint32_t before, uint32_t after, uint32_t *dropped)
{
    const struct doc *old = &diff->before, *new = &diff->after;
    const struct doc_node *was = &old->nodes[before], *is = &new->nodes[after];
    int64_t comparisons = DIFF_COMPARISONS * ((int64_t)was->count + is->count);
    uint32_t child = before + 1;
    for (*dropped = 0; *dropped < was->count && comparisons > 0; ++*dropped) {
        uint32_t kept = was->count - *dropped;
        if (kept < is->count && is_begin(diff, before, after, child, &comparisons))
            return true;
        child = old->nodes[child].end;
    }
    return false;
}

static void put_array(struct diff *diff, const struct doc_path *path, uint32_t before,
                      uint32_t after)
{
    const struct doc *new = &diff->after;
    const struct doc_node *is = &new->nodes[after];
    uint32_t dropped;
    if (!find_kept(diff, before, after, &dropped)) {
        put(diff, path, doc_text(&diff->before, before), doc_text(new, after));
        return;
    }
    uint32_t first = doc_child_after(new, after, diff->before.nodes[before].count - dropped);
    const char *from = new->text.data + new->nodes[first].value;
    begin(diff, path);
    if (dropped)
        buffer_printf(diff->out, ",\"dropped\":%u", dropped);
    buffer_add_string(diff->out, ",\"added\":[");
    buffer_add(diff->out, from, (size_t)(new->text.data + is->value + is->value_length - from));
    buffer_add_char(diff->out, '}');
}

/* ---- objects ---- */

static void compare_objects(struct diff *diff, const struct doc_path *parent, uint32_t before,
                            uint32_t after);

static void compare(struct diff *diff, const struct doc_path *path, uint32_t before, uint32_t after)
{
    const struct doc_node *was = &diff->before.nodes[before], *is = &diff->after.nodes[after];
    if (was->type == DOC_OBJECT && is->type == DOC_OBJECT)
        compare_objects(diff, path, before, after);
    else if (span_equal(doc_text(&diff->before, before), doc_text(&diff->after, after)))
        return;
    else if (was->type == DOC_ARRAY && is->type == DOC_ARRAY)
        put_array(diff, path, before, after);
    else
        put(diff, path, doc_text(&diff->before, before), doc_text(&diff->after, after));
}

static bool is_seq(const struct doc_path *path)
{
    return !path->parent && span_equal(path->name, span_of("_seq"));
}

/* Of the later object all members, of the former one those that the later lacks. */
static void each_member(struct diff *diff, const struct doc_path *parent, const struct doc *doc,
                        uint32_t object, const struct lookup *other)
{
    bool later = doc == &diff->after;
    uint32_t end = doc->nodes[object].end;
    for (uint32_t child = object + 1; child < end && !is_spent(diff);
         child = doc->nodes[child].end) {
        struct doc_path path = {parent, doc_key(doc, child)};
        if (is_seq(&path))
            continue;
        uint32_t found = lookup_find(other, path.name);
        if (later && found != DOC_NONE)
            compare(diff, &path, found, child);
        else if (found == DOC_NONE)
            put(diff, &path, later ? span_make(NULL, 0) : doc_text(doc, child),
                later ? doc_text(doc, child) : span_make(NULL, 0));
    }
}

static void compare_objects(struct diff *diff, const struct doc_path *parent, uint32_t before,
                            uint32_t after)
{
    struct lookup was = {.hashed = false}, is = {.hashed = false};
    bool made = lookup_init(&was, &diff->before, before) && lookup_init(&is, &diff->after, after);
    if (made) {
        each_member(diff, parent, &diff->after, after, &was);
        each_member(diff, parent, &diff->before, before, &is);
    }
    diff->out_of_memory = diff->out_of_memory || !made;
    lookup_fini(&was);
    lookup_fini(&is);
}

static bool read(struct doc *doc, struct span text, uint32_t *root, struct error *error)
{
    if (!doc_parse(doc, text, DIFF_DEPTH, root, error)) {
        if (error->code != ERROR_MEMORY)
            error->code = ERROR_DATABASE;
        return error_prefix(error, "a stored row is damaged");
    }
    return doc->nodes[*root].type == DOC_OBJECT ||
           error_set(error, ERROR_DATABASE, "a stored row is no object");
}

static void compare_rows(struct diff *diff, struct span before, struct span after, uint32_t old,
                         uint32_t new)
{
    size_t start = diff->out->length;
    diff->most = start + 2 * (before.length + after.length) + DIFF_EXTRA;
    compare_objects(diff, NULL, old, new);
    if (diff->out->failed || diff->out->length <= diff->most)
        return;
    diff->out->length = start;
    diff->any = false;
    put(diff, NULL, before, after);
}

bool doc_diff(struct buffer *out, struct span before, struct span after, struct error *error)
{
    struct diff diff = {.out = out};
    uint32_t old, new;
    bool done = true;
    doc_init(&diff.before, UINT32_MAX, UINT32_MAX);
    doc_init(&diff.after, UINT32_MAX, UINT32_MAX);
    buffer_add_char(out, '[');
    if (before.data && after.data) {
        done = read(&diff.before, before, &old, error) && read(&diff.after, after, &new, error);
        if (done)
            compare_rows(&diff, before, after, old, new);
    } else if (before.data || after.data) {
        put(&diff, NULL, before, after);
    }
    buffer_add_char(out, ']');
    doc_fini(&diff.before);
    doc_fini(&diff.after);
    if (done && (diff.out_of_memory || out->failed))
        done = error_set(error, ERROR_MEMORY, "out of memory while comparing rows");
    return done;
}
