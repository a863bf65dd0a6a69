/*
 * What the client of a connection holds of a view beside what the subscription at hand sent it. The
 * published clients keep the rows of a view in one place, whatever they asked for: so who pages, or
 * changes a filter, begins with deletes for the rows of before.
 *
 * What is remembered is bounded. Of a view that more is to be remembered of, and of a window that
 * is forgotten (WINDOW_LINGER), the client may hold any row from then on, until the next window
 * takes away what it does not have. That costs more, and is as right.
 */
#include "delivery/hub_internal.h"

/* ---- one ---- */

static void held_free(struct held *held)
{
    link_remove(&held->in_list);
    link_remove(&held->in_source);
    if (held->pinned && held->source) {
        INVARIANT(held->source->pins > 0);
        held->source->pins--;
    }
    view_unref(held->view);
    row_scope_unref(held->scope);
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
    row_scope_ref(held->scope);
    link_init(&held->in_list);
    link_init(&held->in_source);
    held->pinned = pinned && held->source;
    if (held->pinned)
        held->source->pins++;
    else if (held->source)
        link_append(&held->source->remembered, &held->in_source);
    return held;
}

/* By its id: of an export that was waited for, another object may stand for it now. */
static bool is_of(const struct held *held, const struct view *view)
{
    return held->view == view || strcmp(held->view->id, view->id) == 0;
}

static bool is_same(const struct held *a, const struct held *b)
{
    return is_of(a, b->view) && a->kind == b->kind && a->source == b->source &&
           a->scope == b->scope && a->until == b->until && a->version == b->version &&
           a->former == b->former && a->key_length == b->key_length &&
           memcmp(a->key, b->key, a->key_length) == 0;
}

/* What it holds of the window, or of the key, is not to be named any more. */
static void widen(struct held *held)
{
    INVARIANT(!held->pinned); /* a pinned one names its window for as long as it lives */
    link_remove(&held->in_source);
    held->kind = HELD_ALL;
    held->source = NULL;
    held->version = 0;
    held->former = false;
}

void held_forget(struct held_source *source)
{
    while (!link_alone(&source->remembered))
        widen(LINK_OWNER(struct held, in_source, source->remembered.next));
}

/* ---- what a subscription has shown ---- */

/* What a member has, or may still have; source NULL: nothing. */
static struct held of_member(const struct subscription *subscription)
{
    struct window_shown shown = subscription->topic->hub->window_ops->shown(subscription);
    return (struct held){.view = subscription->topic->view,
                         .kind = HELD_WINDOW,
                         .source = shown.source,
                         .version = shown.version,
                         .former = shown.former,
                         .scope = subscription->topic->scope};
}

/* `group` NULL: of any key. NULL when out of memory. */
static struct held *held_new(const struct topic *topic, const struct key_group *group)
{
    size_t length = group ? group->key_length : 0;
    struct held *held = memory_new(sizeof *held + length);
    if (!held)
        return NULL;
    link_init(&held->in_list);
    link_init(&held->in_source);
    held->view = view_ref(topic->view);
    held->scope = row_scope_ref(topic->scope);
    held->kind = group ? HELD_KEY : HELD_ALL;
    held->key_length = length;
    if (length)
        memcpy(held->key, group->key, length);
    return held;
}

/* Of what it shows; NULL when out of memory, or when it has shown nothing. */
static struct held *of_subscription(const struct subscription *subscription, bool pinned)
{
    if (!subscription->member)
        return held_new(subscription->topic, subscription->group);
    struct held held = of_member(subscription);
    return held.source ? held_copy(&held, pinned) : NULL;
}

/* ---- from one to the next ---- */

static void drop(struct subscriber *subscriber, struct held *held)
{
    INVARIANT(subscriber->held.count > 0 && subscriber->held.bytes >= held->key_length);
    subscriber->held.count--;
    subscriber->held.bytes -= held->key_length;
    held_free(held);
}

/* The view that most is remembered of. */
static const struct view *find_largest(const struct subscriber *subscriber)
{
    const struct view *largest = NULL;
    const struct link *link, *other;
    size_t most = 0;
    for (link = subscriber->held.list.next; link != &subscriber->held.list; link = link->next) {
        const struct view *view = LINK_OWNER(struct held, in_list, link)->view;
        size_t count = 0;
        for (other = link; other != &subscriber->held.list; other = other->next)
            count += is_of(LINK_OWNER(struct held, in_list, other), view);
        if (count > most) {
            most = count;
            largest = view;
        }
    }
    return most > 1 ? largest : NULL;
}

/* False when out of memory. */
static bool add_scope(struct subscriber *subscriber, struct held *held,
                      const struct row_scope *scope)
{
    if (held->scope == scope)
        return true;
    struct row_scope *both = row_scope_join(&subscriber->hub->row_scopes, held->scope, scope);
    if (!both)
        return false;
    row_scope_unref(held->scope);
    held->scope = both;
    return true;
}

/* All that is remembered of the view becomes one. */
static void join(struct subscriber *subscriber, const struct view *view)
{
    struct link *link = subscriber->held.list.next;
    struct held *first = NULL;
    while (link != &subscriber->held.list) {
        struct held *held = LINK_OWNER(struct held, in_list, link);
        link = link->next;
        if (!is_of(held, view))
            continue;
        if (!first) {
            first = held;
            widen(held);
            continue;
        }
        if (held->until && (!first->until || held->until < first->until))
            first->until = held->until; /* rather too few keys than one that must not be known */
        if (!add_scope(subscriber, first, held->scope))
            subscriber->held.any = true; /* out of memory */
        drop(subscriber, held);
    }
}

static bool is_full(const struct subscriber *subscriber, const struct held *held)
{
    return subscriber->held.count >= HUB_HELD ||
           subscriber->held.bytes + held->key_length > HUB_HELD_BYTES;
}

static struct held *held_next(const struct subscriber *subscriber, const struct link *link)
{
    return link->next == &subscriber->held.list ? NULL
                                                : LINK_OWNER(struct held, in_list, link->next);
}

static bool is_remembered(const struct subscriber *subscriber, const struct held *held)
{
    struct held *known = held_next(subscriber, &subscriber->held.list);
    for (; known; known = held_next(subscriber, &known->in_list))
        if (is_same(known, held) ||
            (known->kind == HELD_ALL && known->scope == held->scope &&
             (!known->until || known->until == held->until) && is_of(known, held->view)))
            return true;
    return subscriber->held.any;
}

static void remember(struct subscriber *subscriber, const struct held *held)
{
    if (is_remembered(subscriber, held))
        return;
    while (is_full(subscriber, held)) {
        const struct view *largest = find_largest(subscriber);
        if (!largest) {
            /* Nothing else is to be remembered from now on. */
            held_free_all(&subscriber->held.list);
            subscriber->held.count = subscriber->held.bytes = 0;
            subscriber->held.any = true;
            return;
        }
        join(subscriber, largest);
        if (is_remembered(subscriber, held))
            return;
    }
    struct held *copy = held_copy(held, false);
    if (!copy) {
        subscriber->held.any = true; /* out of memory */
        return;
    }
    subscriber->held.count++;
    subscriber->held.bytes += copy->key_length;
    link_append(&subscriber->held.list, &copy->in_list);
}

/* No key is to be named that its client may have seen with the old token alone, had it come in
 * time. */
static void part(const struct subscriber *subscriber, struct held *held)
{
    int64_t last = subscriber->hub->ring.last;
    if (held && !held->until && held->scope && held->scope != subscriber->scope)
        held->until = last > 0 ? last : -1;
}

void held_part(struct subscriber *subscriber)
{
    struct link *link, *all = &subscriber->subscriptions, *inner;
    for (link = subscriber->held.list.next; link != &subscriber->held.list; link = link->next)
        part(subscriber, LINK_OWNER(struct held, in_list, link));
    for (link = all->next; link != all; link = link->next) {
        struct subscription *it = LINK_OWNER(struct subscription, in_subscriber, link);
        for (inner = it->held.rows.next; inner != &it->held.rows; inner = inner->next)
            part(subscriber, LINK_OWNER(struct held, in_list, inner));
    }
}

void held_remember(struct subscription *subscription)
{
    struct subscriber *subscriber = subscription->subscriber;
    struct link *link;
    /* What it was to take away, and did not come to. */
    for (link = subscription->held.rows.next; link != &subscription->held.rows; link = link->next)
        remember(subscriber, LINK_OWNER(struct held, in_list, link));
    struct held *held = of_subscription(subscription, false);
    if (!held) {
        subscriber->held.any = subscriber->held.any || !subscription->member; /* out of memory */
        return;
    }
    part(subscriber, held);
    remember(subscriber, held);
    held_free(held);
}

/* Whether its client is sent all rows of the view, so that what it held of them is right again. */
static bool shows_all(const struct subscription *subscription)
{
    return !subscription->member && !subscription->group && subscription->asked.with_snapshot &&
           subscription->asked.limit < 0;
}

static bool hold_any(struct subscription *subscription)
{
    struct held *held = held_new(subscription->topic, NULL);
    if (held)
        link_append(&subscription->held.rows, &held->in_list);
    return held != NULL;
}

void held_take(struct subscription *subscription)
{
    struct subscriber *subscriber = subscription->subscriber;
    const struct view *view = subscription->topic->view;
    struct link *link = subscriber->held.list.next;
    subscription->beside.others = subscription->beside.others || subscriber->held.any;
    if (!subscription->member && !shows_all(subscription)) {
        for (; link != &subscriber->held.list; link = link->next)
            subscription->beside.others |= is_of(LINK_OWNER(struct held, in_list, link), view);
        return;
    }
    if (subscription->member && subscriber->held.any && !hold_any(subscription))
        return;
    while (link != &subscriber->held.list) {
        struct held *held = LINK_OWNER(struct held, in_list, link);
        link = link->next;
        if (!is_of(held, view))
            continue;
        struct held *taken = subscription->member ? held_copy(held, true) : NULL;
        if (subscription->member && !taken)
            return; /* out of memory: it stays for the next */
        if (taken)
            link_append(&subscription->held.rows, &taken->in_list);
        drop(subscriber, held);
    }
}

bool held_others(const struct subscription *subscription)
{
    const struct held_source *own =
        subscription->member ? subscription->topic->hub->window_ops->source(subscription) : NULL;
    const struct link *link;
    for (link = subscription->held.rows.next; link != &subscription->held.rows; link = link->next)
        if (LINK_OWNER(struct held, in_list, link)->source != own)
            return true;
    return false;
}

/* Beside what it was to take away and did not come to, its client may hold rows of its own window
 * from before the connection. */
void held_move(struct subscription *subscription)
{
    struct held *held = of_subscription(subscription, true);
    const struct link *link;
    part(subscription->subscriber, held);
    for (link = subscription->held.rows.next; held && link != &subscription->held.rows;
         link = link->next)
        if (is_same(LINK_OWNER(struct held, in_list, link), held)) {
            held_free(held);
            return;
        }
    if (held)
        link_append(&subscription->held.rows, &held->in_list);
}

/* ---- for a refresh ---- */

void held_shows(struct subscription *subscription)
{
    if (!subscription->held.shown)
        subscription->held.shown = ++subscription->subscriber->held.shown;
}

static bool lend(const struct held *held, struct link *list)
{
    struct held *copy = held_copy(held, true);
    if (copy)
        link_append(list, &copy->in_list);
    return copy != NULL;
}

bool held_lend_shown(const struct subscription *other, struct link *list)
{
    if (other->member && !other->topic->hub->window_ops->has_shown(other))
        return true;
    struct held *shown = of_subscription(other, true);
    if (!shown)
        return false;
    shown->shown = true;
    link_append(list, &shown->in_list);
    return true;
}

static bool is_beside(const struct subscription *other, const struct subscription *subscription)
{
    return other != subscription &&
           strcmp(other->topic->view->id, subscription->topic->view->id) == 0;
}

/* What is lent of a window that has not sent anything yet covers what it will send. */
static bool lend_shown(const struct subscription *subscription, struct link *list)
{
    struct link *all = &subscription->subscriber->subscriptions, *link;
    for (link = all->next; link != all; link = link->next) {
        struct subscription *other = LINK_OWNER(struct subscription, in_subscriber, link);
        if (!is_beside(other, subscription))
            continue;
        if (!held_lend_shown(other, list))
            return false;
        if (!other->member || other->topic->hub->window_ops->has_shown(other))
            held_shows(other);
    }
    return true;
}

bool held_lacks(const struct subscription *subscription, uint64_t shown)
{
    const struct link *all = &subscription->subscriber->subscriptions, *link;
    for (link = all->next; link != all; link = link->next) {
        const struct subscription *other = LINK_OWNER(struct subscription, in_subscriber, link);
        if (other->held.shown > shown && is_beside(other, subscription))
            return true;
    }
    return false;
}

bool held_lend(const struct subscription *subscription, struct link *list)
{
    const struct link *held = &subscription->held.rows, *link;
    if (link_alone(held))
        return true;
    for (link = held->next; link != held; link = link->next)
        if (!lend(LINK_OWNER(struct held, in_list, link), list))
            return false;
    return lend_shown(subscription, list);
}
