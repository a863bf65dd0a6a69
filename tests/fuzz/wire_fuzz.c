/*
 * libFuzzer entry for what clients send: a message is either decoded, with the fields that its
 * type promises, or refused with an error that can be told to the client.
 */
#include "wire/wire.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

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
static void check_second(const struct wire_message *message)
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
            check_second(&message);
        wire_message_fini(&message);
    } else {
        check_refused(&error);
    }
    error = (struct error){.code = ERROR_NONE};
    char *token = wire_auth_read(span_make((const char *)data, size), &error);
    if (!token)
        check_refused(&error);
    memory_free(token);
    return 0;
}
