/* A table, or another picture, on the terminal, drawn over itself. One at a time, on standard
 * output. */
#ifndef CLI_SCREEN_H
#define CLI_SCREEN_H

#include "cli/table_scroll.h"

struct screen {
    struct table table;
    struct table_scroll scroll;
    struct table_look look; /* what of it is chosen: title, columns, times, state */
    bool changed;           /* since it was drawn */
    size_t width, height;
    size_t lines; /* of the present picture */
};

/* Whether standard output can show one. */
bool screen_is_possible(void);
/* Its size, or that of a usual one. */
void screen_size(size_t *width, size_t *height);
void screen_begin(struct screen *screen);
/* Draw, if there is something new or the terminal has another size. False with errno when it
 * cannot be written. */
bool screen_draw(struct screen *screen);
/* The same for any other picture: `print` appends at most `height` lines, each ended by a newline
 * and none wider than `width`. */
typedef bool (*screen_print)(void *argument, size_t width, size_t height, struct buffer *out);
bool screen_draw_by(struct screen *screen, screen_print print, void *argument);
/* Something else was on the terminal meanwhile, or will be: the cursor can be seen; and it is
 * hidden again, and the picture drawn anew. */
void screen_pause(struct screen *screen);
void screen_resume(struct screen *screen);
/* The picture stays, the cursor is below it and can be seen. */
void screen_end(struct screen *screen);
/* The same for one that is not of a table: it is not drawn again. */
void screen_end_by(struct screen *screen);

#endif
