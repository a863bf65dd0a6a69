/* Sums of rows: the vectors that all languages compute, and numbers by what they must lead back
 * to. */
#include "random.h"
#include "rows/row_sum.h"
#include "rows/view_sum.h"
#include "test.h"
#include "json/json.h"

#include <math.h>

enum { DEPTH = 100, VECTOR_BYTES = 1 << 20 };

static struct doc vectors;

static uint32_t parse(struct doc *doc, struct span text)
{
    struct error error = {0};
    uint32_t root = DOC_NONE;
    if (!doc_parse(doc, text, DEPTH, &root, &error))
        fail_msg("%s, in: %.*s", error.message, (int)text.length, text.data);
    return root;
}

static uint32_t read_vectors(void)
{
    struct buffer text;
    FILE *file = fopen(STELE_SOURCE_DIR "/tests/vectors/drift.json", "rb");
    assert_non_null(file);
    buffer_init(&text, VECTOR_BYTES);
    char *room = buffer_reserve(&text, VECTOR_BYTES);
    text.length = fread(room, 1, VECTOR_BYTES, file);
    fclose(file);
    doc_init(&vectors, UINT32_MAX, UINT32_MAX);
    uint32_t root = parse(&vectors, buffer_span(&text));
    buffer_fini(&text);
    return root;
}

static void member(uint32_t object, const char *name, struct buffer *out)
{
    uint32_t node = doc_member(&vectors, object, name);
    assert_int_not_equal(node, DOC_NONE);
    buffer_clear(out);
    assert_true(doc_decode_string(&vectors, node, out));
}

static void expect_hex(const char *what, const struct sum *sum, size_t digits, struct span wanted)
{
    struct buffer text;
    buffer_init(&text, SUM_DIGITS);
    assert_true(sum_print(&text, sum));
    if (!span_equal(span_make(text.data, digits), wanted))
        fail_msg("the %s is\n%.*s and should be\n%.*s", what, (int)digits, text.data,
                 (int)wanted.length, wanted.data);
    buffer_fini(&text);
}

struct vector {
    struct buffer key, row, wanted, text;
    struct row_sum sum;
};

static void check_vector(struct vector *it, uint32_t node)
{
    struct doc doc;
    doc_init(&doc, UINT32_MAX, UINT32_MAX);
    member(node, "key", &it->key);
    member(node, "row", &it->row);
    struct span row = doc_text(&doc, parse(&doc, buffer_span(&it->row)));
    assert_true(row_sum_make(&it->sum, buffer_span(&it->key), row, &it->text));
    member(node, "text", &it->wanted);
    if (!span_equal(buffer_span(&it->text), buffer_span(&it->wanted)))
        fail_msg("the text is\n%.*s and should be\n%.*s", (int)it->text.length, it->text.data,
                 (int)it->wanted.length, it->wanted.data);
    member(node, "part", &it->wanted);
    expect_hex("part", &it->sum.key, 2, buffer_span(&it->wanted));
    member(node, "sum", &it->wanted);
    expect_hex("sum", &it->sum.row, SUM_DIGITS, buffer_span(&it->wanted));
    doc_fini(&doc);
}

TEST(all_languages_compute_the_same_sums)
{
    struct vector it = {.sum = {{{0}}, {{0}}}};
    struct buffer *const buffers[] = {&it.key, &it.row, &it.wanted, &it.text};
    struct sum sum = {{0}}, order = {{0}};
    uint32_t root = read_vectors(), list = doc_member(&vectors, root, "rows");
    for (int i = 0; i < 4; i++)
        buffer_init(buffers[i], VECTOR_BYTES);
    uint32_t end = vectors.nodes[list].end;
    for (uint32_t node = list + 1; node < end; node = vectors.nodes[node].end) {
        check_vector(&it, node);
        sum_add(&sum, &it.sum.row);
        assert_true(sum_chain(&order, &it.sum.key));
    }
    member(root, "sum", &it.wanted);
    expect_hex("sum of all", &sum, SUM_DIGITS, buffer_span(&it.wanted));
    member(root, "order", &it.wanted);
    expect_hex("order", &order, SUM_DIGITS, buffer_span(&it.wanted));
    for (int i = 0; i < 4; i++)
        buffer_fini(buffers[i]);
    doc_fini(&vectors);
}

/* ---- numbers ---- */

/* As the text of a row has it. */
static void print_number(const char *literal, char *out, size_t size)
{
    struct buffer text, row;
    buffer_init(&text, 4096);
    buffer_init(&row, 4096);
    buffer_printf(&row, "{\"n\":%s}", literal);
    assert_true(doc_jcs_row(&text, span_of("k"), buffer_span(&row)));
    snprintf(out, size, "%.*s", (int)text.length - 12, text.data + 10);
    buffer_fini(&text);
    buffer_fini(&row);
}

/* Digits up to an exponent, without zeros at either end. */
static size_t count_digits(const char *text)
{
    size_t first = 0, last = 0, count = 0;
    for (; *text && *text != 'e'; text++) {
        if (*text < '0' || *text > '9')
            continue;
        count++;
        if (*text != '0') {
            first = first ? first : count;
            last = count;
        }
    }
    return last ? last - first + 1 : 1;
}

static void check_number(double number)
{
    char literal[64], printed[64], shorter[64];
    snprintf(literal, sizeof literal, "%.*e", 16 + (int)random_below(8), number);
    print_number(literal, printed, sizeof printed);
    if (strtod(printed, NULL) != number)
        fail_msg("%s is printed as %s, which is another double", literal, printed);
    for (int digits = 1; digits < (int)count_digits(printed); digits++) {
        snprintf(shorter, sizeof shorter, "%.*e", digits - 1, number);
        if (strtod(shorter, NULL) == number)
            fail_msg("%s is printed as %s, and %s would do", literal, printed, shorter);
    }
}

TEST(a_number_has_the_fewest_digits_that_lead_back)
{
    random_start(17);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = random_next();
        double number;
        memcpy(&number, &bits, sizeof number);
        if (isfinite(number))
            check_number(number);
    }
    for (int power = -1074; power <= 1023; power++)
        check_number(ldexp(1, power));
}

/* ---- what may be asked ---- */

TEST(parts_are_named_by_two_digits)
{
    static const char *const wrong[] = {"",      "3",    "3f,", ",3f", "3F",
                                        "3f;a0", "3f,a", "ALL", "3fa0"};
    struct view_sum sum;
    struct error error;
    view_sum_init(&sum);
    assert_true(view_sum_want(&sum, span_of("00,ff,3f"), &error));
    assert_true(sum.wanted[0] && sum.wanted[0xff] && sum.wanted[0x3f] && !sum.wanted[1]);
    assert_true(view_sum_want(&sum, span_of("all"), &error));
    for (int i = 0; i < SUM_PARTS; i++)
        assert_true(sum.wanted[i]);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(view_sum_want(&sum, span_of(wrong[i]), &error));
        assert_int_equal(error.code, ERROR_INVALID_PARAMETER);
    }
    view_sum_fini(&sum);
}
