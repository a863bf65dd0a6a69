/* What a node puts around a message, and how every node reads it. */
#include "follow/envelope.h"
#include "memory_fault.h"
#include "test.h"
#include "json/json.h"

static struct span printed(const struct envelope *envelope, struct buffer *out)
{
    buffer_init(out, ENVELOPE_BYTES);
    assert_true(envelope_print(envelope, out));
    return buffer_span(out);
}

static void assert_same(struct span one, struct span other)
{
    assert_int_equal(!one.data, !other.data);
    assert_true(span_equal(one, other));
}

TEST(what_is_printed_is_read)
{
    const struct envelope made[] = {
        {.node = span_of("0123456789abcdef"), .number = 1, .form = PUBLICATION_LINES},
        {.node = span_of("n"),
         .number = INT64_MAX,
         .form = PUBLICATION_MESSAGE,
         .subject = span_of(""),
         .has_after = true,
         .after = 0},
        {.node = span_of("n"),
         .number = 0,
         .form = PUBLICATION_REVOKE,
         .subject = span_of("\"\\\r\n\x01ä: "),
         .key = span_of("k\"")},
        {.node = span_of("n"),
         .number = 7,
         .form = PUBLICATION_FORGET,
         .has_after = true,
         .after = 41},
    };
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        struct buffer out;
        struct error error;
        struct envelope read;
        struct span text = printed(&made[i], &out);
        assert_null(memchr(text.data, '\n', text.length)); /* it is the value of a header */
        assert_null(memchr(text.data, '\r', text.length));
        struct tree *tree = tree_parse(text, &error);
        assert_non_null(tree);
        assert_true(envelope_read(tree, &read, &error));
        assert_same(read.node, made[i].node);
        assert_int_equal(read.number, made[i].number);
        assert_int_equal(read.form, made[i].form);
        assert_same(read.subject, made[i].subject);
        assert_same(read.key, made[i].key);
        assert_int_equal(read.has_after, made[i].has_after);
        if (made[i].has_after)
            assert_int_equal(read.after, made[i].after);
        tree_free(tree);
        buffer_fini(&out);
    }
}

TEST(a_longer_one_is_not_printed)
{
    static char subject[ENVELOPE_BYTES];
    struct buffer out;
    memset(subject, 'x', sizeof subject);
    struct envelope envelope = {.node = span_of("n"),
                                .subject = span_make(subject, sizeof subject)};
    buffer_init(&out, ENVELOPE_BYTES);
    assert_false(envelope_print(&envelope, &out));
    buffer_fini(&out);
}

TEST(others_are_refused)
{
    static const char *const wrong[] = {
        "{}",
        "[]",
        "7",
        "{\"node\":\"n\",\"number\":1}",
        "{\"number\":1,\"form\":\"lines\"}",
        "{\"node\":\"n\",\"form\":\"lines\"}",
        "{\"node\":7,\"number\":1,\"form\":\"lines\"}",
        "{\"node\":\"n\",\"number\":\"1\",\"form\":\"lines\"}",
        "{\"node\":\"n\",\"number\":-1,\"form\":\"lines\"}",
        "{\"node\":\"n\",\"number\":1,\"form\":\"line\"}",
        "{\"node\":\"n\",\"number\":1,\"form\":\"lines\",\"subject\":null}",
        "{\"node\":\"n\",\"number\":1,\"form\":\"lines\",\"after\":null}",
        "{\"node\":\"n\",\"number\":1,\"form\":\"lines\",\"what\":1}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct error error;
        struct envelope envelope;
        struct tree *tree = tree_parse(span_of(wrong[i]), &error);
        if (tree && envelope_read(tree, &envelope, &error))
            fail_msg("%s is read", wrong[i]);
        assert_int_equal(error.code, ERROR_INVALID_MESSAGE);
        tree_free(tree);
    }
}

static struct submission *read_command(enum publication_form form, const char *body, bool good)
{
    struct error error;
    struct submission *submission = submission_new(0, 0);
    if (envelope_read_command(form, span_of(body), submission, &error) != good)
        fail_msg("%s: %s", body, good ? error.message : "is read");
    if (!good)
        assert_int_equal(error.code, ERROR_INVALID_MESSAGE);
    return submission;
}

TEST(commands)
{
    struct buffer out;
    struct submission *submission;
    buffer_init(&out, 1024);
    assert_true(envelope_print_revocation(&out, span_of("a\"b"), 12));
    submission = read_command(PUBLICATION_REVOKE, buffer_string(&out), true);
    assert_int_equal(submission->command.kind, COMMAND_REVOKE);
    assert_same(submission->command.name, span_of("a\"b"));
    assert_int_equal(submission->command.expires_at, 12);
    submission_free(submission);
    buffer_clear(&out);
    assert_true(envelope_print_producer(&out, span_of("p")));
    submission = read_command(PUBLICATION_FORGET, buffer_string(&out), true);
    assert_int_equal(submission->command.kind, COMMAND_FORGET);
    assert_same(submission->command.name, span_of("p"));
    submission_free(submission);
    buffer_fini(&out);

    static const char *const wrong[] = {"",
                                        "{}",
                                        "{\"jti\":\"\",\"expires_at\":0}",
                                        "{\"jti\":\"x\"}",
                                        "{\"jti\":1,\"expires_at\":0}",
                                        "{\"jti\":\"x\",\"expires_at\":-1}",
                                        "{\"jti\":\"x\",\"expires_at\":0,\"more\":1}",
                                        "{\"jti\":\"x\\u0000\",\"expires_at\":0}",
                                        "{\"export\":\"E\",\"key\":\"k\",\"patch\":{}}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        submission_free(read_command(PUBLICATION_REVOKE, wrong[i], false));
    submission_free(read_command(PUBLICATION_FORGET, "{\"producer\":\"@log\"}", false));
    submission_free(read_command(PUBLICATION_FORGET, "{\"jti\":\"x\",\"expires_at\":0}", false));
}
