/* The lines of GET /v1/changes (docs/protocol.md, section 13). Pure. Never included from outside.
 */
#ifndef REPLICA_LINES_H
#define REPLICA_LINES_H

#include "replica/replica.h"

/* LINE_BESIDE: of a producer, or a note (store/note.h) */
enum line_kind { LINE_HEAD, LINE_CHANGE, LINE_BESIDE, LINE_END };

struct line {
    enum line_kind kind;
    int64_t change, at;           /* of a change; of the end: that of the cursor */
    struct replica_source source; /* of the head; of the end: the epoch alone */
    struct span former;           /* of the head: see struct database_origin; absent: not told */
    int64_t head;                 /* the newest change; of a head without it: -1 */
    struct span replicas;         /* of the head: a list; absent: it is none */
    int64_t now;                  /* of the head: the source's clock; not told: 0 */
    bool only_changes;            /* of the head: the token may read no other lines */
    int64_t alone_since;          /* ... from where on the source has none; -1: not told */
    bool whole;
    char notes[64]; /* of the end: up to which note it has told all; "": it was not asked */
};

/* What a line is; `doc` is cleared before, and has the line's texts. */
bool line_read(struct doc *doc, struct span text, struct line *line, struct error *error);

/* The submission of changes, a line each, and of what is beside them, likewise; the place in the
 * log is the caller's. NULL with an error. */
struct submission *lines_submission(struct span changes, struct span beside, struct error *error);

#endif
