/*
 * One signal on its way to its endpoint. A body is kept until it is taken or given up:
 *
 *   empty --filled--> WAITING --sent--> UNDER WAY --2xx, or no use in another attempt--> empty
 *                        ^                  |
 *                        +--429, 502, 503, 504, no connection: later, TELEMETRY_ATTEMPTS times
 *
 * OTLP forbids another attempt after any other status. The pause belongs to the endpoint, not to
 * the body: it holds for the body that takes the place of one that failed, too.
 */
#include "base/utf8.h"
#include "telemetry/telemetry_internal.h"
#include "json/json.h"

#include <stdlib.h>

enum {
    ANSWER_BYTES = 64 * 1024,
    CONNECT_MS = 5 * 1000,
    MESSAGE_SHOWN = 200 /* of an endpoint, in the log */
};

static const char *const names[] = {"traces", "metrics"};

void telemetry_signal_init(struct telemetry_signal *signal, struct telemetry *telemetry,
                           enum telemetry_kind kind)
{
    *signal = (struct telemetry_signal){.telemetry = telemetry, .kind = kind};
    buffer_init(&signal->body,
                kind == TELEMETRY_TRACES ? TELEMETRY_SPANS_BYTES : TELEMETRY_FIGURES_BYTES);
}

static void count_dropped(struct telemetry_signal *signal, uint64_t spans)
{
    if (signal->kind == TELEMETRY_TRACES)
        counter_add(&signal->telemetry->metrics.spans_dropped, spans);
}

void telemetry_signal_renew(struct telemetry_signal *signal)
{
    INVARIANT(!signal->under_way);
    size_t limit = signal->body.limit;
    buffer_fini(&signal->body);
    buffer_init(&signal->body, limit);
    signal->items = 0;
}

void telemetry_signal_drop(struct telemetry_signal *signal, bool taken)
{
    if (!taken)
        count_dropped(signal, signal->items);
    telemetry_signal_renew(signal);
    signal->attempts = 0;
    signal->retry_ms = 0;
}

/* ---- what the endpoint says ---- */

/* SplitMix64. */
static uint64_t next_random(struct telemetry *telemetry)
{
    uint64_t x = telemetry->random += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* How long to wait before the next attempt; what the endpoint asks for goes first. */
static uint64_t pause_of(struct telemetry_signal *signal, int64_t retry_after)
{
    uint64_t wait = (uint64_t)TELEMETRY_BACK_OFF_MS << (signal->attempts - 1);
    if (retry_after > TELEMETRY_RETRY_AFTER_MOST_MS / 1000)
        return TELEMETRY_RETRY_AFTER_MOST_MS;
    if (retry_after > 0)
        return (uint64_t)retry_after * 1000;
    return wait / 2 + next_random(signal->telemetry) % (wait / 2 + 1);
}

static bool is(const struct tree *value, enum tree_type type)
{
    return value && tree_type(value) == type;
}

/* A number, as protobuf's JSON has 64-bit ones: a text, or the number itself. */
static uint64_t number_of(const struct tree *value)
{
    char digits[24];
    struct span text = is(value, TREE_STRING) ? tree_string(value) : span_of("");
    if (is(value, TREE_INTEGER))
        return tree_integer(value, 0) > 0 ? (uint64_t)tree_integer(value, 0) : 0;
    if (text.length >= sizeof digits ||
        strspn(text.length ? text.data : "", "0123456789") < text.length)
        return 0;
    memcpy(digits, text.data, text.length);
    digits[text.length] = '\0';
    return strtoull(digits, NULL, 10);
}

/* What the endpoint says, as the log has it. */
static struct span shown(struct span text)
{
    return text.length > MESSAGE_SHOWN ? span_make(text.data, utf8_whole(text.data, MESSAGE_SHOWN))
                                       : text;
}

static void tell_partial(struct telemetry_signal *signal, const struct tree *partial)
{
    bool traces = signal->kind == TELEMETRY_TRACES;
    const struct tree *message = tree_member(partial, "errorMessage");
    struct span text = is(message, TREE_STRING) ? tree_string(message) : span_of("");
    uint64_t rejected =
        number_of(tree_member(partial, traces ? "rejectedSpans" : "rejectedDataPoints"));
    if (!rejected && !text.length)
        return;
    if (rejected > signal->items && traces)
        rejected = signal->items;
    count_dropped(signal, rejected);
    log_warning("telemetry", "partial-success", log_word("signal", names[signal->kind]),
                log_number("rejected", rejected), log_span("message", shown(text)));
}

/* A success that tells of what was not taken; what is no such answer tells nothing. */
static void read_answer(struct telemetry_signal *signal, const struct buffer *body)
{
    struct error error;
    struct tree *answer = body->length ? tree_parse(buffer_span(body), &error) : NULL;
    const struct tree *partial =
        is(answer, TREE_OBJECT) ? tree_member(answer, "partialSuccess") : NULL;
    if (is(partial, TREE_OBJECT))
        tell_partial(signal, partial);
    tree_free(answer);
}

static void taken(struct telemetry_signal *signal, const struct outbound_answer *answer)
{
    if (signal->failing)
        log_info("telemetry", "export-resumed", log_word("signal", names[signal->kind]));
    signal->failing = false;
    read_answer(signal, &answer->body);
    telemetry_signal_drop(signal, true);
}

static bool may_come_again(const struct outbound_answer *answer)
{
    if (answer->error.code == ERROR_NETWORK || answer->error.code == ERROR_MEMORY)
        return true;
    return answer->status == 429 || answer->status == 502 || answer->status == 503 ||
           answer->status == 504;
}

static void failed(struct telemetry_signal *signal, const struct outbound_answer *answer)
{
    struct telemetry *telemetry = signal->telemetry;
    struct span error = answer->error.code != ERROR_NONE ? span_of(answer->error.message)
                                                         : shown(buffer_span(&answer->body));
    signal->failing = true;
    signal->attempts++;
    counter_add(&telemetry->metrics.failures, 1);
    bool again = may_come_again(answer) && !telemetry->finishing;
    uint64_t wait = again ? pause_of(signal, answer->retry_after) : 0;
    if (again && signal->attempts < TELEMETRY_ATTEMPTS) {
        log_warning("telemetry", "export-failed", log_word("signal", names[signal->kind]),
                    log_number("status", answer->status), log_span("error", error),
                    log_number("retry_ms", wait), log_number("attempts", signal->attempts));
    } else {
        log_warning("telemetry", "export-failed", log_word("signal", names[signal->kind]),
                    log_number("status", answer->status), log_span("error", error),
                    log_word("effect", "dropped"), log_number("attempts", signal->attempts));
        telemetry_signal_drop(signal, false);
    }
    /* The next body waits, too: the endpoint is no better for it. */
    signal->retry_ms = telemetry->context.now_ms(telemetry->context.argument) + wait;
}

static void on_answer(void *argument, struct outbound_answer *answer)
{
    struct telemetry_signal *signal = argument;
    signal->under_way = false;
    if (answer->error.code == ERROR_NONE && answer->status / 100 == 2)
        taken(signal, answer);
    else if (answer->error.code != ERROR_SHUTTING_DOWN) /* telemetry_stop tells of what is left */
        failed(signal, answer);
}

/* ---- sending ---- */

void telemetry_signal_send(struct telemetry_signal *signal)
{
    struct telemetry *telemetry = signal->telemetry;
    const struct telemetry_settings *settings = &telemetry->settings;
    uint64_t now = telemetry->context.now_ms(telemetry->context.argument);
    if (!telemetry_signal_busy(signal) || signal->under_way || now < signal->retry_ms)
        return;
    struct outbound_request request = {
        .url = settings->urls[signal->kind],
        .body = buffer_span(&signal->body),
        .content_type = "application/json",
        .headers = settings->headers,
        .max_bytes = ANSWER_BYTES,
        .connect_ms = settings->timeout_ms < CONNECT_MS ? settings->timeout_ms : CONNECT_MS,
        .total_ms = settings->timeout_ms,
        .done = on_answer,
        .argument = signal,
    };
    struct outbound_answer problem = {.status = 0};
    signal->under_way = outbound_send(telemetry->context.outbound, &request, &problem.error);
    if (signal->under_way) {
        counter_add(&telemetry->metrics.requests, 1);
    } else {
        problem.error.code = ERROR_NETWORK; /* there is room for it later */
        failed(signal, &problem);
    }
}
