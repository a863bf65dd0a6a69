/* What happened beside the changes, as lines of GET /v1/changes (store/note.h). On a reading
 * thread.
 */
#ifndef HTTP_CHANGES_NOTES_H
#define HTTP_CHANGES_NOTES_H

#include "store/note.h"

/* A line of the answer, behind a change. */
struct changes_line {
    int64_t change, at; /* the time of a change */
    size_t end;
};

struct changes_notes {
    /* what is asked for */
    bool is_new;   /* nothing was told yet: all revoked tokens, and the notes from `after` on */
    int64_t last;  /* else the notes behind this one; then the last that was looked at */
    int64_t after; /* change.id */
    int64_t until; /* ... of the last change that is told; lower, if all up to there are too many */
    size_t most;   /* bytes */
    /* what there is, in order */
    int64_t newest; /* change.id of the last one */
    bool full;      /* there are more, up to `until` */
    bool forgets;   /* a producer */
    struct buffer text;
    struct changes_line *lines;
    size_t count, capacity;
};

bool changes_notes_read(struct changes_notes *notes, struct store_reader *reader,
                        struct error *error);
void changes_notes_fini(struct changes_notes *notes);

#endif
