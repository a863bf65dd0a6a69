/* Rows as live frames, one behind the other: a row_sink. */
#ifndef ROWS_ROW_FRAMES_H
#define ROWS_ROW_FRAMES_H

#include "rows/row_sink.h"

/* Which frames carry a cursor. */
enum row_frames_cursor {
    FRAMES_LAST, /* the last one: `last`, because none in between stands for a state; the others
                    `before`, if given */
    FRAMES_EACH, /* each the seq of its row */
    FRAMES_NONE
};

struct row_frames {
    struct row_sink sink;
    enum row_frames_cursor cursor;
    struct seq last;
    const struct seq *before; /* borrowed */
    struct buffer out;
    struct buffer key, data; /* FRAMES_LAST: the newest waits for the next one */
    int64_t change;          /* ... of this change */
    bool waits;
    enum row_operation operation;
    bool on_tape; /* as in struct wire_change */
};

void row_frames_init(struct row_frames *frames, const struct view *view, enum wire_mode mode,
                     enum row_frames_cursor cursor);
void row_frames_fini(struct row_frames *frames);
/* A row that is put at once, before waiting ones; `entity` only of an upsert. `seq` NULL: no
 * cursor. False when out of memory. */
bool row_frames_put_at(struct row_frames *frames, enum row_operation operation, struct span key,
                       const struct store_entity *entity, const struct seq *seq);

#endif
