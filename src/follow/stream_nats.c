/*
 * The stream by way of libnats. The reading is ours: a push consumer
 * without acknowledgements, with a heartbeat and flow control, on a plain subscription. libnats'
 * own ordered consumer would begin again by itself when it has missed something, at a place that it
 * does not tell.
 *
 * Flow control: the broker sends a question along with messages, and stops at 32 MiB behind the
 * last one that was answered. It is answered when it comes out of the queue here.
 */
#include "follow/stream.h"

#include "follow/connection_nats.h"
#include "follow/envelope.h"

#include <string.h>

enum { QUEUE_BYTES = 256 * 1024 * 1024 }; /* never reached: flow control is far below */

struct stream {
    struct nats_place place;
    natsSubscription *subscription; /* of a reading */
    natsInbox *inbox;
    char *consumer;
    int64_t delivered; /* of this reading */
    bool told;         /* what the stream's settings put at risk */
};

/* ---- life ---- */

struct stream *stream_open(const struct follow_options *options, struct error *error)
{
    struct stream *stream = memory_new(sizeof *stream);
    if (!stream) {
        error_set(error, ERROR_MEMORY, "out of memory while opening the log");
        return NULL;
    }
    if (nats_place_init(&stream->place, options, error))
        return stream;
    stream_close(stream);
    return NULL;
}

void stream_close(struct stream *stream)
{
    if (!stream)
        return;
    stream_rest(stream);
    nats_place_fini(&stream->place);
    memory_free(stream);
}

static bool connect_stream(struct stream *stream, struct error *error)
{
    if (nats_is_connected(&stream->place))
        return true;
    stream_rest(stream);
    return nats_connect(&stream->place, error);
}

/* ---- what the stream is ---- */

/* Every node reads all of it, so nothing may go because one has read it. */
static bool check_retention(const struct stream *stream, const jsStreamConfig *config,
                            struct error *error)
{
    return config->Retention == js_LimitsPolicy ||
           error_set(error, ERROR_CONFIGURATION,
                     "setting \"log.stream\": stream '%.100s' drops what was read; make it with "
                     "retention by limits (--retention limits)",
                     stream->place.stream);
}

static void tell_risks(struct stream *stream, const jsStreamConfig *config)
{
    if (stream->told)
        return;
    stream->told = true;
    if (config->MaxMsgsPerSubject > 0)
        log_warning("follow", "log-stream-risk", log_text("stream", stream->place.stream),
                    log_text("problem", "it keeps a limited number of messages of a subject, so a "
                                        "node that is behind by more meets a hole"));
    if (config->Storage == js_MemoryStorage)
        log_warning("follow", "log-stream-risk", log_text("stream", stream->place.stream),
                    log_text("problem", "it is in memory: it does not outlive its brokers"));
}

bool stream_ask(struct stream *stream, struct stream_facts *facts, struct error *error)
{
    if (!connect_stream(stream, error))
        return false;
    jsStreamInfo *info = nats_ask(&stream->place, error);
    if (!info) {
        if (error->code == ERROR_NETWORK) { /* another broker may know */
            stream_rest(stream);
            nats_disconnect(&stream->place);
        }
        return false;
    }
    if (!check_retention(stream, info->Config, error)) {
        jsStreamInfo_Destroy(info);
        return false;
    }
    tell_risks(stream, info->Config);
    int64_t last = (int64_t)info->State.LastSeq, first = (int64_t)info->State.FirstSeq;
    facts->created = info->Created;
    facts->last = last;
    /* A stream that never held anything has 0 for both. */
    facts->first = info->State.Msgs == 0 ? last + 1 : first;
    jsStreamInfo_Destroy(info);
    return true;
}

/* ---- a reading ---- */

void stream_rest(struct stream *stream)
{
    natsSubscription_Destroy(stream->subscription);
    /* Else the broker drops it by itself, when nobody has listened for seconds. */
    if (stream->consumer && nats_is_connected(&stream->place)) {
        jsOptions wait;
        jsOptions_Init(&wait);
        wait.Wait = STREAM_HEARTBEAT_MS;
        js_DeleteConsumer(stream->place.context, stream->place.stream, stream->consumer, &wait,
                          NULL);
    }
    natsInbox_Destroy(stream->inbox);
    memory_free(stream->consumer);
    stream->subscription = NULL;
    stream->inbox = NULL;
    stream->consumer = NULL;
}

static natsStatus add_consumer(struct stream *stream, int64_t from)
{
    jsConsumerInfo *info = NULL;
    jsConsumerConfig config;
    jsConsumerConfig_Init(&config);
    config.DeliverSubject = stream->inbox;
    config.DeliverPolicy = js_DeliverByStartSequence;
    config.OptStartSeq = (uint64_t)from;
    config.AckPolicy = js_AckNone;
    config.FlowControl = true;
    config.Heartbeat = (int64_t)STREAM_HEARTBEAT_MS * 1000 * 1000;
    config.MemoryStorage = true;
    config.Replicas = 1;
    natsStatus status =
        js_AddConsumer(&info, stream->place.context, stream->place.stream, &config, NULL, NULL);
    if (status == NATS_OK)
        stream->consumer = memory_copy_string(info->Name, strlen(info->Name));
    jsConsumerInfo_Destroy(info);
    return status;
}

bool stream_read(struct stream *stream, int64_t from, struct error *error)
{
    stream_rest(stream);
    stream->delivered = 0;
    natsStatus status = natsInbox_Create(&stream->inbox);
    if (status == NATS_OK)
        status = natsConnection_SubscribeSync(&stream->subscription, stream->place.connection,
                                              stream->inbox);
    if (status == NATS_OK)
        status = natsSubscription_SetPendingLimits(stream->subscription, -1, QUEUE_BYTES);
    if (status == NATS_OK)
        status = add_consumer(stream, from);
    if (status == NATS_OK)
        return true;
    stream_rest(stream);
    return nats_failed(&stream->place, "cannot read", status, error);
}

static const char *header(natsMsg *message, const char *name)
{
    const char *value = NULL;
    return natsMsgHeader_Get(message, name, &value) == NATS_OK ? value : NULL;
}

/* What the broker says that is no message: a heartbeat, a question of flow control, or an end. */
static enum stream_step take_control(struct stream *stream, natsMsg *message)
{
    const char *status = header(message, "Status"), *reply = natsMsg_GetReply(message);
    const char *stalled = header(message, "Nats-Consumer-Stalled");
    const char *last = header(message, "Nats-Last-Consumer");
    if (!status || strcmp(status, "100") != 0)
        return STREAM_BROKEN;
    if (reply || stalled)
        natsConnection_Publish(stream->place.connection, reply ? reply : stalled, NULL, 0);
    /* Messages that it sent are not here: they were lost on the way. */
    if (last && strtoll(last, NULL, 10) != stream->delivered)
        return STREAM_BROKEN;
    return STREAM_ALIVE;
}

enum stream_step stream_next(struct stream *stream, int timeout_ms, struct stream_message *message)
{
    natsMsg *next = NULL;
    natsStatus status = natsSubscription_NextMsg(&next, stream->subscription, timeout_ms);
    if (status == NATS_TIMEOUT && nats_is_connected(&stream->place))
        return STREAM_NOTHING;
    if (status != NATS_OK)
        return STREAM_BROKEN;
    enum stream_step step = STREAM_MESSAGE;
    if (!stream_place_read(natsMsg_GetReply(next), &message->place))
        step = take_control(stream, next);
    else if (message->place.delivery != stream->delivered + 1)
        step = STREAM_BROKEN;
    if (step != STREAM_MESSAGE) {
        natsMsg_Destroy(next);
        return step;
    }
    stream->delivered++;
    message->envelope = header(next, ENVELOPE_HEADER);
    message->body = span_make(natsMsg_GetData(next), (size_t)natsMsg_GetDataLength(next));
    message->handle = next;
    return STREAM_MESSAGE;
}

void stream_release(struct stream_message *message)
{
    natsMsg_Destroy(message->handle);
}
