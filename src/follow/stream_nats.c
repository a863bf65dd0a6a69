/*
 * The stream by way of libnats. Connecting again is ours: libnats would try one address after the
 * other before it returns, and each may take ASK_MS. The reading is ours, too: a push consumer
 * without acknowledgements, with a heartbeat and flow control, on a plain subscription. libnats'
 * own ordered consumer would begin again by itself when it has missed something, at a place that it
 * does not tell.
 *
 * Flow control: the broker sends a question along with messages, and stops at 32 MiB behind the
 * last one that was answered. It is answered when it comes out of the queue here.
 */
#include "follow/stream.h"

#include <errno.h>
#include <nats/nats.h>
#include <string.h>
#include <unistd.h>

enum {
    ASK_MS = 2000,  /* for an answer of the broker */
    PING_MS = 2000, /* a broker that does not answer two of these is gone */
    PINGS = 2,
    QUEUE_BYTES = 256 * 1024 * 1024 /* never reached: flow control is far below */
};

struct stream {
    char *nats, *name, *credentials_file;
    natsConnection *connection;
    jsCtx *context;
    natsSubscription *subscription; /* of a reading */
    natsInbox *inbox;
    char *consumer;
    int64_t delivered; /* of this reading */
    uint64_t attempts; /* to connect; the next is at the address behind */
    bool told;         /* what the stream's settings put at risk */
};

/* ---- life ---- */

static bool is_connected(const struct stream *stream)
{
    return stream->connection &&
           natsConnection_Status(stream->connection) == NATS_CONN_STATUS_CONNECTED;
}

static char *copy(const char *text)
{
    return text ? memory_copy_string(text, strlen(text)) : NULL;
}

struct stream *stream_open(const struct follow_options *options, struct error *error)
{
    const char *credentials = options->credentials_file;
    if (credentials && access(credentials, R_OK) != 0) {
        error_set(error, ERROR_CONFIGURATION,
                  "setting \"log.credentials_file\": cannot read %.200s: %s", credentials,
                  strerror(errno));
        return NULL;
    }
    struct stream *stream = memory_new(sizeof *stream);
    if (stream) {
        stream->attempts = clock_monotonic_us(); /* not all nodes begin at the same broker */
        stream->nats = copy(options->nats);
        stream->name = copy(options->stream);
        stream->credentials_file = copy(options->credentials_file);
    }
    if (stream && stream->nats && stream->name &&
        !stream->credentials_file == !options->credentials_file)
        return stream;
    stream_close(stream);
    error_set(error, ERROR_MEMORY, "out of memory while opening the log");
    return NULL;
}

static void disconnect(struct stream *stream)
{
    stream_rest(stream);
    jsCtx_Destroy(stream->context);
    natsConnection_Destroy(stream->connection);
    stream->context = NULL;
    stream->connection = NULL;
}

void stream_close(struct stream *stream)
{
    if (!stream)
        return;
    disconnect(stream);
    memory_free(stream->nats);
    memory_free(stream->name);
    memory_free(stream->credentials_file);
    memory_free(stream);
}

/* ---- the connection ---- */

static bool network_error(const struct stream *stream, const char *what, natsStatus status,
                          struct error *error)
{
    return error_set(error, ERROR_NETWORK, "%s the log at %.200s: %s", what, stream->nats,
                     natsStatus_GetText(status));
}

/* The one of the addresses whose turn it is, in a copy. */
static char *find_address(const struct stream *stream)
{
    static const char marks[] = ", ";
    size_t count = 0, turn, length = 0;
    const char *at;
    for (at = stream->nats; *(at += strspn(at, marks)); at += strcspn(at, marks))
        count++;
    turn = count ? (size_t)(stream->attempts % count) : 0;
    for (at = stream->nats; *(at += strspn(at, marks)); at += length) {
        length = strcspn(at, marks);
        if (turn-- == 0)
            break;
    }
    return memory_copy_string(at, length);
}

static natsStatus set_options(const struct stream *stream, natsOptions *options)
{
    char *address = find_address(stream);
    natsStatus status = address ? natsOptions_SetURL(options, address) : NATS_NO_MEMORY;
    memory_free(address);
    if (status == NATS_OK && stream->credentials_file)
        status = natsOptions_SetUserCredentialsFromFiles(options, stream->credentials_file, NULL);
    if (status == NATS_OK)
        status = natsOptions_SetName(options, "stele");
    if (status == NATS_OK)
        status = natsOptions_SetTimeout(options, ASK_MS);
    if (status == NATS_OK)
        status = natsOptions_SetAllowReconnect(options, false);
    if (status == NATS_OK)
        status = natsOptions_SetPingInterval(options, PING_MS);
    return status == NATS_OK ? natsOptions_SetMaxPingsOut(options, PINGS) : status;
}

/* At one address, so that whoever waits can give up before the next. */
static bool connect_stream(struct stream *stream, struct error *error)
{
    if (is_connected(stream))
        return true;
    disconnect(stream);
    natsOptions *options = NULL;
    jsOptions wait;
    jsOptions_Init(&wait);
    wait.Wait = ASK_MS;
    natsStatus status = natsOptions_Create(&options);
    if (status == NATS_OK)
        status = set_options(stream, options);
    stream->attempts++;
    if (status == NATS_OK)
        status = natsConnection_Connect(&stream->connection, options);
    if (status == NATS_OK)
        status = natsConnection_JetStream(&stream->context, stream->connection, &wait);
    natsOptions_Destroy(options);
    if (status == NATS_OK)
        return true;
    disconnect(stream);
    return network_error(stream, "cannot connect to", status, error);
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
                     stream->name);
}

static void tell_risks(struct stream *stream, const jsStreamConfig *config)
{
    if (stream->told)
        return;
    stream->told = true;
    if (config->MaxMsgsPerSubject > 0)
        log_warning("follow", "log-stream-risk", log_text("stream", stream->name),
                    log_text("problem", "it keeps a limited number of messages of a subject, so a "
                                        "node that is behind by more meets a hole"));
    if (config->Storage == js_MemoryStorage)
        log_warning("follow", "log-stream-risk", log_text("stream", stream->name),
                    log_text("problem", "it is in memory: it does not outlive its brokers"));
}

bool stream_ask(struct stream *stream, struct stream_facts *facts, struct error *error)
{
    jsStreamInfo *info = NULL;
    jsErrCode code = 0;
    if (!connect_stream(stream, error))
        return false;
    natsStatus status = js_GetStreamInfo(&info, stream->context, stream->name, NULL, &code);
    if (status == NATS_NOT_FOUND || code == JSStreamNotFoundErr)
        return error_set(error, ERROR_CONFIGURATION,
                         "setting \"log.stream\": there is no stream '%.100s' at %.200s; make it, "
                         "or name the right one",
                         stream->name, stream->nats);
    if (status != NATS_OK) {
        disconnect(stream); /* another broker may know */
        return network_error(stream, "cannot ask", status, error);
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
    if (stream->consumer && is_connected(stream)) {
        jsOptions wait;
        jsOptions_Init(&wait);
        wait.Wait = STREAM_HEARTBEAT_MS;
        js_DeleteConsumer(stream->context, stream->name, stream->consumer, &wait, NULL);
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
    natsStatus status = js_AddConsumer(&info, stream->context, stream->name, &config, NULL, NULL);
    if (status == NATS_OK)
        stream->consumer = copy(info->Name);
    jsConsumerInfo_Destroy(info);
    return status;
}

bool stream_read(struct stream *stream, int64_t from, struct error *error)
{
    stream_rest(stream);
    stream->delivered = 0;
    natsStatus status = natsInbox_Create(&stream->inbox);
    if (status == NATS_OK)
        status =
            natsConnection_SubscribeSync(&stream->subscription, stream->connection, stream->inbox);
    if (status == NATS_OK)
        status = natsSubscription_SetPendingLimits(stream->subscription, -1, QUEUE_BYTES);
    if (status == NATS_OK)
        status = add_consumer(stream, from);
    if (status == NATS_OK)
        return true;
    stream_rest(stream);
    return network_error(stream, "cannot read", status, error);
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
        natsConnection_Publish(stream->connection, reply ? reply : stalled, NULL, 0);
    /* Messages that it sent are not here: they were lost on the way. */
    if (last && strtoll(last, NULL, 10) != stream->delivered)
        return STREAM_BROKEN;
    return STREAM_ALIVE;
}

enum stream_step stream_next(struct stream *stream, int timeout_ms, struct stream_message *message)
{
    natsMsg *next = NULL;
    natsStatus status = natsSubscription_NextMsg(&next, stream->subscription, timeout_ms);
    if (status == NATS_TIMEOUT && is_connected(stream))
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
    message->body = span_make(natsMsg_GetData(next), (size_t)natsMsg_GetDataLength(next));
    message->handle = next;
    return STREAM_MESSAGE;
}

void stream_release(struct stream_message *message)
{
    natsMsg_Destroy(message->handle);
}
