/* The engine on a real file: what is acknowledged is there, wholly, once, and after a restart. */
#include "engine_fixture.h"
#include "test.h"

static void expect_entity(struct fixture *fixture, const char *export, const char *key,
                          const char *expected)
{
    char *data = fixture_entity(fixture, export, key);
    if (!expected)
        assert_null(data);
    else
        assert_string_equal(data, expected);
    free(data);
}

static void fail_on_finding(void *argument, const char *line)
{
    (void)argument;
    fail_msg("check found: %s", line);
}

static void expect_clean(struct fixture *fixture)
{
    struct error error = {.code = ERROR_NONE};
    if (!engine_check(fixture->path, fail_on_finding, NULL, &error))
        fail_msg("check: %s", error.message);
}

TEST(merges_and_survives)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    struct outcome outcome = fixture_apply(&f, "Q a patch {\"x\":1,\"l\":[1]} l\n"
                                               "Q a patch {\"y\":{\"z\":0.1},\"l\":[2]} l\n"
                                               "Q b upsert {\"w\":18446744073709551615}\n");
    assert_int_equal(outcome.error.code, ERROR_NONE);
    assert_int_equal(outcome.applied, 3);
    assert_int_equal(outcome.seq.slot, 0);
    assert_int_equal(outcome.seq.index, 3);
    fixture_close(&f);
    fixture_open(&f);
    expect_entity(&f, "Q", "a",
                  "{\"x\":1,\"l\":[1,2],\"_seq\":\"0:000000000002\",\"y\":{\"z\":0.1}}");
    expect_entity(&f, "Q", "b", "{\"w\":\"18446744073709551615\",\"_seq\":\"0:000000000003\"}");
    outcome = fixture_apply(&f, "Q a delete\nQ nobody delete\n=7:2\nQ b patch {\"w\":null}");
    assert_int_equal(outcome.applied, 2);
    assert_int_equal(outcome.ignored, 1);
    expect_entity(&f, "Q", "a", NULL);
    expect_entity(&f, "Q", "b", "{\"w\":null,\"_seq\":\"7:000000000002\"}");
    outcome = fixture_apply(&f, "=3:1\nQ b patch {\"late\":true}\nQ c patch {}");
    assert_int_equal(outcome.seq.slot, 7);
    assert_int_equal(outcome.seq.index, 3);
    expect_entity(&f, "Q", "b", "{\"w\":null,\"_seq\":\"3:000000000001\",\"late\":true}");
    expect_clean(&f);
    fixture_fini(&f);
}

TEST(refuses_wholly)
{
    struct fixture f;
    fixture_init(&f);
    f.options.max_entity_bytes = 200;
    fixture_open(&f);
    assert_int_equal(fixture_apply(&f, "Q a patch {\"x\":1}").applied, 1);
    char text[600];
    snprintf(text, sizeof text,
             "Q a patch {\"x\":2}\nQ new patch {}\nQ a delete\nQ a patch {\"big\":\"%0300d\"}", 7);
    struct outcome outcome = fixture_apply(&f, text);
    assert_int_equal(outcome.error.code, ERROR_TOO_LARGE);
    assert_non_null(strstr(outcome.error.message, "'a'"));
    assert_int_equal(outcome.applied, 0);
    expect_entity(&f, "Q", "a", "{\"x\":1,\"_seq\":\"0:000000000001\"}");
    expect_entity(&f, "Q", "new", NULL);
    outcome = fixture_apply(&f, "Q a patch {\"x\":3}");
    assert_int_equal(outcome.seq.index, 2);
    expect_entity(&f, "Q", "a", "{\"x\":3,\"_seq\":\"0:000000000002\"}");
    assert_int_equal(f.changes, 2);
    expect_clean(&f);
    fixture_fini(&f);
}

static bool count_export(void *argument, const struct store_export *export)
{
    (void)export;
    ++*(int *)argument;
    return true;
}

static int count_exports(struct fixture *f)
{
    struct error error;
    int count = 0;
    struct store_reader *reader = store_reader_open(engine_facts(f->engine)->database, &error);
    assert_true(store_read_begin(reader, &error));
    assert_true(store_read_exports(reader, count_export, &count, &error));
    store_read_end(reader);
    store_reader_close(reader);
    return count;
}

TEST(a_refused_request_leaves_no_export)
{
    struct fixture f;
    char text[600];
    fixture_init(&f);
    f.options.max_entity_bytes = 200;
    f.options.max_exports = 2;
    fixture_open(&f);
    /* Merged, deleted and only looked at: nothing of these may be left in the cache either. */
    snprintf(text, sizeof text,
             "One a patch {}\nTwo b patch {}\nTwo b delete\nTwo c delete\n"
             "One d patch {\"big\":\"%0300d\"}",
             7);
    assert_int_equal(fixture_apply(&f, text).error.code, ERROR_TOO_LARGE);
    assert_int_equal(count_exports(&f), 0);
    assert_int_equal(fixture_apply(&f, "Two b patch {\"x\":1}\nThree a patch {}").applied, 2);
    assert_int_equal(count_exports(&f), 2);
    assert_int_equal(fixture_apply(&f, text).error.code, ERROR_INVALID_PARAMETER);
    expect_entity(&f, "Two", "b", "{\"x\":1,\"_seq\":\"0:000000000001\"}");
    expect_entity(&f, "One", "a", NULL);
    expect_clean(&f);
    fixture_fini(&f);
}

TEST(seqs_go_on_behind_the_last_index)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    fixture_apply(&f, "=9223372036854775806:9223372036854775806\nQ a patch {}");
    struct outcome outcome = fixture_apply(&f, "Q a patch {}\nQ b patch {}\nQ c patch {}");
    assert_int_equal(outcome.applied, 3);
    assert_true(outcome.seq.slot == INT64_MAX && outcome.seq.index == 1);
    expect_clean(&f);
    fixture_fini(&f);
}

TEST(applies_a_batch_once)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    const char *batch = "@p 5\nQ a patch {\"l\":[1]} l\nQ a patch {\"l\":[2]} l";
    assert_int_equal(fixture_apply(&f, batch).applied, 2);
    struct outcome again = fixture_apply(&f, batch);
    assert_int_equal(again.applied, 0);
    assert_int_equal(again.duplicate, 2);
    again = fixture_apply(&f, "@p 6\nQ b patch {}\n@p 6\nQ c patch {}\n@q 6\nQ d patch {}");
    assert_int_equal(again.applied, 2);
    assert_int_equal(again.duplicate, 1);
    fixture_close(&f);
    fixture_open(&f);
    assert_int_equal(fixture_apply(&f, "@p 4\nQ e patch {}").duplicate, 1);
    expect_entity(&f, "Q", "a", "{\"l\":[1,2],\"_seq\":\"0:000000000002\"}");
    expect_entity(&f, "Q", "c", NULL);
    expect_clean(&f);
    fixture_fini(&f);
}

TEST(evicts_the_least_recently_changed)
{
    struct fixture f;
    fixture_init(&f);
    struct engine_export_options limited = {.name = {"Q", 1}, .max_entities = 3};
    f.options.exports = &limited;
    f.options.export_count = 1;
    f.options.open_exports = false;
    fixture_open(&f);
    fixture_apply(&f, "Q a patch {}\nQ b patch {}\nQ c patch {}\nOther x patch {}");
    fixture_apply(&f, "Q a patch {\"again\":1}");
    assert_int_equal(fixture_apply(&f, "Q d patch {}\nQ e patch {}").applied, 2);
    expect_entity(&f, "Q", "b", NULL);
    expect_entity(&f, "Q", "c", NULL);
    expect_entity(&f, "Other", "x", NULL);
    expect_entity(&f, "Q", "a", "{\"_seq\":\"0:000000000004\",\"again\":1}");
    assert_int_equal(f.changes, 8); /* six patches, two evictions */
    expect_clean(&f);
    fixture_fini(&f);
}

struct seen {
    size_t count;
    char last[512], append[64];
};

static void note(void *argument, const struct change *change)
{
    struct seen *seen = argument;
    struct span patch = change_patch(change), append = change_append(change);
    seen->count++;
    snprintf(seen->last, sizeof seen->last, "%.*s", (int)patch.length, patch.data);
    snprintf(seen->append, sizeof seen->append, "%.*s", (int)append.length,
             append.data ? append.data : "");
}

/* A client appends and never cuts; so from the length at which the server may cut, it is given
 * the array whole. */
TEST(sends_full_arrays_whole)
{
    struct fixture f;
    struct seen seen = {0};
    fixture_init(&f);
    f.on_change = note;
    f.on_change_argument = &seen;
    fixture_open(&f);
    fixture_apply(&f, "Q a patch {\"l\":[1,2,3]} l");
    fixture_apply(&f, "Q a patch {\"l\":[4]} l");
    assert_string_equal(seen.last, "{\"l\":[4],\"_seq\":\"0:000000000002\"}");
    assert_string_equal(seen.append, "[\"l\"]");
    fixture_apply(&f, "Q a patch {\"l\":[5,6],\"m\":[0]} l m");
    assert_string_equal(seen.last, "{\"l\":[2,3,4,5,6],\"m\":[0],\"_seq\":\"0:000000000003\"}");
    assert_string_equal(seen.append, "[\"m\"]");
    fixture_apply(&f, "Q a patch {\"l\":[1,2,3,4,5,6,7]}");
    assert_string_equal(seen.last, "{\"l\":[3,4,5,6,7],\"_seq\":\"0:000000000004\"}");
    expect_entity(&f, "Q", "a", "{\"l\":[3,4,5,6,7],\"_seq\":\"0:000000000004\",\"m\":[0]}");
    expect_clean(&f);
    fixture_fini(&f);
}

TEST(groups_what_waits)
{
    enum { REQUESTS = 3000 };
    struct fixture f;
    struct error error;
    fixture_init(&f);
    fixture_open(&f);
    struct outcome *outcomes = calloc(REQUESTS, sizeof *outcomes);
    for (int i = 0; i < REQUESTS; i++) {
        char text[64];
        snprintf(text, sizeof text, "Q k%d patch {\"n\":[%d]} n", i % 10, i);
        assert_true(engine_submit(f.engine, fixture_submission(text, &outcomes[i]), &error));
    }
    engine_drain(f.engine);
    fixture_wait(&f, &f.drained);
    for (int i = 0; i < REQUESTS; i++) {
        assert_true(outcomes[i].done);
        assert_int_equal(outcomes[i].seq.index, i + 1);
    }
    assert_true(f.commits < REQUESTS);
    expect_entity(&f, "Q", "k3", "{\"n\":[2953,2963,2973,2983,2993],\"_seq\":\"0:000000002994\"}");
    struct submission *late = fixture_submission("Q k patch {}", &outcomes[0]);
    assert_false(engine_submit(f.engine, late, &error));
    assert_int_equal(error.code, ERROR_SHUTTING_DOWN);
    submission_free(late);
    free(outcomes);
    expect_clean(&f);
    fixture_fini(&f);
}

static void count(void *argument, const char *line)
{
    assert_non_null(strstr(line, "'b'"));
    ++*(size_t *)argument;
}

TEST(check_finds_damage)
{
    struct fixture f;
    struct error error;
    size_t findings = 0;
    char command[256];
    fixture_init(&f);
    fixture_open(&f);
    fixture_apply(&f, "Q a patch {\"x\":1}\nQ b patch {\"x\":1}");
    fixture_close(&f);
    snprintf(command, sizeof command,
             "sqlite3 %s \"UPDATE entity SET data = replace(data, '1,', '2,') WHERE key = 'b'\"",
             f.path);
    assert_int_equal(system(command), 0);
    assert_true(engine_check(f.path, count, &findings, &error));
    assert_int_equal(findings, 1);
    fixture_fini(&f);
}
