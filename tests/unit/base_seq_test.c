/* Cursors as text. */
#include "base/base.h"
#include "test.h"

static void check_both_ways(int64_t slot, int64_t index, const char *text)
{
    char printed[SEQ_SIZE];
    struct seq seq = {slot, index}, parsed = {-1, -1};
    assert_int_equal(seq_print(printed, seq), strlen(text));
    assert_string_equal(printed, text);
    assert_true(seq_parse(span_of(printed), &parsed));
    assert_int_equal(parsed.slot, slot);
    assert_int_equal(parsed.index, index);
}

TEST(the_index_is_padded_to_twelve_digits)
{
    check_both_ways(0, 1, "0:000000000001");
    check_both_ways(5, 0, "5:000000000000");
    check_both_ways(318, 999999999999, "318:999999999999");
    check_both_ways(10, 1000000000000, "10:1000000000000");
    check_both_ways(INT64_MAX, INT64_MAX, "9223372036854775807:9223372036854775807");
}

TEST(padding_is_not_needed_to_be_read)
{
    struct seq seq;
    assert_true(seq_parse(span_of("0007:12"), &seq));
    assert_int_equal(seq.slot, 7);
    assert_int_equal(seq.index, 12);
}

TEST(anything_else_is_refused)
{
    static const char *const bad[] = {"",
                                      ":",
                                      "1",
                                      "1:",
                                      ":1",
                                      "1:2:3",
                                      "-1:2",
                                      "1:-2",
                                      "+1:2",
                                      " 1:2",
                                      "1:2 ",
                                      "1 :2",
                                      "1:0x2",
                                      "a:b",
                                      "1.0:2",
                                      "1,2",
                                      "9223372036854775808:0",
                                      "0:9223372036854775808",
                                      "99999999999999999999999999:1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct seq seq = {3, 4};
        if (seq_parse(span_of(bad[i]), &seq))
            fail_msg("'%s' was taken for a cursor", bad[i]);
        assert_int_equal(seq.slot, 3);
        assert_int_equal(seq.index, 4);
    }
    struct seq seq;
    assert_false(seq_parse(span_make("1:2\0", 4), &seq));
    assert_false(seq_parse(span_make(NULL, 0), &seq));
}
