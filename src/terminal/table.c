#include "terminal/table.h"
#include "view/view.h"
#include "json/json.h"

/* ---- marks of rows that have just come or changed ---- */

static void unmark(struct table_row *row)
{
    struct table_mark *mark = row->mark;
    if (!mark)
        return;
    link_remove(&mark->link);
    memory_free(mark);
    row->mark = NULL;
}

/* That have come (`before` absent) or changed. Without memory there is no mark. */
static void add_mark(struct table *table, struct table_row *row, struct span before)
{
    struct table_mark *mark = memory_alloc(sizeof *mark + before.length);
    if (!mark)
        return;
    *mark = (struct table_mark){.row = row,
                                .until_us = table->now_us + TABLE_MARK_US,
                                .came = !before.data,
                                .before = span_make(mark->bytes, before.length)};
    if (before.length)
        memcpy(mark->bytes, before.data, before.length);
    link_append(&table->marks, &mark->link);
    row->mark = mark;
}

bool table_expire(struct table *table, uint64_t now_us)
{
    bool any = false;
    while (!link_alone(&table->marks)) {
        struct table_mark *mark = (struct table_mark *)table->marks.next; /* its first member */
        if (mark->until_us > now_us)
            break;
        unmark(mark->row);
        any = true;
    }
    return any;
}

/* ---- the table ---- */

static struct span row_key(const void *row)
{
    return ((const struct table_row *)row)->key;
}

void table_init(struct table *table)
{
    *table = (struct table){.list = NULL};
    map_init(&table->by_key, row_key);
    link_init(&table->marks);
    buffer_init(&table->sort_text, 64 * 1024);
}

static void row_free(struct table_row *row)
{
    unmark(row);
    memory_free(row);
}

static void forget_rows(struct table *table)
{
    for (size_t i = 0; i < table->count; i++)
        row_free(table->list[i]);
    table->count = 0;
    map_fini(&table->by_key);
    map_init(&table->by_key, row_key);
}

void table_fini(struct table *table)
{
    forget_rows(table);
    memory_free(table->list);
    buffer_fini(&table->sort_text);
    view_query_unref(table->order);
}

static bool lacks_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "out of memory for the rows of a table");
}

/* ---- rows ---- */

/* The index at which a place stands or belongs. */
static size_t find_place(const struct table *table, struct span place)
{
    size_t low = 0, high = table->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (span_compare(table->list[middle]->place, place) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t table_index(const struct table *table, const struct table_row *row)
{
    return find_place(table, row->place);
}

static void take_out(struct table *table, struct span key)
{
    struct table_row *row = map_remove(&table->by_key, key);
    if (!row)
        return;
    size_t at = find_place(table, row->place);
    table->count--;
    memmove(table->list + at, table->list + at + 1, (table->count - at) * sizeof(*table->list));
    row_free(row);
}

static bool make_room(struct table *table, struct error *error)
{
    if (table->count >= TABLE_ROWS)
        return error_set(error, ERROR_TOO_LARGE,
                         "a table has at most %d rows; ask for fewer with --take", TABLE_ROWS);
    if (table->count < table->capacity)
        return true;
    size_t capacity = table->capacity ? table->capacity * 2 : 64;
    struct table_row **list = memory_resize(table->list, capacity * sizeof(*list));
    if (!list)
        return lacks_memory(error);
    table->list = list;
    table->capacity = capacity;
    return true;
}

static bool find_seq(struct span data, struct seq *seq)
{
    static const struct span name = {"_seq", 4};
    struct span text = doc_value_at(data, &name, 1);
    *seq = (struct seq){0, 0};
    return text.data && seq_parse(doc_bare(text), seq);
}

static bool make_place(const struct table *table, struct span key, struct span data,
                       struct buffer *place)
{
    struct seq seq;
    if (table->order)
        return view_query_sort_key(table->order, key, data, place);
    find_seq(data, &seq);
    return view_seq_sort_key(key, seq, place);
}

static struct table_row *row_new(const struct table *table, struct span key, struct span data)
{
    struct buffer place;
    struct table_row *row = NULL;
    buffer_init(&place, UINT32_MAX);
    if (make_place(table, key, data, &place))
        row = memory_alloc(sizeof *row + key.length + data.length + place.length);
    if (row) {
        char *bytes = row->bytes;
        *row = (struct table_row){span_make(bytes, key.length),
                                  span_make(bytes + key.length, data.length),
                                  span_make(bytes + key.length + data.length, place.length), NULL};
        if (key.length)
            memcpy(bytes, key.data, key.length);
        memcpy(bytes + key.length, data.data, data.length);
        memcpy(bytes + key.length + data.length, place.data, place.length);
    }
    buffer_fini(&place);
    return row;
}

/* What was there of a row that comes again, and its mark stay with it. */
static void mark(struct table *table, struct table_row *row)
{
    struct table_row *old = map_get(&table->by_key, row->key);
    if (!table->marking)
        return;
    if (!old || !span_equal(old->data, row->data)) {
        add_mark(table, row, old ? old->data : span_make(NULL, 0));
    } else if (old->mark) {
        row->mark = old->mark;
        row->mark->row = row;
        old->mark = NULL;
    }
}

static bool put(struct table *table, struct span key, struct span data, struct error *error)
{
    struct table_row *row = row_new(table, key, data);
    if (!row)
        return lacks_memory(error);
    mark(table, row);
    take_out(table, key);
    if (!make_room(table, error)) {
        row_free(row);
        return false;
    }
    if (!map_add(&table->by_key, row)) {
        row_free(row);
        return lacks_memory(error);
    }
    size_t at = find_place(table, row->place);
    memmove(table->list + at + 1, table->list + at, (table->count - at) * sizeof(*table->list));
    table->list[at] = row;
    table->count++;
    return true;
}

/* ---- frames ---- */

struct frame {
    struct table *table;
    struct doc doc;
    uint32_t root;
    struct buffer key;
    struct error *error;
};

static bool is_member(const struct frame *frame, uint32_t object, const char *name,
                      const char *text)
{
    uint32_t member = doc_member(&frame->doc, object, name);
    return member != DOC_NONE && span_equal(doc_text(&frame->doc, member), span_of(text));
}

static enum doc_type type_of(const struct frame *frame, uint32_t node)
{
    return node == DOC_NONE ? DOC_NULL : frame->doc.nodes[node].type;
}

static bool is_strange(struct frame *frame, const char *what)
{
    return error_set(frame->error, ERROR_INVALID_MESSAGE, "the server sent a frame with %s", what);
}

/* The key of a row or a frame, in frame->key. */
static bool read_key(struct frame *frame, uint32_t object)
{
    uint32_t key = doc_member(&frame->doc, object, "key");
    enum doc_type type = type_of(frame, key);
    buffer_clear(&frame->key);
    if (type != DOC_STRING && type != DOC_WIDE)
        return is_strange(frame, "a row without a key");
    return doc_decode_string(&frame->doc, key, &frame->key) || lacks_memory(frame->error);
}

static bool put_whole(struct frame *frame, uint32_t object)
{
    uint32_t data = doc_member(&frame->doc, object, "data");
    if (type_of(frame, data) != DOC_OBJECT)
        return is_strange(frame, "a row that is no object");
    return read_key(frame, object) &&
           put(frame->table, buffer_span(&frame->key), doc_text(&frame->doc, data), frame->error);
}

static bool put_batch(struct frame *frame)
{
    uint32_t list = doc_member(&frame->doc, frame->root, "data");
    if (type_of(frame, list) != DOC_ARRAY)
        return is_strange(frame, "rows that are no list");
    const struct doc_node *nodes = frame->doc.nodes;
    uint32_t row = doc_first(&frame->doc, list);
    for (; row != DOC_NONE && row < nodes[list].end; row = nodes[row].end)
        if (!put_whole(frame, row))
            return false;
    return true;
}

/* The paths whose arrays grow; NULL with *count when there are none. */
static struct merge_append *read_appends(const struct frame *frame, size_t *count)
{
    uint32_t list = doc_member(&frame->doc, frame->root, "append");
    const struct doc_node *nodes = frame->doc.nodes;
    *count = type_of(frame, list) == DOC_ARRAY ? nodes[list].count : 0;
    struct merge_append *appends = *count ? memory_new(*count * sizeof *appends) : NULL;
    if (!appends)
        return NULL;
    uint32_t path = doc_first(&frame->doc, list);
    for (size_t i = 0; i < *count; i++, path = nodes[path].end)
        appends[i].path = doc_bare(doc_text(&frame->doc, path));
    return appends;
}

static bool put_patch(struct frame *frame)
{
    uint32_t patch = doc_member(&frame->doc, frame->root, "data");
    if (!read_key(frame, frame->root))
        return false;
    const struct table_row *old = map_get(&frame->table->by_key, buffer_span(&frame->key));
    if (!old || type_of(frame, patch) != DOC_OBJECT)
        return put_whole(frame, frame->root);
    static const struct span name = {"_seq", 4};
    struct span seq = doc_bare(doc_value_at(doc_text(&frame->doc, patch), &name, 1));
    struct buffer merged;
    size_t count;
    struct merge_append *appends = read_appends(frame, &count);
    buffer_init(&merged, UINT32_MAX);
    bool done = (appends || !count) || lacks_memory(frame->error);
    done = done &&
           merge_object(&merged, old->data, &frame->doc, patch, appends, count, 0, seq,
                        frame->error) &&
           put(frame->table, buffer_span(&frame->key), buffer_span(&merged), frame->error);
    buffer_fini(&merged);
    memory_free(appends);
    return done;
}

/* ---- the order ---- */

static void add_key(struct buffer *text, const struct frame *frame, uint32_t key)
{
    bool object = type_of(frame, key) == DOC_OBJECT;
    uint32_t field = object ? doc_member(&frame->doc, key, "field") : DOC_NONE;
    buffer_add_string(text, "{\"by\":");
    buffer_add_span(text, field == DOC_NONE ? span_of("null") : doc_text(&frame->doc, field));
    buffer_add_string(
        text, object && is_member(frame, key, "order", "\"desc\"") ? ",\"order\":\"desc\"}" : "}");
}

/* The keys of a subscription, or the one of its view, as a query that has that order. */
static bool read_order(struct frame *frame, uint32_t sort)
{
    const struct view_query_limits none = {.depth = 0};
    const struct doc_node *nodes = frame->doc.nodes;
    uint32_t sorts = doc_member(&frame->doc, frame->root, "sorts");
    struct error error = {.code = ERROR_NONE};
    struct buffer text;
    buffer_init(&text, 1024 * 1024);
    buffer_add_string(&text, "{\"sort\":[");
    if (type_of(frame, sorts) != DOC_ARRAY)
        add_key(&text, frame, sort);
    for (uint32_t key = sorts + 1; type_of(frame, sorts) == DOC_ARRAY && key < nodes[sorts].end;
         key = nodes[key].end) {
        buffer_add_string(&text, key > sorts + 1 ? "," : "");
        add_key(&text, frame, key);
    }
    if (buffer_add_string(&text, "]}"))
        frame->table->order = view_query_new(NULL, buffer_span(&text), &none, &error);
    bool lacks = text.failed || error.code == ERROR_MEMORY;
    buffer_fini(&text);
    if (frame->table->order)
        return true;
    return lacks ? lacks_memory(frame->error) : is_strange(frame, "a sort that is not understood");
}

/* {"field":[names],"order":"desc"}; by seq the newest comes first. */
static bool read_sort(struct frame *frame, uint32_t sort)
{
    struct table *table = frame->table;
    uint32_t field = doc_member(&frame->doc, sort, "field");
    const struct doc_node *nodes = frame->doc.nodes;
    size_t count = type_of(frame, field) == DOC_ARRAY ? nodes[field].count : 0;
    if (count == 0 || count > TABLE_PATH)
        return is_strange(frame, "a sort that is not understood");
    bool by_value = count > 1 || !span_equal(doc_text(&frame->doc, doc_first(&frame->doc, field)),
                                             span_of("\"_seq\""));
    view_query_unref(table->order);
    table->order = NULL;
    if (by_value && !read_order(frame, sort))
        return false;
    uint32_t name = doc_first(&frame->doc, field);
    buffer_clear(&table->sort_text);
    for (size_t i = 0; i < count; i++, name = nodes[name].end) {
        table->sort[i].length = doc_bare(doc_text(&frame->doc, name)).length;
        buffer_add_span(&table->sort_text, doc_bare(doc_text(&frame->doc, name)));
    }
    if (table->sort_text.failed)
        return lacks_memory(frame->error);
    const char *at = buffer_span(&table->sort_text).data;
    for (size_t i = 0; i < count; at += table->sort[i++].length)
        table->sort[i].data = at;
    table->sort_count = count;
    return true;
}

static bool begin(struct frame *frame)
{
    uint32_t sort = doc_member(&frame->doc, frame->root, "sort");
    /* Rows are kept over a cut only when what follows builds on them. */
    frame->table->marking = is_member(frame, frame->root, "resumed", "true");
    if (!frame->table->marking)
        forget_rows(frame->table);
    return type_of(frame, sort) != DOC_OBJECT || frame->table->count > 0 || read_sort(frame, sort);
}

static bool apply(struct frame *frame)
{
    uint32_t root = frame->root;
    if (is_member(frame, root, "op", "\"subscribed\""))
        return begin(frame);
    if (is_member(frame, root, "op", "\"snapshot\"")) {
        bool done = put_batch(frame);
        frame->table->marking |= is_member(frame, root, "complete", "true");
        return done;
    }
    frame->table->marking = true;
    if (is_member(frame, root, "op", "\"patch\""))
        return put_patch(frame);
    if (is_member(frame, root, "op", "\"upsert\"") || is_member(frame, root, "op", "\"create\""))
        return put_whole(frame, root);
    if (!is_member(frame, root, "op", "\"delete\""))
        return true;
    if (!read_key(frame, root))
        return false;
    take_out(frame->table, buffer_span(&frame->key));
    return true;
}

bool table_apply(struct table *table, struct span text, struct error *error)
{
    struct frame frame = {.table = table, .error = error};
    doc_init(&frame.doc, UINT32_MAX, UINT32_MAX);
    buffer_init(&frame.key, UINT32_MAX);
    bool done = doc_parse(&frame.doc, text, TABLE_DEPTH, &frame.root, error);
    if (done && frame.doc.nodes[frame.root].type == DOC_OBJECT)
        done = apply(&frame);
    buffer_fini(&frame.key);
    doc_fini(&frame.doc);
    return done;
}
