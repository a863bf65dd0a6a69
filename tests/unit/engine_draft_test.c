/*
 * Many patches of a large entity in one request: the entity, the log and what subscribers are told
 * are what they are when each comes in a request of its own. And what one request may merge.
 * STELE_SEED repeats a run; a failure prints its seed.
 */
#include "engine_fixture.h"
#include "random.h"
#include "test.h"

enum { ROUNDS = 12, MUTATIONS = 25, TEXT = 1 << 20, LARGE = 40 * 1024 };

/* ---- an engine that tells all of its changes as text ---- */

struct side {
    struct fixture fixture;
    struct view_set *views;
    struct engine_export_options export;
    struct buffer told;
};

static void add_text(struct buffer *out, const char *name, struct span text)
{
    buffer_printf(out, " %s=", name);
    buffer_add_span(out, text.data ? text : span_of("-"));
}

static void tell(void *argument, const struct change *change)
{
    struct buffer *out = argument;
    buffer_printf(out, "%lld op=%d before=%lld seq=%lld", (long long)change->id,
                  (int)change->operation, (long long)change->previous_change,
                  (long long)change->index);
    add_text(out, "key", change_key(change));
    add_text(out, "patch", change_patch(change));
    add_text(out, "append", change_append(change));
    add_text(out, "scope", change_scope(change));
    add_text(out, "left", change_scope_left(change));
    add_text(out, "entity", change_entity(change));
    buffer_add_char(out, '\n');
}

static void open_side(struct side *side, bool scoped, bool null_removes)
{
    struct error error = {0};
    fixture_init(&side->fixture);
    buffer_init(&side->told, 256 << 20);
    side->fixture.on_change = tell;
    side->fixture.on_change_argument = &side->told;
    side->export =
        (struct engine_export_options){.name = span_of("Q"), .null_removes = null_removes};
    side->fixture.options.exports = &side->export;
    side->fixture.options.export_count = 1;
    side->fixture.options.max_entity_bytes = 1 << 24;
    side->views = view_set_new(true);
    if (scoped) {
        struct tree *path = tree_parse(span_of("[\"s\"]"), &error);
        assert_true(view_set_scope(side->views, span_of("Q"), path, &error));
        tree_free(path);
        side->fixture.options.views = side->views;
    }
    fixture_open(&side->fixture);
}

static void close_side(struct side *side)
{
    fixture_fini(&side->fixture);
    view_set_free(side->views);
    buffer_fini(&side->told);
}

/* ---- random mutations of two large entities ---- */

static void put_patch(struct buffer *out)
{
    static const char *const patches[] = {"{\"n\":1}",
                                          "{\"big\":{\"a\":1,\"new\":[1,2]}}",
                                          "{\"big\":{\"deep\":{\"x\":[1]}},\"list\":[7,8]}",
                                          "{\"list\":[1,2,3,4,5,6,7]}",
                                          "{\"big\":{\"deep\":{\"x\":null,\"y\":{}}}}",
                                          "{\"n\":null}",
                                          "{\"s\":\"red\"}",
                                          "{\"s\":null}",
                                          "{}",
                                          "{\"big\":5}",
                                          "{\"big\":{\"deep\":{\"list\":[9]}}}",
                                          "{\"other\":{\"deep\":{\"x\":[[1,2,3,4,5,6,7]]}}}"};
    buffer_add_string(out, patches[random_below(sizeof patches / sizeof *patches)]);
}

static void put_large(struct buffer *out)
{
    buffer_add_string(out, "{\"s\":\"blue\",\"big\":{\"a\":0,\"deep\":{\"x\":[4,5]},\"fill\":\"");
    for (int i = 0; i < LARGE; i++)
        buffer_add_char(out, (char)('a' + random_below(26)));
    buffer_add_string(out, "\"},\"list\":[1]}");
}

static void put_mutation(struct buffer *out, const char *key)
{
    uint32_t pick = random_below(20);
    buffer_printf(out, "Q %s ", key);
    if (pick == 0) {
        buffer_add_string(out, "delete");
    } else if (pick == 1) {
        buffer_add_string(out, "upsert ");
        put_large(out);
    } else {
        buffer_add_string(out, "patch ");
        if (pick == 2)
            put_large(out);
        else
            put_patch(out);
        buffer_add_string(out, random_below(2) ? " list big.deep.x big.deep.list" : "");
    }
    buffer_add_char(out, '\n');
}

static void apply(struct side *side, struct buffer *text)
{
    struct outcome outcome = fixture_apply(&side->fixture, buffer_string(text));
    if (outcome.error.code != ERROR_NONE)
        fail_msg(SEED_FORMAT ": %s", random_seed, outcome.error.message);
}

static void compare(struct side *one, struct side *each, const char *key)
{
    char *left = fixture_entity(&one->fixture, "Q", key);
    char *right = fixture_entity(&each->fixture, "Q", key);
    if (!left != !right || (left && strcmp(left, right) != 0))
        fail_msg(SEED_FORMAT ": %s is\n%s\nand should be\n%s", random_seed, key, left, right);
    free(left);
    free(right);
}

static void count_finding(void *argument, const char *line)
{
    print_error("%s\n", line);
    ++*(int *)argument;
}

static void run_round(bool scoped, bool null_removes)
{
    struct side one, each;
    struct buffer all, single;
    int findings = 0;
    struct error error = {0};
    open_side(&one, scoped, null_removes);
    open_side(&each, scoped, null_removes);
    buffer_init(&all, 64 << 20);
    buffer_init(&single, TEXT);
    for (int request = 0; request < 3; request++) {
        buffer_clear(&all);
        for (int i = 0; i < MUTATIONS; i++) {
            buffer_clear(&single);
            if (request == 0 && i < 2) {
                buffer_printf(&single, "Q %s patch ", i ? "k" : "l");
                put_large(&single);
                buffer_add_char(&single, '\n');
            } else {
                put_mutation(&single, random_below(3) ? "k" : "l");
            }
            buffer_add_span(&all, buffer_span(&single));
            apply(&each, &single);
        }
        apply(&one, &all);
        compare(&one, &each, "k");
        compare(&one, &each, "l");
    }
    if (!span_equal(buffer_span(&one.told), buffer_span(&each.told)))
        fail_msg(SEED_FORMAT ": in one request\n%s\none by one\n%s", random_seed,
                 buffer_string(&one.told), buffer_string(&each.told));
    fixture_close(&one.fixture);
    assert_true(engine_check(one.fixture.path, count_finding, &findings, &error));
    assert_int_equal(findings, 0);
    buffer_fini(&all);
    buffer_fini(&single);
    close_side(&one);
    close_side(&each);
}

TEST(one_request_is_as_many)
{
    for (uint32_t round = 0; round < ROUNDS; round++) {
        random_start_anew();
        run_round(round & 1, round & 2);
    }
}

/* ---- what one request may merge ---- */

static void put_entity(struct buffer *out, int number, size_t bytes)
{
    buffer_printf(out, "Q e%d patch {\"fill\":\"", number);
    for (size_t i = 0; i < bytes; i++)
        buffer_add_char(out, 'x');
    buffer_add_string(out, "\"}\n");
}

static void fill(struct side *side, int entities, size_t bytes)
{
    struct buffer text;
    buffer_init(&text, 64 << 20);
    for (int i = 0; i < entities; i++) {
        buffer_clear(&text);
        put_entity(&text, i, bytes);
        apply(side, &text);
    }
    buffer_fini(&text);
}

TEST(a_key_is_merged_once)
{
    struct side side;
    struct buffer text;
    open_side(&side, false, false);
    side.fixture.options.max_merge_bytes = 4 << 20;
    fixture_close(&side.fixture);
    fixture_open(&side.fixture);
    fill(&side, 1, 500 * 1000);
    buffer_init(&text, TEXT);
    for (int i = 0; i < 1100; i++)
        buffer_printf(&text, "Q e0 patch {\"n%d\":%d}\n", i % 50, i);
    struct outcome outcome = fixture_apply(&side.fixture, buffer_string(&text));
    assert_int_equal(outcome.error.code, ERROR_NONE);
    assert_int_equal(outcome.applied, 1100);
    buffer_fini(&text);
    close_side(&side);
}

/* Whatever it does to them: each way reads the entities. */
TEST(what_one_request_reads_is_bounded)
{
    static const char *const ways[] = {"patch {\"a\":1}", "delete", "upsert {\"a\":1}"};
    struct side side;
    struct buffer text;
    open_side(&side, false, false);
    side.fixture.options.max_merge_bytes = 4 << 20;
    side.fixture.options.cache_bytes = 64 << 10;
    fixture_close(&side.fixture);
    fixture_open(&side.fixture);
    buffer_init(&text, TEXT);
    for (size_t way = 0; way < sizeof ways / sizeof *ways; way++) {
        fill(&side, 16, 500 * 1000);
        int64_t before = side.fixture.last_change;
        buffer_clear(&text);
        for (int i = 0; i < 16; i++)
            buffer_printf(&text, "Q e%d %s\n", i, ways[way]);
        struct outcome outcome = fixture_apply(&side.fixture, buffer_string(&text));
        assert_int_equal(outcome.error.code, ERROR_TOO_LARGE);
        assert_non_null(strstr(outcome.error.message, "max_merge_bytes"));
        assert_non_null(strstr(outcome.error.message, "in parts"));
        assert_int_equal(side.fixture.last_change, before);
        for (int i = 0; i < 16; i++) {
            buffer_clear(&text);
            buffer_printf(&text, "Q e%d %s\n", i, ways[way]);
            apply(&side, &text);
        }
    }
    buffer_fini(&text);
    close_side(&side);
}

/* A request that fails behind drafts leaves nothing of them. */
TEST(a_refused_request_leaves_the_text)
{
    struct side side;
    struct buffer text;
    open_side(&side, false, false);
    side.fixture.options.max_entity_bytes = 600 * 1000;
    fixture_close(&side.fixture);
    fixture_open(&side.fixture);
    fill(&side, 1, 500 * 1000);
    char *before = fixture_entity(&side.fixture, "Q", "e0");
    buffer_init(&text, TEXT);
    for (int i = 0; i < 10; i++)
        buffer_printf(&text, "Q e0 patch {\"n%d\":%d}\n", i, i);
    buffer_add_string(&text, "Q e0 patch {\"more\":\"");
    for (int i = 0; i < 150 * 1000; i++)
        buffer_add_char(&text, 'y');
    buffer_add_string(&text, "\"}\n");
    struct outcome outcome = fixture_apply(&side.fixture, buffer_string(&text));
    assert_int_equal(outcome.error.code, ERROR_TOO_LARGE);
    char *after = fixture_entity(&side.fixture, "Q", "e0");
    assert_string_equal(after, before);
    outcome = fixture_apply(&side.fixture, "Q e0 patch {\"n\":1}\nQ e0 patch {\"n\":2}");
    assert_int_equal(outcome.error.code, ERROR_NONE);
    free(after);
    after = fixture_entity(&side.fixture, "Q", "e0");
    assert_null(strstr(after, "\"n0\":"));
    assert_non_null(strstr(after, "\"n\":2"));
    free(before);
    free(after);
    buffer_fini(&text);
    close_side(&side);
}
