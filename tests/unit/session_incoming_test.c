/* What is on its way in: counted once, given back once, bounded over all, and timed. */
#include "session/incoming.h"
#include "test.h"

enum { INTAKES = 20, STEPS = 100000, LIMIT = 16 * 1024, ONE_LIMIT = 8 * 1024 };

static int late_count;

static void on_late(struct intake *intake)
{
    late_count++;
    intake_end(intake);
}

static bool add(struct intake *intake, size_t length, int64_t now_ms, enum error_code code)
{
    static const char bytes[2 * ONE_LIMIT];
    struct error error = {.code = ERROR_NONE};
    bool done = intake_add(intake, span_make(bytes, length), now_ms, &error);
    if (!done)
        assert_int_equal(error.code, code);
    return done;
}

static size_t memory_of(const struct intake *intakes)
{
    size_t bytes = 0;
    for (int i = 0; i < INTAKES; i++)
        bytes += intakes[i].bytes.capacity;
    return bytes;
}

/* Whatever happens in whatever order, the count is what is really held. */
TEST(the_count_is_true)
{
    struct incoming all = {.limit = LIMIT, .patience_ms = 50};
    struct intake intakes[INTAKES];
    unsigned seed = 1;
    int refused = 0;
    for (int i = 0; i < INTAKES; i++)
        intake_init(&intakes[i], &all, ONE_LIMIT, 0, (struct intake_calls){.late = on_late});
    for (int step = 0; step < STEPS; step++) {
        struct intake *intake = &intakes[rand_r(&seed) % INTAKES];
        struct intake *other = &intakes[rand_r(&seed) % INTAKES];
        size_t length = (size_t)rand_r(&seed) % 500;
        switch (rand_r(&seed) % 8) {
        case 0:
            intake_end(intake);
            break;
        case 1:
            if (intake != other && !other->bytes.data)
                intake_move(other, intake);
            break;
        case 2:
            intake_wait(intake, step, 50);
            break;
        case 3:
            incoming_tick(&all, step);
            break;
        default:
            if (intake->bytes.length + length <= ONE_LIMIT &&
                !add(intake, length, step, ERROR_QUEUE_FULL)) {
                refused++;
                intake_end(intake);
            }
        }
        assert_int_equal(all.bytes, memory_of(intakes));
        assert_true(all.bytes <= LIMIT);
    }
    assert_true(refused > 100 && late_count > 100);
    for (int i = 0; i < INTAKES; i++)
        intake_end(&intakes[i]);
    assert_int_equal(all.bytes, 0);
    assert_null(heap_first(&all.unfinished));
}

TEST(one_always_fits)
{
    struct incoming all = {.limit = 1024, .patience_ms = 1000};
    struct intake first, second;
    intake_init(&first, &all, ONE_LIMIT, 0, (struct intake_calls){.late = on_late});
    intake_init(&second, &all, ONE_LIMIT, 0, (struct intake_calls){.late = on_late});
    assert_true(add(&first, ONE_LIMIT, 0, ERROR_NONE));
    assert_false(add(&first, 1, 0, ERROR_TOO_LARGE));
    assert_false(add(&second, 1, 0, ERROR_QUEUE_FULL));
    assert_int_equal(second.bytes.length, 0);
    intake_end(&second);
    intake_end(&first);
    assert_true(add(&second, 1, 0, ERROR_NONE));
    intake_end(&second);
    assert_int_equal(all.bytes, 0);
}

/* Feeds `bytes` each second; the second at whose end it was late, or 0. */
static int late_after(size_t bytes, int seconds)
{
    struct incoming all = {.limit = SIZE_MAX, .patience_ms = 60 * 1000};
    struct intake intake;
    int at = 0;
    late_count = 0;
    intake_init(&intake, &all, (size_t)1 << 30, 0, (struct intake_calls){.late = on_late});
    intake_wait(&intake, 0, all.patience_ms);
    for (int second = 1; second <= seconds && !at; second++) {
        assert_true(add(&intake, bytes, second * 1000 - 1, ERROR_NONE));
        incoming_tick(&all, second * 1000);
        at = late_count ? second : 0;
    }
    intake_end(&intake);
    return at;
}

TEST(a_pace_must_be_kept)
{
    assert_int_equal(late_after(1, 1000), 60);
    assert_int_equal(late_after(INCOMING_BYTES_PER_SECOND / 2, 1000), 120);
    assert_int_equal(late_after(INCOMING_BYTES_PER_SECOND, 10000), 0);
}

/* What came fast earns no more than the patience there is. */
TEST(nothing_is_saved_up)
{
    struct incoming all = {.limit = SIZE_MAX, .patience_ms = 60 * 1000};
    struct intake intake;
    late_count = 0;
    intake_init(&intake, &all, (size_t)1 << 20, 0, (struct intake_calls){.late = on_late});
    intake_wait(&intake, 0, all.patience_ms);
    for (int i = 0; i < 100; i++)
        assert_true(add(&intake, ONE_LIMIT, 1000, ERROR_NONE));
    incoming_tick(&all, 60999);
    assert_int_equal(late_count, 0);
    incoming_tick(&all, 61000);
    assert_int_equal(late_count, 1);
}
