#include "rows/row_json.h"
#include "json/json.h"

static bool has_room(struct row_json *json, size_t more)
{
    size_t used = json->rows.json.length + json->removed.length;
    json->too_large = json->rows.rows > 0 && used + more > json->max_bytes;
    return !json->too_large;
}

static bool put(struct row_sink *sink, const struct store_entity *row)
{
    struct row_json *json = (struct row_json *)sink;
    if (!has_room(json, row->key.length + row->data.length))
        return false;
    sink->rows++;
    return wire_batch_row(&json->rows, row->key, row->data, row->change);
}

static bool remove_key(struct row_sink *sink, struct span key)
{
    struct row_json *json = (struct row_json *)sink;
    if (!has_room(json, key.length))
        return false;
    if (json->removed.length)
        buffer_add_char(&json->removed, ',');
    return doc_escape(&json->removed, key);
}

/* Its owner has the rest of the text that the rows stand in. */
static bool end(struct row_sink *sink, struct text **text)
{
    const struct row_json *json = (const struct row_json *)sink;
    *text = NULL;
    return !json->rows.json.failed && !json->removed.failed;
}

void row_json_init(struct row_json *json, const struct view *view, enum wire_mode mode,
                   size_t max_bytes)
{
    static const struct row_sink_ops ops = {.put = put, .remove = remove_key, .end = end};
    *json = (struct row_json){.max_bytes = max_bytes};
    row_sink_init(&json->sink, &ops, view, mode);
    wire_batch_init(&json->rows, NULL, UINT32_MAX);
    buffer_init(&json->removed, UINT32_MAX);
}

void row_json_fini(struct row_json *json)
{
    buffer_fini(&json->sink.shown);
    wire_batch_fini(&json->rows);
    buffer_fini(&json->removed);
}

void row_json_clear(struct row_json *json)
{
    wire_batch_fini(&json->rows);
    wire_batch_init(&json->rows, NULL, UINT32_MAX);
    buffer_clear(&json->removed);
    json->sink.rows = 0;
}
