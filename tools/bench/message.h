/*
 * Requests for /v1/ingest, made before the clock starts. Every part that changes from one use to
 * the next (id, batch number, keys, time stamp) has a fixed width, so that a message that was made
 * once is used again by writing some digits into it.
 */
#ifndef BENCH_MESSAGE_H
#define BENCH_MESSAGE_H

#include "base/base.h"
#include "bench/random.h"

enum {
    MESSAGE_PATCH_BYTES = 178, /* a patch, as compact JSON */
    MESSAGE_KEY_DIGITS = 8,
    MESSAGE_NUMBER_DIGITS = 10, /* of an id or a batch number */
    MESSAGE_STAMP_DIGITS = 16
};

/* The smallest number with so many digits: ids and batch numbers grow from it. */
#define MESSAGE_FIRST_NUMBER UINT64_C(1000000000)
/* Added to microseconds, so that a stamp always has MESSAGE_STAMP_DIGITS digits. */
#define MESSAGE_STAMP_BASE UINT64_C(1000000000000000)

/* What the mutations of a message hold: a whole entity of about 340 bytes, a patch of some of its
 * fields, or the time of sending. */
enum message_content { MESSAGE_ENTITIES, MESSAGE_PATCHES, MESSAGE_STAMPS };

/* The export that is fed, and its view that is subscribed to. */
extern const char message_export[], message_view[];

struct message {
    struct buffer frame; /* a masked WebSocket frame */
    size_t payload_at;   /* in frame; the others are places in the payload */
    size_t id_at, batch_at, first_key_at, key_stride;
    size_t first_stamp_at; /* MESSAGE_STAMPS only */
    size_t mutations;
};

/* Make one with random values; false when out of memory. */
bool message_init(struct message *message, enum message_content content, const char *producer,
                  size_t mutations, struct random *random);
void message_fini(struct message *message);
/* Write the number of the request, as id and as batch number. */
void message_set_number(struct message *message, uint64_t number);
void message_set_key(struct message *message, size_t mutation, uint64_t key);
/* Of the only mutation of a message with MESSAGE_STAMPS. */
void message_set_stamp(struct message *message, uint64_t microseconds);
/* The stamp in the text of a frame about such a mutation, or 0 when there is none. */
uint64_t message_find_stamp(struct span text);
/* Decimal digits at the start of `text`. */
uint64_t message_parse_digits(const char *text, size_t digits);

#endif
