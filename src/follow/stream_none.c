/* The stream of a program that was built without libnats: there is none. */
#include "follow/sender.h"
#include "follow/stream.h"

struct stream *stream_open(const struct follow_options *options, struct error *error)
{
    (void)options;
    error_set(error, ERROR_CONFIGURATION,
              "setting \"log\": this program was built without log mode (STELE_LOG=OFF); build it "
              "with libnats, or leave log out");
    return NULL;
}

void stream_close(struct stream *stream)
{
    (void)stream;
}

bool stream_ask(struct stream *stream, struct stream_facts *facts, struct error *error)
{
    (void)stream;
    (void)facts;
    return error_set(error, ERROR_INTERNAL, "there is no stream");
}

bool stream_read(struct stream *stream, int64_t from, struct error *error)
{
    (void)stream;
    (void)from;
    return error_set(error, ERROR_INTERNAL, "there is no stream");
}

enum stream_step stream_next(struct stream *stream, int timeout_ms, struct stream_message *message)
{
    (void)stream;
    (void)timeout_ms;
    (void)message;
    return STREAM_BROKEN;
}

void stream_release(struct stream_message *message)
{
    (void)message;
}

void stream_rest(struct stream *stream)
{
    (void)stream;
}

struct sender *sender_open(const struct follow_options *options, struct error *error)
{
    (void)options;
    error_set(error, ERROR_INTERNAL, "there is no stream");
    return NULL;
}

void sender_close(struct sender *sender)
{
    (void)sender;
}

bool sender_ask(struct sender *sender, int64_t *created, struct error *error)
{
    (void)sender;
    (void)created;
    return error_set(error, ERROR_INTERNAL, "there is no stream");
}

bool sender_is_connected(const struct sender *sender)
{
    (void)sender;
    return false;
}

bool sender_send(struct sender *sender, uint64_t number, const char *envelope, struct span body,
                 struct error *error)
{
    (void)sender;
    (void)number;
    (void)envelope;
    (void)body;
    return error_set(error, ERROR_INTERNAL, "there is no stream");
}

bool sender_next(struct sender *sender, struct sender_ack *ack)
{
    (void)sender;
    (void)ack;
    return false;
}
