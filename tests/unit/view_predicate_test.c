/* Predicates as the configuration spells them: when they hold, and when time changes that. */
#include "view_support.h"

static struct view_set *filter_set(const char *predicate)
{
    char text[1024];
    snprintf(text, sizeof text, "{\"v\":{\"pipeline\":[{\"filter\":%s}]}}", predicate);
    return support_set(text);
}

static void expect_holds(const char *predicate, const char *entity, int64_t now, bool holds)
{
    struct view_set *set = filter_set(predicate);
    if (view_stage_holds(support_stage(set, "Q/v"), span_of(entity), now) != holds)
        fail_msg("%s on %s at %ld is not %d", predicate, entity, (long)now, holds);
    view_set_free(set);
}

TEST(comparisons_with_literals)
{
    static const struct {
        const char *predicate, *entity;
        bool holds;
    } cases[] = {
        {"{\"field\":\"a\",\"eq\":1}", "{\"a\":1.0}", true},
        {"{\"field\":\"a\",\"eq\":0.1}", "{\"a\":0.1}", true},
        {"{\"field\":\"a\",\"eq\":0.1}", "{\"a\":1e-1}", true},
        {"{\"field\":\"a\",\"eq\":0.1}", "{\"a\":0.10000000000000001}", false},
        {"{\"field\":\"a\",\"eq\":0.30000000000000004}", "{\"a\":0.30000000000000004}", true},
        {"{\"field\":\"a\",\"eq\":9223372036854775807}", "{\"a\":\"9223372036854775807\"}", true},
        {"{\"field\":\"a\",\"eq\":\"18446744073709551615\"}", "{\"a\":\"18446744073709551615\"}",
         true},
        {"{\"field\":\"a\",\"gt\":\"18446744073709551614\"}", "{\"a\":\"18446744073709551615\"}",
         true},
        {"{\"field\":\"a\",\"gt\":5}", "{\"a\":\"9007199254740993\"}", true},
        {"{\"field\":\"a\",\"eq\":null}", "{}", true},
        {"{\"field\":\"a\",\"eq\":null}", "{\"a\":null}", true},
        {"{\"field\":\"a\",\"ne\":null}", "{}", false},
        {"{\"field\":\"a\",\"ne\":1}", "{}", true},
        {"{\"field\":\"a\",\"ne\":1}", "{\"a\":\"1\"}", true},
        {"{\"field\":\"a\",\"gt\":5}", "{\"a\":5.0001}", true},
        {"{\"field\":\"a\",\"gt\":5}", "{\"a\":5}", false},
        {"{\"field\":\"a\",\"gte\":5}", "{\"a\":5}", true},
        {"{\"field\":\"a\",\"lt\":5}", "{\"a\":4.9}", true},
        {"{\"field\":\"a\",\"lt\":5}", "{\"a\":5}", false},
        {"{\"field\":\"a\",\"lte\":5}", "{\"a\":5}", true},
        {"{\"field\":\"a\",\"gt\":5}", "{\"a\":\"6\"}", true},
        {"{\"field\":\"a\",\"gt\":5}", "{\"a\":\"10\"}", true},
        {"{\"field\":\"a\",\"gte\":5}", "{\"a\":\"5\"}", true},
        {"{\"field\":\"a\",\"eq\":5}", "{\"a\":\"5\"}", false},
        {"{\"field\":\"a\",\"ne\":\"5\"}", "{\"a\":\"5\"}", false},
        {"{\"field\":\"a\",\"eq\":\"5\"}", "{\"a\":\"05\"}", false},
        {"{\"field\":\"a\",\"eq\":\"5\"}", "{\"a\":5}", false},
        {"{\"field\":\"a\",\"lte\":5}", "{\"a\":\"4\"}", true},
        {"{\"field\":\"a\",\"lt\":\"-5\"}", "{\"a\":-5.5}", true},
        {"{\"field\":\"a\",\"gt\":\"1000\"}", "{\"a\":\"999999\"}", true},
        {"{\"field\":\"a\",\"gt\":\"1000\"}", "{\"a\":\"18446744073709551615\"}", true},
        {"{\"field\":\"a\",\"gt\":\"999\"}", "{\"a\":\"1000\"}", true},
        {"{\"field\":\"a\",\"gt\":5}", "{\"a\":\"06\"}", false},
        {"{\"field\":\"a\",\"gt\":5}", "{\"a\":\"6.0\"}", false},
        {"{\"field\":\"a\",\"lt\":5}", "{\"a\":\"-0\"}", false},
        {"{\"field\":\"a\",\"gt\":\"06\"}", "{\"a\":\"07\"}", true},
        {"{\"field\":\"a\",\"lt\":5}", "{}", false},
        {"{\"field\":\"a\",\"lt\":5}", "{\"a\":null}", false},
        {"{\"field\":\"a\",\"gte\":null}", "{\"a\":null}", false},
        {"{\"field\":\"a\",\"lt\":\"b\"}", "{\"a\":\"a\\n\"}", true},
        {"{\"field\":\"a\",\"gt\":\"\\n\"}", "{\"a\":\"\\\"\"}", true},
        {"{\"field\":\"a\",\"gt\":false}", "{\"a\":true}", true},
        {"{\"field\":\"a\",\"gte\":true}", "{\"a\":false}", false},
        {"{\"field\":\"a\",\"lt\":[2]}", "{\"a\":[1]}", false},
        {"{\"field\":\"a\",\"eq\":[1,\"x\"]}", "{\"a\":[1.0,\"x\"]}", true},
        {"{\"field\":\"a\",\"eq\":{\"literal\":{\"x\":1,\"y\":2}}}", "{\"a\":{\"y\":2,\"x\":1}}",
         true},
        {"{\"field\":\"a\",\"eq\":{\"literal\":{\"x\":1,\"y\":2}}}", "{\"a\":{\"y\":2,\"z\":1}}",
         false},
        {"{\"field\":\"a.b\",\"eq\":1}", "{\"a\":{\"b\":1}}", true},
        {"{\"field\":[\"a.b\"],\"eq\":1}", "{\"a\":{\"b\":1}}", false},
        {"{\"field\":[\"a.b\",\"\\\"\"],\"eq\":1}", "{\"a.b\":{\"\\\"\":1}}", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_holds(cases[i].predicate, cases[i].entity, 0, cases[i].holds);
}

TEST(fields_and_combinations)
{
    static const char a[] = "{\"field\":\"a\",\"eq\":1}", b[] = "{\"field\":\"b\",\"eq\":1}";
    static const struct {
        const char *form;
        bool neither, one, both;
    } cases[] = {{"{\"all\":[%s,%s]}", false, false, true},
                 {"{\"any\":[%s,%s]}", false, true, true},
                 {"{\"not\":{\"any\":[%s,%s]}}", true, false, false},
                 {"{\"all\":[{\"not\":%s},%s]}", false, false, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[256];
        snprintf(text, sizeof text, cases[i].form, a, b);
        expect_holds(text, "{}", 0, cases[i].neither);
        expect_holds(text, "{\"a\":1}", 0, cases[i].one);
        expect_holds(text, "{\"a\":1,\"b\":1}", 0, cases[i].both);
    }
    expect_holds("{\"all\":[]}", "{}", 0, true);
    expect_holds("{\"any\":[]}", "{}", 0, false);
    expect_holds("{\"exists\":\"a.b\"}", "{\"a\":{\"b\":null}}", 0, true);
    expect_holds("{\"exists\":\"a.b\"}", "{\"a\":{\"c\":1}}", 0, false);
    expect_holds("{\"field\":\"a\",\"lt\":{\"field\":\"b.c\"}}", "{\"a\":1,\"b\":{\"c\":2}}", 0,
                 true);
    expect_holds("{\"field\":\"a\",\"lt\":{\"field\":\"b.c\"}}", "{\"a\":1,\"b\":2}", 0, false);
    expect_holds("{\"field\":\"a\",\"eq\":{\"field\":\"b\"}}", "{\"c\":1}", 0, true);
}

static const char *const relations[] = {"eq", "ne", "gt", "gte", "lt", "lte"};

/* Second by second: nothing changes before the second that is told, and the last one is last. */
TEST(time_turns_predicates_when_it_says)
{
    static const char *const values[] = {"100",
                                         "100.5",
                                         "99.999",
                                         "-3",
                                         "-2.5",
                                         "0",
                                         "1e2",
                                         "\"100\"",
                                         "null",
                                         "true",
                                         "1e300",
                                         "-1e300",
                                         "\"18446744073709551615\""};
    for (size_t i = 0; i < sizeof relations / sizeof *relations; i++) {
        char predicate[128], entity[64];
        snprintf(predicate, sizeof predicate,
                 "{\"not\":{\"any\":[{\"field\":\"t\",\"%s\":{\"now\":true}},{\"field\":\"x\","
                 "\"eq\":1}]}}",
                 relations[i]);
        struct view_set *set = filter_set(predicate);
        const struct view_stage *stage = support_stage(set, "Q/v");
        assert_true(stage->timed);
        for (size_t j = 0; j < sizeof values / sizeof *values; j++) {
            snprintf(entity, sizeof entity, "{\"t\":%s}", values[j]);
            struct span span = span_of(entity);
            for (int64_t now = -10; now < 110; now++) {
                bool changes =
                    view_stage_holds(stage, span, now) != view_stage_holds(stage, span, now + 1);
                int64_t turns = view_stage_rechecks(stage, span, now);
                assert_true(turns > now);
                if (changes != (turns == now + 1))
                    fail_msg("%s %s at %ld: %ld", entity, relations[i], (long)now, (long)turns);
            }
            assert_true(view_stage_rechecks(stage, span, 102) == INT64_MAX);
        }
        view_set_free(set);
    }
}

TEST(without_now_time_turns_nothing)
{
    struct view_set *set = filter_set("{\"field\":\"t\",\"gt\":5}");
    assert_false(support_stage(set, "Q/v")->timed);
    assert_true(view_stage_rechecks(support_stage(set, "Q/v"), span_of("{\"t\":9}"), 0) ==
                INT64_MAX);
    view_set_free(set);
}

TEST(bad_predicates_say_what_is_wrong)
{
    static const char *const bad[][2] = {
        {"1", "a predicate is an object"},
        {"{}", "a predicate is an object"},
        {"{\"and\":[]}", "\"any\""},
        {"{\"all\":{}}", "list of predicates"},
        {"{\"all\":[{\"field\":\"a\",\"eq\":1},{\"none\":1}]}", "[1]"},
        {"{\"field\":\"a\"}", "needs one of"},
        {"{\"field\":\"a\",\"gt\":1,\"lt\":2}", "both"},
        {"{\"field\":\"a\",\"gtx\":1}", "did you mean \"gt"},
        {"{\"field\":\"a..b\",\"gt\":1}", "a..b"},
        {"{\"field\":\"\",\"gt\":1}", "segment"},
        {"{\"field\":[],\"gt\":1}", "at least one"},
        {"{\"field\":[\"a\",1],\"gt\":1}", "not empty"},
        {"{\"field\":1,\"gt\":1}", "a path is"},
        {"{\"field\":\"a\",\"gt\":{\"now\":1}}", "\"now\" must be true"},
        {"{\"field\":\"a\",\"gt\":{\"then\":1}}", "right side"},
        {"{\"field\":\"a\",\"gt\":{}}", "must be a value"},
        {"{\"exists\":{}}", "a path is"},
        {"{\"not\":[]}", "a predicate is"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[512];
        struct error error = {0};
        struct view_set *set = view_set_new(false);
        snprintf(text, sizeof text, "{\"v\":{\"pipeline\":[\"first\",{\"filter\":%s}]}}",
                 bad[i][0]);
        assert_false(support_derive(set, text, &error));
        assert_int_equal(error.code, ERROR_CONFIGURATION);
        if (!strstr(error.message, bad[i][1]) || !strstr(error.message, "'Q/v'") ||
            !strstr(error.message, "pipeline[1]"))
            fail_msg("%s: \"%s\" does not say %s", bad[i][0], error.message, bad[i][1]);
        view_set_free(set);
    }
}
