/* The effect of the server's answers on requests. */
#include "cli/ingest_internal.h"

#include <stdio.h>

static void note_unknown(struct ingest_unknown *unknown, struct span name)
{
    for (size_t i = 0; i < unknown->count; i++)
        if (span_equal(span_of(unknown->names[i]), name))
            return;
    if (unknown->count < INGEST_UNKNOWN)
        snprintf(unknown->names[unknown->count++], INGEST_UNKNOWN_NAME, "%.*s", (int)name.length,
                 name.data);
}

/* The producer's position: the input up to it need not be sent. */
static void take_position(struct ingest *ingest, const struct ingest_answer *answer)
{
    ingest->asking = false;
    if (!answer->has_last)
        return;
    ingest->known_line = answer->last_batch;
    if (answer->mark.length < sizeof ingest->known_mark)
        snprintf(ingest->known_mark, sizeof ingest->known_mark, "%.*s", (int)answer->mark.length,
                 answer->mark.data ? answer->mark.data : "");
}

static void accept(struct ingest *ingest, struct ingest_request *request,
                   const struct ingest_answer *answer)
{
    if (request->asks)
        take_position(ingest, answer);
    for (size_t i = 0; answer->unknown_exports && i < tree_count(answer->unknown_exports); i++)
        note_unknown(&ingest->unknown, tree_string(tree_element(answer->unknown_exports, i)));
    ingest->applied += answer->applied;
    ingest->ignored += answer->ignored;
    ingest->duplicate += answer->duplicate;
    ingest->stale += answer->stale;
    ingest->truncated += answer->truncated;
    ingest->done_lines += request->last_line - request->first_line + 1;
    ingest->done_bytes += (int64_t)request->input_bytes;
    ingest->pause_ms = INGEST_FIRST_PAUSE_MS;
    ingest_window_remove(&ingest->window, request, false);
}

static void error_of(const struct ingest_answer *answer, struct error *error)
{
    struct span message = answer->message;
    /* A request of one line has one mutation: its place in there tells nothing. */
    struct span place = span_of("mutation 1: ");
    if (message.length > place.length && memcmp(message.data, place.data, place.length) == 0)
        message = span_make(message.data + place.length, message.length - place.length);
    error_set(error, ERROR_INVALID_MESSAGE, "%.*s (%.*s)", (int)message.length, message.data,
              (int)answer->code.length, answer->code.data);
}

/* A request that may have been applied comes again, too: every request has a producer's number. */
static bool may_come_again(const struct ingest_answer *answer)
{
    return answer->retryable || span_equal(answer->code, span_of("outcome-unknown"));
}

static void refuse(struct ingest *ingest, struct ingest_request *request,
                   const struct ingest_answer *answer)
{
    struct error error;
    ingest_window_set(&ingest->window, request, REQUEST_REFUSED);
    ingest->holding = true;
    /* Nothing is before it, so the server waits for something that we do not have: only another
     * connection helps. */
    if (request == ingest->window.first && span_equal(answer->code, span_of("out-of-order")))
        ingest->stuck = true;
    if (may_come_again(answer))
        return;
    /* Requests are all or nothing, so the good lines of a bad one are still to be applied. */
    request->divide = request->last_line > request->first_line;
    if (request->asks) {
        error_of(answer, &error);
        ingest_abandon(ingest, &error);
    } else if (!request->divide) {
        error_of(answer, &error);
        ingest_end_at(ingest, request->first_line, request->last_line, &error);
        ingest_window_remove(&ingest->window, request, true);
    }
}

static struct ingest_request *largest(struct ingest *ingest)
{
    struct ingest_request *found = ingest->window.first;
    for (struct ingest_request *each = found; each; each = each->next)
        if (each->text.length > found->text.length)
            found = each;
    return found;
}

static void divide_marked(struct ingest *ingest)
{
    struct ingest_request *next;
    for (struct ingest_request *each = ingest->window.first; each; each = next) {
        next = each->next;
        if (each->divide && !ingest_window_divide(&ingest->window, each, ingest->options->producer))
            ingest_out_of_memory(ingest);
    }
}

void ingest_slow_down(struct ingest *ingest)
{
    ingest->batch = (ingest->batch + 1) / 2;
    for (struct ingest_request *each = ingest->window.first; each; each = each->next)
        each->divide = each->last_line - each->first_line >= ingest->batch;
    divide_marked(ingest);
}

/* An answer to none of our requests: the server could not even read it. It ends the connection
 * then, and we go on with another. */
static void refuse_unknown(struct ingest *ingest, const struct ingest_answer *answer)
{
    struct ingest_request *request = largest(ingest);
    struct error error;
    error_of(answer, &error);
    if (request && span_equal(answer->code, span_of("too-large"))) {
        request->divide = request->last_line > request->first_line;
        ingest->batch = (ingest->batch + 1) / 2;
        if (!request->divide) {
            ingest_end_at(ingest, request->first_line, request->last_line, &error);
            ingest_window_remove(&ingest->window, request, true);
        }
        divide_marked(ingest);
    } else if (!answer->retryable) {
        ingest_abandon(ingest, &error);
    }
    client_break(ingest->client);
}

/* Everything that was sent is answered, and something was refused: what next? */
static void settle(struct ingest *ingest)
{
    if (!ingest->holding || ingest->window.sent > 0)
        return;
    divide_marked(ingest);
    ingest->resume_us = clock_monotonic_us() + ingest->pause_ms * 1000;
    ingest->pause_ms *= 2;
    if (ingest->pause_ms > INGEST_LONGEST_PAUSE_MS)
        ingest->pause_ms = INGEST_LONGEST_PAUSE_MS;
    if (ingest->stuck)
        client_break(ingest->client);
    ingest->stuck = false;
}

void ingest_take_answer(struct ingest *ingest, struct span message)
{
    struct ingest_answer answer;
    if (!ingest_answer_read(message, &answer))
        return; /* nothing that we asked for */
    ingest->answered = true;
    ingest->answer_us = clock_monotonic_us();
    struct ingest_request *request = ingest_window_find(&ingest->window, answer.id);
    if (answer.id == 0 && answer.refused)
        refuse_unknown(ingest, &answer);
    else if (request && answer.refused)
        refuse(ingest, request, &answer);
    else if (request)
        accept(ingest, request, &answer);
    settle(ingest);
    tree_free(answer.tree);
}
