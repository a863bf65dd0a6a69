/* From definitions to stages: merging, cuts, sources, sharing. */
#include "memory_fault.h"
#include "view_support.h"

static void expect_cut(const struct view_stage *stage, int64_t skip, int64_t take, bool last)
{
    if (stage->cut.skip != skip || stage->cut.take != take || stage->cut.last != last ||
        stage->has_cut != (skip != 0 || take != VIEW_ALL || last))
        fail_msg("%s is not cut to %ld, %ld, %d", stage->definition, (long)skip, (long)take, last);
}

static void expect_sort(const struct view_stage *stage, const char *first, const char *second,
                        bool descending)
{
    assert_int_equal(stage->sort_path_count, second ? 2 : first ? 1 : 0);
    if (first)
        assert_true(span_equal(stage->sort_path[0], span_of(first)));
    if (second)
        assert_true(span_equal(stage->sort_path[1], span_of(second)));
    assert_int_equal(stage->descending, descending);
}

TEST(steps_without_a_cut_are_one_stage)
{
    struct view_set *set = support_set(
        "{\"v\":{\"pipeline\":[{\"filter\":{\"field\":\"a\",\"gt\":1}},{\"sort\":\"x\"},"
        "{\"filter\":{\"field\":\"b\",\"lt\":5}},{\"sort\":{\"by\":[\"id\",\"r.n\"],\"order\":"
        "\"desc\"}},"
        "{\"skip\":2},{\"take\":10}]}}");
    const struct view *view = view_set_find(set, span_of("Q/v"));
    assert_int_equal(view->mode, VIEW_LIST);
    assert_int_equal(view->output, VIEW_COLLECTION);
    assert_string_equal(view->export_name, "Q");
    const struct view_stage *stage = view->stage;
    assert_ptr_equal(view_set_stage_at(set, 0), stage);
    assert_null(view_set_stage_at(set, 1));
    assert_null(stage->source);
    assert_string_equal(stage->export_name, "Q");
    expect_cut(stage, 2, 10, false);
    expect_sort(stage, "id", "r.n", true);
    assert_true(view_stage_holds(stage, span_of("{\"a\":2,\"b\":4}"), 0));
    assert_false(view_stage_holds(stage, span_of("{\"a\":1,\"b\":4}"), 0));
    assert_false(view_stage_holds(stage, span_of("{\"a\":2,\"b\":5}"), 0));
    view_set_free(set);
}

TEST(cuts_add_up)
{
    static const struct {
        const char *steps;
        int64_t skip, take;
        bool last;
    } cases[] = {
        {"", 0, VIEW_ALL, false},
        {"{\"skip\":0}", 0, VIEW_ALL, false},
        {"{\"skip\":3}", 3, VIEW_ALL, false},
        {"{\"take\":3}", 0, 3, false},
        {"\"first\"", 0, 1, false},
        {"\"last\"", 0, 1, true},
        {"{\"skip\":3},{\"skip\":4}", 7, VIEW_ALL, false},
        {"{\"take\":10},{\"skip\":4}", 4, 6, false},
        {"{\"take\":10},{\"skip\":4},{\"take\":20}", 4, 6, false},
        {"{\"take\":10},{\"skip\":4},{\"take\":2}", 4, 2, false},
        {"{\"skip\":1},\"first\",\"last\"", 1, 1, false},
        {"{\"take\":3},{\"skip\":3}", 0, 0, false},
        {"{\"skip\":5},{\"take\":3},{\"skip\":9},{\"take\":2}", 0, 0, false},
        {"{\"take\":0},\"last\"", 0, 0, false},
        {"\"last\",\"first\"", 0, 1, true},
        {"\"last\",\"last\",{\"take\":5}", 0, 1, true},
        {"\"last\",{\"skip\":0}", 0, 1, true},
        {"\"last\",{\"skip\":1}", 0, 0, false},
        {"\"last\",{\"take\":0}", 0, 0, false},
        {"{\"max_by\":\"m\"}", 0, 1, false},
        {"{\"skip\":9007199254740991},{\"skip\":9007199254740991}", 18014398509481982, VIEW_ALL,
         false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[256];
        snprintf(text, sizeof text, "{\"v\":{\"pipeline\":[%s]}}", cases[i].steps);
        struct view_set *set = support_set(text);
        expect_cut(support_stage(set, "Q/v"), cases[i].skip, cases[i].take, cases[i].last);
        assert_null(support_stage(set, "Q/v")->source);
        view_set_free(set);
    }
}

TEST(what_follows_a_cut_is_another_stage)
{
    static const char *const steps[] = {"{\"filter\":{\"exists\":\"a\"}}", "{\"sort\":\"a\"}",
                                        "\"last\"", "{\"min_by\":\"a\"}"};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        char text[256];
        snprintf(
            text, sizeof text,
            "{\"v\":{\"pipeline\":[{\"sort\":{\"by\":\"m\",\"order\":\"desc\"}},{\"take\":5},%s]}}",
            steps[i]);
        struct view_set *set = support_set(text);
        const struct view_stage *stage = support_stage(set, "Q/v");
        assert_non_null(stage->source);
        assert_ptr_equal(view_set_stage_at(set, 0), stage->source);
        assert_ptr_equal(view_set_stage_at(set, 1), stage);
        assert_null(view_set_stage_at(set, 2));
        expect_cut(stage->source, 0, 5, false);
        expect_sort(stage->source, "m", NULL, true);
        bool sorted = i == 1 || i == 3;
        expect_sort(stage, sorted ? "a" : "m", NULL, !sorted);
        if (i == 2)
            expect_cut(stage, 0, 1, true);
        view_set_free(set);
    }
}

TEST(max_by_sorts_down_and_min_by_up)
{
    struct view_set *set = support_set(
        "{\"a\":{\"pipeline\":[{\"max_by\":\"m\"}]},\"b\":{\"pipeline\":[{\"min_by\":\"m\"}]}}");
    expect_sort(support_stage(set, "Q/a"), "m", NULL, true);
    expect_sort(support_stage(set, "Q/b"), "m", NULL, false);
    view_set_free(set);
}

TEST(views_over_views_merge_and_may_come_first)
{
    struct view_set *set = support_set(
        "{\"d\":{\"source\":\"Q/c\",\"pipeline\":[{\"skip\":1}]},"
        "\"c\":{\"source\":\"Q/"
        "b\",\"pipeline\":[{\"filter\":{\"field\":\"c\",\"eq\":1}},{\"take\":5}]},"
        "\"b\":{\"source\":\"Q/a\",\"pipeline\":[{\"filter\":{\"field\":\"b\",\"eq\":1}}]},"
        "\"a\":{\"source\":\"Q\",\"pipeline\":[{\"filter\":{\"field\":\"a\",\"eq\":1}},{\"sort\":"
        "\"m\"}]},"
        "\"l\":{\"source\":\"Q/list\",\"pipeline\":[]}}");
    const struct view_stage *d = support_stage(set, "Q/d");
    assert_null(d->source);
    expect_cut(d, 1, 4, false);
    expect_sort(d, "m", NULL, false);
    assert_true(view_stage_holds(d, span_of("{\"a\":1,\"b\":1,\"c\":1}"), 0));
    assert_false(view_stage_holds(d, span_of("{\"a\":1,\"b\":1}"), 0));
    assert_false(view_stage_holds(d, span_of("{\"b\":1,\"c\":1}"), 0));
    expect_cut(support_stage(set, "Q/b"), 0, VIEW_ALL, false);
    expect_sort(support_stage(set, "Q/l"), NULL, NULL, true);
    view_set_free(set);
}

TEST(stages_that_differ_in_their_cut_share_their_rows)
{
    struct view_set *set =
        support_set("{\"a\":{\"pipeline\":[{\"sort\":\"m\"},{\"take\":3}]},"
                    "\"b\":{\"pipeline\":[{\"sort\":\"m\"},{\"take\":5}]},"
                    "\"c\":{\"pipeline\":[{\"sort\":\"m\"}]},"
                    "\"d\":{\"source\":\"Q/a\",\"pipeline\":[{\"filter\":{\"exists\":\"x\"}}]},"
                    "\"e\":{\"source\":\"Q/b\",\"pipeline\":[{\"filter\":{\"exists\":\"x\"}}]}}");
    const struct view_stage *a = support_stage(set, "Q/a"), *b = support_stage(set, "Q/b");
    assert_ptr_not_equal(a, b);
    expect_cut(a, 0, 3, false);
    expect_cut(b, 0, 5, false);
    assert_string_equal(a->definition, b->definition);
    assert_string_equal(a->definition, support_stage(set, "Q/c")->definition);
    assert_string_not_equal(a->whole, b->whole);
    /* What is over them has other rows. */
    assert_string_not_equal(support_stage(set, "Q/d")->definition,
                            support_stage(set, "Q/e")->definition);
    view_set_free(set);
}

TEST(one_meaning_is_one_stage)
{
    struct view_set *set =
        support_set("{\"a\":{\"pipeline\":[{\"filter\":{\"all\":[{\"field\":\"a\",\"eq\":1},{"
                    "\"exists\":\"b\"}]}},"
                    "{\"sort\":\"m.n\"},\"first\"]},"
                    "\"b\":{\"pipeline\":[{\"filter\":{\"field\":[\"a\"],\"eq\":1.0}},{\"filter\":{"
                    "\"exists\":\"b\"}},"
                    "{\"sort\":{\"by\":\"m.n\",\"order\":\"asc\"}},{\"take\":1}]},"
                    "\"c\":{\"source\":\"Q/a\"},"
                    "\"d\":{\"source\":\"Q/a\",\"pipeline\":[{\"take\":7}],\"output\":\"single\"},"
                    "\"e\":{\"pipeline\":[{\"sort\":[\"m.n\"]},\"first\"]},"
                    "\"f\":{\"pipeline\":[{\"sort\":[\"m\",\"n\"]},\"first\"]}}");
    const struct view_stage *stage = support_stage(set, "Q/a");
    for (const char *id = "bcd"; *id; id++) {
        char name[] = {'Q', '/', *id, 0};
        assert_ptr_equal(support_stage(set, name), stage);
    }
    /* Lists of names are these names alone. */
    assert_ptr_not_equal(support_stage(set, "Q/e"), stage);
    assert_string_not_equal(support_stage(set, "Q/f")->whole, support_stage(set, "Q/e")->whole);
    assert_non_null(view_set_stage_at(set, 2));
    assert_null(view_set_stage_at(set, 3));
    view_set_free(set);
}

TEST(outputs_decide_the_mode)
{
    struct view_set *set = support_set(
        "{\"s\":{\"output\":\"single\",\"coalesce_ms\":50,\"fields\":[\"a\"],\"keys\":[\"k\"]},"
        "\"k\":{\"output\":{\"keyed_by\":\"a.\\\"\"},\"mode\":\"state\"},\"p\":{\"mode\":"
        "\"append\"}}");
    const struct view *single = view_set_find(set, span_of("Q/s"));
    assert_int_equal(single->mode, VIEW_STATE);
    assert_int_equal(single->output, VIEW_SINGLE);
    assert_int_equal(single->coalesce_ms, 50);
    assert_int_equal(single->path_count, 1);
    assert_int_equal(single->key_count, 1);
    expect_cut(single->stage, 0, 1, false);
    const struct view *keyed = view_set_find(set, span_of("Q/k"));
    assert_int_equal(keyed->mode, VIEW_STATE);
    assert_int_equal(keyed->key_field_count, 2);
    assert_true(span_equal(keyed->key_field[1], span_of("\\\"")));
    const struct view *plain = view_set_find(set, span_of("Q/p"));
    assert_int_equal(plain->mode, VIEW_APPEND);
    assert_null(plain->stage);
    view_set_free(set);
}

TEST(a_view_may_show_another_export)
{
    struct error error = {0};
    struct view_set *set = view_set_new(false);
    assert_true(view_set_add_export(set, span_of("R"), &error));
    assert_true(support_derive(set, "{\"v\":{\"source\":\"R\"}}", &error));
    assert_true(view_set_resolve(set, &error));
    const struct view *view = view_set_find(set, span_of("Q/v"));
    assert_string_equal(view->export_name, "R");
    assert_string_equal(view->stage->export_name, "R");
    assert_string_equal(view_set_export_at(set, 0)->name, "R");
    assert_string_equal(view_set_export_at(set, 1)->name, "Q");
    assert_null(view_set_export_at(set, 2));
    view_set_free(set);
}

TEST(places_follow_the_sort)
{
    struct view_set *set =
        support_set("{\"a\":{\"pipeline\":[{\"sort\":\"m.n\"}]},"
                    "\"b\":{\"pipeline\":[{\"sort\":{\"by\":\"m.n\",\"order\":\"desc\"}}]},"
                    "\"c\":{\"pipeline\":[]}}");
    struct span low = span_of("{\"m\":{\"n\":1}}"), high = span_of("{\"m\":{\"n\":2.5}}");
    for (int i = 0; i < 3; i++) {
        struct buffer places[2];
        buffer_init(&places[0], SIZE_MAX);
        buffer_init(&places[1], SIZE_MAX);
        char id[] = {'Q', '/', (char)('a' + i), 0};
        const struct view_stage *stage = support_stage(set, id);
        assert_true(view_stage_sort_key(stage, span_of("k"), low, (struct seq){1, 1}, &places[0]));
        assert_true(view_stage_sort_key(stage, span_of("j"), high, (struct seq){1, 2}, &places[1]));
        int order = span_compare(buffer_span(&places[0]), buffer_span(&places[1]));
        assert_int_equal(order < 0, i == 0);
        assert_memory_equal(places[0].data + places[0].length - 1, "k", 1);
        buffer_fini(&places[0]);
        buffer_fini(&places[1]);
    }
    view_set_free(set);
}

TEST(bad_definitions_name_the_view)
{
    static const char *const bad[][3] = {
        {"{\"v\":{\"source\":\"Q/w\"}}", "'Q/v'", "no view 'Q/w'"},
        {"{\"v\":{\"source\":\"R\"}}", "'Q/v'", "no export 'R'"},
        {"{\"strong\":{},\"v\":{\"source\":\"Q/strang\"}}", "'Q/v'", "did you mean 'Q/strong'"},
        {"{\"v\":{\"source\":\"Q/v\"}}", "'Q/v'", "leads back"},
        {"{\"a\":{\"source\":\"Q/b\"},\"b\":{\"source\":\"Q/c\"},\"c\":{\"source\":\"Q/a\"}}",
         "'Q/c'", "leads back"},
        {"{\"k\":{\"keys\":[\"1\"]},\"v\":{\"source\":\"Q/k\"}}", "'Q/v'", "only some keys"},
        {"{\"v\":{\"source\":1}}", "'Q/v'", "\"source\""},
        {"{\"v\":{\"pipeline\":{}}}", "'Q/v'", "list of steps"},
        {"{\"v\":{\"pipeline\":[\"middle\"]}}", "pipeline[0]", "a step is"},
        {"{\"v\":{\"pipeline\":[{\"limit\":1}]}}", "pipeline[0]", "has no \"limit\""},
        {"{\"v\":{\"pipeline\":[{\"take\":-1}]}}", "\"take\"", "whole number"},
        {"{\"v\":{\"pipeline\":[{\"take\":1.5}]}}", "\"take\"", "whole number"},
        {"{\"v\":{\"pipeline\":[{\"skip\":9007199254740992}]}}", "\"skip\"", "whole number"},
        {"{\"v\":{\"pipeline\":[{\"sort\":{\"by\":\"a\",\"order\":\"up\"}}]}}", "\"sort\"",
         "asc or desc"},
        {"{\"v\":{\"pipeline\":[{\"sort\":{\"order\":\"asc\"}}]}}", "\"sort\"", "a path is"},
        {"{\"v\":{\"pipeline\":[{\"sort\":{\"by\":\"a\",\"descending\":true}}]}}", "\"sort\"",
         "no \"desc"},
        {"{\"v\":{\"pipeline\":[{\"max_by\":\"a..b\"}]}}", "\"max_by\"", "a..b"},
        {"{\"v\":{\"output\":\"list\"}}", "\"output\"", "keyed_by"},
        {"{\"v\":{\"output\":{\"keyed_by\":\"\"}}}", "\"output\"", "segment"},
        {"{\"v\":{\"output\":\"single\",\"mode\":\"list\"}}", "'Q/v'", "\"mode\""},
        {"{\"v\":{\"pipeline\":[],\"mode\":\"append\"}}", "'Q/v'", "\"mode\""},
        {"{\"v\":{\"mode\":\"append\",\"coalesce_ms\":1}}", "'Q/v'", "coalesce_ms"},
        {"{\"v\":{\"coalesce_ms\":-1}}", "'Q/v'", "coalesce_ms"},
        {"{\"v\":{\"pipelines\":[]}}", "'Q/v'", "did you mean \"pipeline\""},
        {"{\"v\":[]}", "'Q/v'", "object"},
        {"{\"v/w\":{}}", "v/w", "not allowed"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error error = {0};
        struct view_set *set = view_set_new(false);
        assert_false(support_derive(set, bad[i][0], &error) && view_set_resolve(set, &error));
        assert_int_equal(error.code, ERROR_CONFIGURATION);
        if (!strstr(error.message, bad[i][1]) || !strstr(error.message, bad[i][2]))
            fail_msg("%s: \"%s\" does not say %s and %s", bad[i][0], error.message, bad[i][1],
                     bad[i][2]);
        view_set_free(set);
    }
}

TEST(a_long_chain_is_one_stage)
{
    struct error error = {0};
    struct view_set *set = view_set_new(false);
    char text[128];
    for (int i = 0; i < 900; i++) {
        snprintf(text, sizeof text,
                 "{\"v%d\":{\"source\":\"Q%s%.0d\",\"pipeline\":[{\"skip\":1}]}}", i, i ? "/v" : "",
                 i ? i - 1 : 0);
        if (i == 1)
            snprintf(text, sizeof text,
                     "{\"v1\":{\"source\":\"Q/v0\",\"pipeline\":[{\"skip\":1}]}}");
        assert_true(support_derive(set, text, &error));
    }
    assert_true(view_set_resolve(set, &error));
    expect_cut(support_stage(set, "Q/v899"), 900, VIEW_ALL, false);
    assert_null(support_stage(set, "Q/v899")->source);
    view_set_free(set);
}

TEST(every_allocation_may_fail)
{
    static const char views[] = "{\"a\":{\"fields\":[\"x\"],\"keys\":[\"k\"],\"source\":\"Q/"
                                "b\",\"output\":{\"keyed_by\":\"o\"},"
                                "\"pipeline\":[{\"filter\":{\"not\":{\"field\":\"t\",\"gt\":{"
                                "\"now\":true}}}},\"last\",{\"sort\":"
                                "\"z\"}]},"
                                "\"b\":{\"pipeline\":[{\"filter\":{\"any\":[{\"field\":\"a\","
                                "\"eq\":{\"literal\":{\"y\":1}}},{\"exists\":\"b\"}]}},"
                                "{\"filter\":{\"field\":\"c\",\"eq\":{\"field\":\"d\"}}},{\"sort\":"
                                "\"s.t\"},{\"take\":5}]}}";
    bool done = false;
    for (uint64_t nth = 1; !done; nth++) {
        struct error error = {0};
        struct tree *tree = tree_parse(span_of(views), &error);
        assert_non_null(tree);
        memory_fail_at(nth, 1);
        struct view_set *set = view_set_new(false);
        void *position = NULL;
        const char *name;
        const struct tree *definition;
        bool good = set != NULL;
        while (good && tree_next(tree, &position, &name, &definition))
            good = view_set_derive(set, span_of("Q"), span_of(name), definition, &error);
        good = good && view_set_resolve(set, &error);
        done = !memory_fault_hit();
        memory_fail_at(0, 0);
        assert_int_equal(good, done);
        if (set && !good)
            assert_int_equal(error.code, ERROR_MEMORY);
        view_set_free(set);
        tree_free(tree);
    }
}
