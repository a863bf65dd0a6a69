/* Errors as clients see them: in a frame, in an HTTP body and in a close reason. */
#include "wire/wire_internal.h"

/* The advice for the person at the client's side. Every code has a line; a test holds that. */
static const char *const suggested_actions[ERROR_COUNT] = {
    [ERROR_NONE] = "Nothing is wrong.",
    [ERROR_INTERNAL] = "Try again; if it stays, report it with the server's log.",
    [ERROR_MEMORY] = "Try again later, or give the server more memory.",
    [ERROR_INVALID_MESSAGE] = "Correct the message and send it again.",
    [ERROR_INVALID_PARAMETER] = "Correct the named field and send the message again.",
    [ERROR_VIEW_NOT_FOUND] = "Check the view's name; GET /v1/views lists all.",
    [ERROR_NOT_FOUND] = "Check the path of the request.",
    [ERROR_METHOD_NOT_ALLOWED] = "Use the method that this path takes.",
    [ERROR_TOO_LARGE] = "Send less at once.",
    [ERROR_LENGTH_REQUIRED] = "Send a body, with a Content-Length or in chunks.",
    [ERROR_TARGET_TOO_LONG] = "Ask for less in one request's path and query.",
    [ERROR_HEAD_TOO_LARGE] = "Send fewer or shorter headers, and a shorter token.",
    [ERROR_EXPECTATION] = "Send the request without Expect, or with 100-continue.",
    [ERROR_UPGRADE_REQUIRED] = "Use a client that speaks version 13 of WebSocket (RFC 6455).",
    [ERROR_NOT_IMPLEMENTED] =
        ("Send it to the server that the message names, if it names one; else "
         "send the body plainly."),
    [ERROR_HTTP_VERSION] = "Use HTTP/1.1; a proxy in front can speak other versions.",
    [ERROR_HOST] = "Use a name from allowed_hosts, or localhost; see the configuration.",
    [ERROR_TOO_SLOW] = "Send it again without pausing, in smaller requests if the line is slow.",
    [ERROR_UNSUPPORTED_ENCODING] = "Send the body as it is, or mutations compressed by gzip.",
    [ERROR_QUEUE_FULL] = "Wait, then send the same request again.",
    [ERROR_OUT_OF_ORDER] = "Send the missing batch first.",
    [ERROR_PRODUCER_TAKEN] = "Use a producer's name of your own.",
    [ERROR_PRODUCER_LIMIT] =
        "Use a name that is there, or forget one by DELETE /v1/producers/NAME.",
    [ERROR_KEY_REUSED] = "Use a new Idempotency-Key for a new request.",
    [ERROR_HISTORY_TRIMMED] = "Ask for a later position; a longer retention keeps more.",
    [ERROR_LOG_GAP] = "Begin again with a backup (GET /v1/backup).",
    [ERROR_LOG_REPLACED] = "Begin again with a backup (GET /v1/backup).",
    [ERROR_UNKNOWN_EXPORT] = "Correct the export's name, or add it to the configuration.",
    [ERROR_SHUTTING_DOWN] = "Connect again in a moment.",
    [ERROR_READ_ONLY] = "Send it to the server that this one follows.",
    [ERROR_LOG_FORBIDDEN] = "Send it to another node, or have the broker let this one publish.",
    [ERROR_LOG_UNAVAILABLE] =
        "Send it again with the same batch number or Idempotency-Key; without one, look first.",
    [ERROR_CLIENT_ENDED] = "Connect again and resume, unless the operator asked you not to.",
    [ERROR_NODE_BEHIND] =
        "Ask another node, or again in a moment: resume, or write with the same number or key.",
    [ERROR_CONNECTION_LIMIT] = "Close unused connections, then try again.",
    [ERROR_SUBSCRIPTION_LIMIT] = "Unsubscribe from unused views, then try again.",
    [ERROR_TOKEN_MISSING] = "Connect with a token: in the Authorization header or the query.",
    [ERROR_TOKEN_MISSING_CLAIM] = "Have a token issued that carries the named claim.",
    [ERROR_STATIC_TOKEN] = "Check the token with the server's operator.",
    [ERROR_TOKEN_EXPIRED] = "Get a fresh token and connect again.",
    [ERROR_TOKEN_SIGNATURE] = "Get a token from the issuer that this server trusts.",
    [ERROR_TOKEN_ISSUER] = "Get a token from the issuer that this server trusts.",
    [ERROR_TOKEN_AUDIENCE] = "Get a token that is meant for this server.",
    [ERROR_TOKEN_KEY] = "Get a fresh token; its key is not known here, or no longer.",
    [ERROR_TOKEN_FORMAT] = "Send a signed token (EdDSA, ES256 or RS256) as it was issued.",
    [ERROR_ORIGIN_MISMATCH] = "Connect from the origin that the token was issued for.",
    [ERROR_ORIGIN_REQUIRED] = "Connect with an Origin header.",
    [ERROR_SCOPE_MISSING] = "Use a token with the named scope.",
    [ERROR_RATE_LIMIT] = "Wait as long as retry_after says, then try again.",
    [ERROR_SNAPSHOT_LIMIT] = "Ask for fewer rows: set snapshotLimit or take.",
    [ERROR_EGRESS_LIMIT] = "Subscribe to less, or wait as long as retry_after says.",
    [ERROR_DISK_FULL] = "Free disk space on the server; it goes on by itself.",
    [ERROR_FILE_LIMIT] =
        "Have the server's operator raise the limit of the size of files; it goes on by itself.",
    [ERROR_WAL_LIMIT] = "End what keeps the server's write-ahead log; it goes on by itself.",
    [ERROR_DATABASE_UNUSABLE] =
        "Have the server's operator take out what another program changed in the database.",
    [ERROR_DATABASE_GONE] = "Have the server's operator save the data, then try again.",
    [ERROR_DATABASE_DAMAGED] = "Have the server's operator restore the database.",
    [ERROR_DISK_FAILED] = "Check the server's disk, then try again.",
    [ERROR_OUTCOME_UNKNOWN] =
        "Send it again only with a producer's batch number or an Idempotency-Key; else look first.",
    [ERROR_DATABASE] = "Check the database with the server's log at hand.",
    [ERROR_DATABASE_NEWER] = "Run a server at least as new as the one that wrote the database.",
    [ERROR_DATABASE_IN_USE] = "Stop the other process that has the database open.",
    [ERROR_CONFIGURATION] = "Correct the configuration and start the server again.",
    [ERROR_NETWORK] = "Check the address and the connection, then try again.",
};

size_t wire_cut(struct span text, size_t limit)
{
    if (text.length <= limit)
        return text.length;
    /* A byte 10xxxxxx continues a character: cutting before it would leave a part of one. */
    while (limit > 0 && ((unsigned char)text.data[limit] & 0xc0) == 0x80)
        limit--;
    return limit;
}

static const char *suggested_action(enum error_code code)
{
    return suggested_actions[(unsigned)code < ERROR_COUNT ? code : ERROR_INTERNAL];
}

/* The fields from `error` to `suggested_action`, which both forms have. */
static void add_fields(struct buffer *out, const struct error *error, int retry_after)
{
    const char *code = error_kind(error->code)->wire;
    buffer_add_string(out, "\"error\":\"");
    buffer_add_string(out, code);
    buffer_add_string(out, "\",\"message\":");
    doc_escape(out, span_of(error->message));
    buffer_add_string(out, ",\"code\":\"");
    buffer_add_string(out, code);
    bool retryable = error_kind(error->code)->retry != RETRY_NEVER;
    buffer_add_string(out, retryable ? "\",\"retryable\":true" : "\",\"retryable\":false");
    if (retry_after >= 0)
        buffer_printf(out, ",\"retry_after\":%d", retry_after);
    buffer_add_string(out, ",\"suggested_action\":");
    doc_escape(out, span_of(suggested_action(error->code)));
}

static void add_about(struct buffer *out, const char *start, struct span text, size_t limit)
{
    if (!text.data)
        return;
    buffer_add_string(out, start);
    doc_escape(out, span_make(text.data, wire_cut(text, limit)));
}

bool wire_error(struct buffer *out, const struct error *error, const struct wire_about *about,
                bool fatal, int retry_after)
{
    static const struct wire_about nothing;
    const struct wire_about *it = about ? about : &nothing;
    struct frame_draft draft =
        frame_open(out, 256 + strlen(error->message) + it->view.length + it->key.length);
    buffer_add_string(out, "{\"type\":\"error\",");
    add_fields(out, error, retry_after);
    add_about(out, ",\"view\":", it->view, WIRE_ABOUT_VIEW);
    add_about(out, ",\"key\":", it->key, WIRE_ABOUT_KEY);
    buffer_add_string(out, fatal ? ",\"fatal\":true}" : ",\"fatal\":false}");
    return frame_close(out, draft, FRAME_TEXT);
}

/* ---- version 2 ---- */

void wire_put_tape(struct buffer *out, const struct wire_tape *tape)
{
    buffer_add_string(out, "{\"epoch\":");
    doc_escape(out, tape->epoch);
    buffer_printf(out, ",\"earliest\":%lld,\"next\":%lld}", (long long)tape->earliest,
                  (long long)tape->next);
}

/* The code by which its clients know a code of version 1. */
static const char *renamed(enum wire_refusal refusal, enum error_code code)
{
    if (code == ERROR_INVALID_MESSAGE)
        return "malformed-message";
    if (code == ERROR_INVALID_PARAMETER)
        return refusal == WIRE_REFUSED_SUBSCRIBE     ? "invalid-subscription"
               : refusal == WIRE_REFUSED_UNSUBSCRIBE ? "invalid-unsubscription"
                                                     : "malformed-message";
    if (refusal == WIRE_REFUSED_SUBSCRIBE &&
        (code == ERROR_VIEW_NOT_FOUND || code == ERROR_SNAPSHOT_LIMIT))
        return "subscription-rejected";
    return error_kind(code)->wire;
}

static const char *refusal_code(const struct wire_problem *problem, bool *retryable)
{
    static const char *const codes[] = {[WIRE_REFUSED_ID_TAKEN] = "duplicate-subscription-id",
                                        [WIRE_REFUSED_ID_UNKNOWN] = "unknown-subscription-id",
                                        [WIRE_REFUSED_CURSOR] = "invalid-cursor",
                                        [WIRE_REFUSED_EPOCH] = "cursor-epoch-changed",
                                        [WIRE_REFUSED_EXPIRED] = "cursor-expired",
                                        [WIRE_REFUSED_AHEAD] = "cursor-unknown",
                                        [WIRE_REFUSED_REJECTED] = "subscription-rejected",
                                        [WIRE_REFUSED_RESCOPED] = "subscription-rescoped"};
    enum error_code code = problem->error->code;
    *retryable = problem->refusal == WIRE_REFUSED_RESCOPED; /* the same query is good for it */
    if (problem->refusal > WIRE_REFUSED_UNSUBSCRIBE)
        return codes[problem->refusal];
    *retryable = error_kind(code)->retry != RETRY_NEVER && code != ERROR_SNAPSHOT_LIMIT;
    return renamed(problem->refusal, code);
}

bool wire_problem(struct buffer *out, const struct wire_problem *problem)
{
    bool retryable;
    const char *code = refusal_code(problem, &retryable);
    struct frame_draft draft = frame_open(out, 256 + strlen(problem->error->message));
    buffer_printf(out, "\"type\":\"error\",\"error\":\"%s\",\"message\":", code);
    doc_escape(out, span_of(problem->error->message));
    buffer_printf(out, ",\"code\":\"%s\",\"retryable\":%s", code, retryable ? "true" : "false");
    if (problem->retry_after >= 0)
        buffer_printf(out, ",\"retryAfter\":%d", problem->retry_after);
    if (problem->refusal <= WIRE_REFUSED_UNSUBSCRIBE) {
        buffer_add_string(out, ",\"suggestedAction\":");
        doc_escape(out, span_of(suggested_action(problem->error->code)));
    } else if (problem->tape || problem->refusal == WIRE_REFUSED_RESCOPED) {
        buffer_add_string(out, ",\"suggestedAction\":\"Subscribe again without a cursor.\"");
    }
    if (problem->tape) {
        buffer_add_string(out, ",\"replayWindow\":");
        wire_put_tape(out, problem->tape);
    }
    buffer_add_string(out, problem->fatal ? ",\"fatal\":true}" : ",\"fatal\":false}");
    return frame_close(out, draft, frame_of_part(FRAME_TEXT, WIRE_PROBLEM));
}

bool wire_problem_message(struct buffer *out, struct span id, const struct wire_problem *problem)
{
    struct wire_joint joint = {.inside = false};
    struct buffer body, head;
    buffer_init(&body, WIRE_HEAD);
    buffer_init(&head, WIRE_HEAD);
    bool done = wire_problem(&body, problem) && wire_head(&head, id) &&
                wire_behind_head(out, buffer_span(&body), buffer_span(&head), &joint);
    buffer_fini(&body);
    buffer_fini(&head);
    return done;
}

/* ---- over HTTP, and in a close frame ---- */

bool wire_error_body(struct buffer *out, const struct error *error, int retry_after)
{
    buffer_add_char(out, '{');
    add_fields(out, error, retry_after);
    return buffer_add_char(out, '}');
}

size_t wire_close_reason(char out[WIRE_CLOSE_REASON + 1], const struct error *error)
{
    const char *parts[] = {error_kind(error->code)->wire, ": ", error->message};
    size_t length = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct span part = span_of(parts[i]);
        size_t fits = wire_cut(part, WIRE_CLOSE_REASON - length);
        memcpy(out + length, part.data, fits);
        length += fits;
    }
    out[length] = '\0';
    return length;
}
