/*
 * The rows of a view that the client of a connection holds beside those of the subscription at
 * hand. The published clients keep the rows of a view in one store, whatever they asked for. So a
 * client that pages, or changes a filter, begins with deletes for its former rows.
 *
 * The memory for that is bounded. When a view has more, or a window is forgotten (WINDOW_LINGER),
 * the client may hold any row from then on, until the next window takes away the rows that it does
 * not have. That costs more, and is as right.
 */
#include "delivery/hub_internal.h"

/* ---- one ---- */

static void previous_free(struct previous *previous)
{
    link_remove(&previous->in_list);
    link_remove(&previous->in_source);
    if (previous->pinned && previous->source) {
        INVARIANT(previous->source->pins > 0);
        previous->source->pins--;
    }
    view_unref(previous->view);
    row_scope_unref(previous->scope);
    memory_free(previous);
}

void previous_free_all(struct link *list)
{
    while (!link_alone(list))
        previous_free(LINK_OWNER(struct previous, in_list, list->next));
}

/* NULL when out of memory. `pinned`: a window in it stays. */
static struct previous *previous_copy(const struct previous *from, bool pinned)
{
    size_t size = sizeof *from + from->key_length;
    struct previous *previous = memory_alloc(size);
    if (!previous)
        return NULL;
    memcpy(previous, from, size);
    view_ref(previous->view);
    row_scope_ref(previous->scope);
    link_init(&previous->in_list);
    link_init(&previous->in_source);
    previous->pinned = pinned && previous->source;
    if (previous->pinned)
        previous->source->pins++;
    else if (previous->source)
        link_append(&previous->source->remembered, &previous->in_source);
    return previous;
}

/* By its id: of an export that was waited for, another object may stand for it now. */
static bool is_of(const struct previous *previous, const struct view *view)
{
    return previous->view == view || strcmp(previous->view->id, view->id) == 0;
}

static bool is_same(const struct previous *a, const struct previous *b)
{
    return is_of(a, b->view) && a->kind == b->kind && a->source == b->source &&
           a->scope == b->scope && a->until == b->until && a->version == b->version &&
           a->former == b->former && a->key_length == b->key_length &&
           memcmp(a->key, b->key, a->key_length) == 0;
}

/* The rows of the window, or of the key, cannot be named any more. */
static void widen(struct previous *previous)
{
    INVARIANT(!previous->pinned); /* a pinned one names its window for as long as it lives */
    link_remove(&previous->in_source);
    previous->kind = PREVIOUS_ALL;
    previous->source = NULL;
    previous->version = 0;
    previous->former = false;
}

void previous_forget(struct previous_source *source)
{
    while (!link_alone(&source->remembered))
        widen(LINK_OWNER(struct previous, in_source, source->remembered.next));
}

/* ---- what a subscription has shown ---- */

/* The rows that a member has, or may still have; source NULL: none. */
static struct previous of_member(const struct subscription *subscription)
{
    struct window_shown shown = subscription->topic->hub->window_ops->shown(subscription);
    return (struct previous){.view = subscription->topic->view,
                             .kind = PREVIOUS_WINDOW,
                             .source = shown.source,
                             .version = shown.version,
                             .former = shown.former,
                             .scope = subscription->topic->scope};
}

/* `group` NULL: of any key. NULL when out of memory. */
static struct previous *previous_new(const struct topic *topic, const struct key_group *group)
{
    size_t length = group ? group->key_length : 0;
    struct previous *previous = memory_new(sizeof *previous + length);
    if (!previous)
        return NULL;
    link_init(&previous->in_list);
    link_init(&previous->in_source);
    previous->view = view_ref(topic->view);
    previous->scope = row_scope_ref(topic->scope);
    previous->kind = group ? PREVIOUS_KEY : PREVIOUS_ALL;
    previous->key_length = length;
    if (length)
        memcpy(previous->key, group->key, length);
    return previous;
}

/* Of what it shows; NULL when out of memory, or when it has shown nothing. */
static struct previous *of_subscription(const struct subscription *subscription, bool pinned)
{
    if (!subscription->member)
        return previous_new(subscription->topic, subscription->group);
    struct previous previous = of_member(subscription);
    return previous.source ? previous_copy(&previous, pinned) : NULL;
}

/* ---- from one to the next ---- */

static void drop(struct subscriber *subscriber, struct previous *previous)
{
    INVARIANT(subscriber->previous.count > 0 && subscriber->previous.bytes >= previous->key_length);
    subscriber->previous.count--;
    subscriber->previous.bytes -= previous->key_length;
    previous_free(previous);
}

/* The view that most is remembered of. */
static const struct view *find_largest(const struct subscriber *subscriber)
{
    const struct view *largest = NULL;
    const struct link *link, *other;
    size_t most = 0;
    for (link = subscriber->previous.list.next; link != &subscriber->previous.list;
         link = link->next) {
        const struct view *view = LINK_OWNER(struct previous, in_list, link)->view;
        size_t count = 0;
        for (other = link; other != &subscriber->previous.list; other = other->next)
            count += is_of(LINK_OWNER(struct previous, in_list, other), view);
        if (count > most) {
            most = count;
            largest = view;
        }
    }
    return most > 1 ? largest : NULL;
}

/* False when out of memory. */
static bool add_scope(struct subscriber *subscriber, struct previous *previous,
                      const struct row_scope *scope)
{
    if (previous->scope == scope)
        return true;
    struct row_scope *both = row_scope_join(&subscriber->hub->row_scopes, previous->scope, scope);
    if (!both)
        return false;
    row_scope_unref(previous->scope);
    previous->scope = both;
    return true;
}

/* All that is remembered of the view becomes one. */
static void join(struct subscriber *subscriber, const struct view *view)
{
    struct link *link = subscriber->previous.list.next;
    struct previous *first = NULL;
    while (link != &subscriber->previous.list) {
        struct previous *previous = LINK_OWNER(struct previous, in_list, link);
        link = link->next;
        if (!is_of(previous, view))
            continue;
        if (!first) {
            first = previous;
            widen(previous);
            continue;
        }
        if (previous->until && (!first->until || previous->until < first->until))
            first->until =
                previous->until; /* rather too few keys than one that must not be known */
        if (!add_scope(subscriber, first, previous->scope))
            subscriber->previous.any = true; /* out of memory */
        drop(subscriber, previous);
    }
}

static bool is_full(const struct subscriber *subscriber, const struct previous *previous)
{
    return subscriber->previous.count >= HUB_PREVIOUS ||
           subscriber->previous.bytes + previous->key_length > HUB_PREVIOUS_BYTES;
}

static struct previous *previous_next(const struct subscriber *subscriber, const struct link *link)
{
    return link->next == &subscriber->previous.list
               ? NULL
               : LINK_OWNER(struct previous, in_list, link->next);
}

static bool is_remembered(const struct subscriber *subscriber, const struct previous *previous)
{
    struct previous *known = previous_next(subscriber, &subscriber->previous.list);
    for (; known; known = previous_next(subscriber, &known->in_list))
        if (is_same(known, previous) ||
            (known->kind == PREVIOUS_ALL && known->scope == previous->scope &&
             (!known->until || known->until == previous->until) && is_of(known, previous->view)))
            return true;
    return subscriber->previous.any;
}

static void remember(struct subscriber *subscriber, const struct previous *previous)
{
    if (is_remembered(subscriber, previous))
        return;
    while (is_full(subscriber, previous)) {
        const struct view *largest = find_largest(subscriber);
        if (!largest) {
            /* Nothing else is to be remembered from now on. */
            previous_free_all(&subscriber->previous.list);
            subscriber->previous.count = subscriber->previous.bytes = 0;
            subscriber->previous.any = true;
            return;
        }
        join(subscriber, largest);
        if (is_remembered(subscriber, previous))
            return;
    }
    struct previous *copy = previous_copy(previous, false);
    if (!copy) {
        subscriber->previous.any = true; /* out of memory */
        return;
    }
    subscriber->previous.count++;
    subscriber->previous.bytes += copy->key_length;
    link_append(&subscriber->previous.list, &copy->in_list);
}

/* No key is to be named that its client may have seen with the old token alone, had it come in
 * time. */
static void part(const struct subscriber *subscriber, struct previous *previous)
{
    int64_t last = subscriber->hub->backlog.last;
    if (previous && !previous->until && previous->scope && previous->scope != subscriber->scope)
        previous->until = last > 0 ? last : -1;
}

void previous_part(struct subscriber *subscriber)
{
    struct link *link, *all = &subscriber->subscriptions, *inner;
    for (link = subscriber->previous.list.next; link != &subscriber->previous.list;
         link = link->next)
        part(subscriber, LINK_OWNER(struct previous, in_list, link));
    for (link = all->next; link != all; link = link->next) {
        struct subscription *it = LINK_OWNER(struct subscription, in_subscriber, link);
        for (inner = it->previous.rows.next; inner != &it->previous.rows; inner = inner->next)
            part(subscriber, LINK_OWNER(struct previous, in_list, inner));
    }
}

void previous_remember(struct subscription *subscription)
{
    struct subscriber *subscriber = subscription->subscriber;
    struct link *link;
    /* The rows that it was to take away, and did not. */
    for (link = subscription->previous.rows.next; link != &subscription->previous.rows;
         link = link->next)
        remember(subscriber, LINK_OWNER(struct previous, in_list, link));
    struct previous *previous = of_subscription(subscription, false);
    if (!previous) {
        subscriber->previous.any =
            subscriber->previous.any || !subscription->member; /* out of memory */
        return;
    }
    part(subscriber, previous);
    remember(subscriber, previous);
    previous_free(previous);
}

/* Whether its client is sent all rows of the view, so that what it held of them is right again. */
static bool shows_all(const struct subscription *subscription)
{
    return !subscription->member && !subscription->group && subscription->asked.with_snapshot &&
           subscription->asked.limit < 0;
}

static bool hold_any(struct subscription *subscription)
{
    struct previous *previous = previous_new(subscription->topic, NULL);
    if (previous)
        link_append(&subscription->previous.rows, &previous->in_list);
    return previous != NULL;
}

void previous_take(struct subscription *subscription)
{
    struct subscriber *subscriber = subscription->subscriber;
    const struct view *view = subscription->topic->view;
    struct link *link = subscriber->previous.list.next;
    subscription->beside.others = subscription->beside.others || subscriber->previous.any;
    if (!subscription->member && !shows_all(subscription)) {
        for (; link != &subscriber->previous.list; link = link->next)
            subscription->beside.others |= is_of(LINK_OWNER(struct previous, in_list, link), view);
        return;
    }
    if (subscription->member && subscriber->previous.any && !hold_any(subscription))
        return;
    while (link != &subscriber->previous.list) {
        struct previous *previous = LINK_OWNER(struct previous, in_list, link);
        link = link->next;
        if (!is_of(previous, view))
            continue;
        struct previous *taken = subscription->member ? previous_copy(previous, true) : NULL;
        if (subscription->member && !taken)
            return; /* out of memory: it stays for the next */
        if (taken)
            link_append(&subscription->previous.rows, &taken->in_list);
        drop(subscriber, previous);
    }
}

/* Beside what it was to take away and did not come to, its client may hold rows of its own window
 * from before the connection. */
void previous_move(struct subscription *subscription)
{
    struct previous *previous = of_subscription(subscription, true);
    const struct link *link;
    part(subscription->subscriber, previous);
    for (link = subscription->previous.rows.next; previous && link != &subscription->previous.rows;
         link = link->next)
        if (is_same(LINK_OWNER(struct previous, in_list, link), previous)) {
            previous_free(previous);
            return;
        }
    if (previous)
        link_append(&subscription->previous.rows, &previous->in_list);
}

/* ---- for a refresh ---- */

void previous_shows(struct subscription *subscription)
{
    if (!subscription->previous.shown)
        subscription->previous.shown = ++subscription->subscriber->previous.shown;
}

static bool lend(const struct previous *previous, struct link *list)
{
    struct previous *copy = previous_copy(previous, true);
    if (copy)
        link_append(list, &copy->in_list);
    return copy != NULL;
}

bool previous_lend_shown(const struct subscription *other, struct link *list)
{
    if (other->member && !other->topic->hub->window_ops->has_shown(other))
        return true;
    struct previous *shown = of_subscription(other, true);
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

/* A loan of a window that has not sent anything yet covers the rows that it will send. */
static bool lend_shown(const struct subscription *subscription, struct link *list)
{
    struct link *all = &subscription->subscriber->subscriptions, *link;
    for (link = all->next; link != all; link = link->next) {
        struct subscription *other = LINK_OWNER(struct subscription, in_subscriber, link);
        if (!is_beside(other, subscription))
            continue;
        if (!previous_lend_shown(other, list))
            return false;
        if (!other->member || other->topic->hub->window_ops->has_shown(other))
            previous_shows(other);
    }
    return true;
}

bool previous_lacks(const struct subscription *subscription, uint64_t shown)
{
    const struct link *all = &subscription->subscriber->subscriptions, *link;
    for (link = all->next; link != all; link = link->next) {
        const struct subscription *other = LINK_OWNER(struct subscription, in_subscriber, link);
        if (other->previous.shown > shown && is_beside(other, subscription))
            return true;
    }
    return false;
}

bool previous_lend(const struct subscription *subscription, struct link *list)
{
    const struct link *previous = &subscription->previous.rows, *link;
    if (link_alone(previous))
        return true;
    for (link = previous->next; link != previous; link = link->next)
        if (!lend(LINK_OWNER(struct previous, in_list, link), list))
            return false;
    return lend_shown(subscription, list);
}
