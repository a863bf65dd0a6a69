/*
 * An entity that takes many patches, one after the other: what merge_object makes of each, at a
 * cost that goes by the patch.
 *
 * The entity's text stays as it is. An object of it is opened when a patch first merges into it:
 * one walk notes where each of its members begins, in a table of four bytes a slot. From then on
 * the object is its text, the members that patches touched, and the new ones behind it; an opened
 * array is its elements as text, with patches' elements behind them. All else is spans of the
 * entity and of the patches, which must stay where they are.
 *
 * Invariants: an object's `length` is that of the text that it would print now; a touched member
 * of its text has the place of its first value there, and no two places overlap.
 */
#include "json/draft.h"
#include "json/merge_lists.h"

/* The state of one patch. */
struct drafting {
    struct merge_draft *draft;
    const struct doc *doc;
    struct merge_lists lists;
    struct span seq;
};

/* ---- opening ---- */

static struct span member_name(const void *value)
{
    return ((const struct draft_member *)value)->name;
}

/* The offset of each name. False when out of memory; a damaged text leaves scan->broken. */
static bool list_names(struct doc_scan *scan, uint32_t **offsets, size_t *count)
{
    const char *text = scan->at;
    size_t capacity = 0;
    struct span name;
    if (!doc_scan_take(scan, '{'))
        scan->broken = true;
    while (!scan->broken && doc_scan_member(scan, &name)) {
        if (*count == capacity) {
            capacity = capacity ? capacity * 2 : 16;
            uint32_t *more = memory_resize(*offsets, capacity * sizeof **offsets);
            if (!more)
                return false;
            *offsets = more;
        }
        (*offsets)[(*count)++] = (uint32_t)(name.data - text);
        doc_scan_skip(scan);
    }
    scan->broken = scan->broken || !doc_scan_take(scan, '}') || scan->at != scan->end;
    return true;
}

static struct span name_at(struct span text, uint32_t offset)
{
    const char *name = text.data + offset;
    const char *quote = doc_scan_quote(name, text.data + text.length);
    return span_make(name, (size_t)(quote - name));
}

static bool make_table(struct draft_object *object, const uint32_t *offsets, size_t count)
{
    size_t capacity = 8;
    while (capacity < 2 * count)
        capacity *= 2;
    object->slots = memory_new(capacity * sizeof *object->slots);
    object->mask = capacity - 1;
    for (size_t i = 0; object->slots && i < count; i++) {
        size_t slot = (size_t)map_hash(name_at(object->text, offsets[i])) & object->mask;
        while (object->slots[slot])
            slot = (slot + 1) & object->mask;
        object->slots[slot] = offsets[i];
    }
    return object->slots != NULL;
}

static bool open_object(struct merge_draft *draft, struct draft_value *value)
{
    struct doc_scan scan = doc_scan_of(value->text);
    struct draft_object *object = memory_new(sizeof *object);
    uint32_t *offsets = NULL;
    size_t count = 0;
    if (object) {
        object->text = value->text;
        object->length = value->text.length;
        object->last = &object->first;
        map_init(&object->touched, member_name);
        object->next = draft->objects;
        draft->objects = object;
    }
    bool opened =
        object && list_names(&scan, &offsets, &count) && make_table(object, offsets, count);
    memory_free(offsets);
    draft->out_of_memory = draft->out_of_memory || !opened;
    draft->broken = draft->broken || scan.broken;
    if (!opened || scan.broken)
        return false;
    draft->memory += sizeof *object + (object->mask + 1) * sizeof *object->slots;
    value->object = object;
    return true;
}

static bool open_array(struct merge_draft *draft, struct draft_value *value)
{
    struct doc_scan scan = doc_scan_of(value->text);
    struct draft_array *array = memory_new(sizeof *array);
    if (!array) {
        draft->out_of_memory = true;
        return false;
    }
    buffer_init(&array->elements, UINT32_MAX);
    array->next = draft->arrays;
    draft->arrays = array;
    doc_scan_take(&scan, '[');
    const char *start = scan.at;
    array->count = doc_scan_elements(&scan, SIZE_MAX);
    buffer_add(&array->elements, start, (size_t)(scan.at - start));
    if (!doc_scan_take(&scan, ']') || scan.at != scan.end)
        draft->broken = true;
    draft->out_of_memory = draft->out_of_memory || array->elements.failed;
    draft->memory += sizeof *array + array->elements.capacity;
    value->array = array;
    return !draft->broken && !draft->out_of_memory;
}

/* ---- values ---- */

size_t draft_value_length(const struct draft_value *value)
{
    if (value->object)
        return value->object->length;
    if (value->array)
        return value->array->elements.length - value->array->first + 2;
    return value->text.length;
}

bool draft_value_begins(const struct draft_value *value, char c)
{
    if (value->object || value->array)
        return c == (value->object ? '{' : '[');
    return value->text.length && *value->text.data == c;
}

/* The text of a value of the patch, with its arrays cut. It lasts. */
static struct span cut_text(struct drafting *drafting, uint32_t node)
{
    const struct doc *doc = drafting->doc;
    struct merge_draft *draft = drafting->draft;
    uint32_t max_array = drafting->lists.max_array;
    struct span text = doc_text(doc, node);
    struct buffer cut;
    if (!max_array || doc->longest_array <= max_array)
        return text;
    buffer_init(&cut, UINT32_MAX);
    struct draft_text *kept =
        doc_print_cut(doc, node, max_array, &cut) ? memory_alloc(sizeof *kept + cut.length) : NULL;
    if (kept) {
        kept->next = draft->texts;
        draft->texts = kept;
        memcpy(kept->bytes, cut.data, cut.length);
        text = span_make(kept->bytes, cut.length);
        draft->memory += sizeof *kept + cut.length;
    }
    draft->out_of_memory = draft->out_of_memory || !kept;
    buffer_fini(&cut);
    return text;
}

static void set_text(struct draft_value *value, struct span text)
{
    *value = (struct draft_value){.text = text};
}

/* ---- members ---- */

/* The value of that name in the object's text as it was opened; absent: none. */
static struct span find_place(const struct draft_object *object, struct span name)
{
    const struct span text = object->text;
    size_t slot = (size_t)map_hash(name) & object->mask;
    for (; object->slots[slot]; slot = (slot + 1) & object->mask) {
        if (!span_equal(name_at(text, object->slots[slot]), name))
            continue;
        size_t at = object->slots[slot] + name.length + 2;
        struct doc_scan scan = doc_scan_of(span_make(text.data + at, text.length - at));
        doc_scan_skip(&scan);
        return span_make(text.data + at, (size_t)(scan.at - (text.data + at)));
    }
    return span_make(NULL, 0);
}

static struct draft_member *add_member(struct merge_draft *draft, struct draft_object *object,
                                       struct span name, struct span place)
{
    struct draft_member *member = memory_new(sizeof *member);
    if (member)
        *member = (struct draft_member){.name = name, .place = place, .value = {.text = place}};
    if (!member || !map_add(&object->touched, member)) {
        memory_free(member);
        draft->out_of_memory = true;
        return NULL;
    }
    draft->memory += sizeof *member + 2 * sizeof(void *);
    return member;
}

/* The member of that name; NULL: there is none, or no memory for it. */
static struct draft_member *find_member(struct merge_draft *draft, struct draft_object *object,
                                        struct span name)
{
    struct draft_member *member = map_get(&object->touched, name);
    if (member)
        return member;
    struct span place = find_place(object, name);
    return place.data ? add_member(draft, object, name, place) : NULL;
}

static bool is_empty(const struct draft_object *object)
{
    return object->length == 2;
}

static void append_member(struct merge_draft *draft, struct draft_object *object, struct span name,
                          struct span text)
{
    struct draft_member *member = add_member(draft, object, name, span_make(NULL, 0));
    if (!member)
        return;
    set_text(&member->value, text);
    object->length += name.length + 3 + text.length + !is_empty(object);
    *object->last = member;
    object->last = &member->next;
}

/* ---- merging ---- */

static void merge_members(struct drafting *drafting, struct draft_object *object, uint32_t patch,
                          const struct doc_path *parent);

static void cut_front(struct draft_array *array, size_t count)
{
    struct doc_scan scan = doc_scan_of(
        span_make(array->elements.data + array->first, array->elements.length - array->first));
    doc_scan_elements(&scan, count);
    doc_scan_take(&scan, ',');
    array->first = (size_t)(scan.at - array->elements.data);
    array->count -= count;
}

/* The patch's elements go behind the array's own. */
static void extend(struct drafting *drafting, struct draft_array *array, uint32_t node,
                   const struct doc_path *path)
{
    struct merge_draft *draft = drafting->draft;
    size_t added = merge_lists_cut_count(&drafting->lists, node), kept = array->count;
    size_t most = drafting->lists.max_array, capacity = array->elements.capacity;
    struct span text = cut_text(drafting, node);
    if (most && kept > most - added)
        kept = most - added;
    bool cut = kept < array->count;
    if (cut)
        cut_front(array, array->count - kept);
    if (!kept) {
        buffer_clear(&array->elements);
        array->first = 0;
    }
    if (kept && added)
        buffer_add_char(&array->elements, ',');
    buffer_add(&array->elements, text.data + 1, text.length - 2);
    array->count = kept + added;
    draft->memory += array->elements.capacity - capacity;
    draft->out_of_memory = draft->out_of_memory || array->elements.failed;
    cut = cut || added < drafting->doc->nodes[node].count;
    merge_lists_report(&drafting->lists, path, array->count, cut);
}

static void merge_value(struct drafting *drafting, struct draft_value *value, uint32_t node,
                        const struct doc_path *path)
{
    enum doc_type type = drafting->doc->nodes[node].type;
    if (type == DOC_OBJECT && draft_value_begins(value, '{')) {
        if (value->object || open_object(drafting->draft, value))
            merge_members(drafting, value->object, node, path);
    } else if (type == DOC_ARRAY && draft_value_begins(value, '[') &&
               merge_lists_have(&drafting->lists, path)) {
        if (value->array || open_array(drafting->draft, value))
            extend(drafting, value->array, node, path);
    } else {
        set_text(value, cut_text(drafting, node));
        merge_lists_report_within(&drafting->lists, node, path);
    }
}

static bool has_failed(const struct merge_draft *draft)
{
    return draft->out_of_memory || draft->broken;
}

static void merge_members(struct drafting *drafting, struct draft_object *object, uint32_t patch,
                          const struct doc_path *parent)
{
    const struct doc *doc = drafting->doc;
    struct merge_draft *draft = drafting->draft;
    uint32_t end = doc->nodes[patch].end;
    for (uint32_t child = patch + 1; child < end && !has_failed(draft);
         child = doc->nodes[child].end) {
        struct doc_path path = {parent, doc_key(doc, child)};
        if (!parent && drafting->seq.data && span_equal(path.name, span_of("_seq")))
            continue;
        struct draft_member *member = find_member(draft, object, path.name);
        if (member) {
            size_t before = draft_value_length(&member->value);
            merge_value(drafting, &member->value, child, &path);
            object->length += draft_value_length(&member->value) - before;
        } else if (!has_failed(draft)) {
            append_member(draft, object, path.name, cut_text(drafting, child));
            merge_lists_report_within(&drafting->lists, child, &path);
        }
    }
}

/* Of equal length or not, it is printed where it stood first. */
static void set_seq(struct merge_draft *draft, struct span seq)
{
    static const char name[] = "_seq";
    struct draft_object *root = draft->root.object;
    struct draft_member *member = find_member(draft, root, span_of(name));
    size_t before = member ? draft_value_length(&member->value) : 0;
    buffer_clear(&draft->seq);
    buffer_add_char(&draft->seq, '"');
    buffer_add_span(&draft->seq, seq);
    buffer_add_char(&draft->seq, '"');
    if (draft->seq.failed)
        draft->out_of_memory = true;
    if (has_failed(draft))
        return;
    if (!member) {
        append_member(draft, root, span_of(name), buffer_span(&draft->seq));
        return;
    }
    set_text(&member->value, buffer_span(&draft->seq));
    root->length += draft_value_length(&member->value) - before;
}

/* ---- for others ---- */

struct merge_draft *merge_draft_new(struct span entity)
{
    struct merge_draft *draft = memory_new(sizeof *draft);
    if (!draft)
        return NULL;
    draft->root.text = entity;
    draft->memory = sizeof *draft;
    buffer_init(&draft->seq, UINT32_MAX);
    return draft;
}

static void free_object(struct draft_object *object)
{
    struct draft_member *member;
    size_t position = 0;
    while ((member = map_next(&object->touched, &position)))
        memory_free(member);
    map_fini(&object->touched);
    memory_free(object->slots);
    memory_free(object);
}

void merge_draft_free(struct merge_draft *draft)
{
    if (!draft)
        return;
    while (draft->objects) {
        struct draft_object *object = draft->objects;
        draft->objects = object->next;
        free_object(object);
    }
    while (draft->arrays) {
        struct draft_array *array = draft->arrays;
        draft->arrays = array->next;
        buffer_fini(&array->elements);
        memory_free(array);
    }
    while (draft->texts) {
        struct draft_text *text = draft->texts;
        draft->texts = text->next;
        memory_free(text);
    }
    buffer_fini(&draft->seq);
    memory_free(draft);
}

bool merge_draft_patch(struct merge_draft *draft, const struct doc *doc, uint32_t patch,
                       struct merge_append *appends, size_t append_count, uint32_t max_array,
                       struct span seq, struct error *error)
{
    struct drafting drafting = {
        .draft = draft,
        .doc = doc,
        .lists = merge_lists_begin(doc, appends, append_count, max_array),
        .seq = seq,
    };
    if (draft->root.object || open_object(draft, &draft->root)) {
        merge_members(&drafting, draft->root.object, patch, NULL);
        if (seq.data && !has_failed(draft))
            set_seq(draft, seq);
    }
    if (draft->out_of_memory)
        return error_set(error, ERROR_MEMORY, "out of memory for the merged entity");
    return !draft->broken ||
           error_set(error, ERROR_DATABASE,
                     "the stored entity is damaged; send it again whole, with \"op\":\"upsert\"");
}

struct merge_draft_size merge_draft_size(const struct merge_draft *draft)
{
    return (struct merge_draft_size){draft_value_length(&draft->root), draft->memory};
}
