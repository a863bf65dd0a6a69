/*
 * A running server on free ports, and a peer made of a plain socket: what is tested is bytes, so no
 * library stands between. Every wait is for bytes or for an end, never for time to pass.
 */
#ifndef TESTS_SERVER_FIXTURE_H
#define TESTS_SERVER_FIXTURE_H

#include "server/server.h"
#include "test.h"

/* ---- the server ---- */

struct live {
    char folder[64];
    struct config config;
    struct server *server;
    pthread_t thread;
};

/* Open and run on a thread of its own. `settings`: pairs of name and value, ended by NULL. */
void live_start(struct live *live, const char *const *settings);
/* The same in two steps. */
void live_open(struct live *live, const char *const *settings);
void live_run(struct live *live);
/* Ask it to stop, wait, close, and remove its folder. */
void live_stop(struct live *live);
/* The same in steps, after server_stop. */
void live_wait(struct live *live);
void live_close(struct live *live);

/* ---- the peer ---- */

int peer_dial(const char *address);
void peer_say(int fd, struct span bytes);
/* Exactly so many bytes; false at the end of the stream. */
bool peer_hear(int fd, char *out, size_t length);
/* A whole HTTP response: its header and the body of its Content-Length. */
void peer_hear_response(int fd, struct buffer *out);
/* One request on a connection of its own; the response goes to `out`. */
void peer_ask(const char *address, const char *request, struct buffer *out);

/* Connect and ask for WebSocket; what is answered goes to `header`. */
int peer_upgrade(const char *address, const char *path, struct buffer *header);
/* The same with more header lines, each with its CRLF; `answer` gets a refusal's body, too. */
int peer_upgrade_with(const char *address, const char *path, const char *headers,
                      struct buffer *answer);
/* One masked frame; `first` is its first byte, e.g. 0x81 for a whole text message. The mask is
 * zero, so the payload stays readable. */
void peer_say_frame(int fd, unsigned first, struct span payload);
void peer_say_text(int fd, const char *text);
/* One frame as it is on the wire, appended to `out` whole; false at the end of the stream. */
bool peer_hear_frame(int fd, struct buffer *out);
/* The next frame that is no ping must start with that byte and hold that text. */
void peer_expect(int fd, unsigned first, const char *part);
/* A close frame with that status and reason must come. */
void peer_expect_close(int fd, unsigned status, const char *reason);

#endif
