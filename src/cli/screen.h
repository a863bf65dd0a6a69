/* A table on the terminal, drawn over itself. One at a time, on standard output. */
#ifndef CLI_SCREEN_H
#define CLI_SCREEN_H

#include "cli/table.h"

struct screen {
    struct table table;
    const char *view, *columns;
    char status[256]; /* in the title; "" for none */
    bool changed;     /* since it was drawn */
    size_t width, height;
    size_t lines; /* of the present picture */
};

/* Whether standard output can show one. */
bool screen_is_possible(void);
void screen_begin(struct screen *screen, const char *view, const char *columns);
/* Draw, if there is something new or the terminal has another size. False with errno when it
 * cannot be written. */
bool screen_draw(struct screen *screen);
/* The picture stays, the cursor is below it and can be seen. */
void screen_end(struct screen *screen);

#endif
