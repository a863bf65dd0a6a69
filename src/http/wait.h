/*
 * Requests that wait for a change: GET /v1/views/<id> with `wait`. The first look at the view finds
 * nothing new; then a subscription without rows watches it from there on, and once that is told of
 * something, or the time is over, the view is read again.
 */
#ifndef HTTP_WAIT_H
#define HTTP_WAIT_H

#include "http/request.h"
#include "window/window.h"
#include "wire/wire.h"

enum { HTTP_WAIT_SECONDS = 60 /* at most */ };

struct http_wait;

/* Let the request wait, for as long, and read the view again then: `again` is called on the loop,
 * once for each time that http_wait_watch was true. The message is moved. False when out of memory;
 * the message stays the caller's. */
bool http_wait_begin(struct http_request *request, struct wire_message *message, uint64_t ms,
                     void (*again)(struct http_request *request,
                                   const struct wire_message *message));
/* Nothing is new by this answer: watch from there on. False: its time is over, or the view cannot
 * be watched, so the answer is due. */
bool http_wait_watch(struct http_request *request, const struct hub_answer *answer);

#endif
