/*
 * The way in: a queue, and the thread that decodes what is in it.
 *
 * A request is one object from beginning to end. It goes into the queue, its body becomes a
 * submission, that goes to the engine, and when it comes back the request is answered and freed,
 * always on the loop thread. It is therefore the only owner of its submission, and needs nothing
 * of the ingest once it has left the decoder; ingest_close need not wait for answers.
 */
#include "ingest/ingest_internal.h"

#include "wire/wire.h"

#include <time.h>

/* ---- streams ---- */

struct ingest_stream *ingest_stream_new(void)
{
    struct ingest_stream *stream = memory_new(sizeof *stream);
    if (!stream)
        return NULL;
    stream->references = 1;
    sent_order_init(&stream->sent);
    return stream;
}

void ingest_stream_free(struct ingest_stream *stream)
{
    if (!stream || --stream->references)
        return;
    batch_order_fini(&stream->decoder);
    batch_order_fini(&stream->writer);
    sent_order_fini(&stream->sent);
    memory_free(stream);
}

/* ---- answering, on the loop thread ---- */

static void request_free(struct ingest_request *request)
{
    ingest_stream_free(request->stream);
    submission_free(request->submission);
    buffer_fini(&request->plain);
    memory_free(request->body);
    memory_free(request->id_copy);
    memory_free(request);
}

static struct ingest_reply reply_of(const struct submission *submission)
{
    return (struct ingest_reply){.error = submission->error,
                                 .applied = submission->applied,
                                 .ignored = submission->ignored,
                                 .duplicate = submission->duplicate,
                                 .stale = submission->stale,
                                 .truncated = submission->truncated,
                                 .has_seq = submission->has_seq,
                                 .seq = submission->seq,
                                 .has_last = submission->has_last,
                                 .last_batch = submission->last_batch,
                                 .last_mark = submission->last_mark,
                                 .unknown_exports = submission->unknown_exports,
                                 .unknown_count = submission->unknown_count,
                                 .answer = submission->answer};
}

void ingest_answer(struct ingest_request *request, const struct submission *submission,
                   const struct submission_times *times)
{
    struct ingest_reply reply = {.error = request->error};
    const struct ingest_traced traced = {.trace = request->trace,
                                         .received_us = request->received_us,
                                         .bytes = request->length,
                                         .times = times};
    if (submission && reply.error.code == ERROR_NONE)
        reply = reply_of(submission);
    reply.id = request->id;
    reply.traced = request->trace.sampled ? &traced : NULL;
    request->done(request->context, &reply);
    request_free(request);
}

static void request_answer(struct ingest_request *request)
{
    const struct submission *submission = request->submission;
    ingest_answer(request, submission, submission ? &submission->times : NULL);
}

static void deliver_request(struct engine_event *event)
{
    request_answer((struct ingest_request *)event);
}

static void deliver_submission(struct engine_event *event)
{
    request_answer(((struct submission *)event)->context);
}

/* ---- the decoder thread ---- */

bool ingest_takes(const struct ingest *ingest, struct error *error)
{
    const char *refusal = ingest->options.refusal;
    return !refusal || error_set(error, ERROR_READ_ONLY, "%s", refusal);
}

/* The engine's queue is full: callers see it by this queue filling up, so waiting here is right,
 * and dropping would be wrong. */
static bool submit_when_there_is_room(struct ingest *ingest, struct ingest_request *request)
{
    static const struct timespec pause = {.tv_nsec = INGEST_FULL_WAIT_MS * 1000 * 1000};
    struct error error; /* not the request's, which is not ours any more after a success */
    while (!engine_submit(ingest->engine, request->submission, &error)) {
        if (error.code != ERROR_QUEUE_FULL || atomic_load(&ingest->closing)) {
            request->error = error;
            return false;
        }
        nanosleep(&pause, NULL);
    }
    return true;
}

static bool print_answer(const struct submission *submission, struct buffer *out)
{
    struct ingest_reply reply = reply_of(submission);
    return ingest_reply_print(out, INGEST_LINES, &reply);
}

struct span ingest_body_of(const struct ingest_request *request)
{
    return request->format == INGEST_LINES_GZIP ? buffer_span(&request->plain)
                                                : span_make(request->body, request->length);
}

/* The plain text is no longer than a body that is sent as it is, however little was sent. */
static bool inflate(const struct ingest *ingest, struct ingest_request *request)
{
    buffer_init(&request->plain, ingest->options.max_request_bytes);
    return request->format != INGEST_LINES_GZIP ||
           wire_gunzip(span_make(request->body, request->length), &request->plain, &request->error);
}

bool ingest_name_sender(const struct ingest_options *options, struct submission *submission,
                        struct span subject, struct span key, struct span body)
{
    struct submission_key *named = &submission->key;
    if (subject.data)
        submission->owner = submission_keep(submission, subject);
    if (key.data)
        named->text = submission_keep(submission, key);
    named->print = print_answer;
    return (!subject.data || submission->owner.data) &&
           (!key.data || (named->text.data && options->digest(body, named->digest)));
}

/* The message says whose part the request is; a traceparent that cannot be read says nothing. */
static void find_parent(struct ingest_request *request)
{
    struct trace_parent parent;
    struct span text = request->submission->traceparent;
    if (text.data && trace_parent_parse(text, &parent))
        trace_adopt(&request->trace, &parent);
}

static void note_decoded(struct ingest_request *request, uint64_t begun)
{
    if (!request->trace.rule)
        return;
    request->submission->times.decoding_us = begun;
    request->submission->times.decoded_us = clock_monotonic_us();
    find_parent(request);
}

static void forget_body(struct ingest_request *request)
{
    buffer_fini(&request->plain);
    memory_free(request->body);
    request->body = NULL;
    request->subject = request->key = span_make(NULL, 0);
}

static bool decode(struct ingest *ingest, struct ingest_request *request)
{
    struct error *error = &request->error;
    uint64_t begun = request->trace.rule ? clock_monotonic_us() : 0;
    if (!inflate(ingest, request))
        return false;
    request->submission = ingest_submission(ingest_body_of(request).length);
    if (!request->submission)
        return error_set(error, ERROR_MEMORY, "out of memory while decoding a request");
    struct submission *submission = request->submission;
    submission->context = request;
    submission->event.deliver = deliver_submission;
    submission->received_us = request->received_us;
    submission->sender = request->sender;
    submission->share_owner = request->share_owner;
    submission->order = request->stream ? &request->stream->writer : NULL;
    if (!ingest_name_sender(&ingest->options, submission, request->subject, request->key,
                            ingest_body_of(request)))
        return error_set(error, ERROR_MEMORY, "out of memory while decoding a request");
    enum ingest_format format =
        request->format == INGEST_LINES_GZIP ? INGEST_LINES : request->format;
    bool done = ingest_decode(&ingest->options, format, ingest_body_of(request), submission,
                              &request->id, error);
    if (!ingest->options.log)
        forget_body(request);
    submission->event.item.bytes = submission_memory(submission);
    note_decoded(request, begun);
    return done;
}

/* A message that could not even be read may have been any batch. */
static void note_refusal(const struct ingest_request *request, struct batch_order *order)
{
    if (request->submission && request->submission->batch_count)
        batch_order_refuse(order, request->submission);
    else if (order)
        order->unknown = true;
}

/* ---- a request's way ---- */

static bool pass_on(struct ingest *ingest, struct ingest_request *request)
{
    return ingest->options.log ? ingest_publish(ingest, request)
                               : submit_when_there_is_room(ingest, request);
}

static void handle(struct ingest *ingest, struct ingest_request *request)
{
    struct batch_order *order = request->stream ? &request->stream->decoder : NULL;
    /* Once it is passed on, the request may be answered, and gone, at any moment. */
    if (request->error.code == ERROR_NONE && decode(ingest, request) &&
        ingest_takes(ingest, &request->error) &&
        batch_order_admit(order, request->submission, &request->error) && pass_on(ingest, request))
        return;
    note_refusal(request, order);
    request->event.deliver = deliver_request;
    engine_post(ingest->engine, &request->event);
}

static void *decoder_main(void *argument)
{
    struct ingest *ingest = argument;
    struct queue_item *item;
    /* One by one, so that the queue's fill tells what really waits. */
    while ((item = queue_wait_one(&ingest->queue, -1)))
        handle(ingest, (struct ingest_request *)item);
    const struct publication_log *log = ingest->options.log;
    if (atomic_load(&ingest->drained_us)) {
        if (log)
            log->settle(log->argument);
        engine_drain(ingest->engine);
    }
    return NULL;
}

/* ---- the loop's side ---- */

struct ingest *ingest_open(struct engine *engine, const struct ingest_options *options,
                           struct error *error)
{
    struct ingest *ingest = memory_new(sizeof *ingest);
    if (!ingest || !queue_init(&ingest->queue, options->queue_count, options->queue_bytes)) {
        memory_free(ingest);
        error_set(error, ERROR_MEMORY, "out of memory while starting the intake");
        return NULL;
    }
    ingest->engine = engine;
    ingest->options = *options;
    if (pthread_create(&ingest->thread, NULL, decoder_main, ingest) != 0) {
        queue_fini(&ingest->queue);
        memory_free(ingest);
        error_set(error, ERROR_MEMORY, "cannot start the decoder thread");
        return NULL;
    }
    return ingest;
}

size_t ingest_request_bytes(size_t length)
{
    return sizeof(struct ingest_request) + length;
}

/* The body is taken over, unless this is NULL. */
static struct ingest_request *request_of(enum ingest_format format, char *body, size_t length)
{
    struct ingest_request *request = memory_new(sizeof *request);
    if (!request)
        return NULL;
    request->event.item.bytes = ingest_request_bytes(length);
    request->format = format;
    request->body = body;
    request->length = length;
    request->received_us = clock_monotonic_us();
    return request;
}

static struct span append_copy(char **end, struct span text)
{
    char *copy = *end;
    if (text.length)
        memcpy(copy, text.data, text.length);
    *end += text.length;
    return text.data ? span_make(copy, text.length) : text;
}

static struct ingest_request *request_new(const struct ingest_sender *sender,
                                          struct ingest_stream *stream, enum ingest_format format,
                                          struct span body)
{
    size_t length = body.length + sender->subject.length + sender->key.length;
    char *end = memory_alloc(length + 1);
    struct ingest_request *request = end ? request_of(format, end, body.length) : NULL;
    if (!request) {
        memory_free(end);
        return NULL;
    }
    request->event.item.bytes = ingest_request_bytes(length);
    append_copy(&end, body);
    request->subject = append_copy(&end, sender->subject);
    request->key = append_copy(&end, sender->key);
    request->sender = sender->number;
    request->share_owner = sender->share_owner;
    request->trace = sender->trace;
    request->stream = stream;
    if (stream)
        stream->references++;
    return request;
}

/* Into the queue; `request` NULL: there was no memory for it. */
static bool hand_over(struct ingest *ingest, struct ingest_request *request, ingest_done done,
                      void *context, struct error *error)
{
    if (!request)
        return error_set(error, ERROR_MEMORY, "out of memory while taking a request");
    request->done = done;
    request->context = context;
    if (queue_put(&ingest->queue, &request->event.item, QUEUE_REFUSES))
        return true;
    request_free(request);
    if (queue_is_closed(&ingest->queue))
        return error_set(error, ERROR_SHUTTING_DOWN, "the server is stopping");
    return error_set(error, ERROR_QUEUE_FULL, "too many requests wait to be written");
}

static bool is_too_large(const struct ingest *ingest, size_t length, struct error *error)
{
    size_t limit = ingest->options.max_request_bytes;
    return length > limit &&
           !error_set(error, ERROR_TOO_LARGE, "the request has %zu bytes; at most %zu are taken",
                      length, limit);
}

bool ingest_submit_counted(struct ingest *ingest, enum ingest_format format, char *body,
                           size_t length, ingest_done done, void *context, struct error *error)
{
    if (is_too_large(ingest, length, error))
        return false;
    struct ingest_request *request = request_of(format, body, length);
    if (!request)
        return error_set(error, ERROR_MEMORY, "out of memory while taking a request");
    request->subject = span_of(""); /* the program that stele is a part of */
    request->done = done;
    request->context = context;
    if (queue_put(&ingest->queue, &request->event.item, QUEUE_EXCEEDS))
        return true;
    memory_free(request);
    return error_set(error, ERROR_SHUTTING_DOWN, "the server is stopping");
}

bool ingest_submit(struct ingest *ingest, const struct ingest_sender *sender,
                   struct ingest_stream *stream, enum ingest_format format, struct span body,
                   ingest_done done, void *context, struct error *error)
{
    if (is_too_large(ingest, body.length, error))
        return false;
    return hand_over(ingest, request_new(sender, stream, format, body), done, context, error);
}

bool ingest_submit_refused(struct ingest *ingest, struct ingest_stream *stream,
                           const struct error *refusal, ingest_done done, void *context,
                           struct error *error)
{
    static const struct ingest_sender nobody;
    struct ingest_request *request =
        request_new(&nobody, stream, INGEST_MESSAGE, span_make(NULL, 0));
    if (request)
        request->error = *refusal;
    return hand_over(ingest, request, done, context, error);
}

double ingest_pressure(struct ingest *ingest)
{
    size_t count, bytes;
    queue_fill(&ingest->queue, &count, &bytes);
    double by_count = (double)count / (double)ingest->options.queue_count;
    double by_bytes = (double)bytes / (double)ingest->options.queue_bytes;
    double pressure = by_count > by_bytes ? by_count : by_bytes;
    return pressure < 1 ? pressure : 1;
}

void ingest_drain(struct ingest *ingest)
{
    atomic_store(&ingest->drained_us, clock_monotonic_us());
    queue_close(&ingest->queue);
}

void ingest_close(struct ingest *ingest)
{
    if (!ingest)
        return;
    atomic_store(&ingest->closing, true);
    queue_close(&ingest->queue);
    pthread_join(ingest->thread, NULL);
    queue_fini(&ingest->queue);
    memory_free(ingest);
}
