/* Bodies in chunks, whole and in every pair of pieces. */
#include "net/http_chunks.h"
#include "test.h"

/* What is read of the text; -1: it is refused, -2: it has not ended. `*rest`: bytes behind it. */
static int64_t read_pieces(const char *text, size_t first, struct buffer *body, size_t *rest)
{
    struct http_chunks chunks = {0};
    struct error error;
    size_t length = strlen(text), ends[] = {first, length}, at = 0;
    buffer_clear(body);
    for (int i = 0; i < 2; i++)
        while (at < ends[i] && chunks.state != CHUNK_END) {
            struct span data;
            int64_t taken =
                http_chunks_take(&chunks, span_make(text + at, ends[i] - at), &data, &error);
            if (taken < 0)
                return -1;
            assert_true(taken > 0);
            buffer_add_span(body, data);
            at += (size_t)taken;
        }
    *rest = length - at;
    return chunks.state == CHUNK_END ? (int64_t)body->length : -2;
}

static const struct {
    const char *text, *body; /* NULL: refused */
    size_t rest;
} cases[] = {
    {"0\r\n\r\n", "", 0},
    {"3\r\nabc\r\n0\r\n\r\n", "abc", 0},
    {"3\r\nabc\r\n00A\r\n0123456789\r\n0\r\n\r\nGET", "abc0123456789", 3},
    {"1;name=value\r\na\r\n0;x\r\nTrailer: y\r\nZ: \r\n\r\n", "a", 0},
    {"2\r\n\r\n\r\n0\r\n\r\n", "\r\n", 0},
    {"\r\n", NULL, 0},
    {"g\r\n", NULL, 0},
    {" 1\r\na\r\n", NULL, 0},
    {"-1\r\n", NULL, 0},
    {"0x1\r\n", NULL, 0},
    {"1\na\r\n", NULL, 0},
    {"1\r\nab\r\n", NULL, 0},
    {"2\r\na\r\n0\r\n\r\n", NULL, 0},
    {"1\r\na0\r\n\r\n", NULL, 0},
    {"1;\n\r\na\r\n", NULL, 0},
    {"0\r\nTrailer\n\r\n", NULL, 0},
    {"0\r\n\rx", NULL, 0},
    {"1;a=\tb\r\na\r\n0\r\na:\tb\r\n\r\n", "a", 0},
    {"0\r\nTrailer\r\n\r\n", NULL, 0},
    {"0\r\na: b\r\n c\r\n\r\n", NULL, 0},
    {"0\r\n\ta: b\r\n\r\n", NULL, 0},
    {"0\r\n: b\r\n\r\n", NULL, 0},
    {"0\r\na : b\r\n\r\n", NULL, 0},
    {"0\r\na: b\001\r\n\r\n", NULL, 0},
    {"0;a\177\r\n\r\n", NULL, 0},
    {"1000000000000000\r\n", NULL, 0},
};

TEST(test_chunks)
{
    struct buffer body;
    buffer_init(&body, 4096);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t first = 0; first <= strlen(cases[i].text); first++) {
            size_t rest = 0;
            int64_t got = read_pieces(cases[i].text, first, &body, &rest);
            if (!cases[i].body) {
                assert_int_equal(got, -1);
                continue;
            }
            assert_int_equal(got, strlen(cases[i].body));
            assert_true(span_equal(buffer_span(&body), span_of(cases[i].body)));
            assert_int_equal(rest, cases[i].rest);
        }
    buffer_fini(&body);
}

/* Extensions and trailers that never end are ended. */
TEST(test_endless)
{
    static const char *const starts[] = {"1;", "0\r\na"};
    for (int s = 0; s < 2; s++) {
        struct http_chunks chunks = {0};
        struct error error;
        struct span data;
        size_t sent = 0;
        assert_true(http_chunks_take(&chunks, span_of(starts[s]), &data, &error) > 0);
        while (http_chunks_take(&chunks, span_of("xxxxxxxxxxxxxxxx"), &data, &error) > 0)
            sent += 16;
        assert_in_range(sent, 1, 64 * 1024);
    }
}
