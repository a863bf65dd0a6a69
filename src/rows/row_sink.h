/*
 * row_sink: where the rows of a view go that one client is to be told of, and the keys that it is
 * to lose. Whoever reads rows puts them here, and need not know what becomes of them:
 *
 *   row_frames       live frames, one for each row (row_frames.h)
 *   snapshot_drafts  batches of a snapshot (batch.h)
 *   row_json         plain JSON, for HTTP (row_json.h)
 *
 * On a reader thread, or wherever its owner is.
 */
#ifndef ROWS_ROW_SINK_H
#define ROWS_ROW_SINK_H

#include "base/base.h"
#include "store/store.h"
#include "view/view.h"
#include "wire/wire.h"

struct row_sink;

/* All false when out of memory, when a look at the database fails, or when the sink takes no more.
 */
struct row_sink_ops {
    /* The row by the key that it is to go by, with the text that the view shows of it. */
    bool (*put)(struct row_sink *sink, const struct store_entity *row);
    bool (*remove)(struct row_sink *sink, struct span key);
    /* *text is all of it as one reference, or NULL when there is nothing. */
    bool (*end)(struct row_sink *sink, struct text **text);
};

/* First member of each. */
struct row_sink {
    const struct row_sink_ops *ops;
    const struct view *view;
    enum wire_mode mode;
    const struct wire_encoding *encoding;
    struct span key; /* that all rows go by; absent: each by its own. Borrowed */
    int64_t rows;    /* that were put; the implementations count them */
    int64_t change;  /* that all rows are of, at least; 0: each of its own */
    /* What happened to a key that is removed: `leaving`, or what a look among the entities of the
     * export says. */
    enum row_operation leaving;
    struct store_reader *reader; /* NULL: nothing is looked at */
    uint32_t export_id;
    struct buffer shown;
};

void row_sink_init(struct row_sink *sink, const struct row_sink_ops *ops, const struct view *view,
                   enum wire_mode mode);
void row_sink_fini(struct row_sink *sink);
bool row_sink_put(struct row_sink *sink, const struct store_entity *row);
bool row_sink_remove(struct row_sink *sink, struct span key);
/* For the implementations: what happened to a key that is removed; false when it cannot be read. */
bool row_sink_leaving(const struct row_sink *sink, struct span key, enum row_operation *operation);
bool row_sink_end(struct row_sink *sink, struct text **text);

#endif
