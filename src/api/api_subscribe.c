/*
 * In-process subscribers. A subscriber of the hub gives ready WebSocket frames when it is pulled;
 * here they are taken apart again, so that a callback gets the JSON of whole messages.
 *
 * A subscription is pumped from a work item of the loop, never from inside a call of the hub (its
 * wake only notes that there is something), and dies there too: never inside its own callback, nor
 * while an item that will pump it is on its way.
 */
#include "api/api_internal.h"

enum {
    PULLS_PER_TURN = 32,          /* then others have their turn */
    MESSAGE_LIMIT = INT32_MAX / 2 /* of one message, as sent and uncompressed */
};

struct stele_subscription {
    struct stele *store;
    struct stele_subscription *next, **link; /* in store->subscriptions */
    struct subscriber *subscriber;           /* NULL before it is made and once detached */
    char *request;
    stele_frame frame;
    void *argument;
    struct buffer message; /* fragments so far */
    struct buffer plain;   /* of a compressed message */
    bool scheduled;        /* a work item that pumps is on its way */
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

static void pump(struct server *server, void *argument);

static void schedule(struct stele_subscription *subscription)
{
    if (subscription->scheduled)
        return;
    subscription->scheduled = true;
    /* It only fails once the server has stopped; then nobody is pumped any more. */
    server_post(subscription->store->server, pump, subscription);
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
        log_error("api", "subscription-out-of-memory", "effect=\"subscription ended\"");
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
        log_error("api", "subscription-broken", "effect=\"subscription ended\" reason=\"%s\"",
                  error.message);
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

static void pump(struct server *server, void *argument)
{
    (void)server;
    struct stele_subscription *subscription = argument;
    struct span bytes = {0};
    subscription->scheduled = false;
    subscription->pumping = true;
    for (int turn = 0; turn < PULLS_PER_TURN; turn++) {
        if (subscription->ended || !subscription->subscriber)
            break;
        if (subscriber_broken(subscription->subscriber)) {
            log_error("api", "subscription-out-of-memory", "effect=\"subscription ended\"");
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
    struct hub *hub = server_hub(call->store->server);
    api_finish(call);
    memory_free(call);
    link_in(subscription);
    subscription->subscriber = subscriber_new(hub, wake, subscription);
    if (!subscription->subscriber || !subscriber_see_all(subscription->subscriber)) {
        leave_hub(subscription);
        log_error("api", "subscription-out-of-memory", "effect=\"no subscription\"");
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
static char *print_request(const stele_subscribe_options *options)
{
    struct buffer text;
    buffer_init(&text, MESSAGE_LIMIT);
    buffer_add_string(&text, "{\"type\":\"subscribe\"");
    add_member(&text, "view", options->view);
    add_member(&text, "key", options->key);
    add_member(&text, "after", options->after);
    add_member(&text, "epoch", options->epoch);
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
    if (options->struct_size != sizeof(*options))
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "the options are not of this version; start from STELE_SUBSCRIBE_INIT");
    const char *const texts[] = {options->view, options->key, options->after, options->epoch};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (texts[i] && !doc_valid_utf8(span_of(texts[i])))
            return error_set(error, ERROR_INVALID_PARAMETER, "a text of the options is not UTF-8");
    return true;
}

stele_subscription *stele_subscribe(stele *store, const stele_subscribe_options *options,
                                    stele_frame frame, void *argument, stele_error *error)
{
    struct error reason = {0};
    if (!check_options(options, &reason)) {
        api_error(error, &reason);
        return NULL;
    }
    struct stele_subscription *subscription = memory_new(sizeof(*subscription));
    struct subscribe_call *call = memory_new(sizeof(*call));
    if (subscription) {
        subscription->store = store;
        subscription->frame = frame;
        subscription->argument = argument;
        subscription->request = print_request(options);
        buffer_init(&subscription->message, MESSAGE_LIMIT);
        buffer_init(&subscription->plain, MESSAGE_LIMIT);
    }
    error_set(&reason, ERROR_MEMORY, "out of memory");
    if (subscription && subscription->request && call) {
        call->call.work = begin;
        call->call.abandon = abandon_begin;
        call->subscription = subscription;
        if (api_post(store, &call->call, &reason))
            return subscription;
    }
    if (subscription)
        free_memory(subscription);
    memory_free(call);
    api_error(error, &reason);
    return NULL;
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
