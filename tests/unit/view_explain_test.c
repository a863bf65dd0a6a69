/* What predicates tell of their evaluation, and of whose values they may tell it. */
#include "view_support.h"

static const char entity[] = "{\"a\":4,\"b\":{\"c\":\"xy\",\"d\":[1,\"z\"]},\"e.f\":1,\"n\":null,"
                             "\"_seq\":\"1:000000000001\"}";

static struct view_set *filtered(const char *predicate)
{
    struct buffer text;
    buffer_init(&text, 1 << 16);
    buffer_printf(&text,
                  "{\"v\":{\"pipeline\":[{\"filter\":%s}]},\"slim\":{\"fields\":[\"a\",\"b.c\"]},"
                  "\"deep\":{\"fields\":[\"b\"]}}",
                  predicate);
    struct view_set *set = support_set(buffer_string(&text));
    buffer_fini(&text);
    return set;
}

TEST(a_trace_has_the_verdict_of_the_evaluation)
{
    static const struct {
        const char *predicate, *trace;
        bool holds;
    } cases[] = {
        {"{\"field\":\"a\",\"gte\":4}", "{\"field\":\"a\",\"gte\":4,\"value\":4,\"holds\":true}",
         true},
        {"{\"field\":\"a\",\"lt\":3.5}", "{\"field\":\"a\",\"lt\":3.5,\"value\":4,\"holds\":false}",
         false},
        {"{\"field\":\"x\",\"eq\":null}", "{\"field\":\"x\",\"eq\":null,\"holds\":true}", true},
        {"{\"field\":\"n\",\"eq\":null}",
         "{\"field\":\"n\",\"eq\":null,\"value\":null,\"holds\":true}", true},
        {"{\"field\":\"a\",\"gt\":{\"now\":true}}",
         "{\"field\":\"a\",\"gt\":{\"now\":true},\"value\":4,\"operand\":7,\"holds\":false}",
         false},
        {"{\"field\":\"a\",\"ne\":{\"field\":\"b.c\"}}",
         "{\"field\":\"a\",\"ne\":{\"field\":\"b.c\"},\"value\":4,\"operand\":\"xy\",\"holds\":"
         "true}",
         true},
        {"{\"field\":\"b.c\",\"prefix\":\"x\"}",
         "{\"field\":\"b.c\",\"prefix\":\"x\",\"value\":\"xy\",\"holds\":true}", true},
        {"{\"field\":\"b.d\",\"contains\":\"z\"}",
         "{\"field\":\"b.d\",\"contains\":\"z\",\"value\":[1,\"z\"],\"holds\":true}", true},
        {"{\"field\":\"a\",\"in\":[5,4]}",
         "{\"field\":\"a\",\"in\":[5,4],\"value\":4,\"holds\":true}", true},
        {"{\"exists\":\"b\"}",
         "{\"exists\":\"b\",\"value\":{\"c\":\"xy\",\"d\":[1,\"z\"]},\"holds\":true}", true},
        {"{\"exists\":[\"e.f\"]}", "{\"exists\":[\"e.f\"],\"value\":1,\"holds\":true}", true},
        {"{\"not\":{\"exists\":\"x\"}}",
         "{\"not\":{\"exists\":\"x\",\"holds\":false},\"holds\":true}", true},
        {"{\"any\":[]}", "{\"any\":[],\"holds\":false}", false},
        {"{\"all\":[]}", "{\"all\":[],\"holds\":true}", true},
        /* What comes behind the part that decides is told, too. */
        {"{\"any\":[{\"exists\":\"x\"},{\"field\":\"a\",\"eq\":4},{\"field\":\"a\",\"eq\":5}]}",
         "{\"any\":[{\"exists\":\"x\",\"holds\":false},{\"field\":\"a\",\"eq\":4,\"value\":4,"
         "\"holds\":true},"
         "{\"field\":\"a\",\"eq\":5,\"value\":4,\"holds\":false}],\"holds\":true}",
         true},
        {"{\"all\":[{\"exists\":\"x\"},{\"field\":\"a\",\"eq\":4}]}",
         "{\"all\":[{\"exists\":\"x\",\"holds\":false},{\"field\":\"a\",\"eq\":4,\"value\":4,"
         "\"holds\":true}],"
         "\"holds\":false}",
         false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct view_set *set = filtered(cases[i].predicate);
        const struct view_stage *stage = support_stage(set, "Q/v");
        struct buffer out;
        buffer_init(&out, 1 << 16);
        assert_non_null(stage->predicate);
        assert_int_equal(view_predicate_trace(stage->predicate, span_of(entity), 7, &out),
                         cases[i].holds);
        assert_int_equal(view_stage_holds(stage, span_of(entity), 7), cases[i].holds);
        assert_string_equal(buffer_string(&out), cases[i].trace);
        buffer_fini(&out);
        view_set_free(set);
    }
}

TEST(a_predicate_is_told_to_whoever_sees_all_that_it_asks_about)
{
    static const struct {
        const char *predicate;
        bool slim, deep, both;
    } cases[] = {
        {"{\"field\":\"a\",\"gte\":4}", true, false, true},
        {"{\"field\":\"b.c\",\"eq\":1}", true, true, true},
        {"{\"field\":\"b.d\",\"eq\":1}", false, true, true},
        {"{\"field\":\"b\",\"eq\":1}", false, true, true},
        {"{\"exists\":\"n\"}", false, false, false},
        {"{\"exists\":\"away\"}", false, false, false},
        {"{\"field\":\"a\",\"lt\":{\"field\":\"b.d\"}}", false, false, true},
        {"{\"any\":[{\"field\":\"a\",\"eq\":4},{\"not\":{\"field\":\"n\",\"eq\":4}}]}", false,
         false, false},
        {"{\"field\":\"_seq\",\"ne\":4}", true, true, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct view_set *set = filtered(cases[i].predicate);
        const struct view_stage *stage = support_stage(set, "Q/v");
        const struct view *slim = view_set_find(set, span_of("Q/slim"));
        const struct view *deep = view_set_find(set, span_of("Q/deep"));
        const struct view_sight sights[] = {{.views = {slim}},
                                            {.views = {deep, NULL}},
                                            {.views = {slim, deep}},
                                            {.all = true},
                                            {.views = {slim, view_set_find(set, span_of("Q/v"))}}};
        const bool told[] = {cases[i].slim, cases[i].deep, cases[i].both, true, true};
        for (size_t j = 0; j < sizeof told / sizeof *told; j++)
            if (view_predicate_is_told(stage->predicate, span_of(entity), &sights[j]) != told[j])
                fail_msg("%s, sight %zu", cases[i].predicate, j);
        view_set_free(set);
    }
}

/* A path with dots stands for several members; only one of them may be shown. */
TEST(a_value_beside_the_shown_one_is_not_told)
{
    static const char two[] = "{\"b\":{\"c.x\":1},\"b.c\":{\"x\":2}}";
    struct view_set *set =
        support_set("{\"v\":{\"pipeline\":[{\"filter\":{\"field\":\"b.c.x\",\"eq\":1}}]},"
                    "\"slim\":{\"fields\":[\"b.c\"]}}");
    const struct view_stage *stage = support_stage(set, "Q/v");
    const struct view_sight sight = {.views = {view_set_find(set, span_of("Q/slim"))}};
    assert_true(view_stage_holds(stage, span_of(two), 0));
    assert_false(view_predicate_is_told(stage->predicate, span_of(two), &sight));
    view_set_free(set);
}

TEST(long_values_are_told_by_their_length)
{
    struct buffer out, value;
    buffer_init(&out, 1 << 16);
    buffer_init(&value, 1 << 16);
    buffer_add_char(&value, '"');
    while (value.length < VIEW_TOLD_VALUE - 1)
        buffer_add_char(&value, 'x');
    buffer_add_char(&value, '"');
    view_tell_value(&out, "value", buffer_span(&value));
    assert_int_equal(out.length, VIEW_TOLD_VALUE + sizeof ",\"value\":" - 1);
    buffer_clear(&out);
    value.data[value.length - 1] = 'x';
    buffer_add_char(&value, '"');
    view_tell_value(&out, "value", buffer_span(&value));
    assert_string_equal(buffer_string(&out), ",\"value_bytes\":1025");
    view_tell_value(&out, "value", span_make(NULL, 0));
    assert_int_equal(out.length, strlen(",\"value_bytes\":1025"));
    buffer_fini(&value);
    buffer_fini(&out);
}

TEST(hidden_members_are_named_to_whoever_sees_them)
{
    struct view_set *set = filtered("{\"exists\":\"a\"}");
    const struct view *slim = view_set_find(set, span_of("Q/slim"));
    const struct view_sight all = {.all = true}, own = {.views = {slim}};
    struct buffer out;
    buffer_init(&out, 1 << 16);
    assert_true(view_tell_hidden(slim, span_of(entity), &all, &out));
    assert_string_equal(buffer_string(&out), "\"e.f\",\"n\"");
    buffer_clear(&out);
    assert_true(view_tell_hidden(slim, span_of(entity), &own, &out));
    assert_int_equal(out.length, 0);
    buffer_fini(&out);
    view_set_free(set);
}
