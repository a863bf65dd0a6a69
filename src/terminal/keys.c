#include "terminal/terminal.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

/* A sequence comes at once; what is left of one after so long is the key escape by itself. */
enum { SEQUENCE_US = 50 * 1000 };

enum { CONTROL_Z = 'Z' & 0x1f };

static void set_raw(const struct keys *keys)
{
    struct termios raw = keys->before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    raw.c_cc[VSUSP] = _POSIX_VDISABLE;
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

void keys_open(struct keys *keys)
{
    *keys = (struct keys){.on = isatty(STDIN_FILENO)};
    keys->on = keys->on && tcgetattr(STDIN_FILENO, &keys->before) == 0;
    if (keys->on)
        set_raw(keys);
}

void keys_suspend(struct keys *keys)
{
    keys_close(keys);
    kill(0, SIGTSTP); /* as the terminal would: all of the pipeline */
    if (keys->on)
        set_raw(keys);
}

void keys_close(const struct keys *keys)
{
    if (keys->on)
        tcsetattr(STDIN_FILENO, TCSANOW, &keys->before);
}

/* ---- sequences ---- */

static enum key plain_key(char c)
{
    switch (c) {
    case CONTROL_Z:
        return KEY_SUSPEND;
    case 'q':
    case 'Q':
        return KEY_LEAVE;
    case 'k':
        return KEY_UP;
    case 'j':
        return KEY_DOWN;
    case 'h':
        return KEY_LEFT;
    case 'l':
        return KEY_RIGHT;
    case 'g':
        return KEY_HOME;
    case 'G':
        return KEY_END;
    case ' ':
        return KEY_PAGE_DOWN;
    case 'b':
        return KEY_PAGE_UP;
    default:
        return KEY_OTHER;
    }
}

/* ESC [ A, and ESC O A of terminals in application mode. */
static enum key letter_key(char c)
{
    static const struct {
        char letter;
        enum key key;
    } letters[] = {{'A', KEY_UP},   {'B', KEY_DOWN}, {'C', KEY_RIGHT},
                   {'D', KEY_LEFT}, {'H', KEY_HOME}, {'F', KEY_END}};
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
        if (letters[i].letter == c)
            return letters[i].key;
    return KEY_OTHER;
}

/* ESC [ 5 ~ */
static enum key number_key(char c)
{
    switch (c) {
    case '1':
    case '7':
        return KEY_HOME;
    case '4':
    case '8':
        return KEY_END;
    case '5':
        return KEY_PAGE_UP;
    case '6':
        return KEY_PAGE_DOWN;
    default:
        return KEY_OTHER;
    }
}

static bool is_parameter(char c)
{
    return (c >= '0' && c <= '9') || c == ';';
}

/* Whatever stands between, so that no part of an unknown sequence is taken for keys. A modifier
 * ("1;5A") changes nothing. */
static enum key sequence_key(const char *bytes, size_t count, size_t *used)
{
    size_t at = 2;
    while (at < count && is_parameter(bytes[at]))
        at++;
    *used = at < count ? at + 1 : 0;
    if (!*used)
        return KEY_NONE;
    return bytes[at] != '~' ? letter_key(bytes[at]) : at == 3 ? number_key(bytes[2]) : KEY_OTHER;
}

enum key keys_take(const char *bytes, size_t count, bool late, size_t *used)
{
    enum key key = KEY_NONE;
    *used = 0;
    if (!count)
        return KEY_NONE;
    if (bytes[0] != '\033') {
        *used = 1;
        return plain_key(bytes[0]);
    }
    bool begins = count > 1 && (bytes[1] == '[' || bytes[1] == 'O');
    if (begins)
        key = sequence_key(bytes, count, used);
    if (*used || (!late && (count == 1 || (begins && count < KEYS_BYTES))))
        return key;
    *used = begins ? count : 1;
    return begins ? KEY_OTHER : KEY_ESCAPE;
}

/* ---- reading ---- */

/* False: the terminal is gone. */
static bool read_more(struct keys *keys)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    if (keys->count == KEYS_BYTES || poll(&input, 1, 0) <= 0)
        return true;
    ssize_t got = input.revents & POLLIN
                      ? read(STDIN_FILENO, keys->bytes + keys->count, KEYS_BYTES - keys->count)
                      : 0;
    if (got <= 0)
        return !(input.revents & (POLLHUP | POLLERR | POLLNVAL));
    if (!keys->count)
        keys->came_us = clock_monotonic_us();
    keys->count += (size_t)got;
    return true;
}

enum key keys_read(struct keys *keys)
{
    size_t used;
    if (!keys->on)
        return KEY_NONE;
    if (!read_more(keys))
        return KEY_GONE;
    bool late = clock_monotonic_us() - keys->came_us > SEQUENCE_US;
    enum key key = keys_take(keys->bytes, keys->count, late, &used);
    keys->count -= used;
    memmove(keys->bytes, keys->bytes + used, keys->count);
    return key;
}
