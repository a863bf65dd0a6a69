/* What the process says of itself. */
#include "base/process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* An alert on restarts compares one reading with the next. */
static void the_start_is_one_moment(void **state)
{
    struct process_figures first, next;
    (void)state;
    process_read(&first);
    assert_true(first.start_seconds > 0);
    for (int i = 0; i < 1000; i++) {
        process_read(&next);
        assert_memory_equal(&first.start_seconds, &next.start_seconds, sizeof(double));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_start_is_one_moment)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
