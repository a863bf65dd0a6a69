#include "terminal/live.h"

#include "terminal/key_watch.h"
#include "terminal/table_scroll.h"

#include <stdio.h>

enum live_state { LIVE_CONNECTING, LIVE_CONNECTED, LIVE_RECONNECTING };

struct live {
    struct table table;
    struct table_scroll scroll;
    struct table_look look; /* what of it is chosen: title, columns, state */
    struct screen screen;
    struct keys keys;
    struct key_watch watch;
    enum live_state state;
    uint64_t since_us; /* it is in this state */
    char words[256];   /* why, or what the server said; "" for none */
    char title[600];
};

struct live *live_open(const char *view, const struct column_choice *columns,
                       void (*wake)(void *argument), void *argument)
{
    struct live *live = memory_new(sizeof *live);
    if (!live)
        return NULL;
    live->since_us = clock_monotonic_us();
    table_init(&live->table);
    table_scroll_init(&live->scroll);
    keys_open(&live->keys);
    screen_begin(&live->screen);
    live->look = (struct table_look){.title = view,
                                     .columns = *columns,
                                     .scroll = &live->scroll,
                                     .state = live->title,
                                     .colours = live->screen.colours};
    if (live->keys.on)
        key_watch_open(&live->watch, wake, argument);
    return live;
}

static bool print_rows(void *argument, size_t width, size_t height, struct buffer *out)
{
    struct live *live = argument;
    live->look.width = width;
    live->look.height = height;
    return table_print(&live->table, &live->look, out);
}

void live_close(struct live *live)
{
    if (!live)
        return;
    key_watch_close(&live->watch);
    screen_draw(&live->screen, print_rows, live);
    screen_end();
    keys_close(&live->keys);
}

void live_free(struct live *live)
{
    if (!live)
        return;
    table_scroll_fini(&live->scroll);
    table_fini(&live->table);
    memory_free(live);
}

/* ---- the state ---- */

void live_say(struct live *live, const char *words)
{
    snprintf(live->words, sizeof live->words, "%s", words);
}

const char *live_words(const struct live *live)
{
    return live->words;
}

static void set_state(struct live *live, enum live_state state, const char *words)
{
    if (state != live->state)
        live->since_us = clock_monotonic_us();
    live->state = state;
    live_say(live, words);
}

void live_connected(struct live *live)
{
    set_state(live, LIVE_CONNECTED, "");
}

void live_disconnected(struct live *live, const char *words)
{
    set_state(live, live->state == LIVE_CONNECTING ? LIVE_CONNECTING : LIVE_RECONNECTING, words);
}

static void print_age(char *out, size_t size, uint64_t us)
{
    unsigned long long seconds = us / 1000000, minute = 60, hour = 3600, day = 86400;
    if (seconds < 2 * minute)
        snprintf(out, size, "%llus", seconds);
    else if (seconds < 2 * hour)
        snprintf(out, size, "%llum", seconds / minute);
    else if (seconds < 2 * day)
        snprintf(out, size, "%lluh", seconds / hour);
    else
        snprintf(out, size, "%llud", seconds / day);
}

static void show_state(struct live *live, uint64_t now_us)
{
    static const char *const names[] = {"connecting", "connected", "reconnecting"};
    char age[32], title[sizeof live->title];
    print_age(age, sizeof age, now_us - live->since_us);
    snprintf(title, sizeof title, "%s %s%s%s", names[live->state], age, live->words[0] ? ": " : "",
             live->words);
    if (strcmp(title, live->title) == 0)
        return;
    memcpy(live->title, title, sizeof title);
    live->screen.changed = true;
}

/* ---- frames and keys ---- */

bool live_apply(struct live *live, struct span frame, struct error *error)
{
    live->table.now_us = clock_monotonic_us();
    live->screen.changed = true;
    return table_apply(&live->table, frame, error);
}

/* True: the user wants to leave, or is gone. */
static bool take_keys(struct live *live)
{
    enum key key;
    while ((key = keys_read(&live->keys)) != KEY_NONE) {
        if (key == KEY_LEAVE || key == KEY_GONE)
            return true;
        if (key == KEY_SUSPEND) {
            screen_pause();
            keys_suspend(&live->keys);
            screen_resume(&live->screen);
        }
        if (table_scroll_move(&live->scroll, &live->table, key))
            live->screen.changed = true;
    }
    return false;
}

enum live_end live_tick(struct live *live)
{
    uint64_t now_us = clock_monotonic_us();
    if (take_keys(live))
        return LIVE_LEAVES;
    live->screen.changed |= table_expire(&live->table, now_us);
    show_state(live, now_us);
    return screen_draw(&live->screen, print_rows, live) ? LIVE_GOES_ON : LIVE_FAILED;
}
