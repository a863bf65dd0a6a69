#include "terminal/live.h"

#include "terminal/table_scroll.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* A thread that tells when keys were typed, to a program that waits for something else. */
struct key_watch {
    bool on;
    pthread_t thread;
    int end[2]; /* a pipe: it is to end when the second one is closed */
    void (*wake)(void *argument);
    void *argument;
};

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

/* ---- the thread that watches keys ---- */

/* Who was told takes the keys; until then it is told again, but no more often than this. */
enum { PAUSE_MS = 10 };

static bool is_over(const struct key_watch *watch, struct pollfd inputs[2], int count, int ms)
{
    inputs[0] = (struct pollfd){.fd = watch->end[0], .events = POLLIN};
    return poll(inputs, (nfds_t)count, ms) > 0 && inputs[0].revents;
}

static void *watch_run(void *argument)
{
    struct key_watch *watch = argument;
    struct pollfd inputs[2] = {{0}, {.fd = STDIN_FILENO, .events = POLLIN}};
    while (!is_over(watch, inputs, 2, -1)) {
        watch->wake(watch->argument);
        if (is_over(watch, inputs, 1, PAUSE_MS))
            break;
    }
    return NULL;
}

/* Signals are for the thread that waits for them. */
static bool watch_start(struct key_watch *watch)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    bool started = pthread_create(&watch->thread, NULL, watch_run, watch) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

/* Call `wake`, on the thread, while there is something to be read on standard input. Without memory
 * for it, `on` is false: nobody is told. */
static void watch_open(struct key_watch *watch, void (*wake)(void *argument), void *argument)
{
    *watch = (struct key_watch){.wake = wake, .argument = argument};
    if (pipe2(watch->end, O_CLOEXEC) != 0)
        return;
    watch->on = watch_start(watch);
    if (watch->on)
        return;
    close(watch->end[0]);
    close(watch->end[1]);
}

/* `wake` is not called any more. A zeroed one is fine. */
static void watch_close(struct key_watch *watch)
{
    if (!watch->on)
        return;
    close(watch->end[1]);
    pthread_join(watch->thread, NULL);
    close(watch->end[0]);
    watch->on = false;
}

/* ---- the picture ---- */

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
        watch_open(&live->watch, wake, argument);
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
    watch_close(&live->watch);
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

void live_set_connection(struct live *live, bool stands, const char *words)
{
    bool stood = live->state != LIVE_CONNECTING;
    set_state(live, stands ? LIVE_CONNECTED : stood ? LIVE_RECONNECTING : LIVE_CONNECTING, words);
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
            screen_end();
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
