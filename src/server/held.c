/*
 * What the client of a connection holds of a view beside what the subscription at hand sent it. The
 * published clients keep the rows of a view in one place, whatever they asked for: so who pages, or
 * changes a filter, begins with deletes for the rows of before.
 *
 * A window that is kept for that alone may be forgotten when others that nobody watches are newer
 * (WINDOW_LINGER); then so is what was held of it.
 */
#include "server/window_internal.h"

/* ---- one ---- */

static void held_free(struct held *held)
{
    link_remove(&held->in_list);
    link_remove(&held->in_window);
    if (held->pinned && held->window)
        held->window->pins--;
    view_unref(held->view);
    memory_free(held);
}

void held_free_all(struct link *list)
{
    while (!link_alone(list))
        held_free(LINK_OWNER(struct held, in_list, list->next));
}

/* NULL when out of memory. `pinned`: a window in it stays. */
static struct held *held_copy(const struct held *from, bool pinned)
{
    size_t size = sizeof *from + from->key_length;
    struct held *held = memory_alloc(size);
    if (!held)
        return NULL;
    memcpy(held, from, size);
    view_ref(held->view);
    link_init(&held->in_list);
    link_init(&held->in_window);
    held->pinned = pinned && held->window;
    if (held->pinned)
        held->window->pins++;
    else if (held->window)
        link_append(&held->window->remembered, &held->in_window);
    return held;
}

/* By its id: of an export that was waited for, another object may stand for it now. */
static bool is_of(const struct held *held, const struct view *view)
{
    return held->view == view || strcmp(held->view->id, view->id) == 0;
}

static bool is_same(const struct held *a, const struct held *b)
{
    return is_of(a, b->view) && a->kind == b->kind && a->window == b->window &&
           a->version == b->version && a->former == b->former && a->key_length == b->key_length &&
           memcmp(a->key, b->key, a->key_length) == 0;
}

void held_forget(struct window *window)
{
    while (!link_alone(&window->remembered)) {
        struct held *held = LINK_OWNER(struct held, in_window, window->remembered.next);
        link_remove(&held->in_window);
        held->window = NULL; /* it names nothing now */
    }
}

/* ---- what a subscription has shown ---- */

/* What a member has, or may still have; window NULL: nothing. */
static struct held of_member(const struct subscription *subscription)
{
    const struct window_request *request = subscription->request;
    struct window *window = subscription->window;
    struct held held = {.view = subscription->feed->view, .kind = HELD_WINDOW};
    bool known =
        subscription->phase == PHASE_WINDOW &&
        (subscription->member_phase == MEMBER_LIVE || subscription->member_phase == MEMBER_BEHIND ||
         (subscription->member_phase == MEMBER_WAITING && request->kind == WINDOW_BEHIND));
    held.former = !known;
    held.version = known ? subscription->version : window->delivered;
    if (held.version > 0)
        held.window = window;
    return held;
}

static struct held *of_plain(const struct subscription *subscription)
{
    const struct key_group *group = subscription->group;
    size_t length = group ? group->key_length : 0;
    struct held *held = memory_new(sizeof *held + length);
    if (!held)
        return NULL;
    link_init(&held->in_list);
    link_init(&held->in_window);
    held->view = view_ref(subscription->feed->view);
    held->kind = group ? HELD_KEY : HELD_ALL;
    held->key_length = length;
    if (length)
        memcpy(held->key, group->key, length);
    return held;
}

/* Of what it shows; NULL when out of memory, or when it has shown nothing. */
static struct held *of_subscription(const struct subscription *subscription, bool pinned)
{
    if (!subscription->window)
        return of_plain(subscription);
    struct held held = of_member(subscription);
    return held.window ? held_copy(&held, pinned) : NULL;
}

/* ---- from one to the next ---- */

/* One row is less to lose than a window's. */
static struct held *least(const struct subscriber *subscriber)
{
    struct link *link;
    for (link = subscriber->held.next; link != &subscriber->held; link = link->next)
        if (LINK_OWNER(struct held, in_list, link)->kind == HELD_KEY)
            return LINK_OWNER(struct held, in_list, link);
    return LINK_OWNER(struct held, in_list, subscriber->held.next);
}

static void remember(struct subscriber *subscriber, const struct held *held)
{
    struct link *link;
    for (link = subscriber->held.next; link != &subscriber->held; link = link->next)
        if (is_same(LINK_OWNER(struct held, in_list, link), held))
            return;
    struct held *copy = held_copy(held, false);
    if (!copy)
        return;
    if (subscriber->held_count < HUB_HELD)
        subscriber->held_count++;
    else
        held_free(least(subscriber));
    link_append(&subscriber->held, &copy->in_list);
}

void held_remember(struct subscription *subscription)
{
    struct subscriber *subscriber = subscription->subscriber;
    struct link *link;
    /* What it was to take away, and did not come to. */
    for (link = subscription->held.next; link != &subscription->held; link = link->next)
        remember(subscriber, LINK_OWNER(struct held, in_list, link));
    struct held *held = of_subscription(subscription, false);
    if (!held)
        return;
    remember(subscriber, held);
    held_free(held);
}

/* Whether its client is sent all rows of the view, so that what it held of them is right again. */
static bool shows_all(const struct subscription *subscription)
{
    return !subscription->window && !subscription->group && subscription->with_snapshot &&
           subscription->limit < 0;
}

void held_take(struct subscription *subscription)
{
    struct subscriber *subscriber = subscription->subscriber;
    struct link *link = subscriber->held.next;
    if (!subscription->window && !shows_all(subscription))
        return;
    while (link != &subscriber->held) {
        struct held *held = LINK_OWNER(struct held, in_list, link);
        link = link->next;
        if (!is_of(held, subscription->feed->view))
            continue;
        bool told = subscription->window && (held->kind != HELD_WINDOW || held->window);
        struct held *taken = told ? held_copy(held, true) : NULL;
        if (told && !taken)
            return; /* out of memory: it stays for the next */
        if (taken)
            link_append(&subscription->held, &taken->in_list);
        held_free(held);
        subscriber->held_count--;
    }
}

bool held_others(const struct subscription *subscription)
{
    const struct link *link;
    for (link = subscription->held.next; link != &subscription->held; link = link->next)
        if (LINK_OWNER(struct held, in_list, link)->window != subscription->window)
            return true;
    return false;
}

void held_move(struct subscription *subscription)
{
    if (!link_alone(&subscription->held))
        return; /* it has got nothing since */
    struct held *held = of_subscription(subscription, true);
    if (held)
        link_append(&subscription->held, &held->in_list);
}

/* ---- for a look ---- */

static bool lend(const struct held *held, struct link *list)
{
    struct held *copy = held_copy(held, true);
    if (copy)
        link_append(list, &copy->in_list);
    return copy != NULL;
}

static bool lend_shown(const struct subscription *subscription, struct link *list)
{
    struct link *all = &subscription->subscriber->subscriptions, *link;
    for (link = all->next; link != all; link = link->next) {
        const struct subscription *other = LINK_OWNER(struct subscription, in_subscriber, link);
        if (other == subscription ||
            strcmp(other->feed->view->id, subscription->feed->view->id) != 0)
            continue;
        struct held *shown = of_subscription(other, true);
        if (shown) {
            shown->shown = true;
            link_append(list, &shown->in_list);
        } else if (!other->window) {
            return false;
        }
    }
    return true;
}

bool held_lend(const struct subscription *subscription, struct link *list)
{
    const struct link *held = &subscription->held, *link;
    if (link_alone(held))
        return true;
    for (link = held->next; link != held; link = link->next)
        if (!lend(LINK_OWNER(struct held, in_list, link), list))
            return false;
    return lend_shown(subscription, list);
}
