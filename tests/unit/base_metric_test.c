#include "base/base.h"
#include "test.h"

#include <math.h>

static struct buffer out;
static struct metric_text text;

static void start(void)
{
    buffer_init(&out, 100000);
    metric_text_init(&text, &out);
}

static void stop(void)
{
    buffer_fini(&out);
}

/* What a sample makes, without the head of its metric. */
static const char *sample(const char *label, const char *value, double number)
{
    text.name = "a";
    buffer_clear(&out);
    text.sink.sample(&text.sink, label, span_of(value), number);
    return buffer_string(&out);
}

TEST_EACH(start, stop)

TEST(counters_add_up)
{
    struct counter counter = {0};
    counter_add(&counter, 2);
    counter_add(&counter, 40);
    assert_int_equal(counter_get(&counter), 42);
}

TEST(head_names_type_and_help)
{
    text.sink.begin(&text.sink, "stele_rows", "gauge", "Rows \"kept\"\nin a\\b.");
    assert_string_equal(buffer_string(&out), "# HELP stele_rows Rows \"kept\"\\nin a\\\\b.\n"
                                             "# TYPE stele_rows gauge\n");
}

TEST(samples_with_and_without_labels)
{
    assert_string_equal(sample(NULL, "", 3), "a 3\n");
    assert_string_equal(sample("mode", "list", 0.1), "a{mode=\"list\"} 0.1\n");
    assert_string_equal(sample(NULL, "", 123456789012.0), "a 123456789012\n");
    assert_string_equal(sample(NULL, "", 9007199254740991.0), "a 9007199254740991\n");
}

TEST(special_numbers)
{
    assert_string_equal(sample(NULL, "", (double)NAN), "a NaN\n");
    assert_string_equal(sample(NULL, "", (double)INFINITY), "a +Inf\n");
    assert_string_equal(sample(NULL, "", (double)-INFINITY), "a -Inf\n");
}

TEST(label_values_are_escaped)
{
    assert_string_equal(sample("l", "a\"b\\c\nd", 1), "a{l=\"a\\\"b\\\\c\\nd\"} 1\n");
}

TEST(durations_fall_into_their_buckets)
{
    struct histogram histogram = {0};
    for (int i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
        uint64_t bound = UINT64_C(50) << i;
        histogram_add(&histogram, bound - 1);
        assert_int_equal(histogram.buckets[i], i ? 2 : 1);
        histogram_add(&histogram, bound);
        assert_int_equal(histogram.buckets[i + 1], 1);
    }
    histogram_add(&histogram, UINT64_MAX / 2);
    assert_int_equal(histogram.buckets[HISTOGRAM_BUCKETS - 1], 2);
}

TEST(histogram_text_is_cumulative)
{
    struct histogram histogram = {0};
    histogram_add(&histogram, 10);
    histogram_add(&histogram, 150);
    histogram_add(&histogram, 1000 * 1000 * 1000);
    text.name = "t_seconds";
    text.sink.histogram(&text.sink, &histogram);
    const char *told = buffer_string(&out);
    assert_non_null(strstr(told, "t_seconds_bucket{le=\"5e-05\"} 1\n"));
    assert_non_null(strstr(told, "t_seconds_bucket{le=\"0.0001\"} 1\n"));
    assert_non_null(strstr(told, "t_seconds_bucket{le=\"0.0002\"} 2\n"));
    assert_non_null(strstr(told, "t_seconds_bucket{le=\"13.1072\"} 2\n"));
    assert_non_null(strstr(told, "t_seconds_bucket{le=\"+Inf\"} 3\n"
                                 "t_seconds_sum 1000.00016\n"
                                 "t_seconds_count 3\n"));
}
