#include "base/base.h"
#include "test.h"

#include <time.h>

TEST(monotonic_time_goes_on_in_microseconds)
{
    uint64_t before = clock_monotonic_us();
    nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
    uint64_t passed = clock_monotonic_us() - before;
    assert_in_range(passed, 20 * 1000, 20 * 1000 * 1000);
    for (uint64_t last = clock_monotonic_us(), i = 0; i < 10000; i++) {
        uint64_t now = clock_monotonic_us();
        assert_true(now >= last);
        last = now;
    }
}

TEST(wall_time_is_milliseconds_of_1970)
{
    int64_t difference = clock_wall_ms() - (int64_t)time(NULL) * 1000;
    assert_true(difference > -5000 && difference < 5000);
}
