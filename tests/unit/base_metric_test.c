#include "base/base.h"
#include "test.h"

#include <math.h>

static struct buffer out;

static void start(void)
{
    buffer_init(&out, 100000);
}

static void stop(void)
{
    buffer_fini(&out);
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
    metric_head(&out, "stele_rows", "gauge", "Rows \"kept\"\nin a\\b.");
    assert_string_equal(buffer_string(&out), "# HELP stele_rows Rows \"kept\"\\nin a\\\\b.\n"
                                             "# TYPE stele_rows gauge\n");
}

TEST(samples_with_and_without_labels)
{
    metric_sample(&out, "a", NULL, 3);
    metric_sample(&out, "b", "mode=\"list\"", 0.1);
    metric_sample(&out, "c", "", 123456789012.0);
    metric_sample(&out, "d", NULL, 9007199254740991.0);
    assert_string_equal(buffer_string(&out), "a 3\nb{mode=\"list\"} 0.1\nc 123456789012\n"
                                             "d 9007199254740991\n");
}

TEST(special_numbers)
{
    metric_sample(&out, "a", NULL, (double)NAN);
    metric_sample(&out, "b", NULL, (double)INFINITY);
    metric_sample(&out, "c", NULL, (double)-INFINITY);
    assert_string_equal(buffer_string(&out), "a NaN\nb +Inf\nc -Inf\n");
}

TEST(label_values_are_escaped)
{
    metric_label_value(&out, span_of("a\"b\\c\nd"));
    assert_string_equal(buffer_string(&out), "a\\\"b\\\\c\\nd");
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
    metric_histogram(&out, "t_seconds", "mode=\"list\"", &histogram);
    const char *text = buffer_string(&out);
    assert_non_null(strstr(text, "t_seconds_bucket{mode=\"list\",le=\"5e-05\"} 1\n"));
    assert_non_null(strstr(text, "t_seconds_bucket{mode=\"list\",le=\"0.0001\"} 1\n"));
    assert_non_null(strstr(text, "t_seconds_bucket{mode=\"list\",le=\"0.0002\"} 2\n"));
    assert_non_null(strstr(text, "t_seconds_bucket{mode=\"list\",le=\"13.1072\"} 2\n"));
    assert_non_null(strstr(text, "t_seconds_bucket{mode=\"list\",le=\"+Inf\"} 3\n"
                                 "t_seconds_sum{mode=\"list\"} 1000.00016\n"
                                 "t_seconds_count{mode=\"list\"} 3\n"));
    buffer_clear(&out);
    metric_histogram(&out, "t", NULL, &histogram);
    text = buffer_string(&out);
    assert_non_null(strstr(text, "t_bucket{le=\"5e-05\"} 1\n"));
    assert_non_null(strstr(text, "\nt_sum 1000.00016\nt_count 3\n"));
}
