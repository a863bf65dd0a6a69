/*
 * Sessions that feed: every text message is a request; it is answered when its commit is on disk.
 * Requests are pipelined. Three bounds hold: of unanswered requests, of unread bytes of answers,
 * and of the queue. Beyond any of them nothing more is read from the connection. A request that the
 * full queue refuses is held, not dropped, and tried again.
 *
 * A session can end while its requests are under way; it then waits for them without a socket.
 */
#include "net/net.h"
#include "session/frontend.h"
#include "wire/wire.h"

enum {
    MAX_UNANSWERED = 1024,
    MAX_REFRESH = 2 * AUTH_MAX_TOKEN_BYTES,
    MAX_UNREAD = 64 * 1024,     /* bytes of answers at which reading stops */
    ANSWERS_LIMIT = 4096 * 1024 /* far more than MAX_UNANSWERED answers usually have */
};

struct ingest_session {
    struct session session;
    struct ingest_stream *stream;
    uint64_t number;       /* of the connection */
    struct buffer answers; /* ready frames */
    bool pulled;           /* all of them were given to be sent */
    uint32_t unanswered;
    struct share writing; /* bytes of these */
    struct intake held;   /* a whole message that the queue did not take */
};

static struct ingest_session *ingest_of(const struct session *session)
{
    return (struct ingest_session *)session;
}

static void ingest_free(struct ingest_session *ingest)
{
    intake_end(&ingest->held);
    buffer_fini(&ingest->answers);
    ingest_stream_free(ingest->stream);
    share_end(&ingest->writing, &ingest->session.frontend->writes);
    memory_free(ingest);
}

/* ---- answers ---- */

static void drop_pulled(struct ingest_session *ingest)
{
    if (ingest->pulled)
        buffer_clear(&ingest->answers);
    ingest->pulled = false;
}

static void tell(struct ingest_session *ingest, struct span json, bool printed)
{
    drop_pulled(ingest);
    if (printed && wire_text(&ingest->answers, json))
        session_want_write(&ingest->session);
    else
        session_give_up(&ingest->session, "out-of-memory: an answer was lost; connect again");
}

static void record(struct ingest_session *ingest, const struct ingest_reply *reply)
{
    static const struct trace_attribute attributes[] = {
        {.name = "network.protocol.name", .text = "websocket"}, {.name = NULL}};
    frontend_trace_feed(ingest->session.frontend, "WebSocket /v1/ingest", attributes, reply);
}

static void answer(struct ingest_session *ingest, const struct ingest_reply *reply)
{
    struct session *session = &ingest->session;
    struct buffer text;
    if (reply->error.code != ERROR_NONE)
        access_note_refused(session->frontend->access, &session->principal, session->kind->name,
                            &reply->error);
    buffer_init(&text, 16 * 1024);
    bool printed = ingest_reply_print(&text, INGEST_MESSAGE, reply);
    tell(ingest, buffer_span(&text), printed);
    buffer_fini(&text);
}

/* Its share is what it has sent; which of it was answered, is not told apart. Without memory it has
 * none. */
static void note_sent(struct ingest_session *ingest, size_t bytes)
{
    share_set(&ingest->writing, &ingest->session.frontend->writes, ingest->session.owner,
              ingest->writing.amount + ingest_request_bytes(bytes));
    ingest->unanswered++;
}

static void note_done(struct ingest_session *ingest)
{
    INVARIANT(ingest->unanswered);
    size_t amount = ingest->writing.amount;
    share_set(&ingest->writing, &ingest->session.frontend->writes, ingest->session.owner,
              amount - amount / ingest->unanswered);
    ingest->unanswered--;
}

static void on_done(void *context, const struct ingest_reply *reply)
{
    struct ingest_session *ingest = context;
    note_done(ingest);
    if (reply->traced)
        record(ingest, reply);
    if (ingest->session.state != SESSION_GONE)
        answer(ingest, reply);
    else if (!ingest->unanswered)
        ingest_free(ingest);
}

/* ---- requests ---- */

static bool has_enough(const struct ingest_session *ingest)
{
    return ingest->held.bytes.data || ingest->unanswered >= MAX_UNANSWERED ||
           ingest->answers.length >= MAX_UNREAD || allowance_is_spent(&ingest->session.allowance);
}

/* The last answer: what comes behind the message is not read any more. */
static void refuse_and_part(struct ingest_session *ingest, const struct error *error)
{
    char reason[WIRE_CLOSE_REASON + 1];
    wire_close_reason(reason, error);
    answer(ingest, &(struct ingest_reply){.error = *error});
    session_give_up(&ingest->session, reason);
}

/* If the connection goes on, the refusal takes its turn among the requests, which it holds. */
static void on_refuse(struct session *session, const struct error *error, bool fatal)
{
    struct ingest_session *ingest = ingest_of(session);
    struct error problem;
    if (fatal)
        answer(ingest, &(struct ingest_reply){.error = *error});
    else if (ingest_submit_refused(session->frontend->ingest, ingest->stream, error, on_done,
                                   ingest, &problem))
        note_sent(ingest, 0);
    else if (problem.code != ERROR_SHUTTING_DOWN)
        refuse_and_part(ingest, error);
}

/* false: the queue is full, and the message must be tried again. */
static bool submit(struct ingest_session *ingest, struct span text)
{
    struct session *session = &ingest->session;
    struct error error;
    struct ingest_sender sender = frontend_sender(&session->principal);
    sender.number = ingest->number;
    sender.share_owner = session->owner;
    sender.trace = trace_begin(session->frontend->tracer, NULL);
    if (ingest_submit(session->frontend->ingest, &sender, ingest->stream, INGEST_MESSAGE, text,
                      on_done, ingest, &error)) {
        note_sent(ingest, text.length);
        return true;
    }
    if (error.code == ERROR_QUEUE_FULL)
        return false;
    /* While stopping no answer is given: the client sends again what was not acknowledged. */
    if (error.code != ERROR_SHUTTING_DOWN)
        refuse_and_part(ingest, &error);
    return true;
}

/* The one message of a producer that is no request, and takes no turn among them. A message that
 * is long, or does not have the word in it, is not looked at twice. */
static bool take_refresh(struct ingest_session *ingest, struct span text)
{
    static const char word[] = "\"refresh_auth\"";
    struct wire_message message;
    char told[SESSION_ANSWER];
    if (text.length > MAX_REFRESH || !memmem(text.data, text.length, word, sizeof word - 1) ||
        !wire_message_parse(text, &message, NULL))
        return false;
    bool is_refresh = message.type == WIRE_REFRESH_AUTH;
    if (is_refresh) {
        struct auth_identity *fresh = session_refresh(&ingest->session, message.token, told);
        tell(ingest, span_of(told), true);
        if (fresh)
            session_become(&ingest->session, fresh);
    }
    wire_message_fini(&message);
    return is_refresh;
}

/* It counts as what is on its way in, where it mostly is already. */
static void hold(struct ingest_session *ingest, struct span text)
{
    struct session *session = &ingest->session;
    int64_t now_ms = (int64_t)frontend_now(session->frontend);
    struct error error;
    if (text.data == session->incoming.bytes.data)
        intake_move(&ingest->held, &session->incoming);
    else if (!intake_add(&ingest->held, text, now_ms, &error))
        session_refuse_message(session, &error);
}

static void on_message(struct session *session, struct span text)
{
    struct ingest_session *ingest = ingest_of(session);
    allowance_note_message(&session->allowance);
    if (take_refresh(ingest, text))
        return;
    if (!submit(ingest, text))
        hold(ingest, text);
}

static bool is_full(const struct session *session)
{
    return has_enough(ingest_of(session)) ||
           !frontend_may_write(session->frontend, session->owner, false);
}

static bool may_resume(struct session *session)
{
    struct ingest_session *ingest = ingest_of(session);
    if (!session->frontend->running)
        return false;
    if (ingest->held.bytes.data && submit(ingest, buffer_span(&ingest->held.bytes)))
        intake_end(&ingest->held);
    return session->state == SESSION_OPEN && !has_enough(ingest) &&
           frontend_may_write(session->frontend, session->owner, true);
}

/* ---- the rest of a session ---- */

static void on_tell(struct session *session, struct span text)
{
    tell(ingest_of(session), text, true);
}

/* Others need the memory of the message that waits. */
static void on_crowded(struct intake *held, const struct error *error)
{
    struct ingest_session *ingest = LINK_OWNER(struct ingest_session, held, held);
    if (ingest->session.state == SESSION_OPEN)
        session_refuse_message(&ingest->session, error);
    intake_end(held);
}

static void on_became(struct session *session)
{
    struct error error;
    error_set(&error, ERROR_SCOPE_MISSING, "the token lacks the scope 'write' now");
    if (!auth_may(session->principal.identity, AUTH_WRITE))
        session_end(session, &error);
}

static struct span on_pull(void *supply)
{
    struct ingest_session *ingest = supply;
    drop_pulled(ingest);
    ingest->pulled = true;
    return buffer_span(&ingest->answers);
}

static bool is_settled(const struct session *session)
{
    return !ingest_of(session)->unanswered;
}

static void on_closed(struct session *session)
{
    struct ingest_session *ingest = ingest_of(session);
    intake_end(&ingest->held);
    if (!ingest->unanswered)
        ingest_free(ingest);
}

static const char *protocol_of(const struct session *session)
{
    (void)session;
    return "ingest";
}

static const struct supply_ops answers = {.pull = on_pull};

const struct session_kind session_ingest = {
    .name = "ingest",
    .carrier = &session_websocket,
    .protocol = protocol_of,
    .message = on_message,
    .tell = on_tell,
    .refuse = on_refuse,
    .became = on_became,
    .supply = &answers,
    .settled = is_settled,
    .is_full = is_full,
    .may_resume = may_resume,
    .closed = on_closed,
};

struct session *session_ingest_new(struct frontend *frontend, struct net_connection *connection,
                                   struct principal *principal)
{
    struct ingest_session *ingest = memory_new(sizeof *ingest);
    struct ingest_stream *stream = ingest ? ingest_stream_new() : NULL;
    if (!stream) {
        memory_free(ingest);
        return NULL;
    }
    ingest->stream = stream;
    ingest->number = net_state(connection).number;
    buffer_init(&ingest->answers, ANSWERS_LIMIT);
    session_init(&ingest->session, frontend, connection, &session_ingest, principal);
    session_expect(&ingest->session, frontend->max_request_bytes);
    intake_init(&ingest->held, &frontend->incoming, frontend->max_request_bytes,
                ingest->session.owner, (struct intake_calls){.crowded = on_crowded});
    return &ingest->session;
}
