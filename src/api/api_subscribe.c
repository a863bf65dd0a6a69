/*
 * In-process subscribers. A subscriber of the hub gives ready WebSocket frames when it is pulled;
 * here they are taken apart again, so that a callback gets the JSON of whole messages.
 *
 * A subscription is pumped from a work item of the loop, never from inside a call of the hub (its
 * wake only notes that there is something), and dies there too: never inside its own callback, nor
 * while the item that will pump it is on its way. The item is a part of the subscription, so a wake
 * needs no memory and no place in a queue, and none is ever lost.
 */
#include "api/api_internal.h"
#include "delivery/hub.h"
#include "wire/wire.h"

enum {
    PULLS_PER_TURN = 32,          /* then others have their turn */
    MESSAGE_LIMIT = INT32_MAX / 2 /* of one message, as sent and uncompressed */
};

struct stele_subscription {
    struct server_work pumping_work;
    struct stele *store;
    struct stele_subscription *next, **link; /* in store->subscriptions */
    struct subscriber *subscriber;           /* NULL before it is made and once detached */
    char *request;
    stele_frame frame;
    void *argument;
    struct buffer message; /* fragments so far */
    struct buffer plain;   /* of a compressed message */
    bool scheduled;        /* pumping_work is on its way */
    bool pumping;          /* we are in one */
    bool ended;            /* no more callbacks; to be freed once no pump is on its way */
};

/* ---- from the hub to the callback ---- */

static void link_in(struct stele_subscription *subscription)
{
    struct stele *store = subscription->store;
    subscription->next = store->subscriptions;
    subscription->link = &store->subscriptions;
    if (subscription->next)
        subscription->next->link = &subscription->next;
    store->subscriptions = subscription;
}

static void free_memory(struct stele_subscription *subscription)
{
    memory_free(subscription->request);
    buffer_fini(&subscription->message);
    buffer_fini(&subscription->plain);
    memory_free(subscription);
}

static void leave_hub(struct stele_subscription *subscription)
{
    if (subscription->subscriber)
        subscriber_free(subscription->subscriber);
    subscription->subscriber = NULL;
}

static void destroy(struct stele_subscription *subscription)
{
    leave_hub(subscription);
    *subscription->link = subscription->next;
    if (subscription->next)
        subscription->next->link = subscription->link;
    free_memory(subscription);
}

/* No more callbacks. A pump that is on its way does the rest; should it never come because the
 * server stops, stele_close finds the subscription in the list. */
static void finish(struct stele_subscription *subscription)
{
    subscription->ended = true;
    leave_hub(subscription);
    if (!subscription->scheduled)
        destroy(subscription);
}

/* The loop thread alone changes the state, so it reads it without the lock. */
static bool has_server(const struct stele *store)
{
    return store->state == API_RUNNING;
}

/* Once the server has stopped nobody is pumped any more, and stele_close frees the subscription. */
static void schedule(struct stele_subscription *subscription)
{
    struct stele *store = subscription->store;
    if (subscription->scheduled || !has_server(store))
        return;
    subscription->scheduled = server_post(store->server, &subscription->pumping_work);
}

static void wake(void *argument)
{
    schedule(argument);
}

static void tell(struct stele_subscription *subscription, struct buffer *json)
{
    const char *text = buffer_string(json);
    if (text)
        subscription->frame(subscription->argument, text, json->length);
}

static void tell_message(struct stele_subscription *subscription)
{
    struct buffer *message = &subscription->message;
    if (message->failed) {
        /* Going on behind a lost frame would break the promise of no gaps. */
        log_error("api", "subscription-out-of-memory", log_text("effect", "subscription ended"));
        subscription->ended = true;
        return;
    }
    if (!wire_is_gzip(buffer_span(message))) {
        tell(subscription, message);
        return;
    }
    struct error error = {0};
    buffer_clear(&subscription->plain);
    if (wire_gunzip(buffer_span(message), &subscription->plain, &error)) {
        tell(subscription, &subscription->plain);
    } else {
        log_error("api", "subscription-broken", log_text("effect", "subscription ended"),
                  log_text("reason", error.message));
        subscription->ended = true;
    }
}

/* `bytes` are whole frames, each a message or a fragment of one. */
static void take_frames(struct stele_subscription *subscription, struct span bytes)
{
    while (bytes.length > 0 && !subscription->ended) {
        struct span payload;
        bool final;
        size_t length = wire_frame_length(bytes);
        if (length == 0 || !wire_frame_payload(bytes, &payload, &final))
            break;
        buffer_add_span(&subscription->message, payload);
        if (final) {
            tell_message(subscription);
            buffer_clear(&subscription->message);
        }
        bytes = span_make(bytes.data + length, bytes.length - length);
    }
}

static void pump(struct server *server, struct server_work *work)
{
    (void)server;
    struct stele_subscription *subscription = (struct stele_subscription *)work;
    struct span bytes = {0};
    subscription->scheduled = false;
    subscription->pumping = true;
    for (int turn = 0; turn < PULLS_PER_TURN; turn++) {
        if (subscription->ended || !subscription->subscriber)
            break;
        if (subscriber_state(subscription->subscriber).is_broken) {
            log_error("api", "subscription-out-of-memory",
                      log_text("effect", "subscription ended"));
            subscription->ended = true;
            break;
        }
        bytes = subscriber_pull(subscription->subscriber);
        if (bytes.length == 0)
            break;
        take_frames(subscription, bytes);
    }
    subscription->pumping = false;
    if (subscription->ended)
        finish(subscription);
    else if (bytes.length > 0)
        schedule(subscription);
}

/* ---- beginning ---- */

struct subscribe_call {
    struct api_call call;
    struct stele_subscription *subscription;
};

static void begin(struct api_call *call)
{
    struct stele_subscription *subscription = ((struct subscribe_call *)call)->subscription;
    struct hub *hub = server_parts(call->store->server).hub;
    api_finish(call);
    memory_free(call);
    link_in(subscription);
    const struct subscriber_options options = {
        .wake = wake, .argument = subscription, .sees_all = true};
    subscription->subscriber = subscriber_new(hub, &options);
    if (!subscription->subscriber) {
        leave_hub(subscription);
        log_error("api", "subscription-out-of-memory", log_text("effect", "no subscription"));
        return;
    }
    subscriber_message(subscription->subscriber, span_of(subscription->request));
    schedule(subscription);
}

static void abandon_begin(struct api_call *call, const struct error *error)
{
    (void)error;
    api_finish(call);
    link_in(((struct subscribe_call *)call)->subscription); /* so that stele_close frees it */
    memory_free(call);
}

static void add_member(struct buffer *text, const char *name, const char *value)
{
    if (!value)
        return;
    buffer_printf(text, ",\"%s\":", name);
    doc_escape(text, span_of(value));
}

/* The message that a client would send. */
static char *print_request(const stele_subscribe_options *options, const char *query)
{
    struct buffer text;
    buffer_init(&text, MESSAGE_LIMIT);
    buffer_add_string(&text, "{\"type\":\"subscribe\"");
    add_member(&text, "view", options->view);
    add_member(&text, "key", options->key);
    add_member(&text, "after", options->after);
    add_member(&text, "epoch", options->epoch);
    if (query) { /* an object: its members */
        buffer_add_char(&text, ',');
        buffer_add(&text, query + 1, strlen(query) - 2);
    }
    if (options->take > 0)
        buffer_printf(&text, ",\"take\":%lld", (long long)options->take);
    if (options->skip > 0)
        buffer_printf(&text, ",\"skip\":%lld", (long long)options->skip);
    if (options->no_snapshot)
        buffer_add_string(&text, ",\"withSnapshot\":false");
    if (options->snapshot_limit >= 0)
        buffer_printf(&text, ",\"snapshotLimit\":%lld", (long long)options->snapshot_limit);
    buffer_add_char(&text, '}');
    buffer_string(&text);
    char *request = buffer_take(&text, NULL);
    buffer_fini(&text);
    return request;
}

static bool check_options(const stele_subscribe_options *options, struct error *error)
{
    return api_check_text(error, "view", options->view, true) &&
           api_check_text(error, "key", options->key, false) &&
           api_check_text(error, "after", options->after, false) &&
           api_check_text(error, "epoch", options->epoch, false) &&
           api_check_text(error, "filters", options->filters, false) &&
           api_check_text(error, "where", options->where, false) &&
           api_check_text(error, "sort", options->sort, false);
}

/* NULL with the error. */
static struct stele_subscription *subscription_new(stele *store,
                                                   const stele_subscribe_options *options,
                                                   stele_frame frame, void *argument,
                                                   struct error *error)
{
    const struct api_query_parts parts = {options->filters, options->where, options->sort};
    char *query;
    if (!api_print_query(&parts, &query, error))
        return NULL;
    struct stele_subscription *subscription = memory_new(sizeof(*subscription));
    char *request = subscription ? print_request(options, query) : NULL;
    memory_free(query);
    if (!request) {
        memory_free(subscription);
        error_set(error, ERROR_MEMORY, "out of memory for a subscription");
        return NULL;
    }
    *subscription = (struct stele_subscription){.store = store,
                                                .pumping_work.run = pump,
                                                .request = request,
                                                .frame = frame,
                                                .argument = argument};
    buffer_init(&subscription->message, MESSAGE_LIMIT);
    buffer_init(&subscription->plain, MESSAGE_LIMIT);
    return subscription;
}

static struct stele_subscription *subscribe(stele *store, const stele_subscribe_options *options,
                                            stele_frame frame, void *argument, struct error *error)
{
    struct subscribe_call *call = memory_new(sizeof(*call));
    struct stele_subscription *subscription =
        call ? subscription_new(store, options, frame, argument, error) : NULL;
    if (!subscription) {
        memory_free(call);
        if (!call)
            error_set(error, ERROR_MEMORY, "out of memory for a subscription");
        return NULL;
    }
    call->call = (struct api_call){.work = begin, .abandon = abandon_begin};
    call->subscription = subscription;
    if (api_post(store, &call->call, error))
        return subscription;
    free_memory(subscription);
    memory_free(call);
    return NULL;
}

stele_subscription *stele_subscribe(stele *store, const stele_subscribe_options *options,
                                    stele_frame frame, void *argument, stele_error *error)
{
    struct error reason = {0};
    stele_subscribe_options known = STELE_SUBSCRIBE_INIT;
    stele_subscription *subscription = NULL;
    if (api_check_store(store, "stele_subscribe", &reason) &&
        (frame || api_refuse_null(&reason, "frame")) &&
        api_take_options(&known, sizeof known, options, offsetof(stele_subscribe_options, filters),
                         "STELE_SUBSCRIBE_INIT", &reason) &&
        check_options(&known, &reason))
        subscription = subscribe(store, &known, frame, argument, &reason);
    if (!subscription)
        api_error(error, &reason);
    return subscription;
}

/* ---- ending ---- */

struct unsubscribe_call {
    struct api_wait wait;
    struct stele_subscription *subscription;
};

static void end(struct api_call *call)
{
    struct unsubscribe_call *unsubscribe = (struct unsubscribe_call *)call;
    finish(unsubscribe->subscription);
    api_done(&unsubscribe->wait, NULL);
}

/* On the loop thread we may be inside a callback, and thereby inside a pump: leave the rest to
 * that, or to one that is yet to come. */
static void end_on_loop(struct stele_subscription *subscription)
{
    subscription->ended = true;
    if (!subscription->pumping)
        schedule(subscription);
}

void stele_unsubscribe(stele_subscription *subscription)
{
    if (!subscription)
        return;
    struct stele *store = subscription->store;
    struct error error = {0};
    if (!api_check_store(store, "stele_unsubscribe", &error))
        return; /* in a child of fork(), which has no more than a copy */
    if (!api_enter(store, "stele_unsubscribe", &error)) {
        end_on_loop(subscription);
        return;
    }
    struct unsubscribe_call call = {
        .wait.call = {.work = end, .abandon = api_abandon_wait},
        .subscription = subscription,
    };
    if (!api_wait(store, &call.wait, &error)) {
        /* The loop has ended or is about to: then the memory is ours to free. */
        pthread_mutex_lock(&store->lock);
        while (store->state != API_ENDED)
            pthread_cond_wait(&store->changed, &store->lock);
        destroy(subscription);
        pthread_mutex_unlock(&store->lock);
    }
    api_leave(store);
}

void api_detach_subscriptions(struct stele *store)
{
    for (struct stele_subscription *each = store->subscriptions; each; each = each->next)
        leave_hub(each);
}

void api_free_subscriptions(struct stele *store)
{
    while (store->subscriptions)
        destroy(store->subscriptions);
}
