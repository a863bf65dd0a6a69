/* Decoding of client messages: the vectors in tests/vectors/wire, bytes that no vector can hold,
 * and every allocation failing once. */
#include "memory_fault.h"
#include "test.h"
#include "wire/wire.h"

#include <glob.h>

/* ---- vectors ---- */

static struct tree *read_vectors(const char *path)
{
    struct buffer text;
    buffer_init(&text, 1 << 20);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *room = buffer_reserve(&text, 1 << 20);
    text.length = fread(room, 1, 1 << 20, file);
    fclose(file);
    struct error error = {0};
    struct tree *vectors = tree_parse(buffer_span(&text), &error);
    if (!vectors)
        fail_msg("%s: %s", path, error.message);
    buffer_fini(&text);
    return vectors;
}

static void describe_string(struct buffer *out, const char *name, const char *value)
{
    if (value) {
        buffer_printf(out, ",\"%s\":", name);
        doc_escape(out, span_of(value));
    }
}

/* The decoded message in the form of a vector's "message": absent fields left out. */
static void describe(struct buffer *out, const struct wire_message *message)
{
    static const char *const types[] = {"subscribe", "unsubscribe", "ping", "refresh_auth"};
    const struct wire_subscribe *subscribe = &message->subscribe;
    buffer_printf(out, "{\"type\":\"%s\"", types[message->type]);
    describe_string(out, "view", subscribe->view);
    describe_string(out, "key", subscribe->key);
    describe_string(out, "partition", subscribe->partition);
    describe_string(out, "after", subscribe->after);
    describe_string(out, "epoch", subscribe->epoch);
    if (message->type == WIRE_SUBSCRIBE)
        buffer_printf(out, ",\"withSnapshot\":%s", subscribe->with_snapshot ? "true" : "false");
    if (subscribe->snapshot_limit >= 0)
        buffer_printf(out, ",\"snapshotLimit\":%lld", (long long)subscribe->snapshot_limit);
    if (subscribe->take >= 0)
        buffer_printf(out, ",\"take\":%lld", (long long)subscribe->take);
    if (subscribe->skip >= 0)
        buffer_printf(out, ",\"skip\":%lld", (long long)subscribe->skip);
    describe_string(out, "query", subscribe->query);
    describe_string(out, "parameters", subscribe->parameters);
    describe_string(out, "token", message->token);
    buffer_add_char(out, '}');
}

static void check_decoded(const char *name, struct wire_message *message,
                          const struct tree *expected)
{
    struct buffer got, wanted;
    buffer_init(&got, 1 << 16);
    buffer_init(&wanted, 1 << 16);
    describe(&got, message);
    assert_true(tree_print(expected, &wanted));
    if (!span_equal(buffer_span(&got), buffer_span(&wanted)))
        fail_msg("%s:\n  got    %s\n  wanted %s", name, buffer_string(&got),
                 buffer_string(&wanted));
    buffer_fini(&got);
    buffer_fini(&wanted);
    wire_message_fini(message);
}

static void check_refused(const char *name, const struct error *error, const struct tree *vector)
{
    struct span code = tree_string(tree_member(vector, "error"));
    if (!span_equal(code, span_of(error_kind(error->code)->wire)))
        fail_msg("%s: %s: %s", name, error_kind(error->code)->wire, error->message);
    const struct tree *mentions = tree_member(vector, "mentions");
    for (size_t i = 0; i < tree_count(mentions); i++) {
        const char *part = tree_string(tree_element(mentions, i)).data;
        if (!strstr(error->message, part))
            fail_msg("%s: \"%s\" does not mention %s", name, error->message, part);
    }
    const struct tree *hides = tree_member(vector, "hides");
    if (hides)
        assert_null(strstr(error->message, tree_string(hides).data));
}

static void check_vector(const struct tree *vector)
{
    const char *name = tree_string(tree_member(vector, "name")).data;
    const struct tree *expected = tree_member(vector, "message");
    struct wire_message message;
    struct error error = {0};
    bool decoded = wire_message_parse(tree_string(tree_member(vector, "input")), &message, &error);
    if (decoded != (expected != NULL))
        fail_msg("%s: %s", name, decoded ? "decoded" : error.message);
    if (decoded)
        check_decoded(name, &message, expected);
    else
        check_refused(name, &error, vector);
}

static void each_vector(void (*check)(const struct tree *vector))
{
    glob_t files;
    size_t count = 0;
    assert_int_equal(glob(STELE_SOURCE_DIR "/tests/vectors/wire/*.json", 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        struct tree *vectors = read_vectors(files.gl_pathv[i]);
        for (size_t j = 0; j < tree_count(vectors); j++, count++)
            check(tree_element(vectors, j));
        tree_free(vectors);
    }
    globfree(&files);
    assert_true(count > 0);
}

TEST(vectors_decode_as_they_say)
{
    each_vector(check_vector);
}

/* ---- what vectors cannot hold ---- */

TEST(invalid_utf8_is_refused)
{
    static const char text[] = "{\"type\":\"subscribe\",\"view\":\"Quake/\xff\"}";
    struct wire_message message;
    struct error error = {0};
    assert_false(wire_message_parse(span_of(text), &message, &error));
    assert_int_equal(error.code, ERROR_INVALID_MESSAGE);
    assert_true(doc_valid_utf8(span_of(error.message)));
}

TEST(the_text_ends_where_its_length_says)
{
    static const char text[] = "{\"type\":\"ping\"}garbage";
    struct wire_message message;
    assert_true(wire_message_parse(span_make(text, 15), &message, NULL));
    wire_message_fini(&message);
    assert_false(wire_message_parse(span_make(text, 14), &message, NULL));
    assert_false(wire_message_parse(span_make(NULL, 0), &message, NULL));
}

TEST(deep_nesting_is_refused)
{
    enum { DEPTH = 100000 };
    static char text[DEPTH];
    memset(text, '[', sizeof text);
    struct wire_message message;
    struct error error = {0};
    assert_false(wire_message_parse(span_make(text, sizeof text), &message, &error));
    assert_int_equal(error.code, ERROR_INVALID_MESSAGE);
}

TEST(too_many_values_are_refused)
{
    struct buffer text;
    buffer_init(&text, 1 << 20);
    buffer_add_string(&text, "{\"type\":\"ping\",\"more\":[0");
    for (int i = 0; i < 10000; i++)
        buffer_add_string(&text, ",0");
    buffer_add_string(&text, "]}");
    struct wire_message message;
    struct error error = {0};
    assert_false(wire_message_parse(buffer_span(&text), &message, &error));
    assert_int_equal(error.code, ERROR_INVALID_MESSAGE);
    buffer_fini(&text);
}

static char *parameters_of(const char *text)
{
    struct wire_message message;
    assert_true(wire_message_parse(span_of(text), &message, NULL));
    char *parameters = message.subscribe.parameters;
    message.subscribe.parameters = NULL;
    wire_message_fini(&message);
    return parameters;
}

TEST(parameters_are_equal_when_subscriptions_are)
{
    char *one = parameters_of("{\"view\":\"a/list\",\"after\":\"1:2\",\"snapshotLimit\":3}");
    char *two = parameters_of("{\"type\":\"subscribe\",\"snapshotLimit\":3,\"key\":null,"
                              "\"withSnapshot\":true,\"view\":\"b/list\",\"after\":\"1:2\"}");
    char *other = parameters_of("{\"view\":\"a/list\",\"after\":\"1:2\",\"snapshotLimit\":4}");
    assert_string_equal(one, two);
    assert_string_not_equal(one, other);
    memory_free(one);
    memory_free(two);
    memory_free(other);
}

/* ---- faults ---- */

static void check_vector_with_faults(const struct tree *vector)
{
    struct span input = tree_string(tree_member(vector, "input"));
    bool good = tree_member(vector, "message") != NULL;
    for (uint64_t nth = 1;; nth++) {
        struct wire_message message;
        struct error error = {0};
        memory_fail_at(nth, 0);
        bool decoded = wire_message_parse(input, &message, &error);
        bool hit = memory_fault_hit();
        memory_fail_at(0, 0);
        if (decoded)
            wire_message_fini(&message);
        if (decoded != (good && !hit))
            fail_msg("fault %d: %s: %s", (int)nth, input.data, error.message);
        if (good && hit)
            assert_int_equal(error.code, ERROR_MEMORY);
        if (!hit)
            break;
    }
}

TEST(every_allocation_may_fail)
{
    each_vector(check_vector_with_faults);
}
