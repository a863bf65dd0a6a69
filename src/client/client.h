/*
 * client: a WebSocket client for the commands that talk to a running server. It owns the calling
 * thread while it runs, and connects again with back-off. It does not know the meaning of messages:
 * the commands give it texts to send and get whole messages.
 */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include "base/base.h"

struct client;

/* The end of a connection. */
struct client_end {
    bool opened;      /* false: it was never established */
    int code;         /* the peer's close code; 0: the connection just broke */
    int status;       /* HTTP status, if the server answered with an unexpected one; or 0 */
    char reason[256]; /* the peer's words, or the fault on this side; may be empty */
};

/* All are called on the thread of client_run, with the argument of the options. */
struct client_handlers {
    void (*opened)(void *argument);
    void (*message)(void *argument, struct span message);
    /* Append the next text to send; false if there is none now. Called again after each text,
     * and after client_send. */
    bool (*next)(void *argument, struct buffer *text);
    /* true: connect again. */
    bool (*ended)(void *argument, const struct client_end *end);
    /* Ten times a second, and after client_wake. */
    void (*tick)(void *argument);
};

/* How the client checks the server, and proves its own identity. */
struct client_access {
    const char *ca_file;    /* PEM: the authorities to trust; NULL: those of the system */
    const char *token_file; /* the file with the token, read for each connection; NULL: none */
    const char *token;      /* the token if there is no file; NULL: without one */
};

struct client_options {
    const char *url;  /* ws://HOST[:PORT][/path], or wss:// */
    const char *path; /* the path if the URL has none */
    struct client_access access;
    size_t max_message_bytes;
    /* How long to try to connect: at first, and after a connection broke. 0: once. */
    int64_t first_patience_ms, patience_ms;
    struct client_handlers handlers;
    void *argument;
};

/* ERROR_INVALID_PARAMETER if the URL is wrong; ERROR_CONFIGURATION names an unusable file.
 * Nothing is connected yet. */
struct client *client_new(const struct client_options *options, struct error *error);
void client_free(struct client *client);
/* Connect and serve until client_stop, or until a connection ended for good. false with
 * ERROR_NETWORK when no connection could be made in time. */
bool client_run(struct client *client, struct error *error);
/* There is something to send. On the client's thread. */
void client_send(struct client *client);
/* Break this connection and go on as after any broken one. On the client's thread. */
void client_break(struct client *client);
/* End the connection and client_run, soon. On the client's thread. */
void client_stop(struct client *client);
/* Make `tick` be called soon. Any thread. */
void client_wake(struct client *client);

#endif
