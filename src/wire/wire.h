/*
 * wire: both versions of the protocol as pure functions. Client messages in, ready WebSocket frames
 * out. No socket, no thread, no state that outlives a call (but a compressor can be kept for
 * reuse).
 *
 * "Ready" bytes are complete server-to-client WebSocket frames (RFC 6455, unmasked), so the same
 * bytes serve every subscriber. A message longer than WIRE_FRAGMENT bytes is cut into continuation
 * frames. So a sender can stop at any frame boundary: control frames may stand between fragments.
 *
 * In version 2 each message of a subscription begins with a head that names the subscription. The
 * body is the same for all subscribers that see the same rows. Only the body is written below (with
 * a struct wire_encoding) and shared. It becomes a message, behind a head, when it is sent: see
 * wire_behind_head.
 *
 *   message.c  reads messages of clients; message_v2.c those of version 2
 *   change.c   `subscribed`, and live frames
 *   batch.c    batches of snapshots
 *   head.c     the heads of version 2
 *   auth.c     a first message that brings a token; gunzip.c the way back of compressed ones
 *   event_stream.c  frames as server-sent events
 *   problem.c  errors; frame.c the frames of RFC 6455 themselves
 */
#ifndef WIRE_WIRE_H
#define WIRE_WIRE_H

#include "base/row_operation.h"
#include "json/json.h"

enum {
    WIRE_FRAGMENT = 32 * 1024, /* longest payload of one frame */
    WIRE_GZIP_MINIMUM = 1024,  /* snapshot batches from this size on are compressed */
    WIRE_FIRST_BATCH = 50,     /* rows of a snapshot's first batch */
    WIRE_NEXT_BATCH = 100,     /* and of the later ones */
    WIRE_CLOSE_REASON = 123    /* longest close reason in bytes */
};

enum wire_mode { WIRE_STATE, WIRE_LIST, WIRE_APPEND };
extern const char *const wire_mode_names[]; /* by enum wire_mode */

/* ---- messages from clients ---- */

/* The first message of a client that says who it is, {"type":"auth","token":…}: its token on the
 * heap. NULL with ERROR_TOKEN_MISSING when it is another message, or an error that quotes nothing
 * of it. *version is that of the message, 1 or 2, also of another one that can be read. */
char *wire_auth_read(struct span text, int *version, struct error *error);

enum wire_message_type { WIRE_SUBSCRIBE, WIRE_UNSUBSCRIBE, WIRE_PING, WIRE_REFRESH_AUTH };

struct wire_subscribe {
    char *view;      /* NUL-terminated; owned by the message */
    char *key;       /* NULL when absent; may hold any bytes but NUL */
    char *partition; /* NULL when absent */
    char *after;     /* NULL when absent; not yet parsed */
    char *epoch;     /* NULL when absent */
    bool with_snapshot;
    int64_t snapshot_limit; /* -1 when absent */
    int64_t take, skip;     /* -1 when absent; take is at least 1 */
    char *query; /* what of the view, and in which order: canonical text of an object of the members
                    filters, where and sort that were given, for view_query_new; NULL: all */
    bool unlimited;   /* without `take` it is all of the view */
    bool by_position; /* events of an append view are: `after` is "<epoch>:<offset>" there */
    bool by_row;      /* ... of one row, each with what it changed */
    /* Canonical text of all parameters but view and key: equal iff the same. A new parameter goes
     * into print_parameters (message.c), or a client that changes it gets no answer; and into
     * query_members (message_v2.c), behind view and key. */
    char *parameters;
};

struct wire_message {
    int version; /* 1 or 2 */
    enum wire_message_type type;
    struct wire_subscribe subscribe; /* SUBSCRIBE; of version 1 view and key also for UNSUBSCRIBE */
    char *token;                     /* REFRESH_AUTH */
    /* Of version 2: */
    char *id;    /* of the subscription; NULL: there is none, or one that no answer may name */
    char *query; /* SUBSCRIBE: the query, canonical text of an object, without members that mean
                    nothing */
};

/* Decode one text message. false with ERROR_INVALID_MESSAGE (not JSON, not an object, unknown
 * type) or ERROR_INVALID_PARAMETER (wrong type or value of a field; the message names it). A
 * missing field and null are the same. In version 2 wrong types, unknown and missing members are
 * ERROR_INVALID_MESSAGE too. On success wire_message_fini is due. */
bool wire_message_parse(struct span text, struct wire_message *message, struct error *error);
void wire_message_fini(struct wire_message *message);
/* The same, but wire_message_fini is due in any case. On failure the message has its version,
 * and the readable part of `view` and `key`, or of `id`, so that the answer can name them. */
bool wire_message_read(struct span text, struct wire_message *message, struct error *error);

/* ---- frames to clients; each appends ready bytes to `out` ---- */

/* The kind of a body, by its first frame. */
enum wire_part {
    WIRE_WHOLE,      /* a message of version 1, or another that needs no head */
    WIRE_LIVE,       /* patch, upsert, remove, delete */
    WIRE_BATCH,      /* of a snapshot */
    WIRE_LAST_BATCH, /* likewise, the one that completes it */
    WIRE_ACCEPTED,   /* subscribed */
    WIRE_RESUMED,    /* likewise, and the cursor was good */
    WIRE_PROBLEM     /* an error */
};

/* One whole WebSocket message (opcode text or binary), cut into fragments when long. A body has
 * its kind in the first byte. */
bool wire_text(struct buffer *out, struct span payload);
bool wire_binary(struct buffer *out, struct span payload, enum wire_part part);
/* The length in bytes of the WebSocket frame that starts at `bytes` (header and payload), or 0
 * when fewer than a header are there. For walking ready bytes. */
size_t wire_frame_length(struct span bytes);
/* The content of ready bytes. */
struct wire_run {
    size_t messages; /* that end in them */
    size_t payload;  /* bytes in all frames */
    bool unfinished; /* another frame continues the last one */
};
struct wire_run wire_measure(struct span bytes);
/* Payload of a frame, for in-process subscribers: where it starts and how long it is. */
bool wire_frame_payload(struct span bytes, struct span *payload, bool *final);

/*
 * The form of frames; NULL: that of version 1. An encoding writes the bodies of version 2, which
 * follow a head. Bodies are no messages by themselves: bits that RFC 6455 reserves, in the first
 * byte of each, say what the body is (enum wire_part).
 */
struct wire_encoding {
    char
        epoch[9]; /* the begin of the database's, for the versions of objects: "<epoch>:<change>" */
};

/* The events of an append view that can be sent again, by change. */
struct wire_tape {
    struct span epoch;
    int64_t earliest, next;
};

/* A key of an order. */
struct wire_sort {
    const struct span *path; /* raw names */
    size_t count;
    bool descending;
};

struct wire_subscribed {
    const struct wire_encoding *encoding;
    const struct wire_tape *tape; /* of version 2, where the frames say `offset`; NULL: none */
    struct span view;             /* raw */
    enum wire_mode mode;
    bool sorted_by_seq;            /* adds "sort":{"field":["_seq"],"order":"desc"} */
    const struct wire_sort *sorts; /* else by these keys */
    size_t sort_count;             /* 0: no "sort" */
    bool has_take;                 /* of a window: */
    int64_t take, skip;            /* rows at most, and how many come before them */
    struct span epoch;
    int resumed; /* -1: leave out, 0: false, 1: true */
};
bool wire_subscribed(struct buffer *out, const struct wire_subscribed *subscribed);

struct wire_change {
    const struct wire_encoding *encoding;
    int64_t change; /* for version 2: the change that made `data` */
    bool on_tape;   /* ... whose id is sent as its offset */
    enum wire_mode mode;
    struct span view; /* raw */
    enum row_operation operation;
    struct span key;    /* raw */
    struct span data;   /* canonical JSON text; absent for a delete (written as null) */
    struct span append; /* canonical JSON array of paths; absent for none */
    struct span seq;    /* printed; absent: left out */
};
/* The same as an element of a list of events: an object with its position in the log and the time
 * of its commit, unix milliseconds. `json` has those before it. */
bool wire_event(struct buffer *json, const struct wire_change *change, int64_t at);
/* One live frame. */
bool wire_change(struct buffer *out, const struct wire_change *change);
/* The operation of a live frame's payload, and its view and key as the quoted JSON texts that
 * stand there. The payload may be only the first of several fragments. False: it is no live frame.
 */
bool wire_change_names(struct span payload, enum row_operation *operation, struct span *view,
                       struct span *key);

/* A snapshot batch under construction. */
enum wire_more { WIRE_MORE_UNSAID, WIRE_MORE_NONE, WIRE_MORE };
struct wire_batch {
    const struct wire_encoding *encoding;
    struct buffer json;
    size_t rows;
    enum wire_more more; /* rows of the view behind these; in the complete batch alone */
};
void wire_batch_init(struct wire_batch *batch, const struct wire_encoding *encoding, size_t limit);
void wire_batch_fini(struct wire_batch *batch);
/* Start a batch of a view; its former content is forgotten. */
bool wire_batch_start(struct wire_batch *batch, enum wire_mode mode, struct span view);
/* `change`: the row's last. */
bool wire_batch_row(struct wire_batch *batch, struct span key, struct span data, int64_t change);

struct wire_gzip; /* a reusable compressor; one thread */
struct wire_gzip *wire_gzip_new(void);
void wire_gzip_free(struct wire_gzip *gzip);
/* End the batch: "complete", the cursor `seq` (absent: left out), gzip at the fast level when the
 * message has WIRE_GZIP_MINIMUM bytes or more and gets smaller; append it as ready binary frames.
 */
bool wire_batch_end(struct wire_batch *batch, bool complete, struct span seq,
                    struct wire_gzip *gzip, struct buffer *out);
/* One gzip member of any payload, for HTTP. */
bool wire_gzip_member(struct wire_gzip *gzip, struct span payload, struct buffer *out);

/* The way back, for clients: whether a message is gzip, and its content, appended to `out`
 * within its limit. ERROR_INVALID_MESSAGE, ERROR_TOO_LARGE or ERROR_MEMORY. */
bool wire_is_gzip(struct span message);
bool wire_gunzip(struct span message, struct buffer *out, struct error *error);

/* ---- heads, of version 2 ---- */

/* Of the frame that starts at `bytes`; WIRE_WHOLE for a continuation. */
enum wire_part wire_part_of(struct span bytes);

/* A message that is being sent behind a head, from frame to frame. Zeroed: at the start of one. */
struct wire_joint {
    bool inside;          /* in the middle of a message */
    bool compressed;      /* of one that is gzip: */
    uint32_t head_sum;    /* CRC-32 of its head */
    uint32_t head_length; /* in bytes */
};
/*
 * Append one frame of a body to `out` as a frame of the message with that head. The head is the
 * text of an object up to the comma behind its first members; of a compressed body it becomes part
 * of what is compressed. Heads have at most WIRE_HEAD bytes.
 */
enum { WIRE_HEAD = 16 * 1024 };
bool wire_behind_head(struct buffer *out, struct span frame, struct span head,
                      struct wire_joint *joint);
/* The same for all live frames from the start of `bytes` on that are whole messages: most of what
 * is sent. *joined is how many bytes those are; 0: there is none. */
bool wire_live_behind_head(struct buffer *out, struct span bytes, struct span head, size_t *joined);
/* A live frame as a message with room for a head of that length, which is to be written there. If
 * `frame` is more than one frame, or not all of a message, nothing is appended. */
bool wire_live_with_room(struct buffer *out, struct span frame, size_t room);
/* Heads: of messages that name only the subscription (absent: none), ... */
bool wire_head(struct buffer *out, struct span id);
/* ... of its acknowledgement, with the query, canonical text of an object, and the limit of the
 * view itself, if the query names none (0: the view has none), */
bool wire_head_accepted(struct buffer *out, struct span id, struct span query, int64_t take);
/* ... and of its batches. Absent spans are left out. */
struct wire_batch_head {
    struct span id, snapshot; /* of the subscription, of the batches */
    bool authoritative;
    struct span key;   /* of the query */
    struct span epoch; /* of the cursors from here on, where the acknowledgement told another */
};
bool wire_head_batch(struct buffer *out, const struct wire_batch_head *head);
/* The whole answer to unsubscribe. */
bool wire_unsubscribed(struct buffer *out, struct span id);
/* The body of a batch without rows that completes a snapshot. */
bool wire_batch_nothing(struct buffer *out, const struct wire_encoding *encoding,
                        enum wire_mode mode, struct span view);

/* ---- errors ---- */

/* The subscription of an error, by the client's names: raw; absent ones are left out, and longer
 * ones than these cut. */
enum { WIRE_ABOUT_VIEW = 512, WIRE_ABOUT_KEY = 256 };
struct wire_about {
    struct span view, key;
};
/* Version 2's names of errors; the first are those of a struct error. */
enum wire_refusal {
    WIRE_REFUSED_MESSAGE,     /* the subject of an error: an unreadable message, */
    WIRE_REFUSED_SUBSCRIBE,   /* ... a subscribe, or a subscription that ends, */
    WIRE_REFUSED_UNSUBSCRIBE, /* ... or an unsubscribe */
    WIRE_REFUSED_ID_TAKEN,
    WIRE_REFUSED_ID_UNKNOWN,
    WIRE_REFUSED_CURSOR,   /* it is no cursor */
    WIRE_REFUSED_EPOCH,    /* of another database */
    WIRE_REFUSED_EXPIRED,  /* the log does not reach back to it */
    WIRE_REFUSED_AHEAD,    /* it is beyond the newest event */
    WIRE_REFUSED_REJECTED, /* the view cannot be asked for so */
    WIRE_REFUSED_RESCOPED  /* another token sees other events */
};
/* The body of a version 2 error. `tape` NULL: it has none. */
struct wire_problem {
    enum wire_refusal refusal;
    const struct error *error;
    const struct wire_tape *tape;
    bool fatal;
    int retry_after; /* seconds; negative: left out */
};
bool wire_problem(struct buffer *out, const struct wire_problem *problem);
/* The whole message, ready: behind the head of that subscription (absent: of none). False when out
 * of memory, or the buffer is full. */
bool wire_problem_message(struct buffer *out, struct span id, const struct wire_problem *problem);

/* {"type":"error",…} as a ready text frame. `about` NULL: no subscription. `retry_after` in
 * seconds, negative: left out. */
bool wire_error(struct buffer *out, const struct error *error, const struct wire_about *about,
                bool fatal, int retry_after);
/* The same fields without type and fatal, plain JSON: the body of an HTTP error. */
bool wire_error_body(struct buffer *out, const struct error *error, int retry_after);
/* "<code>: <message>" cut to WIRE_CLOSE_REASON bytes at a character; returns the length. */
size_t wire_close_reason(char out[WIRE_CLOSE_REASON + 1], const struct error *error);

#endif
