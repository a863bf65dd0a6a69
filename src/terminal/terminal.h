/*
 * What a program shows on a terminal, and what is typed there: texts that a terminal does not act
 * on, keys, one picture that is drawn over itself, a line of progress. columns.h has the columns of
 * rows, live.h a table of rows that updates in place.
 *
 * Invariants: a character that moves the cursor or turns a line around never reaches the terminal
 * from a text of a server, a file or a row. keys_close and screen_end leave the terminal as it was.
 * Standard input and output are the terminal, so one of each is open at a time.
 */
#ifndef TERMINAL_TERMINAL_H
#define TERMINAL_TERMINAL_H

#include "base/base.h"

#include <stdio.h>
#include <termios.h>

/* ---- texts of a server or of a file, printed for people ---- */

/* A line on stderr, a blank in place of each character that a terminal would act on. */
void output_tell(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Text on a stream, a '?' in place of each. */
void output_text(FILE *out, struct span text);
/* JSON: as it is, and on a terminal with escapes in their place, which is the same JSON. */
void output_json(FILE *out, struct span json);

/* ---- text in cells; widths are those of the locale's characters ---- */

size_t cell_width(struct span text);
/* Append the text with blanks in place of what a terminal would act on, and of bytes that are no
 * UTF-8. */
void cell_fit(struct buffer *out, struct span text);
/* Append JSON with escapes in place of these: the same JSON. Ends of lines between its tokens stay.
 */
void cell_escape(struct buffer *out, struct span json);
/* Append it exactly `width` wide: cut, or filled on one side. */
void cell_pad(struct buffer *out, struct span text, size_t width, bool right);

/*
 * Append a value (canonical text) as a time of the local time zone, "2018-02-06 17:30:00": seconds
 * or milliseconds since 1970, or a text such as "2018-02-06T18:00:00Z". False: it tells none, and
 * nothing was appended.
 */
bool local_time_print(struct buffer *out, struct span value);

/* ---- keys, typed on the terminal of standard input, one by one and unseen ---- */

enum key {
    KEY_NONE,
    KEY_OTHER,   /* has no meaning here */
    KEY_LEAVE,   /* q */
    KEY_SUSPEND, /* Ctrl-Z, which the terminal does not act on */
    KEY_UP,
    KEY_DOWN,
    KEY_LEFT,
    KEY_RIGHT,
    KEY_PAGE_UP,
    KEY_PAGE_DOWN,
    KEY_HOME,
    KEY_END,
    KEY_ESCAPE,
    KEY_GONE /* the terminal is */
};

enum { KEYS_BYTES = 16 };

struct keys {
    bool on; /* standard input is a terminal */
    struct termios before;
    char bytes[KEYS_BYTES]; /* that no key was made of yet */
    size_t count;
    uint64_t came_us; /* the first of them */
};

/* keys_close is due. Without a terminal there are no keys. */
void keys_open(struct keys *keys);
void keys_close(const struct keys *keys);
/* Stop, as Ctrl-Z does, with the terminal as it was; until the program is continued. */
void keys_suspend(struct keys *keys);
/* The next key that was typed; KEY_NONE: there is none so far. Does not wait. */
enum key keys_read(struct keys *keys);
/* The key at the beginning of some bytes, and how many of them it takes: KEY_NONE with 0: it needs
 * more. `late`: no more will come. Pure. */
enum key keys_take(const char *bytes, size_t count, bool late, size_t *used);

/* ---- a picture on the terminal of standard output, drawn over itself ---- */

struct screen {
    bool changed; /* what it shows, since it was drawn */
    bool colours; /* the user takes them */
    size_t width, height;
    size_t lines; /* of the present picture */
};

/* Whether standard output can show one. */
bool screen_is_possible(void);
/* Its size, or that of a usual one. */
void screen_size(size_t *width, size_t *height);
/* screen_end is due. */
void screen_begin(struct screen *screen);
/* Draw, if there is something new or the terminal has another size. `print` appends at most
 * `height` lines, each ended by a newline and none wider than `width`. False with errno when it
 * cannot be written. */
typedef bool (*screen_print)(void *argument, size_t width, size_t height, struct buffer *out);
bool screen_draw(struct screen *screen, screen_print print, void *argument);
/* The picture stays, the cursor is below it and can be seen. */
void screen_end(void);
/* Behind screen_end, when something else was on the terminal meanwhile: the cursor is hidden again,
 * and the picture drawn anew. */
void screen_resume(struct screen *screen);

/* ---- a line of progress on stderr, where that is a terminal ---- */

struct progress {
    int64_t total;       /* bytes; -1: unknown */
    const char *unit;    /* the unit beside the bytes: "lines" */
    uint64_t started_us; /* monotonic */
    uint64_t shown_us;
    bool terminal, shown;
};

void progress_init(struct progress *progress, int64_t total);
/* A few times a second, however often it is called. */
void progress_show(struct progress *progress, int64_t bytes, int64_t lines);
/* Remove the line, so that other output starts on a clean one. */
void progress_hide(struct progress *progress);

#endif
