#include "terminal/terminal.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { DEFAULT_WIDTH = 80, DEFAULT_HEIGHT = 24 };

#define HIDE_CURSOR "\033[?25l"
#define SHOW_CURSOR "\033[?25h"
#define CLEAR_SCREEN "\033[H\033[2J"
#define CLEAR_LINE "\033[K"
#define CLEAR_BELOW "\033[J"

bool screen_is_possible(void)
{
    const char *terminal = getenv("TERM");
    return isatty(STDOUT_FILENO) && terminal && *terminal && strcmp(terminal, "dumb") != 0;
}

void screen_size(size_t *width, size_t *height)
{
    struct winsize size = {.ws_row = 0};
    *width = DEFAULT_WIDTH;
    *height = DEFAULT_HEIGHT;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col) {
        *width = size.ws_col;
        *height = size.ws_row;
    }
}

/* True when the terminal has another size than before. */
static bool measure(struct screen *screen)
{
    size_t width, height;
    screen_size(&width, &height);
    bool other = width != screen->width || height != screen->height;
    screen->width = width;
    screen->height = height;
    return other;
}

/* https://no-color.org */
static bool takes_colours(void)
{
    const char *no = getenv("NO_COLOR");
    return !no || !*no;
}

void screen_begin(struct screen *screen)
{
    *screen = (struct screen){.changed = true, .colours = takes_colours()};
    /* For the widths of characters: the terminal is taken to show UTF-8. */
    setlocale(LC_CTYPE, "C.UTF-8");
    measure(screen);
    fputs(HIDE_CURSOR, stdout);
    fflush(stdout);
}

/* Every line is cleared before it is written: behind a full one that would take its end away. */
static bool add_lines(struct screen *screen, struct span picture, struct buffer *out)
{
    const char *at = picture.data, *end = at + picture.length;
    screen->lines = 0;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        buffer_add_string(out, CLEAR_LINE);
        buffer_add(out, at, (size_t)(newline - at));
        buffer_add_string(out, "\r\n");
        at = newline + 1;
        screen->lines++;
    }
    return buffer_add_string(out, CLEAR_BELOW);
}

bool screen_draw(struct screen *screen, screen_print print, void *argument)
{
    struct buffer picture, out;
    bool resized = measure(screen);
    if (!screen->changed && !resized)
        return true;
    screen->changed = false;
    buffer_init(&picture, UINT32_MAX);
    buffer_init(&out, UINT32_MAX);
    if (resized)
        buffer_add_string(&out, CLEAR_SCREEN);
    else if (screen->lines)
        buffer_printf(&out, "\r\033[%zuA", screen->lines);
    /* The cursor's line stays free, so that nothing scrolls. */
    bool done = print(argument, screen->width, screen->height - 1, &picture) &&
                add_lines(screen, buffer_span(&picture), &out);
    errno = ENOMEM;
    done = done && fwrite(out.data, 1, out.length, stdout) == out.length && fflush(stdout) == 0;
    buffer_fini(&picture);
    buffer_fini(&out);
    return done;
}

void screen_resume(struct screen *screen)
{
    screen->width = screen->height = 0; /* as if it had another size */
    fputs(HIDE_CURSOR, stdout);
}

void screen_end(void)
{
    fputs(SHOW_CURSOR, stdout);
    fflush(stdout);
}
