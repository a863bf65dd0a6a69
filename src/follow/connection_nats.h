/* A connection to the brokers of a log, for stream_nats.c, sender_nats.c and probe_nats.c. Never
 * included from elsewhere. */
#ifndef FOLLOW_CONNECTION_NATS_H
#define FOLLOW_CONNECTION_NATS_H

#include "follow/follow.h"

#include <nats/nats.h>

enum { NATS_ASK_MS = 2000 }; /* for an answer of the broker */

struct nats_place {
    char *nats, *stream, *credentials_file, *ca_file;
    natsConnection *connection;
    jsCtx *context;
    uint64_t attempts; /* to connect; the next is at the address behind */
    bool answered;     /* on this connection */
};

/* Nothing is connected yet. false: nats_place_fini is due all the same. */
bool nats_place_init(struct nats_place *place, const struct follow_options *options,
                     struct error *error);
void nats_place_fini(struct nats_place *place);
bool nats_is_connected(const struct nats_place *place);
/* At one address, so that whoever waits can give up before the next. */
bool nats_connect(struct nats_place *place, struct error *error);
void nats_disconnect(struct nats_place *place);
/* ERROR_NETWORK. Always false. */
bool nats_failed(const struct nats_place *place, const char *what, natsStatus status,
                 struct error *error);
/* Ask for the stream, on a connection that is there. NULL: ERROR_NETWORK, or ERROR_CONFIGURATION as
 * there is none. Freed by jsStreamInfo_Destroy. */
jsStreamInfo *nats_ask(struct nats_place *place, struct error *error);
/* probe_nats.c: whether the stream takes what this node publishes to the subject, on a connection
 * that is there; nothing is stored. ERROR_LOG_FORBIDDEN: the broker does not let it publish;
 * ERROR_NETWORK. */
bool nats_probe(struct nats_place *place, const char *subject, struct error *error);

/* The header of a message that names the stream that may take it. */
#define NATS_EXPECTED_STREAM "Nats-Expected-Stream"

#endif
