/* Shared by the files of net. */
#ifndef NET_INTERNAL_H
#define NET_INTERNAL_H

#include "auth/handshake.h"
#include "auth/tls_stream.h"
#include "net/frames.h"
#include "net/http_chunks.h"
#include "net/net.h"

enum {
    READ_BYTES = 64 * 1024,         /* of one read, from any connection */
    AHEAD_LIMIT = READ_BYTES,       /* bytes read ahead, */
    AHEAD_OF_ANSWER = 4 * 1024,     /* ... while an answer is due */
    WRITE_LIMIT = 32 * 1024 * 1024, /* bytes that may wait to be written, */
    TLS_OWED_LIMIT = 64 * 1024,     /* ... and of them, bytes that TLS wrote by itself */
};

enum net_mode {
    MODE_HEAD,   /* the next request's head is awaited, or is coming */
    MODE_BODY,   /* its body is coming */
    MODE_ANSWER, /* its answer is awaited: nothing is read */
    MODE_STREAM, /* its answer lasts: what comes is dropped */
    MODE_FRAMES, /* it is a WebSocket */
    MODE_PARTING /* incoming bytes are dropped */
};

/* A request that has begun. */
struct request {
    struct net_connection *connection;
    struct buffer text; /* its head; the parsed spans point into this */
    size_t seen;        /* of the text, in search of its end */
    struct link in_heads;
    struct http_head head;
    struct http_chunks chunks;
    int64_t body_left; /* unless it is in chunks */
    bool is_read;      /* the head is whole and in order */
};

struct net {
    struct net_options options;
    struct tls_context *tls;
    uv_idle_t turn;   /* at work while `turns` is not empty */
    uv_timer_t timer; /* for the first of the deadlines */
    /* The callbacks of the loop, so that lower parts need not know it. */
    uv_idle_cb on_turn;
    uv_timer_cb on_time;
    uv_close_cb on_closed;
    uv_read_cb on_read;
    struct link all;       /* connections */
    struct link turns;     /* connections with work in the next turn of the loop */
    struct link heads;     /* requests whose head has not ended, the oldest first */
    struct heap deadlines; /* by loop time, ms */
    size_t count;
    uint64_t numbers; /* given to connections so far */
    size_t heads_bytes;
    unsigned open_handles; /* of the net's own two */
    void (*left)(void *argument);
    char room[READ_BYTES];  /* bytes read from a socket, */
    char plain[READ_BYTES]; /* ... and the plain bytes of TLS */
};

struct net_connection {
    struct net *net;
    uint64_t number;
    uv_tcp_t tcp;
    uv_write_t write;
    struct link in_all, in_turns;
    struct heap_entry deadline;
    struct tls_stream *tls;  /* NULL: plain */
    struct request *request; /* NULL: none has begun */
    struct frame_reader *frames;
    struct buffer flying;  /* given to the loop to be written */
    struct buffer waiting; /* to be written after that */
    struct buffer ahead;   /* read and not consumed yet */
    size_t ahead_at;       /* so much of it was consumed */
    size_t tls_owed;       /* bytes that TLS wrote by itself and that wait to be written */
    char *pong; /* the answer to the newest ping, which waits: length, bytes. NULL: none */
    void *data;
    void (*writable)(void *data);
    enum net_mode mode;
    int side;
    bool is_stream;   /* net_stream */
    bool must_stay;   /* net_expect_client, for the request at hand */
    bool reading;     /* the loop reads from it */
    bool paused;      /* net_pause */
    bool wants_write; /* net_want_write */
    bool write_due;   /* `flying` is with the loop */
    bool ended;       /* the client sends nothing more */
    bool end_due;     /* nothing is to be written after the waiting bytes */
    bool half_closed; /* the socket was shut down for writing */
    bool close_sent;  /* a close frame */
    bool keeps;       /* another request may follow the present one */
    bool tls_begun;   /* something came for TLS */
    bool tls_holds;   /* TLS may have plain bytes that were not read */
    bool closing;     /* the loop closes it */
};

/* ---- life.c ---- */
/* Have connection_take_turn called in the next turn of the loop. */
void net_schedule(struct net_connection *connection);
/* Wait for the first of the deadlines. */
void net_arm(struct net *net);
/* Its head is not awaited any more. */
void request_stop_waiting(struct net_connection *connection);
/* Forget the present request. */
void request_forget(struct net_connection *connection);

/* ---- output.c ---- */
/* What incoming bytes are read for now. */
enum output_reading {
    OUTPUT_READS_NOT,
    OUTPUT_TAKES,  /* they may be consumed */
    OUTPUT_LISTENS /* an answer is owed: to hear that the client has gone */
};
enum output_reading output_reads(const struct net_connection *connection);
/* Start or stop reading from the socket, by the state of the connection. */
void output_set_reading(struct net_connection *connection);
/* Bytes as they are. False: the connection closes. */
bool output_send(struct net_connection *connection, struct span bytes);
/* Records of TLS: its own, or made of plain bytes. */
bool output_send_records(struct net_connection *connection);
/* Nothing more goes out. */
void output_half_close(struct net_connection *connection);
/* A control frame with this first byte. */
enum { OUTPUT_PONG = 0x8a };
bool output_control(struct net_connection *connection, unsigned char first, struct span bytes);

/* ---- connection.c ---- */
void connection_take_turn(struct net_connection *connection);
/* Of libuv. */
void connection_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *bytes);

/* ---- request.c, websocket.c: take bytes; returns how many, at least one unless the mode or the
 * pause has changed. ---- */
size_t request_take(struct net_connection *connection, struct span bytes);
size_t websocket_take(struct net_connection *connection, char *bytes, size_t length);
/* The time for the head, or for the remaining body, is over. */
void request_is_late(struct net_connection *connection);

#endif
