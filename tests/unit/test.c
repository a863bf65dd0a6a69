#include "test.h"

#include <errno.h>

static struct test_case *first;
static size_t count;
static test_step before_each, after_each, before_all, after_all;

/* The compiler is free to call the constructors of a file in any order. */
void test_enter(struct test_case *test)
{
    struct test_case **at = &first;
    while (*at && (*at)->line < test->line)
        at = &(*at)->next;
    test->next = *at;
    *at = test;
    count++;
}

void test_each(test_step before, test_step after)
{
    before_each = before;
    after_each = after;
}

void test_all(test_step before, test_step after)
{
    before_all = before;
    after_all = after;
}

static int take(test_step step)
{
    if (step)
        step();
    return 0;
}

static int before(void **state)
{
    const struct test_case *test = *state;
    return take(test->with ? test->before : before_each);
}

static void run(void **state)
{
    ((const struct test_case *)*state)->run();
}

static int after(void **state)
{
    const struct test_case *test = *state;
    return take(test->with ? test->after : after_each);
}

static int before_group(void **state)
{
    (void)state;
    return take(before_all);
}

static int after_group(void **state)
{
    (void)state;
    return take(after_all);
}

int main(int argc, char **argv)
{
    struct CMUnitTest *tests = calloc(count + 1, sizeof *tests);
    size_t i = 0;
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    for (struct test_case *test = first; test; test = test->next)
        tests[i++] = (struct CMUnitTest){test->name, run, before, after, test};
    int failed = _cmocka_run_group_tests(program_invocation_short_name, tests, count, before_group,
                                         after_group);
    free(tests);
    return count ? failed : 1;
}
