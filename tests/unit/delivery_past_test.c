/*
 * What rows and whole views were, made again from the log, against a model that keeps every state:
 * at each position, to whom, and from where on it is known.
 */
#include "past_model.h"
#include "random.h"
#include "rows/view_past.h"
#include "test.h"

enum { ASKED = 60, VIEWS_ASKED = 6 };

/* ---- a row ---- */

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

static void check_rows_past(void)
{
    for (int i = 0; i < ASKED; i++) {
        int viewer = past_model_viewer();
        int64_t head, floor = floor_of(viewer, &head);
        check_past(viewer, (int)random_below(KEYS), (int64_t)random_below((uint32_t)head + 1),
                   floor);
    }
}

TEST(a_row_was_what_a_model_kept)
{
    past_model_play(check_rows_past);
}

/* ---- a whole view, while the log is trimmed ---- */

static const char *row_of(const struct past_rows *rows, int key, struct span *text)
{
    char name[] = {'k', (char)('0' + key), '\0'};
    *text = span_make(NULL, 0);
    for (size_t i = 0; i < rows->count; i++)
        if (span_equal(rows->list[i]->key, span_of(name)))
            *text = rows->list[i]->data;
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
        past_model_feed();
}

static void check_views_past(void)
{
    for (int i = 0; i < VIEWS_ASKED; i++) {
        int viewer = past_model_viewer();
        int64_t head, floor = floor_of(viewer, &head);
        check_view(viewer, floor + (int64_t)random_below((uint32_t)(head - floor) + 1),
                   feed_at_times);
    }
}

TEST(a_view_was_what_a_model_kept)
{
    past_model_play(check_views_past);
}
