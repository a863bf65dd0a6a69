#include "rows/row_sink.h"
#include "rows/show.h"

void row_sink_init(struct row_sink *sink, const struct row_sink_ops *ops, const struct view *view,
                   enum wire_mode mode)
{
    *sink = (struct row_sink){.ops = ops, .view = view, .mode = mode, .leaving = ROW_DELETE};
    buffer_init(&sink->shown, UINT32_MAX);
}

static struct span key_in(const struct row_sink *sink, struct span key)
{
    return sink->key.data ? sink->key : key;
}

bool row_sink_put(struct row_sink *sink, const struct store_entity *row)
{
    struct store_entity shown = *row;
    shown.key = key_in(sink, row->key);
    if (sink->change)
        shown.change = sink->change;
    return frame_show(sink->view, row->data, &sink->shown, &shown.data) &&
           sink->ops->put(sink, &shown);
}

bool row_sink_remove(struct row_sink *sink, struct span key)
{
    return sink->ops->remove(sink, key_in(sink, key));
}

/* A client without bodies gets a delete in any case. The entity under the key that all rows go
 * by is not the row's. */
bool row_sink_leaving(const struct row_sink *sink, struct span key, enum row_operation *operation)
{
    struct store_entity entity;
    bool found = true;
    *operation = sink->leaving;
    if (!sink->reader || !sink->encoding)
        return true;
    if (!sink->key.data &&
        !store_read_entity(sink->reader, sink->export_id, key, &entity, &found, NULL))
        return false;
    *operation = found ? ROW_REMOVE : ROW_DELETE;
    return true;
}
