/* Arete stack files. */
#include "view_support.h"

#define COLLECTION "\"source\":{\"Entity\":{\"name\":\"Q\"}},\"output\":\"Collection\""
#define FIELD(name) "\"field\":{\"segments\":[\"" name "\"],\"offsets\":null}"

/* A stack of one entity with these views. */
static bool add_views(struct view_set *set, const char *views, struct error *error)
{
    char text[4096];
    snprintf(
        text, sizeof text,
        "{\"ast_version\":\"0.0.1\",\"idls\":[{\"views\":7}],\"entities\":[{\"state_name\":\"Q\","
        "\"handlers\":[],\"views\":%s}]}",
        views);
    return support_add_stack(set, text, error);
}

static struct view_set *stack_set(const char *views)
{
    struct error error = {0};
    struct view_set *set = view_set_new(false);
    if (!add_views(set, views, &error) || !view_set_resolve(set, &error))
        fail_msg("%s: %s", views, error.message);
    return set;
}

TEST(a_real_shape_is_read)
{
    struct error error = {0};
    struct view_set *set = view_set_new(false);
    assert_true(support_add_stack(
        set,
        "{\"stack_name\":\"S\",\"content_hash\":\"x\",\"entities\":[{\"state_name\":\"Round\","
        "\"views\":[{\"id\":"
        "\"Round/"
        "latest\",\"source\":{\"Entity\":{\"name\":\"Round\"}},\"pipeline\":[{\"Sort\":{\"key\":{"
        "\"segments\":[\"id\",\"round_id\"],\"offsets\":null},\"order\":\"desc\"}}],\"output\":"
        "\"Collection\"}]},"
        "{\"state_name\":\"Miner\",\"views\":[]},{\"state_name\":\"Treasury\"}]}",
        &error));
    assert_true(view_set_resolve(set, &error));
    assert_non_null(view_set_export(set, span_of("Miner")));
    assert_non_null(view_set_export(set, span_of("Treasury")));
    const struct view_stage *stage = support_stage(set, "Round/latest");
    assert_string_equal(stage->export_name, "Round");
    assert_int_equal(stage->sort_path_count, 2);
    assert_true(span_equal(stage->sort_path[1], span_of("round_id")));
    assert_true(stage->descending);
    assert_false(stage->has_cut);
    view_set_free(set);
}

TEST(every_step_means_what_ours_means)
{
    static const char *const same[][2] = {
        {"{\"Filter\":{\"predicate\":{\"Compare\":{" FIELD(
             "a") ",\"op\":\"Gt\",\"value\":{\"Literal\":0.1}}}}}",
         "{\"filter\":{\"field\":\"a\",\"gt\":0.1}}"},
        {"{\"Filter\":{\"predicate\":{\"And\":[{\"Exists\":{" FIELD(
             "a") "}},{\"Or\":[{\"Not\":{\"Exists\":{" FIELD("b") "}}}]}]}}}",
         "{\"filter\":{\"all\":[{\"exists\":\"a\"},{\"any\":[{\"not\":{\"exists\":\"b\"}}]}]}}"},
        {"{\"Filter\":{\"predicate\":{\"Compare\":{" FIELD(
             "a") ",\"op\":\"Lte\",\"value\":{\"Field\":{\"segments\":[\"b.c\"]}}}}}}",
         "{\"filter\":{\"field\":\"a\",\"lte\":{\"field\":[\"b.c\"]}}}"},
        {"{\"Filter\":{\"predicate\":{\"Compare\":{" FIELD(
             "a") ",\"op\":\"Ne\",\"value\":{\"Dynamic\":\"now()\"}}}}}",
         "{\"filter\":{\"field\":\"a\",\"ne\":{\"now\":true}}}"},
        {"{\"Sort\":{\"key\":{\"segments\":[\"a\",\"b\"]}}}", "{\"sort\":[\"a\",\"b\"]}"},
        {"{\"Sort\":{\"key\":{\"segments\":[\"a.b\"]},\"order\":\"asc\"}}", "{\"sort\":[\"a.b\"]}"},
        {"{\"Take\":{\"count\":3}},{\"Skip\":{\"count\":1}}", "{\"take\":3},{\"skip\":1}"},
        {"\"First\"", "\"first\""},
        {"\"Last\"", "\"last\""},
        {"{\"MaxBy\":{\"key\":{\"segments\":[\"m\"]}}}", "{\"max_by\":\"m\"}"},
        {"{\"MinBy\":{\"key\":{\"segments\":[\"m\"]}}}", "{\"min_by\":\"m\"}"},
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        char text[1024];
        snprintf(text, sizeof text, "[{\"id\":\"Q/v\"," COLLECTION ",\"pipeline\":[%s]}]",
                 same[i][0]);
        struct view_set *stack = stack_set(text);
        snprintf(text, sizeof text, "{\"v\":{\"pipeline\":[%s]}}", same[i][1]);
        struct view_set *ours = support_set(text);
        assert_string_equal(support_stage(stack, "Q/v")->whole, support_stage(ours, "Q/v")->whole);
        view_set_free(stack);
        view_set_free(ours);
    }
}

TEST(every_relation_is_known)
{
    static const char *const names[][2] = {{"Eq", "eq"},   {"Ne", "ne"}, {"Gt", "gt"},
                                           {"Gte", "gte"}, {"Lt", "lt"}, {"Lte", "lte"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char text[1024];
        snprintf(text, sizeof text,
                 "[{\"id\":\"Q/v\"," COLLECTION
                 ",\"pipeline\":[{\"Filter\":{\"predicate\":{\"Compare\":{" FIELD(
                     "a") ",\"op\":\"%s\",\"value\":{\"Literal\":1}}}}}]}]",
                 names[i][0]);
        struct view_set *set = stack_set(text);
        snprintf(text, sizeof text, "\"%s\":1", names[i][1]);
        assert_non_null(strstr(support_stage(set, "Q/v")->definition, text));
        view_set_free(set);
    }
}

TEST(views_over_views_and_outputs)
{
    struct view_set *set = stack_set(
        "[{\"id\":\"top\",\"source\":{\"View\":{\"id\":\"Q/"
        "all\"}},\"pipeline\":[],\"output\":\"Single\"},"
        "{\"id\":\"Q/all\"," COLLECTION
        ",\"pipeline\":[{\"Sort\":{\"key\":{\"segments\":[\"m\"]}}}]},"
        "{\"id\":\"Q/"
        "by\",\"source\":{\"Entity\":{\"name\":\"Q\"}},\"pipeline\":[],\"output\":{\"Keyed\":{"
        "\"key_field\":{\"segments\":[\"o\",\"id\"]}}}}]");
    const struct view *top = view_set_find(set, span_of("Q/top"));
    assert_int_equal(top->mode, VIEW_STATE);
    assert_int_equal(top->stage->cut.take, 1);
    assert_true(span_equal(top->stage->sort_path[0], span_of("m")));
    const struct view *by = view_set_find(set, span_of("Q/by"));
    assert_int_equal(by->output, VIEW_KEYED);
    assert_int_equal(by->mode, VIEW_STATE);
    assert_int_equal(by->key_field_count, 2);
    assert_true(span_equal(by->key_field[1], span_of("id")));
    view_set_free(set);
}

TEST(the_configuration_replaces_a_view_of_a_stack)
{
    struct error error = {0};
    struct view_set *set = view_set_new(false);
    assert_true(
        add_views(set, "[{\"id\":\"Q/v\"," COLLECTION ",\"pipeline\":[\"First\"]}]", &error));
    assert_true(support_derive(set, "{\"v\":{\"pipeline\":[\"last\"]},\"w\":{\"source\":\"Q/v\"}}",
                               &error));
    assert_true(view_set_resolve(set, &error));
    assert_true(support_stage(set, "Q/w")->cut.last);
    view_set_free(set);
}

TEST(bad_stacks_say_what_is_wrong)
{
    static const char *const bad[][2] = {
        {"{}", "must be a list"},
        {"[{}]", "\"id\""},
        {"[{\"id\":\"Q/v\"}]", "\"source\""},
        {"[{\"id\":\"Q/v\",\"source\":{\"Entity\":{}}}]", "\"source\""},
        {"[{\"id\":\"Q/v\",\"source\":{\"Table\":{\"name\":\"Q\"}}}]", "\"source\""},
        {"[{\"id\":\"Q/v\",\"source\":{\"Entity\":{\"name\":\"R\"}},\"output\":\"Collection\"}]",
         "no export 'R'"},
        {"[{\"id\":\"Q/v\",\"source\":{\"View\":{\"id\":\"Q/x\"}},\"output\":\"Collection\"}]",
         "no view 'Q/x'"},
        {"[{\"id\":\"Q/v\",\"source\":{\"View\":{\"id\":\"Q/v\"}},\"output\":\"Collection\"}]",
         "leads back"},
        {"[{\"id\":\"Q/v\"," COLLECTION "},{\"id\":\"v\"," COLLECTION "}]", "twice"},
        {"[{\"id\":\"Q/v\",\"source\":{\"Entity\":{\"name\":\"Q\"}},\"output\":\"Some\"}]",
         "\"output\""},
        {"[{\"id\":\"Q/v\"," COLLECTION ",\"pipeline\":{}}]", "list of steps"},
        {"[{\"id\":\"Q/v\"," COLLECTION ",\"pipeline\":[\"Middle\"]}]", "a step is"},
        {"[{\"id\":\"Q/v\"," COLLECTION ",\"pipeline\":[{\"Distinct\":{}}]}]",
         "has no \"Distinct\""},
        {"[{\"id\":\"Q/v\"," COLLECTION ",\"pipeline\":[{\"Take\":3}]}]", "whole number"},
        {"[{\"id\":\"Q/v\"," COLLECTION ",\"pipeline\":[{\"Sort\":{\"key\":{\"segments\":[]}}}]}]",
         "at least one"},
        {"[{\"id\":\"Q/v\"," COLLECTION ",\"pipeline\":[{\"Sort\":{\"key\":\"a.b\"}}]}]",
         "a path is"},
        {"[{\"id\":\"Q/v\"," COLLECTION ",\"pipeline\":[{\"Sort\":{\"order\":\"down\"}}]}]",
         "asc or desc"},
        {"[{\"id\":\"Q/v\"," COLLECTION ",\"pipeline\":[{\"Filter\":{}}]}]", "a predicate is"},
        {"[{\"id\":\"Q/v\"," COLLECTION
         ",\"pipeline\":[{\"Filter\":{\"predicate\":{\"Like\":{}}}}]}]",
         "has no \"Like\""},
        {"[{\"id\":\"Q/v\"," COLLECTION
         ",\"pipeline\":[{\"Filter\":{\"predicate\":{\"Compare\":{" FIELD(
             "a") ",\"op\":\"In\"}}}}]}]",
         "\"op\""},
        {"[{\"id\":\"Q/v\"," COLLECTION
         ",\"pipeline\":[{\"Filter\":{\"predicate\":{\"Compare\":{" FIELD(
             "a") ",\"op\":\"Eq\"}}}}]}]",
         "\"value\""},
        {"[{\"id\":\"Q/v\"," COLLECTION
         ",\"pipeline\":[{\"Filter\":{\"predicate\":{\"Compare\":{" FIELD(
             "a") ",\"op\":\"Eq\",\"value\":{\"Dynamic\":\"slot()\"}}}}}]}]",
         "'slot()'"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error error = {0};
        struct view_set *set = view_set_new(false);
        assert_false(add_views(set, bad[i][0], &error) && view_set_resolve(set, &error));
        assert_int_equal(error.code, ERROR_CONFIGURATION);
        if (!strstr(error.message, bad[i][1]))
            fail_msg("%s: \"%s\" does not say %s", bad[i][0], error.message, bad[i][1]);
        view_set_free(set);
    }
    static const char *const files[] = {"[]",
                                        "{}",
                                        "{\"entities\":{}}",
                                        "{\"entities\":[{}]}",
                                        "{\"entities\":[1]}",
                                        "{\"entities\":[{\"state_name\":\"a/b\"}]}"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct error error = {0};
        struct view_set *set = view_set_new(false);
        assert_false(support_add_stack(set, files[i], &error));
        assert_int_equal(error.code, ERROR_CONFIGURATION);
        view_set_free(set);
    }
}

TEST(a_view_without_output_is_a_collection)
{
    static const char *const forms[] = {"", ",\"output\":null", ",\"output\":\"Collection\""};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        char text[200];
        snprintf(text, sizeof text, "[{\"id\":\"Q/v\",\"source\":{\"Entity\":{\"name\":\"Q\"}}%s}]",
                 forms[i]);
        struct view_set *set = stack_set(text);
        const struct view *view = view_set_find(set, span_of("Q/v"));
        assert_int_equal(view->output, VIEW_COLLECTION);
        assert_int_equal(view->mode, VIEW_LIST);
        view_set_free(set);
    }
}

static void expect_stack(struct view_set *set, const char *stack, const char *says)
{
    struct error error = {0};
    bool good = support_add_stack(set, stack, &error);
    if (good != !says || (says && !strstr(error.message, says)))
        fail_msg("%s: \"%s\" does not say %s", stack, error.message, says ? says : "nothing");
    if (says)
        assert_int_equal(error.code, ERROR_CONFIGURATION);
}

TEST(an_unknown_version_is_refused)
{
    static const char *const cases[][2] = {
        {"{\"ast_version\":\"0.0.1\",\"entities\":[]}", NULL},
        {"{\"entities\":[{\"state_name\":\"A\",\"ast_version\":\"0.0.1\"}]}", NULL},
        {"{\"ast_version\":\"9.0.0\",\"entities\":[]}", "'9.0.0'; this stele knows 0.0.1"},
        {"{\"ast_version\":1,\"entities\":[]}", "must be a text"},
        {"{\"ast_version\":null,\"entities\":[]}", "must be a text"},
        {"{\"entities\":[{\"state_name\":\"B\",\"ast_version\":\"0.0.2\"}]}", "'0.0.2'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct view_set *set = view_set_new(false);
        expect_stack(set, cases[i][0], cases[i][1]);
        view_set_free(set);
    }
}

TEST(an_entity_stands_once)
{
    struct view_set *set = view_set_new(false);
    expect_stack(set, "{\"entities\":[{\"state_name\":\"A\"},{\"state_name\":\"B\"}]}", NULL);
    expect_stack(set, "{\"entities\":[{\"state_name\":\"C\"},{\"state_name\":\"C\"}]}", "'C'");
    expect_stack(set, "{\"entities\":[{\"state_name\":\"B\"}]}", "another");
    view_set_free(set);
}

/* In a filter, and in what is passed over. */
TEST(integers_of_any_size_are_read)
{
    struct view_set *set = view_set_new(false);
    expect_stack(set,
                 "{\"idls\":[18446744073709551615,-99999999999999999999],\"entities\":[{"
                 "\"state_name\":\"Q\",\"views\":[{\"id\":\"v\"," COLLECTION
                 ",\"pipeline\":[{\"Filter\":{\"predicate\":{\"Compare\":{" FIELD(
                     "a") ",\"op\":\"Gte\",\"value\":{\"Literal\":18446744073709551615}}}}}]}]}]}",
                 NULL);
    assert_true(view_set_resolve(set, NULL));
    const struct view_stage *stage = support_stage(set, "Q/v");
    assert_true(view_stage_holds(stage, span_of("{\"a\":\"18446744073709551615\"}"), 0));
    assert_true(view_stage_holds(stage, span_of("{\"a\":\"18446744073709551616\"}"), 0));
    assert_false(view_stage_holds(stage, span_of("{\"a\":\"18446744073709551614\"}"), 0));
    view_set_free(set);
}
