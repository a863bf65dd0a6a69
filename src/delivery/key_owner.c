/*
 * Two subscriptions of one view on one connection, one to a key and one to all of it or a part of
 * it. The published clients keep the rows of a view in one store, whoever they came for, so a
 * change must come once, and a row goes only when none of the two shows it.
 *
 * The subscription to the key owns it: live frames about the key are passed over when they come
 * from the other. An owner that is a window (it has filters, or its view is derived) does not show
 * the row at all times, so it states what both show: see window/state.c.
 *
 * What is left to do is where the other sends rows at once, in batches:
 *   - a batch may have the row as it was before, or after, what the owner sent last. The owner
 *     waits until the other is live and then restates the row, unless it was the same all the time;
 *   - an owner that is unsubscribed leaves when the other has everything too, so that the other
 *     can go on with the key;
 *   - an owner that fails has passed over what it will not send any more. An heir takes its place,
 *     which states what the other shows of the row, and then leaves in the same way.
 */
#include "delivery/key_owner.h"
#include "json/json.h"

static struct subscription *owner_of(const struct link *link)
{
    return LINK_OWNER(struct subscription, beside.in_owners, link);
}

static bool is_same_view(const struct subscription *a, const struct subscription *b)
{
    return strcmp(a->topic->view->id, b->topic->view->id) == 0;
}

static bool is_unkeyed(const struct subscription *subscription)
{
    return !subscription_key(subscription).data;
}

/* The one that shows more than the owner's key; NULL: there is none. */
static struct subscription *find_other(const struct subscription *owner)
{
    struct link *all = &owner->subscriber->subscriptions, *link;
    for (link = all->next; link != all; link = link->next) {
        struct subscription *other = LINK_OWNER(struct subscription, in_subscriber, link);
        if (is_unkeyed(other) && is_same_view(owner, other))
            return other;
    }
    return NULL;
}

/* Whether it has begun, so that nothing of it is to come but what changes. */
static bool is_live(const struct subscription *subscription)
{
    const struct reader_ops *reader = subscription->reader;
    return reader && reader->is_live && reader->is_live(subscription);
}

/* ---- becoming one ---- */

static bool own(struct subscription *subscription)
{
    struct buffer names;
    if (subscription_owns_key(subscription))
        return true;
    buffer_init(&names, UINT32_MAX);
    doc_escape(&names, span_of(subscription->topic->view->id));
    doc_escape(&names, subscription_key(subscription));
    if (names.failed) {
        buffer_fini(&names);
        return false;
    }
    subscription->beside.names = buffer_take(&names, &subscription->beside.names_length);
    buffer_fini(&names);
    link_append(&subscription->subscriber->owners.list, &subscription->beside.in_owners);
    return true;
}

/* One that was to leave does so when it rests. It is not closed here, where its connection may be
 * going through its subscriptions. */
static void disown(struct subscription *subscription)
{
    INVARIANT(subscription_owns_key(subscription));
    memory_free(subscription->beside.names);
    subscription->beside.names = NULL;
    link_remove(&subscription->beside.in_owners);
    subscription->beside.unstated |= subscription->member && subscription->beside.restates;
    if (is_live(subscription) && !subscription->subscriber->ended)
        subscriber_ready(subscription);
}

/* The new one has to state what the old one did not come to. */
struct subscription *key_owner_replaced(struct subscription *subscription)
{
    struct link *all = &subscription->subscriber->subscriptions, *link;
    if (is_unkeyed(subscription))
        return NULL;
    for (link = all->next; link != all; link = link->next) {
        struct subscription *old = LINK_OWNER(struct subscription, in_subscriber, link);
        if (!subscription_leaves(old) || !is_same_view(old, subscription) ||
            !span_equal(subscription_key(old), subscription_key(subscription)))
            continue;
        subscription->beside.unstated = subscription->member != NULL;
        return old;
    }
    return NULL;
}

bool key_owner_joined(struct subscription *subscription)
{
    struct link *all = &subscription->subscriber->subscriptions, *link;
    if (!is_unkeyed(subscription)) {
        struct subscription *other = find_other(subscription);
        if (other)
            other->beside.others = true;
        return !other || own(subscription);
    }
    for (link = all->next; link != all; link = link->next) {
        struct subscription *keyed = LINK_OWNER(struct subscription, in_subscriber, link);
        if (is_unkeyed(keyed) || !is_same_view(keyed, subscription))
            continue;
        subscription->beside.others = true;
        if (!own(keyed))
            return false;
    }
    return true;
}

void key_owner_left(struct subscription *subscription)
{
    struct link *owners = &subscription->subscriber->owners.list, *link = owners->next;
    if (!is_unkeyed(subscription))
        return;
    while (link != owners) {
        struct subscription *owner = owner_of(link);
        link = link->next;
        if (is_same_view(owner, subscription))
            disown(owner);
    }
}

/* ---- what the other has sent ---- */

/* Whether rows of the other may be to come in batches. */
static bool is_opening(const struct subscription *other)
{
    const struct reader_ops *reader = other->reader;
    return !reader || !reader->is_opening || reader->is_opening(other);
}

/* Whether the other has sent all that there is. */
static bool has_all(const struct subscription *other)
{
    const struct reader_ops *reader = other->reader;
    return reader && reader->has_all && reader->has_all(other);
}

void key_owner_begins(struct subscription *subscription)
{
    struct subscriber *subscriber = subscription->subscriber;
    struct link *link;
    subscription->beside.begun = subscription->topic->hub->backlog.last;
    subscription->beside.stated = KEY_STATED_UNKNOWN;
    subscription->beside.unstated &= subscription_owns_key(subscription);
    if (subscription_owns_key(subscription)) {
        const struct subscription *other = find_other(subscription);
        subscription->beside.restates =
            other && (is_opening(other) || (!subscription->member && !has_all(other)));
    }
    if (!is_unkeyed(subscription))
        return;
    for (link = subscriber->owners.list.next; link != &subscriber->owners.list; link = link->next)
        if (is_same_view(owner_of(link), subscription))
            owner_of(link)->beside.restates = true;
}

void key_owner_stated(struct subscription *subscription)
{
    const struct subscription *other =
        subscription->beside.restates ? find_other(subscription) : NULL;
    if (!other || !is_opening(other))
        subscription->beside.restates = false;
}

/* ---- the owner's part ---- */

/* The oldest state and the newest that the rows of the other can be of. */
static int64_t oldest_state(const struct subscription *other)
{
    int64_t change = other->snapshot.point.change;
    return !other->member && change > 0 && change < other->beside.begun ? change
                                                                        : other->beside.begun;
}

static int64_t newest_state(const struct subscription *other)
{
    return other->member ? other->topic->hub->window_ops->newest_state(other) : other->cursor;
}

/* Whether the row was the same in all states that the two have sent of it. Of one that resumed,
 * they reach back behind what its group knows of the row. */
static bool is_settled(const struct subscription *owner, const struct subscription *other)
{
    const struct change_backlog *backlog = &owner->topic->hub->backlog;
    const struct key_group *group = owner->group;
    int64_t oldest = oldest_state(other);
    int64_t last = group->count ? group->ids[group->first + group->count - 1] : 0;
    return !owner->knowledge.resumed && oldest >= owner->beside.begun &&
           oldest + 1 >= backlog->first && newest_state(other) <= backlog->last && last <= oldest &&
           owner->cursor >= last;
}

/* The newest state that the owner has sent of the row. */
static int64_t sent_state(const struct subscription *owner)
{
    return owner->member ? owner->beside.stated_at : owner->cursor;
}

/* The other must have passed everything that the owner has sent, else it would send it again. */
static bool may_leave(const struct subscription *owner)
{
    const struct subscription *other = find_other(owner);
    int64_t last = owner->topic->hub->backlog.last;
    bool has_told = owner->member ? !owner->beside.unstated && !link_alone(&owner->in_rest)
                                  : !link_alone(&owner->in_rest) || owner->cursor >= last;
    return is_live(owner) && !owner->beside.restates && has_told &&
           (!other || (has_all(other) && sent_state(owner) <= last));
}

enum key_owner_turn key_owner_turn(struct subscription *subscription)
{
    if (!subscription->beside.restates)
        return KEY_OWNER_GOES_ON;
    const struct subscription *other = find_other(subscription);
    if (other && is_opening(other))
        return KEY_OWNER_WAITS; /* woken by key_owners_wake */
    subscription->beside.restates = false;
    return other && is_settled(subscription, other) ? KEY_OWNER_GOES_ON : KEY_OWNER_RESTATES;
}

bool key_owner_may_go(const struct subscription *subscription)
{
    return subscription_leaves(subscription) && may_leave(subscription);
}

bool key_owner_stays(struct subscription *subscription)
{
    if (!subscription_owns_key(subscription) || may_leave(subscription))
        return false;
    subscription->beside.stay = BESIDE_LEAVES;
    return true;
}

struct subscription *key_owner_deprived(const struct subscription *subscription)
{
    if (!subscription_owns_key(subscription) || subscription->subscriber->ended)
        return NULL;
    return find_other(subscription);
}

void key_owners_wake(struct subscriber *subscriber)
{
    struct link *link;
    for (link = subscriber->owners.list.next; link != &subscriber->owners.list; link = link->next) {
        struct subscription *owner = owner_of(link);
        if (is_live(owner) &&
            (owner->beside.restates || owner->beside.unstated || subscription_leaves(owner)))
            subscriber_ready(owner);
    }
}

/* ---- an owner that is a window ---- */

bool key_owner_opens(const struct subscription *subscription)
{
    return subscription_owns_key(subscription) && subscription->member &&
           !subscription->topic->hub->window_ops->states_row(subscription);
}

struct key_owner_other key_owner_other(const struct subscription *subscription)
{
    const struct subscription *other = find_other(subscription);
    if (!other)
        return (struct key_owner_other){.has_all = true};
    return (struct key_owner_other){.shows = other,
                                    .is_opening = is_opening(other),
                                    .has_all = has_all(other),
                                    .state = oldest_state(other)};
}

/* ---- the other's frames ---- */

static void note_unstated(struct subscription *owner)
{
    if (!owner->member || owner->beside.unstated)
        return;
    owner->beside.unstated = true;
    if (is_live(owner))
        subscriber_ready(owner);
}

static bool is_owned(struct subscriber *subscriber, struct span payload)
{
    enum row_operation operation;
    struct span view, key;
    const struct link *link;
    if (!wire_change_names(payload, &operation, &view, &key))
        return false;
    for (link = subscriber->owners.list.next; link != &subscriber->owners.list; link = link->next) {
        struct subscription *owner = owner_of(link);
        if (owner->beside.names_length != view.length + key.length ||
            memcmp(owner->beside.names, view.data, view.length) != 0 ||
            memcmp(owner->beside.names + view.length, key.data, key.length) != 0)
            continue;
        if (subscriber->owners.pulled && operation != ROW_DELETE)
            return false;
        note_unstated(owner);
        return true;
    }
    return false;
}

/* Whether a frame, or a fragment of one, is to be passed over. */
static bool is_passed_over(struct subscriber *subscriber, struct span frame)
{
    struct span payload;
    bool final, continues = ((unsigned char)frame.data[0] & 0x0f) == 0;
    if (!wire_frame_payload(frame, &payload, &final))
        return false;
    bool passed = continues ? subscriber->owners.passing_over : is_owned(subscriber, payload);
    subscriber->owners.passing_over = passed && !final;
    return passed;
}

struct span key_owners_pass(struct subscriber *subscriber, struct span bytes)
{
    struct buffer *left = &subscriber->hub->scratch.left;
    if (!bytes.length ||
        (link_alone(&subscriber->owners.list) && !subscriber->owners.passing_over) ||
        (subscriber->owners.pulled && !subscriber->owners.opens))
        return bytes;
    buffer_clear(left);
    struct span rest = bytes;
    while (rest.length) {
        struct span frame = span_make(rest.data, wire_frame_length(rest));
        INVARIANT(frame.length && frame.length <= rest.length);
        if (!is_passed_over(subscriber, frame))
            buffer_add_span(left, frame);
        rest = span_make(rest.data + frame.length, rest.length - frame.length);
    }
    if (left->failed)
        return bytes; /* out of memory: rather twice than not at all */
    return buffer_span(left);
}
