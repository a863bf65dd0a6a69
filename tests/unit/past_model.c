#include "past_model.h"

#include "delivery_client.h"
#include "random.h"
#include "test.h"

enum { SEEDS = 3 };

struct past_run run;

static const char *const viewer_labels[VIEWERS] = {NULL, "\"s\":\"red\"", NULL};

static int key_number(struct span key)
{
    return key.data[1] - '0';
}

static void note_change(void *argument, const struct change *change)
{
    int key = key_number(change_key(change));
    (void)argument;
    assert_true(run.counts[key] < STEPS * 4 && change->id < STEPS * 4);
    run.seqs[change->id] = (struct seq){change->slot, change->index};
    run.states[key][run.counts[key]++] =
        (struct state){.id = change->id, .operation = change->operation};
}

/* The newest states, after a request in which each key changed at most once. */
static void note_states(const size_t *before)
{
    char name[] = "k0";
    for (int key = 0; key < KEYS; key++) {
        name[1] = (char)('0' + key);
        assert_true(run.counts[key] <= before[key] + 1);
        if (run.counts[key] > before[key])
            run.states[key][run.counts[key] - 1].text = fixture_entity(&run.engine, "Q", name);
    }
}

/* Whether the viewer sees a row, by its text alone. */
static bool is_seen(int viewer, const char *text)
{
    const char *label = text ? strstr(text, "\"s\":") : NULL;
    if (!text || !run.viewers[viewer])
        return text != NULL;
    bool is_public = !label || strncmp(label, "\"s\":null", 8) == 0;
    return is_public || (viewer_labels[viewer] &&
                         strncmp(label, viewer_labels[viewer], strlen(viewer_labels[viewer])) == 0);
}

const char *seen_before(int viewer, int key, size_t index)
{
    const char *text = index ? run.states[key][index - 1].text : NULL;
    return is_seen(viewer, text) ? text : NULL;
}

const char *seen_behind(int viewer, int key, size_t index)
{
    const char *text = run.states[key][index].text;
    return is_seen(viewer, text) ? text : NULL;
}

enum replay_effect effect_of(int viewer, int key, size_t index)
{
    bool before = seen_before(viewer, key, index), behind = seen_behind(viewer, key, index);
    if (!before && !behind)
        return REPLAY_NOTHING;
    if (!behind)
        return REPLAY_GONE;
    if (!before)
        return REPLAY_BEGINS;
    return run.states[key][index].operation == ROW_PATCH ? REPLAY_PATCH : REPLAY_WHOLE;
}

/* A delete of what is not there is no change that anybody sees, but the log has it for all. */
const char *state_at(int viewer, int key, int64_t at)
{
    const char *text = NULL;
    for (size_t i = 0; i < run.counts[key] && run.states[key][i].id <= at; i++)
        text = run.states[key][i].text;
    return is_seen(viewer, text) ? text : NULL;
}

bool is_known(int viewer, int key, int64_t at, int64_t floor)
{
    size_t count = run.counts[key];
    if (count && run.states[key][count - 1].id <= at && state_at(viewer, key, INT64_MAX))
        return true;
    if (at < floor)
        return false;
    for (size_t i = 0; i < count; i++)
        if (run.states[key][i].id > floor && run.states[key][i].id <= at &&
            replay_is_known_behind(effect_of(viewer, key, i)))
            return true;
    for (size_t i = 0; i < count; i++)
        if (run.states[key][i].id > at && effect_of(viewer, key, i) != REPLAY_NOTHING)
            return effect_of(viewer, key, i) == REPLAY_BEGINS;
    return true;
}

int64_t floor_of(int viewer, int64_t *head)
{
    struct view_state state;
    struct error error = {0};
    assert_true(store_read_begin(run.reader, &error));
    assert_true(view_state_read(&state, run.view, run.reader, &error));
    store_read_end(run.reader);
    *head = state.log.last_change;
    return past_floor(run.viewers[viewer], &state);
}

int past_model_viewer(void)
{
    return (int)random_below((uint32_t)run.viewer_count);
}

/* ---- a run ---- */

static void open_engine(void)
{
    struct error error = {0};
    fixture_open(&run.engine);
    run.reader = store_reader_open(engine_facts(run.engine.engine)->database, &error);
    assert_non_null(run.reader);
}

static void close_engine(void)
{
    store_reader_close(run.reader);
    fixture_close(&run.engine);
}

static void make_views(bool scoped)
{
    struct error error = {0};
    run.views = view_set_new(false);
    assert_true(view_set_add_export(run.views, span_of("Q"), &error));
    if (scoped) {
        struct tree *path = tree_parse(span_of("[\"s\"]"), &error);
        assert_true(view_set_scope(run.views, span_of("Q"), path, &error));
        tree_free(path);
    }
    assert_true(view_set_resolve(run.views, &error));
    run.view = view_set_find(run.views, span_of("Q/append"));
}

static int64_t wall_ms(void *unused)
{
    (void)unused;
    return run.now;
}

static void begin_run(bool scoped)
{
    struct auth_identity *red = client_token("red");
    memset(&run, 0, sizeof run);
    run.viewer_count = scoped ? VIEWERS : 1;
    make_views(scoped);
    map_init(&run.scopes, row_scope_name);
    if (scoped) {
        run.viewers[1] = row_scope_get(&run.scopes, red);
        run.viewers[2] = row_scope_get(&run.scopes, NULL);
    }
    auth_identity_release(red);
    fixture_init(&run.engine);
    run.export = (struct engine_export_options){.name = span_of("Q"),
                                                .max_entities = random_below(2) ? KEYS - 2 : 0,
                                                .null_removes = random_below(2)};
    run.engine.options.exports = &run.export;
    run.engine.options.export_count = 1;
    run.engine.options.views = run.views;
    run.engine.options.max_array_length = 1 + random_below(5);
    run.engine.options.retention = (struct store_retention){
        .rows = 20 + random_below(120), .tombstone_age_ms = 600 * 1000, .tombstone_rows = 4};
    run.engine.on_change = note_change;
    run.engine.options.wall_ms = wall_ms;
    run.now = INT64_C(1796096901704);
    open_engine();
}

static void end_run(void)
{
    store_reader_close(run.reader);
    fixture_fini(&run.engine);
    for (int key = 0; key < KEYS; key++)
        for (size_t i = 0; i < run.counts[key]; i++)
            free(run.states[key][i].text);
    for (int viewer = 0; viewer < VIEWERS; viewer++)
        row_scope_unref(run.viewers[viewer]);
    map_fini(&run.scopes);
    view_set_free(run.views);
}

static void start_again(void)
{
    close_engine();
    run.engine.options.max_array_length = 1 + random_below(5);
    open_engine();
}

static const char *pick_patch(void)
{
    static const char *const patches[] = {"{\"n\":1}",
                                          "{\"n\":2,\"o\":{\"a\":1,\"l\":[1]}}",
                                          "{\"l\":[1,2,3]}",
                                          "{\"l\":[4]}",
                                          "{\"l\":[]}",
                                          "{\"o\":{\"l\":[7,8],\"a\":{\"b\":[[1,2,3,4,5,6]]}}}",
                                          "{\"o\":5}",
                                          "{\"o.l\":[9],\"o\":{\"l\":[9]}}",
                                          "{\"n\":null}",
                                          "{\"s\":\"red\"}",
                                          "{\"s\":\"blue\"}",
                                          "{\"s\":null}",
                                          "{\"s\":\"red\",\"l\":[5]}",
                                          "{}"};
    return patches[random_below(sizeof patches / sizeof *patches)];
}

void past_model_feed(void)
{
    char text[512];
    size_t before[KEYS];
    uint32_t pick = random_below(20);
    int key = (int)random_below(KEYS), at = 0;
    memcpy(before, run.counts, sizeof before);
    if (random_below(4) == 0)
        at = snprintf(text, sizeof text, "=%u:%u\n", random_below(9), random_below(3));
    at += snprintf(text + at, sizeof text - (size_t)at, "Q k%d ", key);
    if (pick == 0)
        snprintf(text + at, sizeof text - (size_t)at, "delete");
    else
        snprintf(text + at, sizeof text - (size_t)at, "%s %s%s", pick == 1 ? "upsert" : "patch",
                 pick_patch(), pick > 1 && random_below(2) ? " l o.l o.a.b" : "");
    run.now += random_below(9) ? (int64_t)random_below(2000) : -(int64_t)random_below(5000);
    struct outcome outcome = fixture_apply(&run.engine, text);
    if (outcome.error.code != ERROR_NONE)
        fail_msg(SEED_FORMAT ": %s", random_seed, outcome.error.message);
    note_states(before);
}

static void play(void (*check)(void))
{
    begin_run(random_below(2));
    for (int step = 0; step < STEPS; step++) {
        past_model_feed();
        if (random_below(60) == 0)
            start_again();
        if (step % (STEPS / 4) == STEPS / 4 - 1)
            check();
    }
    end_run();
}

void past_model_play(void (*check)(void))
{
    uint64_t seeds = random_setting("STELE_SEEDS", SEEDS);
    random_start_anew();
    for (uint64_t first = random_seed, i = 0; i < seeds; i++) {
        random_start(first + i);
        play(check);
    }
}
