/* Requests of members on the loop: those that a refresh takes along, and their end. */
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

void window_request_queue(struct window_request *request)
{
    request->stage = REQUEST_QUEUED;
    link_remove(&request->in_requests);
    link_append(&request->window->hub->windows->requests, &request->in_requests);
    request->window->request_count++;
    window_activate(request->window);
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
        window_request_queue(request);
        return;
    }
    /* Before the others of its client: its deletes spare what they have sent, and not yet what the
     * same refresh brings them. */
    subscriber_ready_first(subscription);
}

/* ---- with a refresh ---- */

void window_requests_take(struct window_refresh *refresh)
{
    struct windows *windows = refresh->hub->windows;
    struct link *link = windows->requests.next;
    size_t taken = 0;
    while (link != &windows->requests && taken < WINDOW_REQUESTS) {
        struct window_request *request = LINK_OWNER(struct window_request, in_requests, link);
        link = link->next;
        if (request->window->busy != WINDOW_REFRESHED)
            continue;
        link_remove(&request->in_requests);
        link_append(&refresh->requests, &request->in_requests);
        INVARIANT(request->window->request_count > 0);
        request->stage = REQUEST_TAKEN;
        request->window->published.joining = true;
        request->window->request_count--;
        taken++;
    }
}

void window_requests_deliver(struct window_refresh *refresh)
{
    while (!link_alone(&refresh->requests)) {
        struct window_request *request =
            LINK_OWNER(struct window_request, in_requests, refresh->requests.next);
        INVARIANT(request->stage == REQUEST_TAKEN);
        link_remove(&request->in_requests);
        request->stage = REQUEST_RETURNED;
        if (request->done && request->same)
            counter_add(&refresh->hub->metrics.resumes_shared, 1);
        window_request_done(request);
    }
}
