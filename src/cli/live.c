#include "cli/live.h"

#include <stdio.h>

void live_open(struct live *live, const char *view, const char *columns,
               const struct option_texts *times, void (*wake)(void *argument), void *argument)
{
    *live = (struct live){.since_us = clock_monotonic_us()};
    keys_open(&live->keys);
    screen_begin(&live->screen);
    live->screen.look.title = view;
    live->screen.look.columns = columns;
    live->screen.look.times = *times;
    live->screen.look.state = live->title;
    if (live->keys.on)
        key_watch_open(&live->watch, wake, argument);
}

void live_close(struct live *live)
{
    key_watch_close(&live->watch);
    screen_end(&live->screen);
    keys_close(&live->keys);
}

/* ---- the state ---- */

void live_say(struct live *live, const char *words)
{
    snprintf(live->words, sizeof live->words, "%s", words);
}

void live_set_state(struct live *live, enum live_state state, const char *words)
{
    if (state != live->state)
        live->since_us = clock_monotonic_us();
    live->state = state;
    live_say(live, words ? words : "");
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
    live->screen.table.now_us = clock_monotonic_us();
    live->screen.changed = true;
    return table_apply(&live->screen.table, frame, error);
}

/* True: the user wants to leave, or is gone. */
static bool take_keys(struct live *live)
{
    enum key key;
    while ((key = keys_read(&live->keys)) != KEY_NONE) {
        if (key == KEY_LEAVE || key == KEY_GONE)
            return true;
        if (key == KEY_SUSPEND) {
            screen_pause(&live->screen);
            keys_suspend(&live->keys);
            screen_resume(&live->screen);
        }
        if (table_scroll_move(&live->screen.scroll, &live->screen.table, key))
            live->screen.changed = true;
    }
    return false;
}

enum live_end live_tick(struct live *live)
{
    uint64_t now_us = clock_monotonic_us();
    if (take_keys(live))
        return LIVE_LEAVES;
    live->screen.changed |= table_expire(&live->screen.table, now_us);
    show_state(live, now_us);
    return screen_draw(&live->screen) ? LIVE_GOES_ON : LIVE_FAILED;
}
