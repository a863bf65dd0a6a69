/* What the process says of itself. */
#include "base/process.h"
#include "test.h"

/* An alert on restarts compares one reading with the next. */
TEST(the_start_is_one_moment)
{
    struct process_figures first, next;
    process_read(&first);
    assert_true(first.start_seconds > 0);
    for (int i = 0; i < 1000; i++) {
        process_read(&next);
        assert_memory_equal(&first.start_seconds, &next.start_seconds, sizeof(double));
    }
}
