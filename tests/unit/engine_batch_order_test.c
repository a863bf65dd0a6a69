/* Batches in order across refusals: by themselves, and two stages behind one another as in the
 * way in, with everything that can happen in a short pipeline tried out. */
#include "engine/engine.h"
#include "memory_fault.h"
#include "test.h"

static struct submission *named(const char *producer, int64_t number)
{
    struct submission *submission = submission_new(16, 16);
    struct submission_batch *batch = submission_add_batch(submission);
    if (producer)
        batch->producer = span_of(producer);
    batch->number = number;
    return submission;
}

static bool admit(struct batch_order *order, const char *producer, int64_t number)
{
    struct error error = {0};
    struct submission *submission = named(producer, number);
    bool admitted = batch_order_admit(order, submission, &error);
    assert_int_equal(error.code, admitted ? ERROR_NONE : ERROR_OUT_OF_ORDER);
    submission_free(submission);
    return admitted;
}

static void refuse(struct batch_order *order, const char *producer, int64_t number)
{
    struct submission *submission = named(producer, number);
    batch_order_refuse(order, submission);
    submission_free(submission);
}

TEST(test_hold_and_release)
{
    struct batch_order order;
    order = (struct batch_order){.holds = NULL};
    assert_true(admit(&order, "p", 4));
    refuse(&order, "p", 5);
    assert_false(admit(&order, "p", 6));
    refuse(&order, "p", 6); /* does not raise what was held */
    assert_false(admit(&order, "p", 6));
    assert_true(admit(&order, "q", 6));
    assert_true(admit(&order, NULL, 0));
    assert_true(admit(&order, "p", 5));
    assert_true(admit(&order, "p", 6));
    batch_order_fini(&order);
}

TEST(test_lowest_counts)
{
    struct batch_order order;
    order = (struct batch_order){.holds = NULL};
    refuse(&order, "p", 6);
    refuse(&order, "p", 5);
    assert_false(admit(&order, "p", 6));
    assert_true(admit(&order, "p", 3));
    assert_true(admit(&order, "p", 6));
    batch_order_fini(&order);
}

TEST(test_unknown_holds_everything_named)
{
    struct batch_order order;
    order = (struct batch_order){.holds = NULL};
    order.unknown = true;
    assert_false(admit(&order, "p", 1));
    assert_true(admit(&order, NULL, 0));
    batch_order_fini(&order);
}

TEST(test_more_producers_than_are_kept)
{
    struct batch_order order;
    char name[16];
    order = (struct batch_order){.holds = NULL};
    for (int i = 0; i <= BATCH_ORDER_HOLDS; i++) {
        snprintf(name, sizeof name, "p%d", i);
        refuse(&order, name, 1);
    }
    assert_false(admit(&order, "another", 1));
    batch_order_fini(&order);
}

TEST(test_out_of_memory_refuses_too_much)
{
    struct batch_order order;
    for (uint64_t nth = 1; nth <= 2; nth++) {
        order = (struct batch_order){.holds = NULL};
        struct submission *submission = named("p", 5);
        memory_fail_at(nth, 0);
        batch_order_refuse(&order, submission);
        memory_fail_at(0, 0);
        assert_false(admit(&order, "p", 6));
        batch_order_fini(&order);
        submission_free(submission);
    }
}

/*
 * A producer sends 1, 2, 3 through two stages; a bit of `faults` per passage says whether a stage
 * fails it there. The second stage lags behind the first by one request. What was refused is sent
 * again, in order, as soon as the refusal is known. In the end the committed numbers must be
 * ascending without a gap: a later one before an earlier one is what loses data.
 */
struct pipeline {
    struct batch_order first, second;
    unsigned faults;
    int64_t waiting; /* between the stages; 0: none */
    int64_t committed;
    bool refused[4];
};

static bool stage(struct pipeline *pipeline, struct batch_order *order, int64_t number)
{
    bool fault = pipeline->faults & 1;
    pipeline->faults >>= 1;
    if (admit(order, "p", number) && !fault)
        return true;
    refuse(order, "p", number);
    pipeline->refused[number] = true;
    return false;
}

static void second_stage(struct pipeline *pipeline)
{
    int64_t number = pipeline->waiting;
    pipeline->waiting = 0;
    if (!number || !stage(pipeline, &pipeline->second, number))
        return;
    assert_true(number <= pipeline->committed + 1);
    if (number > pipeline->committed)
        pipeline->committed = number;
}

static void send(struct pipeline *pipeline, int64_t number)
{
    bool passed = stage(pipeline, &pipeline->first, number);
    second_stage(pipeline);
    if (passed)
        pipeline->waiting = number;
}

TEST(test_two_stages)
{
    for (unsigned faults = 0; faults < 1u << 12; faults++) {
        struct pipeline pipeline = {.faults = faults};
        pipeline.first = (struct batch_order){.holds = NULL};
        pipeline.second = (struct batch_order){.holds = NULL};
        for (int64_t number = 1; number <= 3; number++)
            send(&pipeline, number);
        for (int round = 0; round < 40 && pipeline.committed < 3; round++) {
            int64_t number = 1;
            while (number <= 3 && !pipeline.refused[number])
                number++;
            if (number > 3) {
                second_stage(&pipeline);
                continue;
            }
            pipeline.refused[number] = false;
            send(&pipeline, number);
        }
        assert_int_equal(pipeline.committed, 3);
        batch_order_fini(&pipeline.first);
        batch_order_fini(&pipeline.second);
    }
}
