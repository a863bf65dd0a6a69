/* Requests of members on the loop: their end. */
#include "window/reading.h"

void window_request_free(struct window_request *request)
{
    INVARIANT(request->stage != REQUEST_TAKEN && !request->drafts); /* else a reader has it */
    link_remove(&request->in_requests);
    previous_free_all(&request->previous);
    text_unref(request->text);
    text_unref(request->statement.with_cursor);
    memory_free(request);
}

void window_request_done(struct window_request *request)
{
    struct subscription *subscription = request->subscription;
    INVARIANT(request->stage == REQUEST_RETURNED);
    INVARIANT(!subscription || subscription->member->request == request);
    if (!subscription) {
        window_request_free(request);
        return;
    }
    if (!request->done) {
        /* The window was not read, or failed and says so to its members. */
        request->stage = REQUEST_QUEUED;
        link_append(&request->window->hub->windows->requests, &request->in_requests);
        request->window->request_count++;
        window_activate(request->window);
        return;
    }
    /* Before the others of its client: its deletes spare what they have sent, and not yet what the
     * same refresh brings them. */
    subscriber_ready_first(subscription);
}
