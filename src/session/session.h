/*
 * Sessions: connections that last, whatever they are for: WebSockets, and streams of events by
 * HTTP. This part knows messages, time-outs, pings and closing; what a message means and what is to
 * be sent is its kind's business.
 *
 * A session is made when the handshake is done and dies when its connection has been closed; no
 * other code frees it. session_close asks for the end of a connection.
 *
 * Invariants, held in every build: the state only grows. From SESSION_GONE on the session is in no
 * list, no heap and no intake. So no sweep, time-out or commit finds it, and nothing wakes it,
 * sends to it, reads from it or closes it.
 */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include "access/access.h"
#include "access/allowance.h"
#include "base/link.h"
#include "base/roster.h"
#include "delivery/hub.h"
#include "session/incoming.h"

struct net_connection;
struct frontend;
struct session;
struct wire_message;
struct wire_run;

/* Sessions whose clients have not said who they are, the one that waits longest first. */
struct newcomers {
    struct link waiting;
    size_t count;
};

/* All sessions of a server. */
struct sessions {
    struct roster all;    /* session.in_all, under the number by which clients are listed */
    struct link heard;    /* every session, the longest silent client first */
    struct link told;     /* every session, the one that got no bytes for longest first */
    struct link paused;   /* sessions that are not read now */
    struct link resting;  /* sessions that get nothing for a moment, by the end of that */
    struct heap expiring; /* open ones whose token runs out, by when (unix seconds) */
    struct heap
        closing; /* sessions that are closing, by when they must have closed (loop time, ms) */
    struct newcomers newcomers;
    uint64_t next_turn_ms; /* loop time before which no more are ended */
    size_t count;
};

enum session_state {
    SESSION_OPEN,
    SESSION_PARTING, /* its messages are ignored; it still gets the bytes that are due */
    SESSION_CLOSING, /* the close frame was sent; the client's is awaited */
    SESSION_GONE     /* the connection has ended: only the memory of its kind is left */
};

/* How a session's bytes go over its connection. */
struct session_carrier {
    /* The frames in the bytes that a pull gave. */
    struct wire_run (*measure)(struct span bytes);
    /* The longest start of them, of at most `most` bytes, that ends with a message. */
    struct span (*within)(struct span bytes, size_t most);
    /* Show that we live, and ask the client the same where it can answer. Never in the middle of a
     * message, unless `between`. */
    void (*ping)(struct session *session);
    bool between;
    /* The last thing that is sent. */
    void (*close)(struct session *session, uint16_t status, struct span reason);
};

struct session_kind {
    const char *name;
    const struct session_carrier *carrier;
    /* The protocol that its client speaks: "1", "2", "events", "ingest", or "none" so far. */
    const char *(*protocol)(const struct session *session);
    /* How many subscriptions its client has, and up to `most` of them. NULL, both: none. */
    size_t (*subscriptions)(const struct session *session);
    void (*describe)(const struct session *session, size_t most, subscription_each each,
                     void *argument);
    /* A whole text message. */
    void (*message)(struct session *session, struct span text);
    /* Send a text message to the client. NULL: it is never asked for. */
    void (*tell)(struct session *session, struct span text);
    /* Tell the client that its message is refused. */
    void (*refuse)(struct session *session, const struct error *error, bool fatal);
    /* Its principal has another identity. */
    void (*became)(struct session *session);
    /* What gives it its bytes, called with the session. NULL: its constructor says so. */
    const struct supply_ops *supply;
    /* Whether nothing more is due to the client, asked after an empty pull. NULL: nothing is. */
    bool (*settled)(const struct session *session);
    /* Whether reading from the client should pause (asked after each message). NULL: when its
     * supply is congested. */
    bool (*is_full)(const struct session *session);
    /* Whether reading, which was paused, may go on. NULL: as soon as it is not full. */
    bool (*may_resume)(struct session *session);
    /* The connection has ended, and the session with it. End its parts and free the memory, now
     * or when the last answer under way has come back. */
    void (*closed)(struct session *session);
};

struct session {
    struct frontend *frontend;
    struct net_connection
        *connection; /* NULL once it is gone; use session_connection, which checks that */
    const struct session_kind *kind;
    const struct supply_ops *supply; /* gives it the bytes that go out, */
    void *supplies;                  /* ... called with this */
    struct session *successor; /* that a newcomer's client was let in to, which gets the connection:
                                  this one is closed next; NULL: there is none */
    struct principal principal; /* whose it is */
    struct allowance allowance;
    struct roster_item in_all; /* with its number, which its principal has, too */
    struct link in_heard, in_told, in_paused, in_resting;
    struct heap_entry ends; /* in one of the heaps */
    uint64_t heard_ms;      /* loop time of its last sign of life */
    uint64_t told_ms;       /* and of the last bytes to the client */
    uint64_t started_ms;
    int64_t since_ms;                 /* the same by the wall clock */
    uint64_t sent_bytes, heard_bytes; /* of messages; also those that the socket has not taken */
    uint64_t rests_until_ms; /* loop time until which it gets nothing; 0: it is not paused */
    uint64_t owner;          /* of its shares */
    struct intake incoming;  /* fragments of the incoming message */
    char *close_reason;
    uint16_t close_status;
    uint8_t state;        /* enum session_state */
    uint8_t last_pulls;   /* while PARTING */
    bool wants_write : 1; /* a writable callback is due */
    bool ping_due : 1, pinged : 1;
    bool blocked : 1; /* the socket did not take all of the last write */
    bool binary : 1;  /* the incoming message is binary */
    bool paused : 1;
    bool mid_message : 1; /* the last sent frame is to be continued */
    bool overdrawn : 1;   /* more bytes were due than may be sent, and it got those that fit */
};

void sessions_init(struct sessions *sessions);
/* Resume the sessions that may. */
void sessions_resume(struct sessions *sessions);
/* Ping silent clients; close those that were silent too long; cut off those that have not closed in
 * their time. */
void sessions_sweep(struct sessions *sessions, struct frontend *frontend);
/* Close all with this status and reason. */
void sessions_close_all(struct sessions *sessions, uint16_t status, const char *reason);
/* Read nothing more from the sessions of a kind. */
void sessions_pause_all(struct sessions *sessions, const struct session_kind *kind);

/* Milliseconds until the next token runs out, or the next pause ends, or so; negative: none. */
int64_t sessions_due(const struct sessions *sessions);
/* ... when those whose token has run out are ended, and those whose pause is over go on. */
void sessions_take_due(struct sessions *sessions);
/* End those whose token has this jti. */
void sessions_revoke(struct sessions *sessions, struct span token_id);
/* The static tokens have changed. Sessions of a removed token end, and those without a token if
 * one is needed. The others get the new permissions of their token. */
void sessions_follow(struct sessions *sessions, const struct auth_static *fresh, bool needs_token);

/* Called by a kind's constructor. The principal is moved. */
void session_init(struct session *session, struct frontend *frontend,
                  struct net_connection *connection, const struct session_kind *kind,
                  struct principal *principal);
/* After session_init: expect messages. `limit`: bytes of its longest message. */
void session_expect(struct session *session, size_t limit);
/* Its connection, which must be there. */
struct net_connection *session_connection(const struct session *session);
/* Ask for a chance to write. Cheap to call again. Of a struct session: it is what wakes one. */
void session_want_write(void *session);
void session_pause(struct session *session);
/* Read again from one that was paused, if its kind lets us. */
void session_try_resume(struct session *session);
/* Bytes have gone to the client, or it is about to be asked for life. */
void session_note_told(struct session *session);
/* Whether reading from its client should pause. */
bool session_is_full(const struct session *session);
/* Close when all due bytes are sent, or after some seconds. Idempotent: the first reason counts. */
void session_close(struct session *session, uint16_t status, const char *reason);
/* End it for this reason: the client gets a fatal error and 1008, and sees nothing more. */
void session_end(struct session *session, const struct error *error);
/* The client should come again, here or elsewhere: 1013 with the reason, when all due bytes are
 * sent, and no error, at which some published clients give their subscriptions up. */
void session_send_away(struct session *session, const struct error *error);
/* A message cannot be accepted, and later ones are ignored: the client gets a fatal error, and
 * the connection closes. */
void session_refuse_message(struct session *session, const struct error *error);
/* The identity of a fresh token, as an answer to refresh_auth; the answer is printed. The
 * identity is for session_become, once the answer is on its way; NULL: nothing changes. */
enum { SESSION_ANSWER = 96 };
struct auth_identity *session_refresh(struct session *session, const char *token,
                                      char answer[SESSION_ANSWER]);
/* Its token does not let it see what it asked for: for the audit. */
void session_denied(struct session *session, const struct error *error);
/* Print that a token was accepted, and until when it holds. */
void session_print_welcome(const struct auth_identity *identity, char answer[SESSION_ANSWER]);
/* It goes on with a fresh identity, which is moved. This may end it. */
void session_become(struct session *session, struct auth_identity *identity);
/* Whether its token has run out: it is about to be ended, and gets and sends nothing more. */
bool session_has_expired(const struct session *session);
/* After its identity was set. */
void session_watch_expiry(struct session *session);
/* The same as session_close with 1011, counted as an error of the server: for a client that
 * would wait for an answer that never comes. */
void session_give_up(struct session *session, const char *reason);

/* ---- for the transport ---- */

/* Part of a message; `last` when it is complete. */
void session_receive(struct session *session, struct span bytes, bool binary, bool last);
void session_heard(struct session *session);
/* A message is longer than allowed; nothing more will come. */
void session_receive_too_long(struct session *session);
/* The socket takes bytes: for net_set_data. */
void session_writable(void *session);
void session_closed(struct session *session);

/* ---- the kinds ---- */

extern const struct session_carrier session_websocket;
extern const struct session_kind session_subscriber, session_ingest, session_stream,
    session_newcomer;
/* The principal is moved; or NULL when out of memory. `version`: of the protocol, that the client
 * spoke so far; 1 if nothing. */
struct session *session_subscriber_new(struct frontend *frontend, struct net_connection *connection,
                                       struct principal *principal, int version);
struct session *session_ingest_new(struct frontend *frontend, struct net_connection *connection,
                                   struct principal *principal);
/* One subscription, told as server-sent events behind the head of an answer; the audit is told of
 * the client. NULL with the error to answer with; the principal is moved in any case. */
struct session *session_stream_new(struct frontend *frontend, struct net_connection *connection,
                                   struct principal *principal, const struct wire_message *message,
                                   struct error *error);
/* A client that is to say in its first message who it is; `origin`: of its page, or "". There is
 * always room for one more, but then the client that waits longest may have to go. */
struct session *session_newcomer_new(struct frontend *frontend, struct net_connection *connection,
                                     struct principal *principal, const char *origin,
                                     enum permission permission);
/* End those whose first message did not come in time. */
void newcomers_tick(struct newcomers *newcomers, uint64_t now_ms);

#endif
