/* The history of each row, at once and in pages, against a model that keeps every state. */
#include "past_model.h"
#include "random.h"
#include "rows/row_history.h"
#include "test.h"

enum { TEXT = 1 << 20 };

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
    while (!history->expired && history->from < history->last && history->listed < history->most &&
           history->events.length < TEXT)
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

static void check_histories(void)
{
    for (int viewer = 0; viewer < run.viewer_count; viewer++)
        for (int key = 0; key < KEYS; key++)
            check_history(viewer, key);
}

TEST(a_history_is_that_of_a_model_that_keeps_every_state)
{
    past_model_play(check_histories);
}
