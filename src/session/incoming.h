/*
 * Bytes of requests and messages that are not complete, or not accepted yet: how many there are
 * over all clients, and how long they may take. Loop thread.
 */
#ifndef SESSION_INCOMING_H
#define SESSION_INCOMING_H

#include "access/shares.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/heap.h"

/* A client must keep up this pace, with pauses of up to `patience_ms`. */
enum { INCOMING_BYTES_PER_SECOND = 1024 };

/* All intakes. Zeroed except for the limits: empty. */
struct incoming {
    size_t bytes;           /* of memory */
    size_t limit;           /* the limit of `bytes`; an intake that is alone may have more */
    struct shares shares;   /* of `bytes` */
    uint64_t broken_off;    /* for others, so far */
    int64_t patience_ms;    /* how long one may make no progress */
    struct heap unfinished; /* by when more must have come */
};

struct intake;
struct intake_calls {
    /* More bytes have not come in time: it may be ended, or wait again. NULL: none are awaited. */
    void (*late)(struct intake *intake);
    /* Others need its memory: it must be ended, for this reason. NULL: it is never ended so. */
    void (*crowded)(struct intake *intake, const struct error *error);
};

/* One request or message. */
struct intake {
    struct incoming *all;
    struct buffer bytes; /* to be read, not to be changed */
    size_t counted;      /* of all->bytes */
    int64_t due_ms;      /* loop time by which more must have come; 0: it is not awaited */
    struct heap_entry entry;
    struct intake_calls calls;
    uint64_t owner;
    struct share share; /* of all->shares; as much as `counted` */
};

/* Start empty. `limit`: bytes that it may have. `owner`: of its share. */
void intake_init(struct intake *intake, struct incoming *all, size_t limit, uint64_t owner,
                 struct intake_calls calls);
/* Forget the bytes and free the memory; it may be used again. */
void intake_end(struct intake *intake);
/* Expect bytes from now on, `ms` for the first. */
void intake_wait(struct intake *intake, int64_t now_ms, int64_t ms);
/*
 * Add bytes. If there is no room for them, the largest intake of the owner who has most is broken
 * off first. false, and nothing is added: ERROR_TOO_LARGE, ERROR_MEMORY, or ERROR_QUEUE_FULL, which
 * means that this intake must be ended.
 */
bool intake_add(struct intake *intake, struct span bytes, int64_t now_ms, struct error *error);
/* Move the bytes; `to` must be empty. More bytes are not awaited any more. */
void intake_move(struct intake *to, struct intake *from);
/* Find late intakes. */
void incoming_tick(struct incoming *all, int64_t now_ms);

#endif
