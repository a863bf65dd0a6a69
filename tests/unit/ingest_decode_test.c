/* The decoder of mutations: what each form becomes, what each mistake is told, and every
 * allocation failing once. */
#include "ingest/ingest.h"
#include "memory_fault.h"
#include "test.h"

static const struct ingest_options options = {
    .max_request_bytes = 1 << 20, .max_depth = 4, .max_key_bytes = 20};

/* ---- a submission as text ---- */

static void describe_mutation(struct buffer *out, const struct submission *submission,
                              const struct mutation *mutation)
{
    static const char *const operations[] = {
        [ROW_PATCH] = "patch", [ROW_UPSERT] = "upsert", [ROW_DELETE] = "delete"};
    buffer_printf(out, "%s %.*s/%.*s", operations[mutation->operation],
                  (int)mutation->export_name.length, mutation->export_name.data,
                  (int)mutation->key.length, mutation->key.data);
    if (mutation->patch != DOC_NONE) {
        buffer_add_char(out, ' ');
        buffer_add_span(out, doc_text(&submission->doc, mutation->patch));
    }
    for (size_t i = 0; i < mutation->append_count; i++)
        buffer_printf(out, " +%.*s", (int)mutation->appends[i].path.length,
                      mutation->appends[i].path.data);
    if (mutation->has_seq)
        buffer_printf(out, " @%lld:%lld", (long long)mutation->seq.slot,
                      (long long)mutation->seq.index);
    buffer_add_char(out, ';');
}

static void describe(struct buffer *out, const struct submission *submission, struct span id)
{
    size_t covered = 0;
    if (id.data)
        buffer_printf(out, "id %.*s;", (int)id.length, id.data);
    for (size_t i = 0; i < submission->batch_count; i++) {
        const struct submission_batch *batch = &submission->batches[i];
        assert_int_equal(batch->first, covered);
        buffer_add_char(out, '[');
        if (batch->producer.data)
            buffer_printf(out, "%.*s#%lld:", (int)batch->producer.length, batch->producer.data,
                          (long long)batch->number);
        for (size_t j = 0; j < batch->count; j++)
            describe_mutation(out, submission, &submission->mutations[batch->first + j]);
        buffer_add_char(out, ']');
        covered += batch->count;
    }
    assert_int_equal(covered, submission->mutation_count);
    if (submission->traceparent.data)
        buffer_printf(out, "from %.*s;", (int)submission->traceparent.length,
                      submission->traceparent.data);
}

/* ---- what is accepted ---- */

#define QUAKE "{\"export\":\"Quake\",\"key\":"

static const struct {
    enum ingest_format format;
    const char *body, *expected;
} accepted[] = {
    {INGEST_LINES, "", ""},
    {INGEST_LINES, "\n \t\r\n\n", ""},
    {INGEST_LINES, QUAKE "\"a\",\"patch\":{\"x\": 1.50}}", "[patch Quake/a {\"x\":1.50};]"},
    {INGEST_LINES, QUAKE "\"a\",\"patch\":{}}\r\n\n" QUAKE "\"b\",\"op\":\"delete\"}\n",
     "[patch Quake/a {};delete Quake/b;]"},
    {INGEST_LINES, QUAKE "42,\"patch\":{}}", "[patch Quake/42 {};]"},
    {INGEST_LINES, QUAKE "18446744073709551615,\"patch\":{}}",
     "[patch Quake/18446744073709551615 {};]"},
    {INGEST_LINES, QUAKE "[0,15,255],\"patch\":{}}", "[patch Quake/000fff {};]"},
    {INGEST_LINES, QUAKE "[0,256],\"patch\":{}}", "[patch Quake/[0,256] {};]"},
    {INGEST_LINES, QUAKE "[1, \"a\"],\"patch\":{}}", "[patch Quake/[1,\"a\"] {};]"},
    {INGEST_LINES, QUAKE "true,\"patch\":{}}", "[patch Quake/true {};]"},
    {INGEST_LINES, QUAKE "1.0,\"patch\":{}}", "[patch Quake/1.0 {};]"},
    {INGEST_LINES, QUAKE "{\"b\": 1},\"patch\":{}}", "[patch Quake/{\"b\":1} {};]"},
    {INGEST_LINES, QUAKE "\"q\\\"\\u00fc\",\"patch\":{}}", "[patch Quake/q\"ü {};]"},
    {INGEST_LINES, QUAKE "\"a\",\"op\":\"upsert\",\"patch\":{\"n\":9007199254740993}}",
     "[upsert Quake/a {\"n\":\"9007199254740993\"};]"},
    {INGEST_LINES, QUAKE "\"a\",\"append\":[\"r\",\"s.t\",\"r\"],\"patch\":{}}",
     "[patch Quake/a {} +r +s.t;]"},
    {INGEST_LINES,
     QUAKE "\"a\",\"append\":null,\"slot\":null,\"index\":null,\"op\":null,"
           "\"patch\":{}}",
     "[patch Quake/a {};]"},
    {INGEST_LINES, QUAKE "\"a\",\"op\":\"delete\",\"patch\":null,\"append\":[]}",
     "[delete Quake/a;]"},
    {INGEST_LINES, QUAKE "\"a\",\"patch\":{},\"slot\":5,\"index\":9223372036854775806}",
     "[patch Quake/a {} @5:9223372036854775806;]"},
    {INGEST_LINES, QUAKE "\"a\",\"patch\":{\"a\":{\"b\":{\"c\":{}}}}}",
     "[patch Quake/a {\"a\":{\"b\":{\"c\":{}}}};]"},
    {INGEST_LINES,
     "{\"slot\":7,\"index\":1,\"mutations\":[" QUAKE "1,\"patch\":{}}," QUAKE
     "2,\"patch\":{},\"slot\":8,\"index\":0}]}",
     "[patch Quake/1 {} @7:1;patch Quake/2 {} @8:0;]"},
    {INGEST_LINES,
     QUAKE "1,\"patch\":{}}\n{\"producer\":\"p\",\"batch\":3,\"mutations\":[]}\n" QUAKE
           "2,\"patch\":{}}",
     "[patch Quake/1 {};][p#3:][patch Quake/2 {};]"},
    {INGEST_MESSAGE, "{\"id\":\"x\",\"mutations\":[]}", "id \"x\";[]"},
    {INGEST_MESSAGE, "{\"id\":null,\"mutations\":[]}", "[]"},
    {INGEST_MESSAGE, "{\"traceparent\":\"00-x\",\"mutations\":[]}", "[]from 00-x;"},
    {INGEST_MESSAGE, "{\"traceparent\":null,\"mutations\":[]}", "[]"},
    {INGEST_MESSAGE,
     " {\"mutations\":[" QUAKE "1,\n\"patch\":{}}],\"id\":7,\"producer\":\"p\",\"batch\":0}",
     "id 7;[p#0:patch Quake/1 {};]"},
};

TEST(test_accepted)
{
    for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++) {
        struct span body = span_of(accepted[i].body), id;
        struct submission *submission = ingest_submission(body.length);
        struct error error = {0};
        if (!ingest_decode(&options, accepted[i].format, body, submission, &id, &error))
            fail_msg("%s: %s", accepted[i].body, error.message);
        struct buffer text;
        buffer_init(&text, 1 << 16);
        describe(&text, submission, id);
        assert_string_equal(buffer_string(&text), accepted[i].expected);
        buffer_fini(&text);
        submission_free(submission);
    }
}

/* ---- what is refused ---- */

static const struct {
    enum ingest_format format;
    const char *body, *message; /* the message begins so */
} refused[] = {
    {INGEST_LINES, "{", "line 1: "},
    {INGEST_LINES, "{\"traceparent\":\"00-x\",\"mutations\":[]}",
     "line 1: unknown member \"traceparent\"; a batch"},
    {INGEST_MESSAGE, "{\"traceparent\":7,\"mutations\":[]}", "traceparent must be a string"},
    {INGEST_LINES, "\n\n[]", "line 3: not an object"},
    {INGEST_LINES, "{}", "line 1: export is missing"},
    {INGEST_LINES, "{\"export\":1}", "line 1: export must be a string"},
    {INGEST_LINES, "{\"export\":\"a/b\",\"key\":1,\"patch\":{}}", "line 1: export"},
    {INGEST_LINES, "{\"export\":\"Q\",\"patch\":{}}", "line 1: key is missing"},
    {INGEST_LINES, QUAKE "\"a\"}", "line 1: patch is missing; a mutation needs one"},
    {INGEST_LINES, QUAKE "\"a\",\"patch\":[]}", "line 1: patch must be an object"},
    {INGEST_LINES, QUAKE "\"a\",\"patch\":{},\"op\":\"delete\"}",
     "line 1: patch does not go with op \"delete\""},
    {INGEST_LINES, QUAKE "\"a\",\"patch\":{},\"op\":\"merge\"}", "line 1: op is \"merge\""},
    {INGEST_LINES, QUAKE "\"a\",\"patchs\":{}}", "line 1: unknown member \"patchs\"; a mutation"},
    {INGEST_LINES, QUAKE "\"a\",\"patch\":{\"a\":{\"b\":{\"c\":{\"d\":{}}}}}}",
     "line 1: patch is nested deeper than 4 levels"},
    {INGEST_LINES, QUAKE "\"123456789012345678901\",\"patch\":{}}", "line 1: key has 21 bytes"},
    {INGEST_LINES, QUAKE "\"a\\u0000\",\"patch\":{}}", "line 1: key holds a NUL"},
    {INGEST_LINES, QUAKE "\"a\",\"patch\":{},\"append\":\"r\"}", "line 1: append must be an array"},
    {INGEST_LINES, QUAKE "\"a\",\"patch\":{},\"append\":[1]}", "line 1: append must hold strings"},
    {INGEST_LINES, QUAKE "\"a\",\"op\":\"upsert\",\"patch\":{},\"append\":[\"r\"]}",
     "line 1: append goes with op \"patch\" only"},
    {INGEST_LINES, QUAKE "\"a\",\"patch\":{},\"slot\":1}", "line 1: slot is there without index"},
    {INGEST_LINES, QUAKE "\"a\",\"patch\":{},\"slot\":-1,\"index\":0}", "line 1: slot must be"},
    {INGEST_LINES, QUAKE "\"a\",\"patch\":{},\"slot\":0,\"index\":9223372036854775808}",
     "line 1: index must be"},
    {INGEST_LINES, "{\"mutations\":[" QUAKE "1,\"patch\":{}}," QUAKE "2}]}",
     "line 1: mutation 2: patch is missing"},
    {INGEST_LINES, "{\"mutations\":[1]}", "line 1: mutation 1: a mutation must be an object"},
    {INGEST_LINES, "{\"mutations\":{}}", "line 1: mutations must be an array"},
    {INGEST_LINES, "{\"mutations\":[],\"id\":1}", "line 1: unknown member \"id\"; a batch"},
    {INGEST_LINES, "{\"mutations\":[],\"producer\":\"p\"}",
     "line 1: producer is there without batch"},
    {INGEST_LINES, "{\"mutations\":[],\"batch\":1}", "line 1: batch is there without producer"},
    {INGEST_LINES, "{\"mutations\":[],\"batch\":-1,\"producer\":\"p\"}", "line 1: batch must be"},
    {INGEST_LINES, "{\"mutations\":[],\"batch\":1,\"producer\":\"@log\"}",
     "line 1: producer is '@log'"},
    {INGEST_LINES, "{\"mutations\":[],\"batch\":1,\"producer\":\"\"}",
     "line 1: producer must have"},
    {INGEST_MESSAGE, "", ""},
    {INGEST_MESSAGE, "{\"id\":1}", "mutations must be an array"},
    {INGEST_MESSAGE, "{\"mutations\":[],\"export\":\"Q\"}", "unknown member \"export\"; a message"},
};

TEST(test_refused)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct span body = span_of(refused[i].body), id;
        struct submission *submission = ingest_submission(body.length);
        struct error error = {0};
        if (ingest_decode(&options, refused[i].format, body, submission, &id, &error))
            fail_msg("accepted: %s", refused[i].body);
        assert_int_equal(error.code, ERROR_INVALID_MESSAGE);
        if (strncmp(error.message, refused[i].message, strlen(refused[i].message)) != 0)
            fail_msg("%s: %s", refused[i].body, error.message);
        submission_free(submission);
    }
}

/* A refused request is still answered by its id, and its producer is known. */
TEST(test_refused_is_known)
{
    static const char *const bodies[] = {
        "{\"mutations\":[{}],\"id\":9,\"producer\":\"p\",\"batch\":3}",
        "{\"mutation\":[],\"id\":9,\"producer\":\"p\",\"batch\":3}",
        "{\"mutations\":7,\"batch\":3,\"id\":9,\"producer\":\"p\"}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct span body = span_of(bodies[i]), id;
        struct submission *submission = ingest_submission(body.length);
        struct error error = {0};
        assert_false(ingest_decode(&options, INGEST_MESSAGE, body, submission, &id, &error));
        assert_true(span_equal(id, span_of("9")));
        assert_int_equal(submission->batch_count, 1);
        assert_true(span_equal(submission->batches[0].producer, span_of("p")));
        assert_int_equal(submission->batches[0].number, 3);
        submission_free(submission);
    }
}

/* Every allocation fails once: the answer is right or out of memory, and nothing leaks. */
TEST(test_out_of_memory)
{
    static const char body[] = QUAKE "[1,2],\"patch\":{\"a\":[1,2]},\"append\":[\"a\"]}\n" QUAKE
                                     "\"\\n\",\"patch\":{}}\n{\"producer\":\"\\t\",\"batch\":1,"
                                     "\"mutations\":[" QUAKE "1,\"patch\":{}}]}";
    for (uint64_t nth = 1;; nth++) {
        struct error error = {0};
        struct span id;
        memory_fail_at(nth, 0);
        struct submission *submission = ingest_submission(sizeof body - 1);
        bool done =
            submission && ingest_decode(&options, INGEST_LINES, span_make(body, sizeof body - 1),
                                        submission, &id, &error);
        bool hit = memory_fault_hit();
        memory_fail_at(0, 0);
        if (submission && !done)
            assert_int_equal(error.code, ERROR_MEMORY);
        submission_free(submission);
        assert_true(done || hit);
        if (!hit)
            break;
    }
}

/* ---- replies ---- */

TEST(test_replies)
{
    struct ingest_reply reply = {.applied = 3, .ignored = 1, .has_seq = true, .seq = {7, 2}};
    struct buffer out;
    buffer_init(&out, 4096);
    assert_true(ingest_reply_print(&out, INGEST_LINES, &reply));
    assert_string_equal(buffer_string(&out), "{\"applied\":3,\"ignored\":1,\"duplicate\":0,"
                                             "\"seq\":\"7:000000000002\"}");
    buffer_clear(&out);
    reply.has_seq = false;
    reply.id = span_of("\"x\"");
    assert_true(ingest_reply_print(&out, INGEST_MESSAGE, &reply));
    assert_string_equal(buffer_string(&out),
                        "{\"ack\":\"x\",\"applied\":3,\"ignored\":1,\"duplicate\":0}");
    buffer_clear(&out);
    reply.id = span_make(NULL, 0);
    error_set(&reply.error, ERROR_QUEUE_FULL, "wait");
    assert_true(ingest_reply_print(&out, INGEST_MESSAGE, &reply));
    assert_memory_equal(out.data, "{\"nack\":null,\"error\":{\"error\":\"queue-full\"", 42);
    assert_non_null(strstr(buffer_string(&out), "\"retry_after\":1"));
    buffer_fini(&out);
}
