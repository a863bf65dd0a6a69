/*
 * Whose window goes when max_windows is used up. A window is of the subscriber that has watched it
 * longest, its holder, if nobody but its owner watches it; one that several owners watch is
 * nobody's. The numbers are kept as members come and go, so asking for one window more costs what
 * there is of owners, and not of members.
 *
 * When the first member goes, who comes after it is found out only when somebody asks: many that
 * leave together would else each look through all that are left.
 */
#include "window/window_internal.h"

/* ---- who holds a window ---- */

static void release(struct window *window)
{
    struct subscriber *holder = window->share.holder;
    window->share.holder = NULL;
    INVARIANT(!holder || holder->windows.amount > 0);
    if (holder)
        share_set(&holder->windows, &window->hub->windows->shares, holder->owner,
                  holder->windows.amount - 1);
}

/* Without memory for it nobody holds it, for now. */
static void decide(struct window *window)
{
    struct subscriber *holder = window->share.strangers ? NULL : window->share.first;
    INVARIANT(window->share.strangers <= window->share.others);
    INVARIANT(window->share.others < window->member_count);
    if (holder == window->share.holder)
        return;
    release(window);
    if (holder && share_set(&holder->windows, &window->hub->windows->shares, holder->owner,
                            holder->windows.amount + 1))
        window->share.holder = holder;
}

static void count(struct window *window, const struct subscriber *subscriber)
{
    window->share.others += subscriber != window->share.first;
    window->share.strangers += subscriber->owner != window->share.first->owner;
}

static void unsettle(struct window *window)
{
    release(window);
    window->share.first = NULL;
    window->share.others = window->share.strangers = 0;
    if (window->member_count && link_alone(&window->share.in_unsettled))
        link_append(&window->hub->windows->unsettled, &window->share.in_unsettled);
}

void window_share_joined(struct window *window, struct subscriber *subscriber)
{
    if (!link_alone(&window->share.in_unsettled))
        return;
    if (!window->share.first)
        window->share.first = subscriber;
    count(window, subscriber);
    decide(window);
}

void window_share_left(struct window *window, struct subscriber *subscriber)
{
    if (!link_alone(&window->share.in_unsettled))
        return;
    if (subscriber == window->share.first) {
        unsettle(window);
        return;
    }
    INVARIANT(window->share.others > 0);
    window->share.others--;
    window->share.strangers -= subscriber->owner != window->share.first->owner;
    decide(window);
}

void window_share_end(struct window *window)
{
    release(window);
    link_remove(&window->share.in_unsettled);
}

void windows_share_unsettle(struct subscriber *subscriber)
{
    struct link *link = subscriber->subscriptions.next;
    for (; link != &subscriber->subscriptions; link = link->next) {
        struct subscription *it = LINK_OWNER(struct subscription, in_subscriber, link);
        if (it->member)
            unsettle(it->member->window);
    }
}

static void settle_all(struct windows *windows)
{
    while (!link_alone(&windows->unsettled)) {
        struct window *window =
            LINK_OWNER(struct window, share.in_unsettled, windows->unsettled.next);
        struct link *link = window->members.next;
        link_remove(&window->share.in_unsettled);
        for (; link != &window->members; link = link->next)
            window_share_joined(window, window_member(link)->subscriber);
    }
}

/* ---- who gives one up ---- */

/* As max_windows counts them. */
static size_t windows_watched(const struct windows *windows)
{
    INVARIANT(windows->count >= windows->lingering + windows->extra);
    return windows->count - windows->lingering - windows->extra;
}

void windows_count(const struct hub *hub, size_t *watched, size_t *members)
{
    *watched = windows_watched(hub->windows);
    *members = hub->windows->members;
}

/* One that it watches alone; else one that others of its owner watch, too. */
static struct window *oldest_of(const struct windows *windows, const struct subscriber *subscriber)
{
    struct window *oldest = NULL;
    for (struct link *link = windows->all.next; link != &windows->all; link = link->next) {
        struct window *window = LINK_OWNER(struct window, in_windows, link);
        if (window->share.holder != subscriber)
            continue;
        if (!window->share.others)
            return window;
        oldest = oldest ? oldest : window;
    }
    return oldest;
}

/* Whose window is to go, so that the taker can have one more: of the owner who watches most that no
 * other owner does, the subscriber that does. NULL: the taker's own. */
static struct subscriber *find_greedy(struct windows *windows, struct subscriber *taker)
{
    size_t amount = taker->windows.amount;
    if (!share_set(&taker->windows, &windows->shares, taker->owner, amount + 1))
        return NULL;
    struct share *share = shares_victim(&windows->shares, &taker->windows);
    share_set(&taker->windows, &windows->shares, taker->owner, amount);
    return share ? LINK_OWNER(struct subscriber, windows, share) : NULL;
}

static void give_up(struct window *window)
{
    struct hub *hub = window->hub;
    struct error error;
    error_set(&error, ERROR_SUBSCRIPTION_LIMIT,
              "others need one of the %zu windows that max_windows allows, and this was the oldest "
              "of the connection that watches most of them; use fewer, or ones that others use",
              hub->options.max_windows);
    counter_add(&hub->metrics.windows_broken_off, 1);
    while (!link_alone(&window->members)) {
        struct subscription *subscription = window_member(window->members.next);
        subscription_fail(subscription, &error);
    }
}

bool windows_make_room(struct hub *hub, struct subscriber *taker, struct error *error)
{
    struct windows *windows = hub->windows;
    for (;;) {
        size_t watched = windows_watched(windows);
        if (watched < hub->options.max_windows)
            return true;
        settle_all(windows);
        struct subscriber *greedy = find_greedy(windows, taker);
        struct window *window = greedy && greedy != taker ? oldest_of(windows, greedy) : NULL;
        if (!window)
            return error_set(error, ERROR_SUBSCRIPTION_LIMIT,
                             "%zu different windows are watched, as many as max_windows allows; "
                             "use one that others use, or subscribe later",
                             watched);
        give_up(window);
    }
}
