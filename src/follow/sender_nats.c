/*
 * Publishing by way of libnats. JetStream's own functions would keep what is published until it is
 * acknowledged, and send it again by themselves; here a message is sent once, because whether it is
 * in the log is for the reading to say. Its acknowledgements come to an inbox, with the number of
 * the message as the last name. A thread of libnats takes them, as only that one sees that nobody
 * takes a subject.
 */
#include "follow/sender.h"

#include "follow/connection_nats.h"
#include "follow/envelope.h"
#include "json/json.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { INBOX = 64, REPLY = INBOX + 24, TOO_LARGE = 10054 };

/* What came, for the next sender_next. The thread of libnats may still have it when the sender has
 * not. */
struct mailbox {
    struct queue queue;
    atomic_int references;
};

struct letter {
    struct queue_item item;
    struct sender_ack ack;
};

struct sender {
    struct nats_place place;
    char *subject; /* NULL: the only one of the stream */
    char *found;   /* which is this, once it was asked */
    char inbox[INBOX];
    natsSubscription *acks;
    struct mailbox *mailbox; /* of this connection */
    int64_t most;            /* bytes of a message, with its headers */
};

/* ---- acknowledgements ---- */

static bool read_number(const char *subject, uint64_t *number)
{
    const char *dot = strrchr(subject, '.');
    int64_t found = 0;
    if (!dot || !typed_number(span_of(dot + 1), &found))
        return false;
    *number = (uint64_t)found;
    return true;
}

static void refuse(struct sender_ack *ack, const struct tree *problem)
{
    struct span text = tree_string(tree_member(problem, "description"));
    bool too_large = tree_integer(tree_member(problem, "err_code"), 0) == TOO_LARGE;
    error_set(&ack->error, too_large ? ERROR_TOO_LARGE : ERROR_LOG_UNAVAILABLE,
              "the log has not taken the request: %.*s",
              (int)(text.length < 200 ? text.length : 200), text.data ? text.data : "");
}

static void read_ack(struct span text, struct sender_ack *ack)
{
    struct error error;
    struct tree *tree = tree_parse(text, &error);
    const struct tree *problem = tree ? tree_member(tree, "error") : NULL;
    ack->sequence = tree && !problem ? tree_integer(tree_member(tree, "seq"), 0) : 0;
    if (problem)
        refuse(ack, problem);
    tree_free(tree);
}

/* One that is neither an acknowledgement nor a refusal says nothing. */
static bool take(natsMsg *message, struct sender_ack *ack)
{
    *ack = (struct sender_ack){.sequence = 0};
    if (!read_number(natsMsg_GetSubject(message), &ack->number))
        return false;
    ack->unheard = natsMsg_IsNoResponders(message);
    if (ack->unheard)
        error_set(&ack->error, ERROR_LOG_UNAVAILABLE,
                  "the log has not taken the request: no stream takes its subject, or it has no "
                  "leader, so nothing of it was published");
    else
        read_ack(span_make(natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message)), ack);
    return ack->sequence > 0 || ack->error.code != ERROR_NONE;
}

static struct mailbox *mailbox_new(void)
{
    struct mailbox *mailbox = memory_new(sizeof *mailbox);
    if (!mailbox || !queue_init(&mailbox->queue, SIZE_MAX, SIZE_MAX)) {
        memory_free(mailbox);
        return NULL;
    }
    atomic_init(&mailbox->references, 1);
    return mailbox;
}

static void mailbox_unref(struct mailbox *mailbox)
{
    struct queue_item *letter;
    if (!mailbox || atomic_fetch_sub(&mailbox->references, 1) > 1)
        return;
    while ((letter = queue_wait_one(&mailbox->queue, 0)))
        memory_free(letter);
    queue_fini(&mailbox->queue);
    memory_free(mailbox);
}

/* Without memory it is as one that was lost: the reading says what became of the message. */
static void on_ack(natsConnection *connection, natsSubscription *subscription, natsMsg *message,
                   void *mailbox)
{
    struct letter *letter = memory_new(sizeof *letter);
    (void)connection;
    (void)subscription;
    if (!letter || !take(message, &letter->ack) ||
        !queue_put(&((struct mailbox *)mailbox)->queue, &letter->item, QUEUE_EXCEEDS))
        memory_free(letter);
    natsMsg_Destroy(message);
}

static void on_last_ack(void *mailbox)
{
    mailbox_unref(mailbox);
}

bool sender_next(struct sender *sender, struct sender_ack *ack)
{
    struct queue_item *item = sender->mailbox ? queue_wait_one(&sender->mailbox->queue, 0) : NULL;
    if (!item)
        return false;
    *ack = ((struct letter *)item)->ack;
    memory_free(item);
    return true;
}

/* ---- life ---- */

struct sender *sender_open(const struct follow_options *options, struct error *error)
{
    struct sender *sender = memory_new(sizeof *sender);
    const char *subject = options->subject;
    if (!sender) {
        error_set(error, ERROR_MEMORY, "out of memory while opening the log");
        return NULL;
    }
    sender->subject = subject ? memory_copy_string(subject, strlen(subject)) : NULL;
    if (nats_place_init(&sender->place, options, error) && !sender->subject == !subject)
        return sender;
    sender_close(sender);
    return NULL;
}

static void disconnect(struct sender *sender)
{
    natsSubscription_Destroy(sender->acks);
    sender->acks = NULL;
    mailbox_unref(sender->mailbox);
    sender->mailbox = NULL;
    nats_disconnect(&sender->place);
}

void sender_close(struct sender *sender)
{
    if (!sender)
        return;
    disconnect(sender);
    nats_place_fini(&sender->place);
    memory_free(sender->subject);
    memory_free(sender->found);
    memory_free(sender);
}

/* ---- the connection ---- */

static natsStatus subscribe(struct sender *sender)
{
    char all[INBOX + 2];
    snprintf(all, sizeof all, "%s.*", sender->inbox);
    natsStatus status = natsConnection_Subscribe(&sender->acks, sender->place.connection, all,
                                                 on_ack, sender->mailbox);
    if (status != NATS_OK)
        return status;
    atomic_fetch_add(&sender->mailbox->references, 1);
    status = natsSubscription_SetOnCompleteCB(sender->acks, on_last_ack, sender->mailbox);
    if (status != NATS_OK) /* it is not called, and the subscription not used */
        mailbox_unref(sender->mailbox);
    return status;
}

static natsStatus listen_for_acks(struct sender *sender)
{
    natsInbox *inbox = NULL;
    natsStatus status = natsInbox_Create(&inbox);
    if (status != NATS_OK)
        return status;
    snprintf(sender->inbox, sizeof sender->inbox, "%s", inbox);
    natsInbox_Destroy(inbox);
    sender->mailbox = mailbox_new();
    return sender->mailbox ? subscribe(sender) : NATS_NO_MEMORY;
}

static bool connect_sender(struct sender *sender, struct error *error)
{
    if (nats_is_connected(&sender->place))
        return true;
    disconnect(sender);
    if (!nats_connect(&sender->place, error))
        return false;
    natsStatus status = listen_for_acks(sender);
    if (status == NATS_OK)
        return true;
    disconnect(sender);
    return nats_failed(&sender->place, "cannot publish to", status, error);
}

/* By names with points between them: '*' is for any one, '>' for all that follow, one at least. */
static bool subject_fits(const char *pattern, const char *subject)
{
    while (*pattern && *subject) {
        size_t wanted = strcspn(pattern, "."), has = strcspn(subject, ".");
        if (wanted == 1 && *pattern == '>')
            return true;
        if (!(wanted == 1 && *pattern == '*') &&
            (wanted != has || memcmp(pattern, subject, has) != 0))
            return false;
        pattern += wanted + (pattern[wanted] == '.');
        subject += has + (subject[has] == '.');
    }
    return !*pattern && !*subject;
}

static bool takes_subject(const struct sender *sender, const jsStreamConfig *config,
                          struct error *error)
{
    for (int i = 0; i < config->SubjectsLen; i++)
        if (subject_fits(config->Subjects[i], sender->subject))
            return true;
    return error_set(
        error, ERROR_NOT_IMPLEMENTED,
        "the stream '%.100s' does not take the subject '%.100s' (log.subject), so this "
        "node cannot publish: set log.subject to one that it takes",
        sender->place.stream, sender->subject);
}

/* A stream may take many subjects, or a pattern of them. */
static bool find_subject(struct sender *sender, const jsStreamConfig *config, struct error *error)
{
    if (sender->subject)
        return takes_subject(sender, config, error);
    if (config->SubjectsLen != 1 || strpbrk(config->Subjects[0], "*>"))
        return error_set(
            error, ERROR_NOT_IMPLEMENTED,
            "this node does not know to which subject of the stream '%.100s' it should "
            "publish: set log.subject",
            sender->place.stream);
    memory_free(sender->found);
    sender->found = memory_copy_string(config->Subjects[0], strlen(config->Subjects[0]));
    return sender->found || error_set(error, ERROR_MEMORY, "out of memory");
}

static const char *subject_of(const struct sender *sender)
{
    return sender->subject ? sender->subject : sender->found;
}

static int64_t smaller(int64_t one, int64_t other)
{
    return other > 0 && (one <= 0 || other < one) ? other : one;
}

bool sender_ask(struct sender *sender, int64_t *created, struct error *error)
{
    if (!connect_sender(sender, error))
        return false;
    jsStreamInfo *info = nats_ask(&sender->place, error);
    if (!info) {
        if (error->code == ERROR_NETWORK) /* another broker may know */
            disconnect(sender);
        return false;
    }
    sender->most =
        smaller(natsConnection_GetMaxPayload(sender->place.connection), info->Config->MaxMsgSize);
    *created = info->Created;
    bool found = find_subject(sender, info->Config, error);
    jsStreamInfo_Destroy(info);
    if (!found || nats_probe(&sender->place, subject_of(sender), error))
        return found;
    disconnect(sender); /* another broker may take it */
    return false;
}

bool sender_is_connected(const struct sender *sender)
{
    return nats_is_connected(&sender->place);
}

/* ---- messages ---- */

static bool fits(const struct sender *sender, const char *envelope, struct span body,
                 struct error *error)
{
    static const char around[] =
        "NATS/1.0\r\n" ENVELOPE_HEADER ": \r\n" NATS_EXPECTED_STREAM ": \r\n\r\n";
    size_t length =
        body.length + strlen(envelope) + strlen(sender->place.stream) + sizeof around - 1;
    return sender->most <= 0 || length <= (size_t)sender->most ||
           error_set(error, ERROR_TOO_LARGE,
                     "the request makes a message of %zu bytes, and the log takes at most %lld: "
                     "send it in parts, or raise max_payload of the brokers and max_msg_size of "
                     "the stream",
                     length, (long long)sender->most);
}

/* The stream's name goes along, so that no other stream on the subject takes the message. */
static natsStatus make(const struct sender *sender, uint64_t number, const char *envelope,
                       struct span body, natsMsg **message)
{
    char reply[REPLY];
    snprintf(reply, sizeof reply, "%s.%llu", sender->inbox, (unsigned long long)number);
    natsStatus status = natsMsg_Create(message, subject_of(sender), reply,
                                       body.length ? body.data : "", (int)body.length);
    if (status == NATS_OK)
        status = natsMsgHeader_Set(*message, ENVELOPE_HEADER, envelope);
    return status == NATS_OK
               ? natsMsgHeader_Set(*message, NATS_EXPECTED_STREAM, sender->place.stream)
               : status;
}

bool sender_send(struct sender *sender, uint64_t number, const char *envelope, struct span body,
                 struct error *error)
{
    natsMsg *message = NULL;
    if (!fits(sender, envelope, body, error))
        return false;
    natsStatus status = make(sender, number, envelope, body, &message);
    if (status == NATS_OK)
        status = natsConnection_PublishMsg(sender->place.connection, message);
    natsMsg_Destroy(message);
    if (status == NATS_OK)
        return true;
    disconnect(sender);
    return nats_failed(&sender->place, "cannot publish to", status, error);
}
