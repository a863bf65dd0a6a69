/* Keys that are typed on the terminal of standard input, one by one and unseen. */
#ifndef CLI_KEYS_H
#define CLI_KEYS_H

#include "base/base.h"

#include <termios.h>

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

#endif
