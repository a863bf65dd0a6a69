/* Subscriptions that their client named: version 2's messages in, heads and bodies out. */
#include "session/named_internal.h"

#include <inttypes.h>

enum { ANSWERS = NAMED_ANSWERS };

/* ---- the set ---- */

struct named_set *named_set_new(struct session *session, struct usage_client *usage)
{
    struct named_set *set = memory_new(sizeof *set);
    if (!set)
        return NULL;
    set->session = session;
    set->usage = usage;
    link_init(&set->all);
    link_init(&set->ready);
    buffer_init(&set->answers, ANSWERS * 4);
    return set;
}

static void named_free(struct named *named)
{
    struct named_set *set = named->set;
    if (set->inside == named)
        set->inside = NULL;
    if (set->pulled == named)
        set->pulled = NULL;
    link_remove(&named->in_set);
    link_remove(&named->in_ready);
    set->count--;
    subscriber_free(named->subscriber);
    wire_message_fini(&named->asked);
    buffer_fini(&named->head);
    buffer_fini(&named->batch_head);
    memory_free(named);
}

void named_set_free(struct named_set *set)
{
    if (!set)
        return;
    while (!link_alone(&set->all))
        named_free(LINK_OWNER(struct named, in_set, set->all.next));
    buffer_fini(&set->answers);
    memory_free(set);
}

void named_set_describe(const struct named_set *set, size_t most, subscription_each each,
                        void *argument)
{
    for (const struct link *link = set->all.next; link != &set->all && most; link = link->next) {
        const struct named *named = LINK_OWNER(struct named, in_set, link);
        most -=
            subscriber_describe(named->subscriber, span_of(named->asked.id), most, each, argument);
    }
}

static struct named *find(const struct named_set *set, const char *id)
{
    for (struct link *link = set->all.next; link != &set->all; link = link->next) {
        struct named *named = LINK_OWNER(struct named, in_set, link);
        if (!named->leaves && strcmp(named->asked.id, id) == 0)
            return named;
    }
    return NULL;
}

/* ---- answers ---- */

static void refuse(struct named_set *set, const char *id, enum wire_refusal refusal,
                   const struct error *error, bool fatal)
{
    const struct wire_problem problem = {.refusal = refusal,
                                         .error = error,
                                         .fatal = fatal,
                                         .retry_after = error_retry_after(error)};
    set->broken |=
        !wire_problem_message(&set->answers, id ? span_of(id) : span_make(NULL, 0), &problem);
    session_want_write(set->session);
}

/* A message that can be read. `is_new`: it would have made a subscription, and the hub, which
 * counts those that it refuses, has not seen it. */
static void refuse_message(struct named_set *set, const char *id, enum wire_refusal refusal,
                           const struct error *error, bool is_new)
{
    hub_count_message(set->session->frontend->hub, false, true, is_new);
    refuse(set, id, refusal, error, false);
}

void named_set_refuse(struct named_set *set, const struct error *error, bool fatal)
{
    refuse(set, NULL, WIRE_REFUSED_MESSAGE, error, fatal);
}

/* ---- opening ---- */

static void on_wake(void *argument)
{
    struct named *named = argument;
    if (link_alone(&named->in_ready))
        link_append(&named->set->ready, &named->in_ready);
    session_want_write(named->set->session);
}

static void on_denied(void *argument, const struct error *error)
{
    session_denied(((struct named *)argument)->set->session, error);
}

static void on_behind(void *argument, const struct error *error)
{
    session_send_away(((struct named *)argument)->set->session, error);
}

/* Its part of the hub; false when out of memory. */
static bool connect_hub(struct named *named)
{
    struct session *session = named->set->session;
    struct subscriber_options options = {.wake = on_wake,
                                         .denied = on_denied,
                                         .behind = on_behind,
                                         .argument = named,
                                         .usage = named->set->usage,
                                         .allowance = &session->allowance};
    named->subscriber = subscriber_new(session->frontend->hub, &options);
    if (!named->subscriber)
        return false;
    subscriber_write_bodies(named->subscriber, buffer_span(&named->head));
    subscriber_set_owner(named->subscriber, session->owner);
    return subscriber_set_identity(named->subscriber, session->principal.identity);
}

/* The message is moved. NULL when out of memory. */
static struct named *named_new(struct named_set *set, struct wire_message *message)
{
    struct named *named = memory_new(sizeof *named);
    if (!named)
        return NULL;
    named->set = set;
    named->asked = *message;
    *message = (struct wire_message){.type = WIRE_PING};
    link_init(&named->in_ready);
    link_init(&named->in_set);
    link_append(&set->all, &named->in_set);
    set->count++;
    buffer_init(&named->head, WIRE_HEAD);
    buffer_init(&named->batch_head, WIRE_HEAD);
    if (wire_head(&named->head, span_of(named->asked.id)) && connect_hub(named))
        return named;
    named_free(named);
    return NULL;
}

/* Refusals of the hub for which clients of version 2 expect other words. */
static bool is_rejected(const struct wire_subscribe *asked, const struct hub_facts *facts,
                        struct error *error)
{
    if (facts->needs_key && !asked->key) {
        error_set(error, ERROR_INVALID_PARAMETER,
                  "'key' is missing: view '%.128s' shows one entity, named by its key",
                  asked->view);
        return true;
    }
    if (facts->is_found && !facts->has_tape && asked->take > facts->longest) {
        error_set(error, ERROR_INVALID_PARAMETER,
                  "'take' is %" PRId64 "; this server gives at most %" PRId64
                  " rows (max_window_rows)",
                  asked->take, facts->longest);
        return true;
    }
    return false;
}

static void subscribe(struct named_set *set, struct wire_message *message, size_t others)
{
    struct session *session = set->session;
    struct hub_facts facts = hub_describe(session->frontend->hub, session->principal.identity,
                                          span_of(message->subscribe.view));
    struct error error = {.code = ERROR_NONE};
    if (!allowance_has(&session->allowance, ALLOWANCE_SUBSCRIPTION, (int64_t)(set->count + others),
                       &error)) {
        refuse_message(set, message->id, WIRE_REFUSED_SUBSCRIBE, &error, true);
        return;
    }
    if (find(set, message->id)) {
        error_set(&error, ERROR_INVALID_PARAMETER,
                  "the connection has a subscription of this id already; unsubscribe first");
        refuse_message(set, message->id, WIRE_REFUSED_ID_TAKEN, &error, true);
        return;
    }
    if (!named_heads_fit(message)) {
        error_set(&error, ERROR_INVALID_PARAMETER,
                  "the id, the query and the key of the subscription have more than %d bytes with "
                  "what is escaped in them; shorten them",
                  WIRE_HEAD);
        refuse_message(set, message->id, WIRE_REFUSED_REJECTED, &error, true);
        return;
    }
    if (is_rejected(&message->subscribe, &facts, &error)) {
        refuse_message(set, message->id, WIRE_REFUSED_REJECTED, &error, true);
        return;
    }
    struct named *named = named_new(set, message);
    if (!named) {
        set->broken = true;
        return;
    }
    named->facts = facts;
    if (subscriber_subscribe(named->subscriber, &named->asked.subscribe, &error))
        return;
    refuse_message(set, named->asked.id, WIRE_REFUSED_SUBSCRIBE, &error, false);
    named_free(named);
}

/* ---- ending ---- */

static void end(struct named *named)
{
    struct named_set *set = named->set;
    set->broken |= !wire_unsubscribed(&set->answers, span_of(named->asked.id));
    named_free(named);
    session_want_write(set->session);
}

static void unsubscribe(struct named_set *set, const char *id)
{
    struct named *named = find(set, id);
    struct error error;
    if (!named) {
        error_set(&error, ERROR_INVALID_PARAMETER, "the connection has no subscription of this id");
        refuse_message(set, id, WIRE_REFUSED_ID_UNKNOWN, &error, false);
    } else if (set->inside == named) {
        named->leaves = true;
    } else {
        end(named);
    }
}

void named_set_message(struct named_set *set, struct wire_message *message,
                       const struct error *wrong, size_t others)
{
    hub_count_message(set->session->frontend->hub, true, wrong != NULL, false);
    if (wrong) {
        enum wire_refusal refusal = message->version != 2               ? WIRE_REFUSED_MESSAGE
                                    : message->type == WIRE_SUBSCRIBE   ? WIRE_REFUSED_SUBSCRIBE
                                    : message->type == WIRE_UNSUBSCRIBE ? WIRE_REFUSED_UNSUBSCRIBE
                                                                        : WIRE_REFUSED_MESSAGE;
        refuse(set, message->id, refusal, wrong, false);
    } else if (message->type == WIRE_SUBSCRIBE) {
        subscribe(set, message, others);
    } else if (message->type == WIRE_UNSUBSCRIBE) {
        unsubscribe(set, message->id);
    }
}

/* ---- another token ---- */

/* It sees other rows: what the client has is replaced. Events cannot be. */
static void begin_anew(struct named *named)
{
    struct named_set *set = named->set;
    struct wire_subscribe *asked = &named->asked.subscribe;
    struct error error = {.code = ERROR_NONE};
    named->begins_anew = false;
    if (named->facts.has_tape) {
        error_set(&error, ERROR_INVALID_PARAMETER,
                  "the new token sees other rows of view '%.128s'; subscribe again", asked->view);
        refuse(set, named->asked.id, WIRE_REFUSED_RESCOPED, &error, false);
        named_free(named);
        return;
    }
    subscriber_free(named->subscriber);
    memory_free(asked->after);
    asked->after = NULL;
    asked->with_snapshot = true;
    if (!connect_hub(named)) {
        set->broken = true;
        named_free(named); /* it may have no part of the hub any more */
    } else if (!subscriber_subscribe(named->subscriber, asked, &error)) {
        refuse(set, named->asked.id, WIRE_REFUSED_SUBSCRIBE, &error, false);
        named_free(named);
    }
}

bool named_set_became(struct named_set *set)
{
    struct session *session = set->session;
    struct link *link = set->all.next;
    while (link != &set->all) {
        struct named *named = LINK_OWNER(struct named, in_set, link);
        link = link->next;
        subscriber_set_owner(named->subscriber, session->owner);
        if (named->facts.is_scoped &&
            !subscriber_sees_same(named->subscriber, session->principal.identity)) {
            named->begins_anew = true;
            if (set->inside != named)
                begin_anew(named);
        } else if (!subscriber_set_identity(named->subscriber, session->principal.identity)) {
            return false;
        }
    }
    return true;
}

/* ---- what goes out ---- */

/* Whether something is due for it while nothing of it is half sent. */
static bool is_due(const struct named *named)
{
    return (named->leaves || named->begins_anew) && !named->joint.inside;
}

static void join(struct named *named, struct span bytes)
{
    size_t at = 0, joined;
    while (at < bytes.length && !is_due(named)) {
        if (!named_join(named, span_make(bytes.data + at, bytes.length - at), &joined))
            return;
        at += joined;
    }
}

/* Bytes that are to be sent: ready ones as they are, bodies behind their heads. */
static struct span make_ready(struct named *named, struct span bytes)
{
    if (is_due(named))
        return span_make(NULL, 0);
    named->set->is_shared = !named->joint.inside && wire_part_of(bytes) == WIRE_WHOLE;
    if (named->set->is_shared)
        return bytes;
    join(named, bytes);
    return buffer_span(&named->set->session->frontend->joined);
}

static struct span pull_answers(struct named_set *set)
{
    struct buffer *answers = &set->answers;
    struct span left =
        span_make(answers->data + set->answers_sent, answers->length - set->answers_sent);
    if (left.length) {
        set->answers_sent = answers->length;
        return left;
    }
    if (answers->capacity) {
        buffer_fini(answers);
        buffer_init(answers, ANSWERS * 4);
        set->answers_sent = 0;
    }
    return span_make(NULL, 0);
}

/* Its turn; then it goes behind the others, or away. What is due of it waits for its next turn,
 * when the bytes that end its message have been counted, by the same part of the hub that gave
 * them. */
static struct span pull_named(struct named *named)
{
    struct named_set *set = named->set;
    struct span bytes = subscriber_pull(named->subscriber), ready = span_make(NULL, 0);
    set->broken |= subscriber_state(named->subscriber).is_broken;
    link_remove(&named->in_ready);
    if (bytes.length) {
        link_append(&set->ready, &named->in_ready);
        ready = make_ready(named, bytes);
    }
    if (ready.length) {
        set->pulled = named;
        set->pulled_length = bytes.length;
        return ready;
    }
    if (is_due(named) && named->leaves)
        end(named);
    else if (is_due(named))
        begin_anew(named);
    else if (!bytes.length && !subscriber_state(named->subscriber).subscriptions)
        named_free(named); /* the client was told why */
    return ready;
}

static struct span on_pull(void *supply)
{
    struct named_set *set = supply;
    struct span ready = span_make(NULL, 0);
    set->pulled = NULL;
    set->is_shared = false;
    buffer_clear(&set->session->frontend->joined);
    if (!set->inside) {
        ready = pull_answers(set);
        if (ready.length)
            return ready;
    }
    while (!ready.length && !set->broken && (set->inside || !link_alone(&set->ready)))
        ready = pull_named(set->inside ? set->inside
                                       : LINK_OWNER(struct named, in_ready, set->ready.next));
    if (!ready.length && !set->broken)
        return pull_answers(set); /* of what ended meanwhile */
    set->ready_length = ready.length;
    return ready;
}

/* The one that is ready alone, if it has ready messages. */
static struct named *find_ready(const struct named_set *set)
{
    const struct link *ready = &set->ready;
    if (set->broken || set->inside || set->answers.capacity || link_alone(ready) ||
        ready->next != ready->previous)
        return NULL;
    struct named *named = LINK_OWNER(struct named, in_ready, ready->next);
    return is_due(named) || named->unfinished ? NULL : named;
}

static size_t on_show(void *supply, struct span *pieces, size_t most)
{
    const struct named *named = find_ready(supply);
    return named ? subscriber_supply.show(named->subscriber, pieces, most) : 0;
}

static struct supply_taken on_took(void *supply, size_t length, bool all)
{
    struct named *named = find_ready(supply);
    INVARIANT(named);
    struct supply_taken it = subscriber_supply.took(named->subscriber, length, all);
    if (!it.more)
        link_remove(&named->in_ready);
    return it;
}

static bool is_counted(const void *supply, size_t length, struct wire_run *run)
{
    const struct named_set *set = supply;
    return set->pulled && set->is_shared &&
           subscriber_supply.counted(set->pulled->subscriber, length, run);
}

/* The heads are of the same subscription, so the hub counts by its own bytes. */
static void on_sent(void *supply, size_t length, const struct wire_run *run)
{
    const struct named_set *set = supply;
    if (!set->pulled || !set->ready_length)
        return;
    size_t pulled = length >= set->ready_length ? set->pulled_length
                                                : set->pulled_length * length / set->ready_length;
    subscriber_supply.sent(set->pulled->subscriber, pulled, run);
}

static struct supply_state state_of(const void *supply)
{
    const struct named_set *set = supply;
    return (struct supply_state){
        .subscriptions = set->count,
        .is_broken = set->broken || set->answers.failed,
        .is_congested = set->answers.length - set->answers_sent > ANSWERS,
    };
}

static void on_silence(void *supply)
{
    struct named_set *set = supply;
    struct link *link = set->all.next;
    while (link != &set->all) {
        struct named *named = LINK_OWNER(struct named, in_set, link);
        link = link->next;
        if (set->inside == named)
            subscriber_supply.silence(named->subscriber); /* its message is sent to the end */
        else
            named_free(named);
    }
}

static void on_drop(void *supply)
{
    struct named_set *set = supply;
    while (!link_alone(&set->all))
        named_free(LINK_OWNER(struct named, in_set, set->all.next));
    buffer_clear(&set->answers);
    set->answers_sent = 0;
}

const struct supply_ops named_supply = {
    .pull = on_pull,
    .show = on_show,
    .took = on_took,
    .counted = is_counted,
    .sent = on_sent,
    .state = state_of,
    .silence = on_silence,
    .drop = on_drop,
};
