/* A server whose limits go by a clock in the test's hand, and the clients that try them. */
#ifndef TESTS_LIMITS_FIXTURE_H
#define TESTS_LIMITS_FIXTURE_H

#include "server_fixture.h"

/* The answer, or the frames, that were heard last. */
extern struct buffer heard;
/* For cmocka_run_group_tests. */
void limits_setup(void);
void limits_teardown(void);

/* As live_start, at time 0 of the clock. */
void limits_start(struct live *live, const char *const *settings);
void limits_turn_to(int64_t ms);

/* ---- who comes in ---- */

enum { MOST_CLIENTS = 32 };

/* Those who are in. */
struct clients {
    struct live *live;
    int sockets[MOST_CLIENTS];
    size_t count;
};

/* Whether one more is let in; it stays. `headers`: lines, each with its CRLF. */
bool client_comes_in(struct clients *clients, const char *path, const char *headers);
/* The same for one behind a proxy that says so in this header. */
bool client_from(struct clients *clients, const char *header, const char *value);
/* One that must be let in: its socket. */
int client_come(struct clients *clients);
int client_newest(const struct clients *clients);
/* A place is free, or will be as soon as the server has noticed. */
void client_comes_in_soon(struct clients *clients, const char *headers);
/* The refusal that was heard, with all that belongs to it. */
void client_refused_with(const char *code, int retry_after);
/* One goes in an orderly way, and its socket is forgotten; all just go. */
void client_leave(struct clients *clients, size_t index);
void clients_leave(struct clients *clients);

/* ---- what they say ---- */

/* Feed mutations; those of the keys "first" to "last", of two digits. */
void limits_post(struct live *live, const char *lines);
void limits_post_keys(struct live *live, int first, int last);
/* Ask by plain HTTP. */
void limits_get(struct live *live, const char *path);
/* Subscribe to Q/list; `rest` are more members, with a comma before them. */
void limits_subscribe(int fd, const char *rest);
/* The same, and its whole snapshot must come; or no row and the refusal. */
void limits_rows_sent(int fd, const char *rest);
void limits_rows_refused(int fd, const char *rest);
/* Answer the server's close frame; nothing must come behind it. */
void limits_close(int fd);

#endif
