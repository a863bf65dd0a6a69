/*
 * libFuzzer entry for what clients send: a message is either decoded, with the fields that its
 * type promises, or refused with an error that can be told to the client. The query of a
 * subscription is read by who knows the view, and asked of an entity, or refused likewise.
 */
#include "view/view.h"
#include "wire/wire.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* ---- the query of a subscription ---- */

enum { DEPTH = 8, TERMS = 256, NOW = 1700000000 };

/* It is refused with a reason, or can be asked; and its turn is where its answer may change. */
static void check_query(const struct view *view, const char *text, struct span entity)
{
    const struct view_query_limits limits = {.depth = DEPTH, .terms = TERMS};
    struct error error = {0};
    struct view_query *query = view_query_new(view, span_of(text), &limits, &error);
    struct buffer place;
    if (!query) {
        require(error.code == ERROR_INVALID_PARAMETER && doc_valid_utf8(span_of(error.message)));
        return;
    }
    require(view_query_traits(query).filters || view_query_traits(query).sorts);
    bool holds = view_query_holds(query, entity, NOW);
    int64_t turns = view_query_rechecks(query, entity, NOW);
    require(turns > NOW && (view_query_traits(query).is_timed || turns == INT64_MAX));
    int64_t before = turns == INT64_MAX ? (int64_t)NOW + 1000000 : turns - 1;
    require(view_query_holds(query, entity, before) == holds);
    buffer_init(&place, SIZE_MAX);
    require(!view_query_traits(query).sorts ||
            view_query_sort_key(query, span_of("k"), entity, &place));
    require(view_query_traits(query).sorts <= VIEW_QUERY_SORTS);
    buffer_fini(&place);
    view_query_unref(query);
}

static struct view_set *make_set(void)
{
    struct error error;
    struct view_set *set = view_set_new(false);
    struct tree *definition = tree_parse(span_of("{\"fields\":[\"a\",\"b.c\",\"u\"]}"), &error);
    require(set && definition &&
            view_set_derive(set, span_of("Q"), span_of("v"), definition, &error));
    tree_free(definition);
    return set;
}

/* Of a view that hides nothing, and of one that shows only what is named. */
static void check_queries(const char *text)
{
    static struct view_set *set;
    static const char entity[] = "{\"a\":1,\"b\":{\"c\":[1,\"x\",{\"d\":null}],\"e\":\"xyz\"},\"a."
                                 "b\":\"18446744073709551615\","
                                 "\"t\":1700000005.5,\"u\":1700000001,\"_seq\":\"1:000000000002\"}";
    if (!set)
        set = make_set();
    check_query(NULL, text, span_of(entity));
    check_query(view_set_find(set, span_of("Q/v")), text, span_of(entity));
    check_query(NULL, text, span_of("{}"));
}

/* ---- messages ---- */

static void check_decoded(const struct wire_message *message)
{
    const struct wire_subscribe *subscribe = &message->subscribe;
    switch (message->type) {
    case WIRE_SUBSCRIBE:
        require(subscribe->view && subscribe->parameters);
        require(subscribe->snapshot_limit == -1 || subscribe->snapshot_limit >= 1);
        require(subscribe->take == -1 || subscribe->take >= 1);
        require(subscribe->skip >= -1);
        require(!subscribe->query || subscribe->query[0] == '{');
        if (subscribe->query)
            check_queries(subscribe->query);
        break;
    case WIRE_UNSUBSCRIBE:
        require(message->version == 2 || subscribe->view != NULL);
        break;
    case WIRE_REFRESH_AUTH:
        require(message->token != NULL);
        break;
    case WIRE_PING:
        break;
    }
    struct seq seq;
    if (subscribe->after && seq_parse(span_of(subscribe->after), &seq))
        require(seq.slot >= 0 && seq.index >= 0);
}

/* Of version 2: an answer can name the subscription, and repeat the query. */
static void check_v2(const struct wire_message *message)
{
    struct buffer head;
    require(message->version == 2);
    if (message->type != WIRE_SUBSCRIBE && message->type != WIRE_UNSUBSCRIBE)
        return;
    require(message->id && doc_valid_utf8(span_of(message->id)));
    buffer_init(&head, WIRE_HEAD);
    require(wire_unsubscribed(&head, span_of(message->id)));
    buffer_clear(&head);
    if (message->type == WIRE_SUBSCRIBE) {
        require(message->query && message->query[0] == '{');
        wire_head_accepted(&head, span_of(message->id), span_of(message->query), 0);
    }
    buffer_fini(&head);
}

static void check_problem(const struct error *error)
{
    struct wire_problem problem = {
        .refusal = WIRE_REFUSED_SUBSCRIBE, .error = error, .retry_after = -1};
    struct buffer body, message;
    struct wire_joint joint = {0};
    buffer_init(&body, WIRE_FRAGMENT);
    buffer_init(&message, WIRE_FRAGMENT);
    require(wire_problem(&body, &problem));
    require(wire_part_of(buffer_span(&body)) == WIRE_PROBLEM);
    require(wire_behind_head(&message, buffer_span(&body), span_of("{\"a\":1,"), &joint));
    require(!joint.inside && wire_part_of(buffer_span(&message)) == WIRE_WHOLE);
    buffer_fini(&body);
    buffer_fini(&message);
}

static void check_refused(const struct error *error)
{
    struct buffer frame;
    char reason[WIRE_CLOSE_REASON + 1];
    buffer_init(&frame, WIRE_FRAGMENT);
    require(error->code == ERROR_INVALID_MESSAGE || error->code == ERROR_INVALID_PARAMETER);
    require(doc_valid_utf8(span_of(error->message)));
    require(wire_error(&frame, error, NULL, false, -1));
    check_problem(error);
    require(doc_valid_utf8(span_make(reason, wire_close_reason(reason, error))));
    buffer_fini(&frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_message message;
    struct error error = {0};
    if (wire_message_parse(span_make((const char *)data, size), &message, &error)) {
        check_decoded(&message);
        if (message.version != 1)
            check_v2(&message);
        wire_message_fini(&message);
    } else {
        check_refused(&error);
    }
    error = (struct error){.code = ERROR_NONE};
    int version = 0;
    char *token = wire_auth_read(span_make((const char *)data, size), &version, &error);
    require(version == 1 || version == 2);
    if (!token && error.code != ERROR_TOKEN_MISSING) /* it is another message */
        check_refused(&error);
    memory_free(token);
    return 0;
}
