/*
 * Whether this node may publish, without a message: one that names another stream than there can be
 * is refused by the leader of the stream, before it is stored anywhere. A broker that does not let
 * the node publish says so on the connection, and answers nothing.
 */
#include "follow/connection_nats.h"

#include "base/utf8.h"
#include "json/json.h"

#include <string.h>

enum { NOT_THAT_STREAM = 10060 }; /* JSStreamNotMatchErr */

static natsStatus make(const char *subject, natsMsg **message)
{
    natsStatus status = natsMsg_Create(message, subject, NULL, "", 0);
    /* No stream can have a name with a point. */
    return status == NATS_OK ? natsMsgHeader_Set(*message, NATS_EXPECTED_STREAM, "no.stream")
                             : status;
}

/* The stream says why, or something else than a stream answers there. */
static void print_problem(struct span reason, struct span bytes, struct error *error)
{
    enum { MOST = 200 };
    struct span text = reason.length ? reason : bytes;
    const char *what = reason.length ? "" : text.length ? "what answers is no stream: " : "";
    if (!text.length)
        text = span_of("what answers is no stream, and says nothing");
    error_set(error, ERROR_NETWORK, "the log takes nothing: %s%.*s", what,
              (int)utf8_whole(text.data, text.length < MOST ? text.length : MOST), text.data);
}

/* Anything but what is expected is a reason why nothing else would be taken, too. */
static bool read_answer(natsMsg *answer, struct error *error)
{
    struct error unreadable;
    struct span bytes = span_make(natsMsg_GetData(answer), (size_t)natsMsg_GetDataLength(answer));
    struct tree *tree = tree_parse(bytes, &unreadable);
    const struct tree *problem = tree ? tree_member(tree, "error") : NULL;
    struct span text = tree_string(tree_member(problem, "description"));
    bool good = tree_integer(tree_member(problem, "err_code"), 0) == NOT_THAT_STREAM;
    if (!good)
        print_problem(text, bytes, error);
    tree_free(tree);
    return good;
}

static bool refuse(struct nats_place *place, const char *subject, natsStatus status,
                   struct error *error)
{
    if (status == NATS_NOT_PERMITTED)
        return error_set(error, ERROR_LOG_FORBIDDEN,
                         "the broker does not let this node publish to '%.100s': allow its user to "
                         "do so, or name another one in log.credentials_file",
                         subject);
    if (status == NATS_NO_RESPONDERS)
        return error_set(error, ERROR_NETWORK,
                         "no stream takes the subject '%.100s', or it has no leader", subject);
    return nats_failed(place, "cannot publish to", status, error);
}

/* What a broker does not permit it says behind the message; libnats keeps what was said last. */
static natsStatus publish(const struct nats_place *place, natsMsg *message)
{
    const char *text = NULL;
    natsStatus status = natsConnection_PublishMsg(place->connection, message);
    if (status == NATS_OK)
        status = natsConnection_FlushTimeout(place->connection, NATS_ASK_MS);
    bool is_forbidden = natsConnection_GetLastError(place->connection, &text) == NATS_NOT_PERMITTED;
    return status == NATS_OK && is_forbidden ? NATS_NOT_PERMITTED : status;
}

bool nats_probe(struct nats_place *place, const char *subject, struct error *error)
{
    natsMsg *message = NULL, *answer = NULL;
    natsStatus status = make(subject, &message);
    if (status == NATS_OK)
        status = publish(place, message);
    if (status == NATS_OK)
        status = natsConnection_RequestMsg(&answer, place->connection, message, NATS_ASK_MS);
    natsMsg_Destroy(message);
    bool done =
        status == NATS_OK ? read_answer(answer, error) : refuse(place, subject, status, error);
    natsMsg_Destroy(answer);
    return done;
}
