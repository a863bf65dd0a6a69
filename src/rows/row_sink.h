/*
 * row_sink: takes the rows of a view for one client, and the keys that the client must lose. A
 * reader of rows puts them here, and need not know the form of the result:
 *
 *   row_frames       live frames, one for each row (row_frames.h)
 *   snapshot_drafts  batches of a snapshot (batch.h)
 *   row_json         plain JSON, for HTTP (row_json.h)
 *
 * On a reader thread, or on the thread of its owner.
 */
#ifndef ROWS_ROW_SINK_H
#define ROWS_ROW_SINK_H

#include "base/base.h"
#include "store/store.h"
#include "view/view.h"
#include "wire/wire.h"

struct row_sink;

/* All are false when out of memory, when a read of the database fails, or when the sink is full. */
struct row_sink_ops {
    /* Put a row under its key, with the text that the view shows of it. */
    bool (*put)(struct row_sink *sink, const struct store_entity *row);
    bool (*remove)(struct row_sink *sink, struct span key);
    /* *text is the whole result as one reference, or NULL if it is empty. */
    bool (*end)(struct row_sink *sink, struct text **text);
};

/* First member of each. */
struct row_sink {
    const struct row_sink_ops *ops;
    const struct view *view;
    enum wire_mode mode;
    const struct wire_encoding *encoding;
    struct span key; /* the key of all rows; absent: each has its own. Borrowed */
    int64_t rows;    /* the number of rows put; the implementations count them */
    int64_t change;  /* the least change of all rows; 0: each has its own */
    /* The operation for a removed key: `leaving`, or the result of a look-up among the entities
     * of the export. */
    enum row_operation leaving;
    struct store_reader *reader; /* NULL: there is no look-up */
    uint32_t export_id;
    struct buffer shown; /* freed by the implementation */
};

void row_sink_init(struct row_sink *sink, const struct row_sink_ops *ops, const struct view *view,
                   enum wire_mode mode);
bool row_sink_put(struct row_sink *sink, const struct store_entity *row);
bool row_sink_remove(struct row_sink *sink, struct span key);
/* For the implementations: what happened to a key that is removed; false when it cannot be read. */
bool row_sink_leaving(const struct row_sink *sink, struct span key, enum row_operation *operation);
static inline bool row_sink_end(struct row_sink *sink, struct text **text)
{
    return sink->ops->end(sink, text);
}

#endif
