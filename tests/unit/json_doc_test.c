/* Documents: what is accepted, how it reads canonically, what is refused and how that is told. */
#include "json_support.h"
#include "memory_fault.h"

struct canonical_case {
    const char *input, *canonical;
};

static const struct canonical_case canonical_cases[] = {
    {"{}", "{}"},
    {" [ ] ", "[]"},
    {"\t{ \"a\" : [ 1 , 2 ,\r\n {\"b\":null}] , \"c\":true}\n",
     "{\"a\":[1,2,{\"b\":null}],\"c\":true}"},
    {"null", "null"},
    {"false", "false"},
    /* Numbers stay as written. */
    {"1.0", "1.0"},
    {"1e2", "1e2"},
    {"1E+2", "1E+2"},
    {"-0", "-0"},
    {"0.1", "0.1"},
    {"-12.50e-3", "-12.50e-3"},
    {"1e-999", "1e-999"},
    {"0e999", "0e999"},
    {"-0.000E99999999999999999999", "-0.000E99999999999999999999"},
    {"0.0001e312", "0.0001e312"},
    {"1.7976931348623157e308", "1.7976931348623157e308"},
    {"17976931348623157.9e292", "17976931348623157.9e292"},
    /* Integers that no double holds exactly become strings. */
    {"9007199254740991", "9007199254740991"},
    {"-9007199254740991", "-9007199254740991"},
    {"9007199254740992", "\"9007199254740992\""},
    {"-9007199254740992", "\"-9007199254740992\""},
    {"18446744073709551615", "\"18446744073709551615\""},
    {"9007199254740992.0", "9007199254740992.0"},
    {"9007199254740992e0", "9007199254740992e0"},
    {"[123456789012345678901234567890]", "[\"123456789012345678901234567890\"]"},
    /* Escapes. */
    {"\"\\/\"", "\"/\""},
    {"\"\\u0041\\u00e9\\u20AC\"", "\"A\xc3\xa9\xe2\x82\xac\""},
    {"\"\\ud83d\\uDE00\"", "\"\xf0\x9f\x98\x80\""},
    {"\"\\ud800\\udc00\\udbff\\udfff\"", "\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\""},
    {"\"\\u0008\\u000c\\u000A\\u000d\\u0009\\u0022\\u005c\"", "\"\\b\\f\\n\\r\\t\\\"\\\\\""},
    {"\"\\u0000\\u001F\\u007f\"", "\"\\u0000\\u001f\x7f\""},
    {"\"\\\"\\\\\\b\\f\\n\\r\\t\"", "\"\\\"\\\\\\b\\f\\n\\r\\t\""},
    {"\"plain, then a long run of more plain text\\nand more\"",
     "\"plain, then a long run of more plain text\\nand more\""},
    {"\"1234567\\u00e9\"", "\"1234567\xc3\xa9\""},
    {"\"12345678\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"",
     "\"12345678\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
    {"{\"\":1,\"\\u0061\":2,\"b\\n\":3}", "{\"\":1,\"a\":2,\"b\\n\":3}"},
};

TEST(values_become_canonical)
{
    struct doc doc;
    doc_init(&doc, 1 << 20, 1000);
    for (size_t i = 0; i < sizeof canonical_cases / sizeof *canonical_cases; i++) {
        const struct canonical_case *it = &canonical_cases[i];
        doc_clear(&doc);
        assert_span(doc_text(&doc, parse_good(&doc, span_of(it->input))), it->canonical);
        doc_clear(&doc);
        assert_span(doc_text(&doc, parse_good(&doc, span_of(it->canonical))), it->canonical);
    }
    doc_fini(&doc);
}

struct refused_case {
    const char *input, *message; /* a part of it */
};

static const struct refused_case refused_cases[] = {
    {"", "byte 1: expected a value, found the end of the text"},
    {"  ", "byte 3: expected a value"},
    {"{} x", "byte 4: expected nothing more after the value, found 'x'"},
    {"1 2", "byte 3: expected nothing more"},
    {"[1,]", "byte 4: expected a value, found ']'"},
    {"[1 2]", "byte 4: expected ',' or ']'"},
    {"[1", "byte 3: expected ',' or ']'"},
    {"{\"a\"}", "byte 5: expected ':'"},
    {"{\"a\":1,}", "byte 8: expected a member's name in double quotes, found '}'"},
    {"{a:1}", "byte 2: expected a member's name"},
    {"{\"a\":1 \"b\":2}", "byte 8: expected ',' or '}'"},
    {"{\"a\":", "byte 6: expected a value, found the end"},
    {"tru", "byte 1: expected the word true"},
    {"nulL", "byte 1: expected the word null"},
    {"truee", "byte 5: expected nothing more"},
    {"NaN", "send null"},
    {"[-Infinity]", "byte 3: expected a digit after the minus sign, found 'I'"},
    {"Infinity", "send null"},
    {"+1", "byte 1: expected a value, found '+'"},
    {"01", "byte 1: a number must not start with a needless 0"},
    {"-", "byte 2: expected a digit after the minus sign"},
    {"1.", "byte 3: expected a digit after the point"},
    {".5", "byte 1: expected a value"},
    {"1e", "byte 3: expected a digit in the exponent"},
    {"1e+", "byte 4: expected a digit in the exponent"},
    {"[1e999]", "byte 2: this number is beyond 1.8e308"},
    {"-1e309", "byte 1: this number is beyond"},
    {"1e99999999999999999999999", "beyond 1.8e308"},
    {"1.7976931348623159e308", "beyond 1.8e308"},
    {"0.00017976931348623159e312", "beyond 1.8e308"},
    {"\"abc", "byte 5: the text ends inside the string that starts at byte 1"},
    {"\"a\\", "byte 4: expected one of"},
    {"\"\\x\"", "byte 3: expected one of \"\\/bfnrtu after a backslash, found 'x'"},
    {"\"\\u12g4\"", "byte 2: \\u needs four hexadecimal digits"},
    {"\"\\u12", "byte 2: \\u needs four"},
    {"\"\\ud800\"", "byte 2: \\ud800 is half of a surrogate pair"},
    {"\"\\udc00\\ud800\"", "byte 2: \\udc00 is half"},
    {"\"\\ud800\\u0041\"", "byte 2: \\ud800 is half"},
    {"\"\\ud800\xf0\x9f\x98\x80\"", "half of a surrogate pair"},
    {"\"a\nb\"", "byte 3: control character 0x0a inside a string; write it as \\u000a"},
    {"\"\xff\"", "byte 2: byte 0xff does not start a UTF-8 character"},
    {"\"\xc0\xaf\"", "UTF-8"},
    {"\"\xe0\x80\x80\"", "UTF-8"},
    {"\"\xed\xa0\x80\"", "UTF-8"},
    {"\"\xf4\x90\x80\x80\"", "UTF-8"},
    {"\"12345678\xe2\x82\"", "byte 10: byte 0xe2"},
    {"\"\x80\"", "UTF-8"},
    {"\xef\xbb\xbf{}", "byte 1: expected a value, found byte 0xef"},
    {"{\"a\":1,\"\\u0061\":2}", "byte 18: the object that ends here has the member \"a\" twice"},
    {"[{\"b\":{\"c\":1,\"c\":1}}]", "\"c\" twice"},
};

TEST(bad_text_is_refused_with_place_and_cause)
{
    struct doc doc;
    doc_init(&doc, 1 << 20, 1000);
    uint32_t kept = parse_good(&doc, span_of("{\"kept\":[1]}"));
    struct doc before = doc;
    for (size_t i = 0; i < sizeof refused_cases / sizeof *refused_cases; i++) {
        struct error error = {0};
        uint32_t root = 77;
        if (doc_parse(&doc, span_of(refused_cases[i].input), TEST_DEPTH, &root, &error))
            fail_msg("accepted %s", refused_cases[i].input);
        assert_int_equal(error.code, ERROR_INVALID_MESSAGE);
        if (!strstr(error.message, refused_cases[i].message))
            fail_msg("found    %s\nexpected %s", error.message, refused_cases[i].message);
        assert_int_equal(doc.count, before.count);
        assert_int_equal(doc.text.length, before.text.length);
        assert_int_equal(doc.deepest, before.deepest);
        assert_int_equal(doc.longest_array, before.longest_array);
        assert_false(doc.text.failed);
    }
    assert_span(doc_text(&doc, kept), "{\"kept\":[1]}");
    doc_fini(&doc);
}

TEST(a_raw_nul_is_refused_an_escaped_one_is_kept)
{
    struct doc doc;
    struct error error;
    uint32_t root;
    doc_init(&doc, 1000, 1000);
    assert_false(doc_parse(&doc, span_make("\"a\0b\"", 5), TEST_DEPTH, &root, &error));
    assert_false(doc_parse(&doc, span_make("1\0", 2), TEST_DEPTH, &root, &error));
    assert_false(doc_parse(&doc, span_make(NULL, 0), TEST_DEPTH, &root, &error));
    root = parse_good(&doc, span_of("\"a\\u0000b\""));
    struct buffer out;
    buffer_init(&out, 100);
    assert_true(doc_decode_string(&doc, root, &out));
    assert_true(span_equal(buffer_span(&out), span_make("a\0b", 3)));
    buffer_fini(&out);
    doc_fini(&doc);
}

TEST(integers_may_have_any_length)
{
    static char text[20001], expected[20004];
    struct doc doc;
    doc_init(&doc, 1 << 16, 100);
    for (size_t length = 18; length < 20000; length += length < 400 ? 1 : 977) {
        memset(text, '1', length);
        text[length] = 0;
        text[0] = length % 2 ? '-' : '9';
        snprintf(expected, sizeof expected, "\"%s\"", text);
        doc_clear(&doc);
        uint32_t root = parse_good(&doc, span_of(text));
        assert_int_equal(doc.nodes[root].type, DOC_WIDE);
        assert_span(doc_text(&doc, root), expected);
    }
    doc_fini(&doc);
}

/* The largest number that is finite, to its last digit, and the smallest that is not. */
TEST(the_border_of_infinity_is_exact)
{
    static const char head[] = "1797693134862315807937289714053034150799341327100378269361737789804"
                               "4496829276475094664901797758720709633028641669288791094655554785194"
                               "0402630657488671505820681908902000708383676273854845817711531764475"
                               "7302700698555713669596228429148198608349364752927190741684443655107"
                               "04342711559699508093042880177904174497";
    char text[400];
    struct doc doc;
    struct error error;
    uint32_t root;
    doc_init(&doc, 10000, 1000);
    for (int digits = 790; digits <= 793; digits++) {
        for (int form = 0; form < 3; form++) {
            const char *format = form == 0 ? "%s%d" : form == 1 ? "%s%d.5" : "-0.%s%de309";
            snprintf(text, sizeof text, format, head, digits);
            bool finite = __builtin_isfinite(strtod(text, NULL));
            assert_int_equal(finite, digits < 792);
            doc_clear(&doc);
            /* An integer is kept as a string of its digits, whatever its size. */
            assert_int_equal(doc_parse(&doc, span_of(text), TEST_DEPTH, &root, &error),
                             finite || form == 0);
        }
    }
    doc_fini(&doc);
}

TEST(limits_hold)
{
    struct doc doc;
    struct error error;
    uint32_t root;
    doc_init(&doc, 10, 4);
    assert_true(doc_parse(&doc, span_of("[[[ ] ]  ]             "), 3, &root, &error));
    assert_int_equal(doc.deepest, 3);
    doc_clear(&doc);
    assert_false(doc_parse(&doc, span_of("[[[[]]]]"), 3, &root, &error));
    assert_int_equal(error.code, ERROR_INVALID_MESSAGE);
    assert_non_null(strstr(error.message, "byte 4: nested deeper than 3 levels"));
    assert_false(doc_parse(&doc, span_of("[]"), 0, &root, &error));
    assert_true(doc_parse(&doc, span_of("[1,2,3]"), 3, &root, &error));
    assert_false(doc_parse(&doc, span_of("5"), 3, &root, &error));
    assert_int_equal(error.code, ERROR_TOO_LARGE);
    assert_non_null(strstr(error.message, "more than 4 values"));
    doc_clear(&doc);
    /* Ten bytes of canonical text fit, however they are spaced and escaped. */
    assert_true(doc_parse(&doc, span_of("   \"\\u0031\\u0032345678\"      "), 3, &root, &error));
    doc_clear(&doc);
    assert_false(doc_parse(&doc, span_of("\"123456789\""), 3, &root, &error));
    assert_int_equal(error.code, ERROR_TOO_LARGE);
    assert_false(doc_parse(&doc, span_of("{\"abcdefghijkl\":1}"), 3, &root, &error));
    assert_false(
        doc_parse(&doc, span_of("\"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\""), 3, &root, &error));
    assert_int_equal(error.code, ERROR_TOO_LARGE);
    assert_true(doc_parse(&doc, span_of("1234567890"), 3, &root, &error));
    assert_false(doc_parse(&doc, span_of("1"), 3, &root, &error));
    assert_int_equal(error.code, ERROR_TOO_LARGE);
    assert_int_equal(doc.text.length, 10);
    doc_fini(&doc);
    doc_init(&doc, 0, 4);
    assert_false(doc_parse(&doc, span_of("1"), 3, &root, &error));
    assert_int_equal(error.code, ERROR_TOO_LARGE);
    doc_fini(&doc);
}

TEST(nodes_describe_the_value)
{
    struct doc doc;
    doc_init(&doc, 1000, 100);
    parse_good(&doc, span_of("\"first\""));
    uint32_t root = parse_good(
        &doc, span_of("{ \"a\\n\": [10, [], {}], \"b\": 18446744073709551615, \"\": {\"c\": -5}}"));
    assert_int_equal(root, 1);
    assert_int_equal(doc.nodes[root].type, DOC_OBJECT);
    assert_int_equal(doc.nodes[root].count, 3);
    assert_int_equal(doc.nodes[root].key, 0);
    assert_int_equal(doc.deepest, 3);
    assert_int_equal(doc.longest_array, 3);
    uint32_t a = doc_first(&doc, root);
    assert_span(doc_key(&doc, a), "a\\n");
    assert_span(doc_text(&doc, a), "[10,[],{}]");
    assert_int_equal(doc_member(&doc, root, "a\\n"), a);
    assert_int_equal(doc_member(&doc, root, "c"), DOC_NONE);
    assert_int_equal(doc_member(&doc, a, "c"), DOC_NONE);
    assert_true(doc_member_is(&doc, root, "", "{\"c\":-5}"));
    assert_true(doc_member_is(&doc, doc_member(&doc, root, ""), "c", "-5"));
    assert_false(doc_member_is(&doc, doc_member(&doc, root, ""), "c", "-"));
    assert_false(doc_member_is(&doc, root, "c", "-5") || doc_member_is(&doc, a, "c", "-5"));
    uint32_t b = doc.nodes[a].end;
    assert_int_equal(doc.nodes[b].type, DOC_WIDE);
    assert_int_equal(doc.nodes[b].end, doc_member(&doc, root, ""));
    assert_int_equal(doc_depth(&doc, root), 3);
    assert_int_equal(doc_depth(&doc, a), 2);
    assert_int_equal(doc_depth(&doc, b), 0);
    uint32_t ten = doc_first(&doc, a);
    assert_int_equal(doc_first(&doc, doc.nodes[ten].end), DOC_NONE);
    doc_clear(&doc);
    assert_int_equal(doc.count + doc.deepest + doc.longest_array, 0);
    doc_fini(&doc);
}

TEST(integers_are_read_up_to_64_bits)
{
    static const struct {
        const char *text;
        bool is;
        int64_t value;
    } cases[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"-17", true, -17},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"99999999999999999999999999", false, 0},
        {"1.0", false, 0},
        {"1e2", false, 0},
        {"\"1\"", false, 0},
        {"true", false, 0},
        {"[1]", false, 0},
    };
    struct doc doc;
    doc_init(&doc, 1000, 100);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t value = 0;
        uint32_t root = parse_good(&doc, span_of(cases[i].text));
        assert_int_equal(doc_integer(&doc, root, &value), cases[i].is);
        assert_true(value == cases[i].value);
    }
    doc_fini(&doc);
}

TEST(strings_are_escaped_and_decoded)
{
    static const char raw[] = "q\" b\\ \b\f\n\r\t \x01\x1f\x7f / \xc3\xa9 \0 end";
    struct span whole = span_make(raw, sizeof raw - 1);
    struct buffer out, back;
    struct doc doc;
    buffer_init(&out, 1000);
    buffer_init(&back, 1000);
    doc_init(&doc, 1000, 10);
    assert_true(doc_escape(&out, whole));
    assert_span(buffer_span(&out),
                "\"q\\\" b\\\\ \\b\\f\\n\\r\\t \\u0001\\u001f\x7f / \xc3\xa9 \\u0000 end\"");
    uint32_t root = parse_good(&doc, buffer_span(&out));
    assert_true(span_equal(doc_text(&doc, root), buffer_span(&out)));
    assert_true(doc_decode_string(&doc, root, &back));
    assert_true(span_equal(buffer_span(&back), whole));
    buffer_clear(&out);
    assert_true(doc_escape_bare(&out, span_of("a\nb")));
    assert_span(buffer_span(&out), "a\\nb");
    buffer_clear(&back);
    assert_true(doc_decode_string(&doc, parse_good(&doc, span_of("9007199254740993")), &back));
    assert_span(buffer_span(&back), "9007199254740993");
    assert_false(doc_decode_string(&doc, parse_good(&doc, span_of("1")), &back));
    buffer_fini(&out);
    buffer_init(&out, 4);
    assert_false(doc_escape(&out, span_of("abc")));
    buffer_fini(&out);
    buffer_fini(&back);
    doc_fini(&doc);
}

TEST(utf8_is_checked)
{
    static const char *const good[] = {"",
                                       "a",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xbf",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xc2\x7f",
                                      "\xc2\xc0",
                                      "\xe0\x9f\xbf",
                                      "\xe1\x80",
                                      "\xed\xa0\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "\xf1\x80\x80",
                                      "\xf1\x80\x80\xc0",
                                      "a\xc3"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(doc_valid_utf8(span_of(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(doc_valid_utf8(span_of(bad[i])));
}

TEST(arrays_are_cut_at_every_depth)
{
    static const struct {
        const char *text;
        uint32_t most;
        const char *cut;
    } cases[] = {
        {"[1,2,3]", 0, "[1,2,3]"},
        {"[1,2,3]", 3, "[1,2,3]"},
        {"[1,2,3]", 2, "[2,3]"},
        {"[[1,2,3],[4,5,6],{\"a\":[7,8,9,10]}]", 2, "[[5,6],{\"a\":[9,10]}]"},
        {"{\"a\":{\"b\":[1,[2,3],[4,[5,6]]]},\"c\":[\"x\",\"]\"]}", 1,
         "{\"a\":{\"b\":[[[6]]]},\"c\":[\"]\"]}"},
        {"\"[1,2,3]\"", 1, "\"[1,2,3]\""},
    };
    struct doc doc;
    struct buffer out;
    buffer_init(&out, 1000);
    doc_init(&doc, 1000, 100);
    parse_good(&doc, span_of("[0,0,0,0,0,0]"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buffer_clear(&out);
        uint32_t root = parse_good(&doc, span_of(cases[i].text));
        assert_true(doc_print_cut(&doc, root, cases[i].most, &out));
        assert_span(buffer_span(&out), cases[i].cut);
    }
    buffer_fini(&out);
    buffer_init(&out, 4);
    assert_false(doc_print_cut(&doc, 0, 3, &out));
    assert_true(doc_print_cut(&doc, 0, 1, (buffer_clear(&out), &out)));
    buffer_fini(&out);
    doc_fini(&doc);
}

/* Hashing takes over from comparing here; both find the one name that comes twice. */
TEST(a_name_twice_is_found_among_any_number)
{
    static const int sizes[] = {2, 15, 16, 17, 18, 100, 5000};
    struct buffer text;
    struct doc doc;
    buffer_init(&text, 1 << 20);
    doc_init(&doc, 1 << 20, 20000);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int twice = 0; twice < 2; twice++) {
            struct error error;
            uint32_t root;
            buffer_clear(&text);
            for (int n = 0; n < sizes[i]; n++)
                buffer_printf(&text, "%c\"n%d\":{\"n0\":[]}", n ? ',' : '{',
                              twice && n == sizes[i] - 1 ? 0 : n);
            buffer_add_char(&text, '}');
            doc_clear(&doc);
            assert_int_equal(doc_parse(&doc, buffer_span(&text), TEST_DEPTH, &root, &error),
                             !twice);
            if (twice)
                assert_non_null(strstr(error.message, "member \"n0\" twice"));
        }
    }
    buffer_fini(&text);
    doc_fini(&doc);
}

TEST(parsing_survives_any_failed_allocation)
{
    struct buffer text;
    buffer_init(&text, 1 << 16);
    for (int n = 0; n < 100; n++)
        buffer_printf(&text, "%c\"n%d\":[%d,{}]", n ? ',' : '{', n, n);
    buffer_add_char(&text, '}');
    bool hit = true;
    for (uint64_t nth = 1; hit; nth++) {
        struct doc doc;
        struct error error = {0};
        uint32_t root;
        doc_init(&doc, 1 << 16, 10000);
        memory_fail_at(nth, 0);
        bool good = doc_parse(&doc, buffer_span(&text), TEST_DEPTH, &root, &error);
        hit = memory_fault_hit();
        memory_fail_at(0, 0);
        assert_int_equal(good, !hit);
        if (hit) {
            assert_int_equal(error.code, ERROR_MEMORY);
            assert_int_equal(doc.count + doc.text.length, 0);
            root = parse_good(&doc, buffer_span(&text));
        }
        assert_true(span_equal(doc_text(&doc, root), buffer_span(&text)));
        doc_fini(&doc);
        assert_true(nth < 100);
    }
    buffer_fini(&text);
}
