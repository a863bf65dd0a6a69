/*
 * The past of rows, made again from the log, against a model that keeps every state: what a row was
 * at each position, to whom, and from where on it is known; and the history of each row, in pages.
 * The engine is real: it trims its log, evicts, is started again with other lengths of arrays.
 * STELE_SEED repeats a run, STELE_SEEDS says how many there are; a failure prints its seed.
 */
#include "delivery_client.h"
#include "delivery_fixture.h"
#include "random.h"
#include "rows/past_point.h"
#include "rows/row_history.h"
#include "rows/view_past.h"
#include "test.h"

enum {
    SEEDS = 3,
    KEYS = 7,
    STEPS = 160,
    ASKED = 60,
    VIEWERS = 3,
    TEXT = 1 << 20,
    SCAN = 9,
    VIEWS_ASKED = 6
};

/* ---- the model: each key's states, by the changes that made them ---- */

struct state {
    int64_t id;
    enum row_operation operation;
    char *text; /* NULL: it is not there */
};

static struct {
    struct fixture engine;
    struct view_set *views;
    struct engine_export_options export;
    const struct view *view;
    struct map scopes;
    struct row_scope *viewers[VIEWERS]; /* the first is NULL, and sees all */
    bool scoped;
    struct state states[KEYS][STEPS * 4];
    size_t counts[KEYS];
    struct store_reader *reader;
    struct seq seqs[STEPS * 4]; /* of each change, by its id */
    _Atomic int64_t now;        /* the wall clock, which may go back */
} run;

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

static const char *seen_before(int viewer, int key, size_t index)
{
    const char *text = index ? run.states[key][index - 1].text : NULL;
    return is_seen(viewer, text) ? text : NULL;
}

static const char *seen_behind(int viewer, int key, size_t index)
{
    const char *text = run.states[key][index].text;
    return is_seen(viewer, text) ? text : NULL;
}

static enum replay_effect effect_of(int viewer, int key, size_t index)
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
static const char *state_at(int viewer, int key, int64_t at)
{
    const char *text = NULL;
    for (size_t i = 0; i < run.counts[key] && run.states[key][i].id <= at; i++)
        text = run.states[key][i].text;
    return is_seen(viewer, text) ? text : NULL;
}

static bool is_known(int viewer, int key, int64_t at, int64_t floor)
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

static void make_views(void)
{
    struct error error = {0};
    run.views = view_set_new(false);
    assert_true(view_set_add_export(run.views, span_of("Q"), &error));
    if (run.scoped) {
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
    run.scoped = scoped;
    make_views();
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

static void feed_one(void)
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

/* ---- what a row was ---- */

static void find_past(struct row_past *past, int viewer, const char *key, int64_t at)
{
    struct error error = {.code = ERROR_NONE};
    row_past_init(past);
    past->view = run.view;
    past->scope = run.viewers[viewer];
    past->key = span_of(key);
    past->at = at;
    past->scan_rows = 1 + random_below(SCAN);
    past->explains = true;
    while (past->stage != PAST_DONE)
        if (!row_past_run(past, run.reader, &error))
            fail_msg(SEED_FORMAT ": %s", random_seed, error.message);
}

static int64_t floor_of(int viewer, int64_t *head)
{
    struct view_state state;
    struct error error = {0};
    assert_true(store_read_begin(run.reader, &error));
    assert_true(view_state_read(&state, run.view, run.reader, &error));
    store_read_end(run.reader);
    *head = state.log.last_change;
    return past_floor(run.viewers[viewer], &state);
}

static void check_since(int viewer, const char *key, const struct row_past *past)
{
    struct row_past since;
    if (past->since <= past->at)
        fail_msg(SEED_FORMAT ": %s at %lld is known since %lld", random_seed, key,
                 (long long)past->at, (long long)past->since);
    find_past(&since, viewer, key, past->since);
    if (since.replay.is == REPLAY_UNKNOWN)
        fail_msg(SEED_FORMAT ": %s at %lld is not known, in spite of what was said at %lld",
                 random_seed, key, (long long)past->since, (long long)past->at);
    row_past_fini(&since);
    if (past->since == past->at + 1)
        return;
    find_past(&since, viewer, key, past->since - 1);
    if (since.replay.is != REPLAY_UNKNOWN)
        fail_msg(SEED_FORMAT ": %s at %lld is known, not only since %lld", random_seed, key,
                 (long long)past->since - 1, (long long)past->since);
    row_past_fini(&since);
}

static void check_past(int viewer, int key, int64_t at, int64_t floor)
{
    char name[] = {'k', (char)('0' + key), '\0'};
    const char *state = state_at(viewer, key, at);
    struct row_past past;
    find_past(&past, viewer, name, at);
    bool known = past.replay.is != REPLAY_UNKNOWN;
    /* A tombstone may know of what the log has lost. */
    if (known != is_known(viewer, key, at, floor) && !(known && at < floor && !viewer))
        fail_msg(SEED_FORMAT ": viewer %d, %s at %lld is%s known, with a floor of %lld",
                 random_seed, viewer, name, (long long)at, known ? "" : " not", (long long)floor);
    struct span row =
        past.replay.is == REPLAY_THERE ? buffer_span(&past.replay.row) : span_make(NULL, 0);
    if (known && (!row.data != !state || (state && !span_equal(row, span_of(state)))))
        fail_msg(SEED_FORMAT ": viewer %d, %s at %lld is\n%.*s\nand was\n%s", random_seed, viewer,
                 name, (long long)at, (int)row.length, row.data ? row.data : "",
                 state ? state : "not there");
    if (!known)
        check_since(viewer, name, &past);
    row_past_fini(&past);
}

/* ---- where a position is ---- */

struct kept {
    int64_t floor, head;
    int64_t at[STEPS * 4]; /* the times of what the log has, by id */
};

static bool note_time(void *argument, const struct store_change *change,
                      const struct store_entity *entity)
{
    (void)entity;
    ((struct kept *)argument)->at[change->id] = change->at;
    return true;
}

static void read_kept(struct kept *kept)
{
    struct error error = {0};
    kept->floor = floor_of(0, &kept->head);
    assert_true(store_read_begin(run.reader, &error));
    assert_true(store_scan_changes(run.reader, 0, span_make(NULL, 0), kept->floor, kept->head, -1,
                                   false, note_time, kept, &error));
    store_read_end(run.reader);
}

enum { NOT_THERE_YET = -1, TRIMMED = -2 };

static int64_t place_of_seq(const struct kept *kept, struct seq seq)
{
    struct seq trimmed = {-1, 0}, greatest = {0, 0};
    int64_t last = 0, first_greater = 0;
    for (int64_t id = 1; id <= kept->head; id++) {
        int order = seq_compare(run.seqs[id], seq);
        if (seq_compare(run.seqs[id], greatest) > 0)
            greatest = run.seqs[id];
        if (id <= kept->floor && seq_compare(run.seqs[id], trimmed) > 0)
            trimmed = run.seqs[id];
        if (id >= kept->floor && order == 0)
            last = id;
        if (id > kept->floor && order > 0 && !first_greater)
            first_greater = id;
    }
    if (seq_compare(seq, greatest) > 0)
        return NOT_THERE_YET;
    if (last)
        return last;
    if (kept->floor && seq_compare(seq, trimmed) <= 0)
        return TRIMMED;
    return first_greater ? first_greater - 1 : kept->head;
}

static int64_t place_of_time(const struct kept *kept, int64_t time)
{
    if (time >= run.now)
        return NOT_THERE_YET;
    for (int64_t id = kept->head; id > kept->floor; id--)
        if (kept->at[id] <= time)
            return id;
    return kept->floor ? TRIMMED : 0;
}

static void check_place(const char *text, int64_t expected)
{
    struct error error = {.code = ERROR_NONE};
    struct past_search search = {
        .view = run.view, .now_ms = run.now, .scan_rows = 1 + random_below(SCAN)};
    bool done = past_point_read(span_of(text), &search.point, &error);
    while (done && !search.done)
        done = past_search_run(&search, run.reader, &error);
    int64_t found = done                                    ? search.at
                    : error.code == ERROR_HISTORY_TRIMMED   ? TRIMMED
                    : error.code == ERROR_INVALID_PARAMETER ? NOT_THERE_YET
                                                            : -3;
    if (found != expected)
        fail_msg(SEED_FORMAT ": %s is at %lld, and should be at %lld: %s", random_seed, text,
                 (long long)found, (long long)expected, error.message);
}

static void check_places(void)
{
    struct kept kept;
    char text[64];
    read_kept(&kept);
    for (int i = 0; i < ASKED; i++) {
        struct seq seq = {random_below(10), random_below(4)};
        if (random_below(2))
            seq = run.seqs[1 + random_below((uint32_t)kept.head)];
        seq_print(text, seq);
        check_place(text, place_of_seq(&kept, seq));
        int64_t time = run.now - (int64_t)random_below(20 * 1000) + 500;
        snprintf(text, sizeof text, "%lld", (long long)time);
        check_place(text, place_of_time(&kept, time));
    }
    snprintf(text, sizeof text, "%lld", (long long)run.now); /* it is not over */
    check_place(text, NOT_THERE_YET);
    snprintf(text, sizeof text, "@%lld", (long long)kept.head);
    check_place(text, kept.head);
    snprintf(text, sizeof text, "@%lld", (long long)kept.head + 1);
    check_place(text, NOT_THERE_YET);
}

TEST(positions_have_three_forms)
{
    static const struct {
        const char *text;
        enum past_form form;
        int64_t number, index;
    } good[] = {
        {"@0", PAST_OFFSET, 0, 0},
        {"@17", PAST_OFFSET, 17, 0},
        {"5:000000000003", PAST_SEQ, 5, 3},
        {"5:3", PAST_SEQ, 5, 3},
        {"1517967904123", PAST_TIME, INT64_C(1517967904123), 0},
        {"1970-01-02", PAST_TIME, 86400000, 0},
        {"1970-01-01T00:00:01Z", PAST_TIME, 1000, 0},
        {"1970-01-01T00:00:01.5Z", PAST_TIME, 1500, 0},
        {"1970-01-01T00:00:01.0029Z", PAST_TIME, 1002, 0},
    };
    static const char *const bad[] = {"",
                                      "@",
                                      "@x",
                                      "@-1",
                                      "x",
                                      "-5",
                                      "5:",
                                      "99999999999999999999",
                                      "1970-02-31",
                                      "1970-01-01T00:00:01",
                                      "1970-01-01T00:00Z",
                                      "1970-01-01T00:00:01.Z",
                                      "1970-01-01 00:00:01",
                                      "1970-01-01T00:00:01Zx"};
    struct past_point point;
    struct error error;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (!past_point_read(span_of(good[i].text), &point, &error))
            fail_msg("%s: %s", good[i].text, error.message);
        assert_int_equal(point.form, good[i].form);
        assert_int_equal(point.form == PAST_SEQ ? point.seq.slot : point.number, good[i].number);
        assert_int_equal(point.form == PAST_SEQ ? point.seq.index : 0, good[i].index);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (past_point_read(span_of(bad[i]), &point, &error))
            fail_msg("'%s' is a position", bad[i]);
}

/* ---- what happened to it ---- */

static void read_history(struct row_history *history, struct buffer *events, int viewer,
                         const char *key, int64_t from, int64_t last, int64_t most)
{
    struct error error = {.code = ERROR_NONE};
    row_history_init(history);
    history->view = run.view;
    history->scope = run.viewers[viewer];
    history->key = span_of(key);
    history->from = from;
    history->last = last;
    history->most = most;
    history->most_bytes = TEXT;
    history->scan_rows = 1 + random_below(SCAN);
    while (!row_history_is_complete(history))
        if (!row_history_run(history, run.reader, &error))
            fail_msg(SEED_FORMAT ": %s", random_seed, error.message);
    assert_false(history->expired);
    struct span text = buffer_span(&history->events);
    if (text.length && events->length)
        buffer_add_string(events, ",\n");
    buffer_add_span(events, text);
}

static void read_pages(struct buffer *events, int viewer, const char *key, int64_t from,
                       int64_t last)
{
    while (from < last) {
        struct row_history history;
        read_history(&history, events, viewer, key, from, last, 1 + random_below(6));
        from = history.from;
        row_history_fini(&history);
    }
}

/* {"offset":…, and the diff, as the model has it. */
static void expect_event(struct buffer *out, int viewer, int key, size_t index, int64_t floor)
{
    const struct state *it = &run.states[key][index];
    struct span before = span_of(seen_before(viewer, key, index));
    struct span behind = span_of(seen_behind(viewer, key, index));
    struct error error = {0};
    bool begins = effect_of(viewer, key, index) == REPLAY_BEGINS;
    bool known = begins || (index && is_known(viewer, key, it->id - 1, floor) &&
                            is_known(viewer, key, it->id, floor) && it->id - 1 >= floor);
    /* The present is known without the log, but what led to it is not. */
    bool led = begins;
    for (size_t i = 0; i < index && !led; i++)
        led = run.states[key][i].id > floor && replay_is_known_behind(effect_of(viewer, key, i));
    buffer_printf(out, "%lld ", (long long)it->id);
    if (known && led)
        assert_true(doc_diff(out, before, behind, &error));
    else
        buffer_add_string(out, "null");
    buffer_add_char(out, '\n');
}

/* The same of what was read. */
static void brief(struct buffer *out, struct span events)
{
    struct buffer list;
    struct doc doc;
    struct error error = {0};
    uint32_t root;
    buffer_init(&list, TEXT);
    buffer_printf(&list, "[%.*s]", (int)events.length, events.data);
    doc_init(&doc, UINT32_MAX, UINT32_MAX);
    if (!doc_parse(&doc, buffer_span(&list), 200, &root, &error))
        fail_msg(SEED_FORMAT ": %s", random_seed, error.message);
    for (uint32_t at = root + 1; at < doc.nodes[root].end; at = doc.nodes[at].end) {
        buffer_add_span(out, doc_text(&doc, doc_member(&doc, at, "offset")));
        buffer_add_char(out, ' ');
        buffer_add_span(out, doc_text(&doc, doc_member(&doc, at, "diff")));
        buffer_add_char(out, '\n');
    }
    doc_fini(&doc);
    buffer_fini(&list);
}

static void check_history(int viewer, int key)
{
    char name[] = {'k', (char)('0' + key), '\0'};
    struct buffer whole, pages, expected, found;
    struct row_history history;
    int64_t head, floor = floor_of(viewer, &head);
    buffer_init(&whole, TEXT), buffer_init(&pages, TEXT);
    buffer_init(&expected, TEXT), buffer_init(&found, TEXT);
    read_history(&history, &whole, viewer, name, floor, head, INT64_MAX);
    const struct replay *replay = &history.past.replay;
    const char *now = state_at(viewer, key, INT64_MAX);
    if (replay->is != REPLAY_UNKNOWN &&
        (now ? !span_equal(buffer_span(&replay->row), span_of(now)) : replay->is == REPLAY_THERE))
        fail_msg(SEED_FORMAT ": the history of %s gives another row than there is", random_seed,
                 name);
    row_history_fini(&history);
    read_pages(&pages, viewer, name, floor, head);
    if (!span_equal(buffer_span(&whole), buffer_span(&pages)))
        fail_msg(SEED_FORMAT ": the history of %s is\n%s\nand in pages\n%s", random_seed, name,
                 buffer_string(&whole), buffer_string(&pages));
    for (size_t i = 0; i < run.counts[key]; i++)
        if (run.states[key][i].id > floor && effect_of(viewer, key, i) != REPLAY_NOTHING)
            expect_event(&expected, viewer, key, i, floor);
    brief(&found, buffer_span(&whole));
    if (!span_equal(buffer_span(&expected), buffer_span(&found)))
        fail_msg(SEED_FORMAT ": viewer %d, the history of %s is\n%s\nand should be\n%s",
                 random_seed, viewer, name, buffer_string(&found), buffer_string(&expected));
    buffer_fini(&whole), buffer_fini(&pages), buffer_fini(&expected), buffer_fini(&found);
}

/* ---- what a whole view was, while the log is trimmed ---- */

static const char *row_of(const struct past_rows *rows, int key, struct span *text)
{
    char name[] = {'k', (char)('0' + key), '\0'};
    *text = span_make(NULL, 0);
    for (size_t i = 0; i < rows->count; i++)
        if (span_equal(past_row_key(rows->list[i]), span_of(name)))
            *text = past_row_data(rows->list[i]);
    return text->data;
}

static void check_rows(const struct past_rows *rows, int viewer, int64_t at)
{
    struct span text;
    for (int key = 0; key < KEYS; key++) {
        const char *state = state_at(viewer, key, at);
        if (!row_of(rows, key, &text) != !state || (state && !span_equal(text, span_of(state))))
            fail_msg(SEED_FORMAT ": viewer %d, k%d was at %lld\n%s\nand is\n%.*s", random_seed,
                     viewer, key, (long long)at, state ? state : "not there", (int)text.length,
                     text.data ? text.data : "");
    }
}

static void check_refusal(int viewer, int64_t at, const struct error *error)
{
    int64_t head, floor = floor_of(viewer, &head);
    bool known = at >= floor;
    for (int key = 0; known && key < KEYS; key++)
        known = is_known(viewer, key, at, floor);
    if (known || error->code != ERROR_HISTORY_TRIMMED)
        fail_msg(SEED_FORMAT ": viewer %d, all at %lld is known behind %lld: %s", random_seed,
                 viewer, (long long)at, (long long)floor, error->message);
}

/* Each step may find a shorter log. */
static bool check_view(int viewer, int64_t at, void (*between)(void))
{
    struct error error = {.code = ERROR_NONE};
    struct view_past past;
    view_past_init(&past);
    past.rows.view = run.view;
    past.rows.scope = run.viewers[viewer];
    past.rows.most = past.most = INT64_MAX;
    past.at = at;
    past.names_rows = true;
    past.scan_rows = 1 + random_below(SCAN);
    bool done = true;
    while (done && past.stage != VIEW_PAST_DONE) {
        between();
        done = view_past_run(&past, run.reader, &error);
    }
    if (done)
        check_rows(&past.rows, viewer, at);
    else
        check_refusal(viewer, at, &error);
    view_past_fini(&past);
    return done;
}

static void feed_at_times(void)
{
    if (random_below(6) == 0)
        feed_one();
}

/* ---- the runs ---- */

static void play(void)
{
    bool scoped = random_below(2);
    int viewers = scoped ? VIEWERS : 1;
    begin_run(scoped);
    for (int step = 0; step < STEPS; step++) {
        feed_one();
        if (random_below(60) == 0)
            start_again();
        if (step % (STEPS / 4) != STEPS / 4 - 1)
            continue;
        for (int i = 0; i < ASKED; i++) {
            int viewer = (int)random_below((uint32_t)viewers);
            int64_t head, floor = floor_of(viewer, &head);
            check_past(viewer, (int)random_below(KEYS), (int64_t)random_below((uint32_t)head + 1),
                       floor);
        }
        check_places();
        for (int i = 0; i < VIEWS_ASKED; i++) {
            int viewer = (int)random_below((uint32_t)viewers);
            int64_t head, floor = floor_of(viewer, &head);
            check_view(viewer, floor + (int64_t)random_below((uint32_t)(head - floor) + 1),
                       feed_at_times);
        }
        for (int viewer = 0; viewer < viewers; viewer++)
            for (int key = 0; key < KEYS; key++)
                check_history(viewer, key);
    }
    end_run();
}

TEST(a_row_and_its_history_are_those_of_a_model_that_keeps_every_state)
{
    uint64_t seeds = random_setting("STELE_SEEDS", SEEDS);
    random_start_anew();
    for (uint64_t first = random_seed, i = 0; i < seeds; i++) {
        random_start(first + i);
        play();
    }
}
