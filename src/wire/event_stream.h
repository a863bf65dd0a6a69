/*
 * Ready frames as server-sent events, which a browser reads without a library: one event for each
 * message, in the same order. Its name is the op of the message ("error" for an error), its data
 * the message itself, and its id the cursor, where the message has one.
 *
 * Invariants:
 *   1. The memory of a stream is bounded: the frames of one pull, and about twice
 *      WIRE_FRAGMENT. A silent one holds nothing of these.
 *   2. An event's data has no line break, because messages are canonical JSON.
 */
#ifndef WIRE_EVENT_STREAM_H
#define WIRE_EVENT_STREAM_H

#include "wire/wire.h"

struct wire_events; /* of one client */

/* NULL when out of memory. */
struct wire_events *wire_events_new(void);
void wire_events_free(struct wire_events *events);
/* Take ready bytes, whole frames, which are copied; what was taken before has been given. None: the
 * stream is silent for now. False
 * when out of memory. */
bool wire_events_take(struct wire_events *events, struct span frames);
/* The next bytes of what was taken; empty: all was given. Borrowed until the next call. False when
 * they cannot be made: then the stream must end. */
bool wire_events_next(struct wire_events *events, struct span *bytes);
/* Whether something of what was taken is still to be given. */
bool wire_events_wait(const struct wire_events *events);
/* Forget what was taken; the event at hand stays unfinished. */
void wire_events_drop(struct wire_events *events);

/* The last event: why the stream ends. */
bool wire_events_end(struct buffer *out, uint16_t status, struct span reason);

/* The ends of events in bytes of a stream: as wire_measure, and the longest start of at most `most`
 * bytes that ends with an event. */
struct wire_run wire_events_measure(struct span bytes);
struct span wire_events_within(struct span bytes, size_t most);

/* An id that a stream gave, "<seq>@<epoch>", cut in two. False: it is none. */
bool wire_event_id(struct span id, struct span *seq, struct span *epoch);

#endif
