/*
 * Subscriptions: how they are opened, and how they end. phase.c says which reader serves one,
 * pull.c what a pull of it gives.
 */
#include "access/allowance.h"
#include "delivery/hub_internal.h"
#include "delivery/key_owner.h"
#include "rows/tag.h"

#include <stdio.h>

/* Kept for as long as the subscription lives. */
enum {
    LONGEST_KEY = 4096,
    LONGEST_QUERY = 16384,
    LONGEST_PARAMETERS = 1024, /* all but the query; longer ones are remembered by a digest */
    DIGEST = 64
};

/* ---- opening ---- */

static bool same_key(const struct subscription *subscription, const char *key)
{
    struct span own = subscription_key(subscription);
    return key ? own.data && span_equal(own, span_of(key)) : !own.data;
}

struct subscription *subscription_find(struct subscriber *subscriber, struct span view,
                                       const char *key)
{
    struct link *link = subscriber->subscriptions.next;
    for (; link != &subscriber->subscriptions; link = link->next) {
        struct subscription *subscription = LINK_OWNER(struct subscription, in_subscriber, link);
        if (!subscription_leaves(subscription) &&
            span_equal(span_of(subscription->topic->view->id), view) && same_key(subscription, key))
            return subscription;
    }
    return NULL;
}

static bool is_tape(const struct view *view, const struct wire_subscribe *message)
{
    return message->by_position && tape_is_of(view);
}

/* The form in which parameters are remembered: themselves, or their digest in `room`. A client
 * that makes two with one digest gets no answer to the second, and nobody else notices. */
static const char *remembered(const char *parameters, char room[DIGEST])
{
    size_t length = strlen(parameters);
    if (length <= LONGEST_PARAMETERS)
        return parameters;
    struct span text = span_of(parameters);
    uint64_t first = tag_fold(TAG_START, text), second = tag_fold(~TAG_START, text);
    snprintf(room, DIGEST, "%zu bytes %016llx%016llx", length, (unsigned long long)first,
             (unsigned long long)second);
    return room;
}

static bool check_parameters(const struct view *view, const struct wire_subscribe *message,
                             bool *has_after, struct seq *after, struct error *error)
{
    size_t query = message->query ? strlen(message->query) : 0;
    if ((message->key && strlen(message->key) > LONGEST_KEY) || query > LONGEST_QUERY ||
        strlen(message->parameters) > LONGEST_PARAMETERS + query)
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "'key' may have %d bytes, the query (filters, where, sort) %d and all "
                         "other parameters together %d",
                         LONGEST_KEY, LONGEST_QUERY, LONGEST_PARAMETERS);
    if (view->mode == VIEW_STATE && !view->stage && !message->key)
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "'key' is missing: view '%.128s' shows one entity, named by its key",
                         message->view);
    *has_after = message->after && !is_tape(view, message);
    if (*has_after && !seq_parse(span_of(message->after), after))
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "'after' is '%.64s', which is not a cursor; send the seq of a frame, such "
                         "as 1700000000:000000000007",
                         message->after);
    return true;
}

/* A view that one may not see is told as one that is not there. */
bool subscription_check(const struct hub *hub, const struct auth_identity *identity,
                        const struct wire_subscribe *message, const struct view **view,
                        bool *has_after, struct seq *after, struct error *error)
{
    struct span id = span_of(message->view);
    if (identity && !auth_may(identity, AUTH_READ))
        return error_set(error, ERROR_SCOPE_MISSING,
                         "the token lacks the scope 'read', which is needed to read views");
    if (identity && !auth_may_view(identity, id))
        return hub_view_unknown(hub, identity, id, error);
    *view = hub_find_view(hub, identity, id, error);
    if (!*view)
        return false;
    if (check_parameters(*view, message, has_after, after, error))
        return true;
    view_unref(*view);
    return false;
}

/* `spec` NULL: all of the view, or one key of it. */
static struct subscription *subscription_new(struct subscriber *subscriber, const struct view *view,
                                             const struct wire_subscribe *message,
                                             struct window_spec *spec, struct error *error)
{
    struct subscription *subscription = memory_new(sizeof *subscription);
    struct topic *topic = subscription ? topic_get(subscriber, view) : NULL;
    if (!topic) {
        memory_free(subscription);
        return NULL;
    }
    subscription->subscriber = subscriber;
    subscription->asked.with_snapshot = message->with_snapshot;
    subscription->asked.limit = message->snapshot_limit;
    link_init(&subscription->in_subscriber);
    link_init(&subscription->in_ready);
    link_init(&subscription->in_rest);
    link_init(&subscription->in_group);
    link_init(&subscription->snapshot.in_build);
    link_init(&subscription->in_waiting);
    link_init(&subscription->previous.rows);
    link_init(&subscription->beside.in_owners);
    char room[DIGEST];
    const char *asked = remembered(message->parameters, room);
    subscription->asked.parameters = memory_copy_string(asked, strlen(asked));
    struct span key = message->key ? span_of(message->key) : span_make(NULL, 0);
    bool joined =
        subscription->asked.parameters && topic_join(topic, subscription, key, spec, error);
    if (!joined) {
        memory_free(subscription->asked.parameters);
        memory_free(subscription);
        topic_drop_unused(topic);
        return NULL;
    }
    link_append(&subscriber->subscriptions, &subscription->in_subscriber);
    subscriber->count++;
    if (subscriber->metering.usage)
        subscription->meter = usage_subscribed(subscriber->metering.usage, view->id);
    struct subscription *old;
    while ((old = key_owner_replaced(subscription)))
        subscription_close(old);
    if (key_owner_joined(subscription))
        return subscription;
    subscription_close(subscription);
    return NULL;
}

static bool begin(struct subscription *subscription, const struct wire_subscribe *message,
                  const struct seq *after, struct error *error)
{
    const struct topic *topic = subscription->topic;
    counter_add(&topic->hub->metrics.subscriptions_made, 1);
    previous_take(subscription);
    if (!subscription->member)
        previous_shows(subscription);
    key_owner_begins(subscription);
    if (is_tape(topic->view, message)) {
        phase_look_up(subscription, READER_TAPE);
        return tape_open(subscription, message, error) && tape_start(subscription);
    }
    if (!after) {
        subscription_announce(subscription, -1);
        phase_begin(subscription, false);
        return true;
    }
    return resume_begin(subscription, *after, message->epoch);
}

/* The limits: of subscriptions, where it is one more, and of what the database is asked for. */
static bool may_open(struct subscriber *subscriber, const struct wire_subscribe *message,
                     bool another, bool resumes, struct error *error)
{
    struct allowance *allowance = subscriber->calls.allowance;
    size_t most = subscriber->hub->options.max_subscriptions;
    if (allowance)
        return (!another || allowance_has(allowance, ALLOWANCE_SUBSCRIPTION,
                                          (int64_t)subscriber->count, error)) &&
               ((!message->with_snapshot && !resumes) ||
                allowance_has(allowance, ALLOWANCE_SNAPSHOT, 1, error));
    return !another || subscriber->count < most ||
           error_set(error, ERROR_SUBSCRIPTION_LIMIT,
                     "this connection has %zu subscriptions, the most it may have; unsubscribe "
                     "from one first",
                     subscriber->count);
}

/* The message is right; only the limits can refuse it now. */
static bool open_checked(struct subscriber *subscriber, const struct wire_subscribe *message,
                         const struct view *view, struct window_spec *spec, const struct seq *after,
                         struct error *error)
{
    struct subscription *old = subscription_find(subscriber, span_of(message->view), message->key);
    char room[DIGEST];
    if (old && strcmp(old->asked.parameters, remembered(message->parameters, room)) == 0)
        return true;
    if (!may_open(subscriber, message, !old, after != NULL, error) ||
        !hub_may_wait(subscriber, view, error))
        return false;
    if (old && !key_owner_stays(old))
        subscription_close(old); /* else key_owner_joined does, so that nothing is forgotten */
    error_set(error, ERROR_MEMORY, "out of memory for a subscription to '%.128s'", message->view);
    struct subscription *subscription = subscription_new(subscriber, view, message, spec, error);
    if (subscription && begin(subscription, message, after, error))
        return true;
    if (subscription)
        subscription_close(subscription);
    return false;
}

bool subscription_open(struct subscriber *subscriber, const struct wire_subscribe *message,
                       struct error *error)
{
    const struct window_ops *windows = subscriber->hub->window_ops;
    const struct view *view = NULL;
    struct seq after;
    struct window_spec *spec = NULL;
    bool has_after;
    if (!subscription_check(subscriber->hub, subscriber->identity, message, &view, &has_after,
                            &after, error))
        return false;
    INVARIANT(view);
    bool opened = (is_tape(view, message) || windows->wanted(subscriber->hub, view, message,
                                                             subscriber->scope, &spec, error)) &&
                  open_checked(subscriber, message, view, spec, has_after ? &after : NULL, error);
    windows->drop(spec);
    view_unref(view);
    return opened;
}

void subscription_close(struct subscription *subscription)
{
    previous_remember(subscription);
    key_owner_left(subscription);
    phase_stop(subscription);
    topic_leave(subscription->topic, subscription);
    subscription_drop(subscription);
}

/* One of the same key, which the client did not ask for: a window without a filter. It says what
 * another subscription shows of the row, and goes. NULL when out of memory. */
static struct subscription *make_heir(const struct subscription *subscription)
{
    const struct view *view = subscription->topic->view;
    struct subscriber *subscriber = subscription->subscriber;
    struct span key = subscription_key(subscription);
    char none[] = "";
    struct wire_subscribe message = {.key = memory_copy_string(key.data, key.length),
                                     .with_snapshot = true,
                                     .snapshot_limit = -1,
                                     .take = -1,
                                     .skip = -1,
                                     .parameters = none};
    const struct window_ops *windows = subscriber->hub->window_ops;
    struct subscription *heir = NULL;
    struct error error;
    struct window_spec *spec =
        message.key ? windows->of_key(subscriber->hub, view, &message, subscriber->scope, &error)
                    : NULL;
    if (spec)
        heir = subscription_new(subscriber, view, &message, spec, &error);
    windows->drop(spec);
    memory_free(message.key);
    return heir;
}

/* Frames that another subscription passed over for the sake of one that fails are made up for by an
 * heir. If there can be none, the other fails, too. */
static void provide_for_other(struct subscription *subscription, const struct error *error)
{
    struct subscription *other = key_owner_deprived(subscription), *heir = NULL;
    if (!other)
        return;
    if (subscription->beside.stay != BESIDE_HEIR) {
        subscription->beside.stay = BESIDE_STAYS; /* else the heir would replace it */
        heir = make_heir(subscription);
    }
    if (!heir) {
        subscription_error(other, error);
        subscription_close(other);
        return;
    }
    heir->beside.stay = BESIDE_HEIR;
    phase_inherit(heir);
    key_owner_begins(heir);
    heir->beside.unstated = true;
    subscriber_ready(heir);
}

void subscription_fail(struct subscription *subscription, const struct error *error)
{
    subscription_error(subscription, error);
    provide_for_other(subscription, error);
    subscription_close(subscription);
}

void subscription_drop(struct subscription *subscription)
{
    INVARIANT(!subscription->member && !subscription->group);
    INVARIANT(!subscription->task && !subscription->snapshot.batch);
    INVARIANT(!subscription->held);
    INVARIANT(!subscription->has_slot && !subscription->log.holds_grown_page);
    INVARIANT(link_alone(&subscription->in_ready) && link_alone(&subscription->in_waiting));
    INVARIANT(link_alone(&subscription->in_rest) && link_alone(&subscription->snapshot.in_build));
    INVARIANT(subscription->subscriber->count > 0);
    link_remove(&subscription->in_subscriber);
    link_remove(&subscription->beside.in_owners);
    subscription->subscriber->count--;
    usage_unsubscribed(subscription->meter);
    previous_free_all(&subscription->previous.rows);
    subscription_lost_was(subscription);
    snapshot_point_unref(&subscription->snapshot.point);
    list_position_unref(&subscription->knowledge.bound);
    view_query_unref(subscription->tape.query);
    memory_free(subscription->asked.parameters);
    memory_free(subscription->beside.names);
    reader_forget_failure(subscription);
    memory_free(subscription);
}
