/* Positions of the log in their three forms, and where each is while the log is trimmed. */
#include "past_model.h"
#include "random.h"
#include "rows/past_point.h"
#include "test.h"

enum { ASKED = 60 };

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

/* ---- against a model ---- */

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

TEST(positions_are_where_a_model_has_them)
{
    past_model_play(check_places);
}
