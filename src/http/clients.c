/* Who is there: GET /v1/clients, and the end of one. */
#include "http/clients.h"

#include "http/print.h"

enum {
    MOST_SUBSCRIPTIONS = 100, /* of a client, that are shown, */
    MOST_LAGS = 1000,         /* ... and that its lag is of */
    SUBSCRIPTIONS_PER_COST = 4
};

/* ---- one client ---- */

struct lag {
    int64_t changes, slots;
    double seconds;
};

struct printing {
    struct buffer *out;
    size_t count;
    struct lag lag; /* of all */
};

static void print_lag(struct buffer *out, const struct lag *lag)
{
    buffer_add_string(out, "\"lag\":{\"changes\":");
    http_print_known(out, lag->changes);
    buffer_add_string(out, ",\"slots\":");
    http_print_known(out, lag->slots);
    if (lag->seconds < 0)
        buffer_add_string(out, ",\"seconds\":null}");
    else
        buffer_printf(out, ",\"seconds\":%.3f}", lag->seconds);
}

/* A cursor, or null. */
static void print_seq(struct buffer *out, bool is_known, struct seq seq)
{
    char text[SEQ_SIZE];
    size_t length = is_known ? seq_print(text, seq) : 0;
    if (is_known)
        buffer_printf(out, "\"%.*s\"", (int)length, text);
    else
        buffer_add_string(out, "null");
}

static void print_subscription(struct buffer *out, const struct subscription_facts *facts,
                               const struct lag *lag)
{
    buffer_add_char(out, '{');
    if (facts->id.data) {
        buffer_add_string(out, "\"id\":");
        doc_escape(out, facts->id);
        buffer_add_char(out, ',');
    }
    http_print_asked(out, &facts->asked);
    if (facts->window)
        buffer_printf(out, ",\"window\":%llu", (unsigned long long)facts->window);
    buffer_printf(out, ",\"state\":\"%s\",\"change\":", facts->state);
    http_print_known(out, facts->change);
    buffer_add_string(out, ",\"seq\":");
    print_seq(out, facts->has_seq, facts->seq);
    buffer_add_char(out, ',');
    print_lag(out, lag);
    buffer_add_char(out, '}');
}

/* The greatest of each; what is not known of one is not known of the client. */
static void gather(struct lag *all, const struct lag *lag)
{
    if (all->changes >= 0 && (lag->changes < 0 || lag->changes > all->changes))
        all->changes = lag->changes;
    if (all->slots >= 0 && (lag->slots < 0 || lag->slots > all->slots))
        all->slots = lag->slots;
    if (all->seconds >= 0 && (lag->seconds < 0 || lag->seconds > all->seconds))
        all->seconds = lag->seconds;
}

static void each_subscription(void *argument, const struct subscription_facts *facts)
{
    struct printing *printing = argument;
    const struct lag lag = {facts->behind, facts->slots_behind, facts->seconds_behind};
    gather(&printing->lag, &lag);
    if (printing->count >= MOST_SUBSCRIPTIONS)
        return;
    if (printing->count++)
        buffer_add_char(printing->out, ',');
    print_subscription(printing->out, facts, &lag);
}

static void print_text(struct buffer *out, const char *text)
{
    if (text && *text)
        doc_escape(out, span_of(text));
    else
        buffer_add_string(out, "null");
}

static struct session *session_of(struct roster_item *item)
{
    return LINK_OWNER(struct session, in_all, item);
}

static void print_client(struct buffer *out, const struct session *session, size_t subscriptions)
{
    const struct principal *principal = &session->principal;
    const char *token_id = principal->identity->token_id;
    bool is_known = session->kind != &session_newcomer; /* it has said who it is */
    buffer_printf(out, "{\"id\":%llu,\"address\":", (unsigned long long)session->in_all.number);
    print_text(out, principal->address);
    buffer_add_string(out, ",\"subject\":");
    print_text(out, is_known ? principal->identity->subject : NULL);
    if (token_id && *token_id) {
        buffer_add_string(out, ",\"jti\":");
        print_text(out, token_id);
    }
    buffer_printf(out,
                  ",\"protocol\":\"%s\",\"since\":%lld,\"state\":\"%s\",\"sent\":%llu,"
                  "\"received\":%llu,\"queued\":%zu,\"subscription_count\":%zu",
                  session->kind->protocol(session), (long long)session->since_ms,
                  session->state == SESSION_OPEN ? "open" : "ending",
                  (unsigned long long)session->sent_bytes, (unsigned long long)session->heard_bytes,
                  net_state(session_connection(session)).queued, subscriptions);
}

static size_t print(struct http *http, struct roster_item *item, struct buffer *out)
{
    const struct session *session = session_of(item);
    const struct session_kind *kind = session->kind;
    size_t subscriptions = kind->subscriptions ? kind->subscriptions(session) : 0;
    struct printing printing = {.out = out};
    (void)http;
    print_client(out, session, subscriptions);
    buffer_add_string(out, ",\"subscriptions\":[");
    if (kind->describe)
        kind->describe(session, MOST_LAGS, each_subscription, &printing);
    buffer_add_string(out, "],");
    print_lag(out, &printing.lag);
    buffer_add_char(out, '}');
    return subscriptions / SUBSCRIPTIONS_PER_COST;
}

/* ---- the list ---- */

static struct roster *roster(struct http *http)
{
    return &http->frontend->sessions.all;
}

static void print_head(struct http *http, struct buffer *out)
{
    struct hub_state state = hub_state(http->frontend->hub);
    buffer_printf(out, "\"time\":%lld,\"change\":%lld,\"seq\":", (long long)clock_wall_ms(),
                  (long long)state.last_change);
    print_seq(out, state.last_change > 0, state.head);
    buffer_printf(out, ",\"count\":%zu,", http->frontend->sessions.count);
}

/* The client may come back at once: its token still holds. */
static void end(struct http_request *request, struct roster_item *item)
{
    struct frontend *frontend = request->http->frontend;
    struct audit_client by = {.principal = &request->principal, .kind = "http"};
    struct error error;
    audit_write(access_shown(frontend->access)->audit, AUDIT_CLIENT_ENDED,
                &(struct audit_details){.client = &by, .ended = item->number});
    error_set(&error, ERROR_CLIENT_ENDED, "an administrator ended the connection");
    session_end(session_of(item), &error);
}

const struct http_list http_clients = {.path = "/v1/clients",
                                       .member = "clients",
                                       .item = "client",
                                       .has_items = true,
                                       .can_end = true,
                                       .roster = roster,
                                       .print_head = print_head,
                                       .print = print,
                                       .end = end};
