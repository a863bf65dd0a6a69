/*
 * Requests through the log of a node. The decoded request is only looked at, and its body
 * published. The submission that answers it is made by whoever reads the log.
 */
#include "ingest/ingest_internal.h"

#include <time.h>

enum { DRAIN_WAIT_MS = 2000 };

/* The log has it, and this node has applied it; or nobody knows. */
static void answer_published(struct publication *publication, const struct submission *applied)
{
    struct ingest_request *request = LINK_OWNER(struct ingest_request, publication, publication);
    struct submission_times times = request->decoding;
    bool committed = applied && applied->error.code == ERROR_NONE;
    if (applied) {
        times = applied->times;
        times.decoding_us = request->decoding.decoding_us;
        times.decoded_us = request->decoding.decoded_us;
    }
    if (request->sent)
        sent_order_end(&request->stream->sent, request->sent, committed);
    ingest_answer(request, applied, &times);
}

bool ingest_fits_log(const struct submission *submission, struct error *error)
{
    for (size_t i = 0; i < submission->mutation_count; i++)
        if (submission->mutations[i].newer)
            return error_set(error, ERROR_INVALID_MESSAGE,
                             "mutation %zu has \"if\":\"newer\", which means nothing in a log: its "
                             "order decides",
                             i + 1);
    return true;
}

/* What came compressed is kept until the answer, too. */
static size_t beside_body(const struct ingest_request *request)
{
    return request->format == INGEST_LINES_GZIP
               ? request->length + request->plain.capacity - request->plain.length
               : 0;
}

/* What travels with the body: whose it is, and what its connection sent before. */
static bool address(struct ingest_request *request, const struct submission *submission,
                    struct error *error)
{
    struct publication *publication = &request->publication;
    const struct submission_batch *batch = submission->batches;
    bool is_message = request->format == INGEST_MESSAGE;
    *publication =
        (struct publication){.form = is_message ? PUBLICATION_MESSAGE : PUBLICATION_LINES,
                             .body = ingest_body_of(request),
                             .subject = request->subject,
                             .key = request->key,
                             .beside = beside_body(request),
                             .error = &request->error,
                             .answer = answer_published};
    if (request->stream && submission->batch_count && batch->producer.data)
        request->sent = sent_order_add(&request->stream->sent, batch->producer, batch->number,
                                       &publication->after, error);
    publication->has_after = request->sent && publication->after >= 0;
    return request->sent || !request->stream || !submission->batch_count || !batch->producer.data;
}

/* The decoded request goes when the body is published, but its id is needed for the answer. */
static bool keep_id(struct ingest_request *request, struct error *error)
{
    struct span id = request->id;
    request->id_copy = id.data ? memory_copy_string(id.data, id.length) : NULL;
    if (id.data && !request->id_copy)
        return error_set(error, ERROR_MEMORY, "out of memory while taking a request");
    request->id.data = request->id_copy;
    return true;
}

/* At the end there is no waiting for room: who is served then has had it already. */
static bool waits(struct ingest *ingest)
{
    uint64_t since = atomic_load(&ingest->drained_us);
    return !atomic_load(&ingest->closing) &&
           (!since || clock_monotonic_us() - since < (uint64_t)DRAIN_WAIT_MS * 1000);
}

static bool publish_when_there_is_room(struct ingest *ingest, struct ingest_request *request)
{
    static const struct timespec pause = {.tv_nsec = INGEST_FULL_WAIT_MS * 1000 * 1000};
    const struct publication_log *log = ingest->options.log;
    struct error error; /* not the request's, which is not ours any more after a success */
    while (!log->publish(log->argument, &request->publication, &error)) {
        if (error.code == ERROR_QUEUE_FULL && waits(ingest)) {
            nanosleep(&pause, NULL);
            continue;
        }
        request->error = error;
        if (error.code == ERROR_QUEUE_FULL && atomic_load(&ingest->drained_us))
            error_set(&request->error, ERROR_SHUTTING_DOWN,
                      "the server is stopping, and nothing of the request was published");
        return false;
    }
    return true;
}

bool ingest_publish(struct ingest *ingest, struct ingest_request *request)
{
    struct submission *looked_at = request->submission;
    if (!ingest_fits_log(looked_at, &request->error) || !keep_id(request, &request->error) ||
        !address(request, looked_at, &request->error))
        return false;
    request->decoding = looked_at->times;
    request->submission = NULL; /* whoever answers finds none */
    if (publish_when_there_is_room(ingest, request)) {
        submission_free(looked_at);
        return true;
    }
    request->submission = looked_at;
    if (request->sent)
        sent_order_end(&request->stream->sent, request->sent, false);
    return false;
}
