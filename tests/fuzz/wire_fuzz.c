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
        require(!subscribe->filters || subscribe->filters[0] == '{');
        break;
    case WIRE_UNSUBSCRIBE:
        require(subscribe->view != NULL);
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

static void check_refused(const struct error *error)
{
    struct buffer frame;
    char reason[WIRE_CLOSE_REASON + 1];
    buffer_init(&frame, WIRE_FRAGMENT);
    require(error->code == ERROR_INVALID_MESSAGE || error->code == ERROR_INVALID_PARAMETER);
    require(doc_valid_utf8(span_of(error->message)));
    require(wire_error(&frame, error, NULL, false, -1));
    require(doc_valid_utf8(span_make(reason, wire_close_reason(reason, error))));
    buffer_fini(&frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_message message;
    struct error error = {0};
    if (wire_message_parse(span_make((const char *)data, size), &message, &error)) {
        check_decoded(&message);
        wire_message_fini(&message);
    } else {
        check_refused(&error);
    }
    return 0;
}
