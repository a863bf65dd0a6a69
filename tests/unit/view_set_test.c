/* The set of views, and what it takes for a name. */
#include "memory_fault.h"
#include "test.h"
#include "view_define.h"

static void expect_view(const struct view_set *set, const char *id, enum view_mode mode)
{
    const struct view *view = view_set_find(set, span_of(id));
    if (!view)
        fail_msg("no view %s", id);
    assert_string_equal(view->id, id);
    assert_int_equal(view->mode, mode);
    assert_memory_equal(view->export_name, id, strlen(view->export_name));
    assert_int_equal(id[strlen(view->export_name)], '/');
}

static bool define(struct view_set *set, const char *export_name, const char *name,
                   const char *path, const char *key, struct error *error)
{
    struct span path_span = span_of(path), key_span = span_of(key);
    return view_set_define(set, span_of(export_name), span_of(name), VIEW_LIST, &path_span,
                           path ? 1 : 0, &key_span, key ? 1 : 0, error);
}

/* ---- scopes ---- */

static void expect_label(const struct view_scope *scope, const char *entity, const char *label)
{
    struct span found = view_scope_label(scope, span_of(entity));
    if (!span_equal(found, span_of(label)))
        fail_msg("%s has the label %.*s, not %s", entity, (int)found.length, found.data, label);
}

static bool set_scope(struct view_set *set, const char *name, const char *path, struct error *error)
{
    struct tree *tree = tree_parse(span_of(path), error);
    bool done = view_set_scope(set, span_of(name), tree, error);
    tree_free(tree);
    return done;
}

/* What is asked of one export must not go through all: of so many, that would take hours. */
TEST(each_of_many_exports_is_found_by_its_name)
{
    enum { MANY = 20000 };
    struct error error;
    struct view_set *set = view_set_new(false);
    char name[32], id[48], path[32];
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "Export%d", i);
        snprintf(path, sizeof path, "\"scope%d\"", i);
        assert_true(define(set, name, "slim", "n", NULL, &error));
        assert_true(i % 2 || set_scope(set, name, path, &error));
        assert_true(define(set, name, "late", "m", NULL, &error));
        assert_true(define(set, name, "slim", "o", NULL, &error));
    }
    assert_true(view_set_resolve(set, &error));
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "Export%d", i);
        snprintf(path, sizeof path, "scope%d\"", i);
        const struct view_scope *scope = view_set_export(set, span_of(name))->scope;
        assert_string_equal(view_set_export_at(set, (size_t)i)->name, name);
        assert_int_equal(scope == NULL, i % 2);
        if (scope)
            assert_non_null(strstr(view_scope_text(scope), path));
        static const char *const views[] = {"list", "state", "append", "slim", "late"};
        for (size_t j = 0; j < sizeof views / sizeof *views; j++) {
            snprintf(id, sizeof id, "%s/%s", name, views[j]);
            assert_ptr_equal(view_set_find(set, span_of(id))->scope, scope);
        }
    }
    assert_null(view_set_export(set, span_of("Export")));
    view_set_free(set);
}

TEST(a_scope_labels_the_rows_of_its_export)
{
    struct error error;
    struct view_set *set = view_set_new(false);
    char entity[2048], label[1200];
    assert_true(view_set_add_export(set, span_of("Quake"), &error));
    assert_true(define(set, "Quake", "slim", "n", NULL, &error));
    assert_true(set_scope(set, "Quake", "\"a.b\"", &error));
    assert_true(set_scope(set, "Other", "[\"a.b\"]", &error));
    assert_true(view_set_add_export(set, span_of("Open"), &error));
    assert_null(view_set_export(set, span_of("Open"))->scope);
    assert_null(view_set_find(set, span_of("Open/list"))->scope);
    const struct view_scope *scope = view_set_export(set, span_of("Quake"))->scope;
    assert_ptr_equal(view_set_find(set, span_of("Quake/slim"))->scope, scope);
    assert_string_equal(view_scope_text(scope), "\"a.b\"");
    expect_label(scope, "{}", VIEW_SCOPE_PUBLIC);
    expect_label(scope, "{\"a\":7,\"a.b\":\"x\"}", "\"x\"");
    expect_label(scope, "{\"a.b\":\"x\",\"a\":{\"b\":\"y\"}}", "\"y\"");
    expect_label(scope, "{\"a\":7,\"\":{\"a\":{\"b\":\"x\"}}}", VIEW_SCOPE_PUBLIC);
    expect_label(scope, "{\"a\":{\"b\":null}}", VIEW_SCOPE_PUBLIC);
    expect_label(scope, "{\"a\":{\"b\":\"\"}}", VIEW_SCOPE_PUBLIC);
    expect_label(scope, "{\"a\":{\"b\":\"x\\\"\"}}", "\"x\\\"\"");
    expect_label(scope, "{\"a\":{\"b\":\"*\"}}", "\"*\"");
    static const char *const others[] = {"7", "true", "{}", "[\"x\"]", "[]"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        snprintf(entity, sizeof entity, "{\"a\":{\"b\":%s}}", others[i]);
        expect_label(scope, entity, VIEW_SCOPE_NOBODY);
    }
    /* Of a label's length, and longer by one. */
    for (int more = 0; more < 2; more++) {
        snprintf(label, sizeof label, "\"%0*d\"", VIEW_SCOPE_LONGEST - 2 + more, 0);
        snprintf(entity, sizeof entity, "{\"a\":{\"b\":%s}}", label);
        expect_label(scope, entity, more ? VIEW_SCOPE_NOBODY : label);
    }
    expect_label(view_set_export(set, span_of("Other"))->scope, "{\"a.b\":\"x\"}", "\"x\"");
    view_set_free(set);
}

/* ---- exports ---- */

TEST(an_export_has_three_views)
{
    struct view_set *set = view_set_new(true);
    assert_true(view_set_is_open(set));
    assert_null(view_set_export(set, span_of("Quake")));
    assert_null(view_set_find(set, span_of("Quake/list")));
    assert_true(view_set_add_export(set, span_of("Quake"), NULL));
    assert_non_null(view_set_export(set, span_of("Quake")));
    expect_view(set, "Quake/list", VIEW_LIST);
    expect_view(set, "Quake/state", VIEW_STATE);
    expect_view(set, "Quake/append", VIEW_APPEND);
    assert_null(view_set_find(set, span_of("Quake/other")));
    assert_null(view_set_find(set, span_of("Quake")));
    assert_null(view_set_find(set, span_of("")));
    assert_null(view_set_find(set, span_of("Other/list")));
    view_set_free(set);
    view_set_free(NULL);
}

TEST(adding_again_changes_nothing)
{
    struct view_set *set = view_set_new(false);
    assert_false(view_set_is_open(set));
    assert_true(define(set, "Quake", "list", "place", NULL, NULL));
    assert_true(view_set_add_export(set, span_of("Quake"), NULL));
    assert_int_equal(view_set_find(set, span_of("Quake/list"))->path_count, 1);
    assert_null(view_set_at(set, 3));
    view_set_free(set);
}

TEST(many_exports_keep_their_order)
{
    struct view_set *set = view_set_new(true);
    char name[16];
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "E%d", i);
        assert_true(view_set_add_export(set, span_of(name), NULL));
    }
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "E%d/list", i);
        assert_string_equal(view_set_at(set, (size_t)i * 3)->id, name);
        expect_view(set, name, VIEW_LIST);
    }
    assert_null(view_set_at(set, 3000));
    view_set_free(set);
}

/* ---- names ---- */

TEST(good_names_are_taken)
{
    char longest[128];
    memset(longest, 'n', sizeof longest);
    assert_true(view_export_name_check(span_of("Quake"), NULL));
    assert_true(view_export_name_check(span_of(" Erdbeben: Ä.b 😀 "), NULL));
    assert_true(view_export_name_check(span_make(longest, 128), NULL));
    struct view_set *set = view_set_new(true);
    assert_true(view_set_add_export(set, span_make(longest, 128), NULL));
    assert_non_null(view_set_export(set, span_make(longest, 128)));
    assert_null(view_set_export(set, span_make(longest, 127)));
    assert_null(view_set_export(set, span_of("")));
    view_set_free(set);
}

TEST(bad_names_are_refused_with_the_reason)
{
    static char long_name[130];
    memset(long_name, 'n', 129);
    static const struct {
        const char *name, *reason;
    } bad[] = {{"", "empty"},
               {long_name, "129 bytes"},
               {"a/b", "'/'"},
               {".", "is '.', which no URL"},
               {"..", "is '..', which no URL"},
               {"a\"b", "'\"'"},
               {"ab\n", "control character at byte 2"},
               {"\x7f", "control character"},
               {"a\xc2\x85", "control character at byte 1"},
               {"a\xff", "UTF-8"},
               {"\xc3", "UTF-8"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error error = {0};
        assert_false(view_export_name_check(span_of(bad[i].name), &error));
        assert_int_equal(error.code, ERROR_INVALID_PARAMETER);
        if (!strstr(error.message, bad[i].reason))
            fail_msg("\"%s\" does not say %s", error.message, bad[i].reason);
        assert_false(view_export_name_check(span_of(bad[i].name), NULL));
        struct view_set *set = view_set_new(true);
        assert_false(view_set_add_export(set, span_of(bad[i].name), &error));
        assert_false(define(set, "Quake", bad[i].name, NULL, NULL, &error));
        assert_int_equal(error.code, ERROR_CONFIGURATION);
        assert_false(define(set, bad[i].name, "list", NULL, NULL, &error));
        assert_null(view_set_at(set, 0));
        view_set_free(set);
    }
    assert_false(view_export_name_check(span_make("a\0b", 3), NULL));
    assert_false(view_export_name_check(span_make(NULL, 0), NULL));
}

/* ---- definitions ---- */

TEST(a_definition_adds_its_export)
{
    struct view_set *set = view_set_new(false);
    assert_true(define(set, "Quake", "places", "place", NULL, NULL));
    expect_view(set, "Quake/list", VIEW_LIST);
    expect_view(set, "Quake/places", VIEW_LIST);
    assert_string_equal(view_set_at(set, 3)->id, "Quake/places");
    assert_null(view_set_at(set, 4));
    view_set_free(set);
}

TEST(a_replaced_view_stays_readable)
{
    struct view_set *set = view_set_new(false);
    assert_true(define(set, "Quake", "list", "one", NULL, NULL));
    const struct view *old = view_set_find(set, span_of("Quake/list"));
    assert_true(define(set, "Quake", "list", "two", "k", NULL));
    assert_true(define(set, "Quake", "list", NULL, NULL, NULL));
    const struct view *new = view_set_find(set, span_of("Quake/list"));
    assert_ptr_equal(view_set_at(set, 0), new);
    assert_int_equal(new->path_count, 0);
    assert_true(span_equal(old->paths[0], span_of("one")));
    assert_null(view_set_at(set, 3));
    view_set_free(set);
}

TEST(paths_are_stored_as_documents_spell_them)
{
    struct view_set *set = view_set_new(false);
    assert_true(define(set, "Quake", "odd", "ä.a\"b.c\\d\n.e/f", NULL, NULL));
    const struct view *view = view_set_find(set, span_of("Quake/odd"));
    assert_int_equal(view->path_count, 1);
    assert_true(span_equal(view->paths[0], span_of("ä.a\\\"b.c\\\\d\\n.e/f")));
    view_set_free(set);
}

TEST(bad_definitions_name_the_view)
{
    struct view_set *set = view_set_new(false);
    static const char *const paths[] = {"", ".", ".a", "a.", "a..b", "\xff"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct error error = {0};
        assert_false(define(set, "Quake", "top", paths[i], NULL, &error));
        assert_int_equal(error.code, ERROR_CONFIGURATION);
        assert_non_null(strstr(error.message, "Quake/top"));
        assert_non_null(strstr(error.message, "path"));
    }
    struct error error = {0};
    assert_false(define(set, "Quake", "top", "a", "\xff", &error));
    assert_int_equal(error.code, ERROR_CONFIGURATION);
    assert_non_null(strstr(error.message, "key"));
    assert_null(view_set_export(set, span_of("Quake")));
    view_set_free(set);
}

/* ---- faults ---- */

TEST(every_allocation_may_fail)
{
    bool hit = true;
    for (uint64_t nth = 1; hit; nth++) {
        struct error error = {0};
        memory_fail_at(nth, 0);
        struct view_set *set = view_set_new(true);
        bool first = set && view_set_add_export(set, span_of("Quake"), &error);
        bool second = first && define(set, "Other", "list", "a\"b.c", "key", &error);
        bool third = second && define(set, "Other", "list", "d", NULL, &error);
        hit = memory_fault_hit();
        memory_fail_at(0, 0);
        assert_int_equal(third, !hit);
        if (set) {
            assert_true(third || error.code == ERROR_MEMORY);
            /* Whole or not at all, and good for another try. */
            assert_int_equal(view_set_export(set, span_of("Quake")) != NULL, first);
            assert_int_equal(view_set_export(set, span_of("Other")) != NULL, second);
            assert_null(view_set_at(set, second ? 6 : first ? 3 : 0));
            assert_true(define(set, "Other", "top", "d", NULL, &error));
            expect_view(set, "Other/state", VIEW_STATE);
        }
        view_set_free(set);
    }
}
