/* What the readings of a view for one answer have in common: its job, its tag, its body, its
 * end. */
#ifndef WINDOW_ANSWER_H
#define WINDOW_ANSWER_H

#include "delivery/cursor_wait.h"
#include "window/window.h"

enum {
    ANSWER_BYTES = 16 << 20, /* of JSON, before it is compressed; a single row may be longer */
    ANSWER_TAKE = 100        /* rows or events, where nothing says how many */
};

/* What the asker gave, which it keeps; NULL is copied as NULL. False when out of memory. */
bool answer_copy_text(const char *text, char **copy);
/* Have the job run on a reader. False with ERROR_QUEUE_FULL. On the loop thread. */
bool answer_ask(struct hub *hub, struct read_job *read, struct error *error);

/* The wait of a reading for its cursor, or for the position that it asks for. */
struct answer_wait {
    struct cursor_wait wait;
    const struct hub_read *read;
    void (*done)(struct answer_wait *wait, const struct error *error); /* see cursor_wait */
};
/* `read` stays until `done` is called. On the loop thread. */
void answer_await(struct answer_wait *wait, struct hub *hub, const struct hub_read *read,
                  struct cursor_place place,
                  void (*done)(struct answer_wait *wait, const struct error *error));

/* Whether the tag is among those of If-None-Match (NULL: there are none). On a reader. */
bool answer_is_known(const struct hub_answer *answer, const char *known);
/* Whether there may be so many rows; else the answer is an error. On a reader. */
bool answer_may_have(struct hub_answer *answer, const struct hub_read *read, int64_t rows);
/* The body is this JSON, which is given up; compressed where that was asked for and pays. On a
 * reader. */
void answer_set_body(struct hub_answer *answer, const struct hub_read *read, struct buffer *json);
/* Hand it over, on the loop thread. The body, if it was not moved out, goes. */
void answer_give(struct hub_answer *answer, const struct hub_read *read, const struct view *view);

/* The view by which the asker may read all rows of the export, as far as they are not scoped, of
 * several one that shows them whole; NULL: there is none. One reference. On the loop thread. */
const struct view *answer_find_whole(const struct hub *hub, const struct auth_identity *identity,
                                     const struct view *asked);

#endif
