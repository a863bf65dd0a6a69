/* The input of a session: pieces, until they are a message. */
#include "session/frontend.h"
#include "wire/wire.h"

enum { POLICY_VIOLATION = 1008, TOO_LARGE = 1009, TRY_AGAIN_LATER = 1013 };

static uint16_t status_of(enum error_code code)
{
    if (code == ERROR_TOO_LARGE)
        return TOO_LARGE;
    return code == ERROR_TOO_SLOW ? POLICY_VIOLATION : TRY_AGAIN_LATER;
}

void session_refuse_message(struct session *session, const struct error *error)
{
    char reason[WIRE_CLOSE_REASON + 1];
    intake_end(&session->incoming);
    wire_close_reason(reason, error);
    session->kind->refuse(session, error, true);
    if (error->code == ERROR_MEMORY)
        session_give_up(session, reason);
    else
        session_close(session, status_of(error->code), reason);
}

/* The rest of a message is, unless it is we who do not listen. */
static void on_late(struct intake *intake)
{
    struct session *session = LINK_OWNER(struct session, incoming, intake);
    int64_t patience_ms = intake->all->patience_ms;
    struct error error;
    if (session->state != SESSION_OPEN) {
        intake_end(intake);
        return;
    }
    if (session->paused) {
        intake_wait(intake, (int64_t)frontend_now(session->frontend), patience_ms);
        return;
    }
    error_set(&error, ERROR_TOO_SLOW,
              "a message came more slowly than %d bytes a second for %lld seconds",
              INCOMING_BYTES_PER_SECOND, (long long)patience_ms / 1000);
    session_refuse_message(session, &error);
}

static void on_crowded(struct intake *intake, const struct error *error)
{
    struct session *session = LINK_OWNER(struct session, incoming, intake);
    if (session->state == SESSION_OPEN)
        session_refuse_message(session, error);
    intake_end(intake);
}

void session_expect(struct session *session, size_t limit)
{
    session->owner = shares_owner_of(&session->principal);
    intake_init(&session->incoming, &session->frontend->incoming, limit, session->owner,
                (struct intake_calls){on_late, on_crowded});
}

static void take_message(struct session *session, struct span text)
{
    struct error error;
    counter_add(&session->frontend->counters.messages_in, 1);
    if (session->supply->drop &&
        !allowance_has(&session->allowance, ALLOWANCE_MESSAGE, 1, &error)) {
        session_end(session, &error);
        return;
    }
    if (session->binary) {
        error_set(&error, ERROR_INVALID_MESSAGE, "messages must be text, this one was binary");
        session->kind->refuse(session, &error, false);
    } else {
        session->kind->message(session, text);
    }
    if (session_is_full(session))
        session_pause(session);
}

static bool gather(struct session *session, struct span bytes)
{
    struct intake *incoming = &session->incoming;
    int64_t now_ms = (int64_t)frontend_now(session->frontend);
    struct error error;
    if (!incoming->due_ms)
        intake_wait(incoming, now_ms, incoming->all->patience_ms);
    if (intake_add(incoming, bytes, now_ms, &error))
        return true;
    session_refuse_message(session, &error);
    return false;
}

/* The memory is given back at once: most clients say one thing and then listen for hours. */
void session_receive(struct session *session, struct span bytes, bool binary, bool last)
{
    session_heard(session);
    counter_add(&session->frontend->counters.bytes_in, bytes.length);
    session->heard_bytes += bytes.length;
    if (session->state != SESSION_OPEN || session_has_expired(session))
        return;
    session->binary = binary;
    struct intake *incoming = &session->incoming;
    if (last && !incoming->bytes.length && bytes.length <= incoming->bytes.limit) {
        intake_end(incoming);
        take_message(session, bytes);
    } else if (gather(session, bytes) && last) {
        take_message(session, buffer_span(&incoming->bytes));
        intake_end(incoming);
    }
}

void session_receive_too_long(struct session *session)
{
    struct error error;
    session_heard(session);
    if (session->state != SESSION_OPEN)
        return;
    error_set(&error, ERROR_TOO_LARGE, "a message may have at most %zu bytes",
              session->incoming.bytes.limit);
    session_refuse_message(session, &error);
}
