/* What a transaction costs beside many exports of others that have derived views: counted. */
#include "engine/engine.h"
#include "test.h"

#include "engine_fixture.h"

enum { FEW = 20, MANY = 1000, VIEWS = 2, NAME = 24, RECHECKS = 10 };

#define UNTIL "{\"filter\":{\"field\":\"until\",\"gt\":{\"now\":true}}}"
#define SORT "{\"sort\":\"n\"}"

/* One whose rows turn by time, and one over a cut, which is a stage over a slice. */
static const char *const pipelines[VIEWS] = {"{\"pipeline\":[" UNTIL "," SORT "]}",
                                             "{\"pipeline\":[" SORT ",{\"take\":3}," UNTIL "]}"};
static const char *const view_names[VIEWS] = {"current", "top"};

static char names[MANY][NAME];
static struct engine_export_options exports[MANY];
static _Atomic int64_t clock_s;

static int64_t wall_ms(void *argument)
{
    (void)argument;
    return atomic_load(&clock_s) * 1000;
}

static struct view_set *make_views(size_t count)
{
    struct view_set *set = view_set_new(false);
    struct error error;
    bool done = true;
    for (size_t i = 0; done && i < count; i++)
        for (int view = 0; done && view < VIEWS; view++) {
            struct tree *pipeline = tree_parse(span_of(pipelines[view]), &error);
            done = pipeline && view_set_derive(set, span_of(names[i]), span_of(view_names[view]),
                                               pipeline, &error);
            tree_free(pipeline);
        }
    if (!done || !view_set_resolve(set, &error))
        fail_msg("%s", error.message);
    return set;
}

static void feed(struct fixture *fixture, size_t export, int key, int64_t until)
{
    char text[128];
    snprintf(text, sizeof text, "%.23s k%d patch {\"n\":%d,\"until\":%lld}\n", names[export], key,
             key, (long long)until);
    assert_int_equal(fixture_apply(fixture, text).error.code, ERROR_NONE);
}

static uint64_t visits(const struct fixture *fixture)
{
    return counter_get(&engine_facts(fixture->engine)->metrics->stages_visited);
}

/* Changes of one export, then a turn of one of its rows, beside so many others that have rows which
 * turn much later. */
static uint64_t count_visits(size_t count)
{
    struct fixture fixture;
    for (size_t i = 0; i < count; i++) {
        snprintf(names[i], NAME, "X%zu", i);
        exports[i] = (struct engine_export_options){.name = span_of(names[i])};
    }
    atomic_store(&clock_s, 1000000);
    fixture_init(&fixture);
    fixture.options.exports = exports;
    fixture.options.export_count = count;
    fixture.options.wall_ms = wall_ms;
    struct view_set *views = make_views(count);
    fixture.options.views = views;
    fixture_open(&fixture);
    for (size_t i = 0; i < count; i++)
        feed(&fixture, i, 0, 2000000 + (int64_t)i);
    uint64_t before = visits(&fixture);
    for (int i = 0; i < RECHECKS; i++)
        feed(&fixture, 0, i, 1000000 + RECHECKS);
    atomic_store(&clock_s, 1000000 + RECHECKS);
    feed(&fixture, 0, 0, 3000000);
    uint64_t counted = visits(&fixture) - before;
    fixture_fini(&fixture);
    view_set_free(views);
    return counted;
}

TEST(a_transaction_costs_the_stages_of_its_exports)
{
    uint64_t few = count_visits(FEW), many = count_visits(MANY);
    assert_in_range(few, 1, 1000);
    /* While it waits, the writer looks for the first turn now and then. */
    if (many > 2 * few + 50)
        fail_msg("%llu stages beside %d exports, %llu beside %d", (unsigned long long)few, FEW,
                 (unsigned long long)many, MANY);
}
