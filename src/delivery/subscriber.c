/* One connection's side of the hub: who it is, what it may do, and its messages. pull.c has its
 * bytes. */
#include "access/allowance.h"
#include "delivery/hub_internal.h"
#include "delivery/key_owner.h"

struct subscriber *subscriber_new(struct hub *hub, const struct subscriber_options *options)
{
    struct subscriber *subscriber = memory_new(sizeof *subscriber);
    if (!subscriber)
        return NULL;
    subscriber->hub = hub;
    subscriber->calls = *options;
    subscriber->metering.usage = options->usage;
    link_init(&subscriber->subscriptions);
    link_init(&subscriber->ready);
    link_init(&subscriber->slots.waiting);
    link_init(&subscriber->previous.list);
    link_init(&subscriber->owners.list);
    buffer_init(&subscriber->outbox.control, HUB_CONTROL * 4);
    subscriber->scope = options->sees_all ? row_scope_get_all(&hub->row_scopes)
                                          : row_scope_get(&hub->row_scopes, NULL);
    if (!subscriber->scope) {
        memory_free(subscriber);
        return NULL;
    }
    link_append(&hub->subscribers, &subscriber->in_hub);
    hub->subscriber_count++;
    return subscriber;
}

void subscriber_free(struct subscriber *subscriber)
{
    if (!subscriber)
        return;
    subscriber->ended = true;
    subscriber_supply.silence(subscriber);
    INVARIANT(subscriber->encoding || subscriber->hub->subscriber_count > 0);
    INVARIANT(!subscriber->previous.count || !link_alone(&subscriber->previous.list));
    previous_free_all(&subscriber->previous.list);
    link_remove(&subscriber->in_hub);
    if (!subscriber->encoding)
        subscriber->hub->subscriber_count--;
    meter_forget(subscriber);
    buffer_fini(&subscriber->outbox.control);
    text_unref(subscriber->outbox.rest);
    auth_identity_release(subscriber->identity);
    row_scope_unref(subscriber->scope);
    memory_free(subscriber);
}

/* ---- who it is ---- */

void subscriber_set_owner(struct subscriber *subscriber, uint64_t owner)
{
    if (subscriber->owner != owner)
        subscriber->hub->window_ops->disown(subscriber);
    subscriber->owner = owner;
}

/* Told to whoever keeps account of it, with what the client may not be told: that there is such a
 * view. */
static void tell_denied(struct subscriber *subscriber, const char *view)
{
    struct error error;
    bool scope = !auth_may(subscriber->identity, AUTH_READ);
    error_set(&error, scope ? ERROR_SCOPE_MISSING : ERROR_VIEW_NOT_FOUND,
              scope ? "the token lacks the scope 'read', for view '%.128s'"
                    : "the token does not show view '%.128s'",
              view);
    if (subscriber->calls.denied)
        subscriber->calls.denied(subscriber->calls.argument, &error);
}

/* Whether there is one. */
static bool has_view(const struct hub *hub, struct span id)
{
    return view_set_find(hub->views, id) || (view_set_is_open(hub->views) && view_is_plain(id));
}

static bool is_denied(const struct subscriber *subscriber, const char *view)
{
    return subscriber->identity && (!auth_may(subscriber->identity, AUTH_READ) ||
                                    (!auth_may_view(subscriber->identity, span_of(view)) &&
                                     has_view(subscriber->hub, span_of(view))));
}

static void end_unseen(struct subscriber *subscriber)
{
    struct link *link = subscriber->subscriptions.next;
    while (link != &subscriber->subscriptions) {
        struct subscription *subscription = LINK_OWNER(struct subscription, in_subscriber, link);
        const char *view = subscription->topic->view->id;
        struct error error;
        link = link->next;
        if (auth_may(subscriber->identity, AUTH_READ) &&
            auth_may_view(subscriber->identity, span_of(view)))
            continue;
        error_set(&error, ERROR_VIEW_NOT_FOUND, "the new token does not show view '%.128s'", view);
        tell_denied(subscriber, view);
        subscription_error(subscription, &error);
        subscription_close(subscription);
    }
}

/* The subscriptions that see something else now. One that fails may end another, or be followed by
 * an heir, which sees what it should; so each goes to the end of the list before it moves, and the
 * list is read from its beginning. */
static void move_all(struct subscriber *subscriber)
{
    struct link *all = &subscriber->subscriptions;
    for (size_t left = subscriber->count; left && !link_alone(all); left--) {
        struct link *link = all->next;
        struct subscription *subscription = LINK_OWNER(struct subscription, in_subscriber, link);
        const struct row_scope *scope = subscription->topic->scope;
        link_remove(link);
        link_append(all, link);
        if (scope && scope != subscriber->scope)
            subscription_move(subscription);
    }
}

bool subscriber_set_identity(struct subscriber *subscriber, struct auth_identity *identity)
{
    struct auth_identity *old = subscriber->identity;
    struct row_scope *saw = subscriber->scope,
                     *sees = row_scope_get(&subscriber->hub->row_scopes, identity);
    if (!sees) {
        subscriber_supply.silence(subscriber);
        return false;
    }
    subscriber->identity = auth_identity_retain(identity);
    if (subscriber->metering.usage)
        usage_client_identify(subscriber->metering.usage, identity);
    subscriber->scope = sees;
    previous_part(subscriber);
    end_unseen(subscriber);
    move_all(subscriber);
    auth_identity_release(old);
    row_scope_unref(saw);
    return true;
}

/* ---- messages ---- */

/* About what the client asked for, as far as that could be read. */
static void refuse_message(struct subscriber *subscriber, const struct wire_message *message,
                           const struct error *error)
{
    const struct wire_subscribe *asked = &message->subscribe;
    struct wire_about about = {{NULL, 0}, {NULL, 0}};
    if (asked->view)
        about.view = span_of(asked->view);
    if (asked->key)
        about.key = span_of(asked->key);
    subscriber_error(subscriber, error, &about, false);
}

bool subscriber_subscribe(struct subscriber *subscriber, const struct wire_subscribe *message,
                          struct error *error)
{
    if ((!subscriber->calls.allowance ||
         allowance_has(subscriber->calls.allowance, ALLOWANCE_SUBSCRIBE, 1, error)) &&
        subscription_open(subscriber, message, error))
        return true;
    counter_add(&subscriber->hub->metrics.subscriptions_refused, 1);
    if (is_denied(subscriber, message->view))
        tell_denied(subscriber, message->view);
    return false;
}

static bool handle(struct subscriber *subscriber, const struct wire_message *message,
                   struct error *error)
{
    switch (message->type) {
    case WIRE_SUBSCRIBE:
        return subscriber_subscribe(subscriber, &message->subscribe, error);
    case WIRE_UNSUBSCRIBE: {
        struct subscription *subscription =
            subscription_find(subscriber, span_of(message->subscribe.view), message->subscribe.key);
        if (subscription && !key_owner_stays(subscription))
            subscription_close(subscription);
        return true;
    }
    case WIRE_PING:
        return true;
    case WIRE_REFRESH_AUTH:
        break;
    }
    if (subscriber->calls.refresh)
        subscriber->calls.refresh(subscriber->calls.argument, message->token);
    else
        subscriber_tell(subscriber, span_of("{\"success\":false,\"error\":\"token-invalid\"}"));
    return true;
}

bool subscriber_take(struct subscriber *subscriber, const struct wire_message *message,
                     struct error *error)
{
    INVARIANT(!subscriber->ended);
    counter_add(&subscriber->hub->metrics.messages_in, 1);
    return handle(subscriber, message, error);
}

void subscriber_handle(struct subscriber *subscriber, const struct wire_message *message,
                       const struct error *wrong)
{
    struct error error = {.code = ERROR_NONE};
    bool is_good = !wrong;
    if (wrong)
        error = *wrong;
    if (message->version != 1)
        is_good = error_set(&error, ERROR_INVALID_MESSAGE,
                            "this server speaks version 1 of the protocol here; leave "
                            "\"protocolVersion\" out or make it 1");
    counter_add(&subscriber->hub->metrics.messages_in, !is_good);
    if (!is_good || !subscriber_take(subscriber, message, &error))
        refuse_message(subscriber, message, &error);
}

void subscriber_message(struct subscriber *subscriber, struct span text)
{
    struct wire_message message;
    struct error error = {.code = ERROR_NONE};
    bool is_good = wire_message_read(text, &message, &error);
    subscriber_handle(subscriber, &message, is_good ? NULL : &error);
    wire_message_fini(&message);
}

/* ---- for who puts heads before bodies ---- */

void subscriber_write_bodies(struct subscriber *subscriber, struct span head)
{
    INVARIANT(!subscriber->encoding && !subscriber->count);
    subscriber->head = head;
    subscriber->encoding = &subscriber->hub->encoding;
    subscriber->hub->subscriber_count--; /* it is a part of one */
}

struct hub_facts hub_describe(const struct hub *hub, const struct auth_identity *identity,
                              struct span view)
{
    struct error error;
    const struct view *it = hub_find_view(hub, identity, view, &error);
    struct hub_facts facts = {.is_found = it != NULL};
    if (!it)
        return facts;
    facts.mode = topic_mode(it);
    facts.needs_key = it->mode == VIEW_STATE && (!it->stage || it->output == VIEW_KEYED);
    facts.has_tape = tape_is_of(it);
    facts.is_scoped = it->scope != NULL;
    facts.longest = hub->options.max_window_rows;
    if (it->stage && it->stage->cut.take != VIEW_ALL && it->output != VIEW_KEYED)
        facts.take = it->stage->cut.take;
    view_unref(it);
    return facts;
}

bool subscriber_sees_same(const struct subscriber *subscriber, struct auth_identity *identity)
{
    struct row_scope *sees = row_scope_get(&subscriber->hub->row_scopes, identity);
    bool same = sees == subscriber->scope;
    row_scope_unref(sees);
    return same;
}

void hub_count_message(struct hub *hub, bool is_new, bool refused, bool subscribes)
{
    counter_add(&hub->metrics.messages_in, is_new);
    counter_add(&hub->metrics.messages_refused, refused);
    counter_add(&hub->metrics.subscriptions_refused, refused && subscribes);
}

bool subscriber_epoch(const struct subscriber *subscriber, char epoch[HUB_EPOCH])
{
    if (link_alone(&subscriber->subscriptions))
        return false;
    const struct topic *topic =
        LINK_OWNER(struct subscription, in_subscriber, subscriber->subscriptions.next)->topic;
    view_epoch(subscriber->hub, topic->view, topic->scope, epoch);
    return true;
}
