#include "base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int disarm(void **state)
{
    (void)state;
    memory_fail_at(0, 0);
    return 0;
}

static bool one_succeeds(void)
{
    void *memory = memory_alloc(10);
    memory_free(memory);
    return memory != NULL;
}

static void zero_bytes_are_memory_too(void **state)
{
    (void)state;
    void *some = memory_alloc(0);
    assert_non_null(some);
    some = memory_resize(some, 0);
    assert_non_null(some);
    memory_free(some);
    memory_free(NULL);
}

static void new_memory_is_zero(void **state)
{
    (void)state;
    unsigned char *memory = memory_new(1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(memory[i], 0);
    memory = memory_resize(memory, 2000);
    assert_int_equal(memory[999], 0);
    memory_free(memory);
}

static void strings_are_copied_and_terminated(void **state)
{
    (void)state;
    char *copy = memory_copy_string("abcdef", 3);
    assert_string_equal(copy, "abc");
    memory_free(copy);
    copy = memory_copy_string(NULL, 0);
    assert_string_equal(copy, "");
    memory_free(copy);
    assert_null(memory_copy_string("", SIZE_MAX));
}

static void the_nth_fails_once(void **state)
{
    (void)state;
    memory_fail_at(3, 0);
    assert_true(one_succeeds());
    assert_true(one_succeeds());
    assert_false(memory_fault_hit());
    assert_false(one_succeeds());
    assert_true(memory_fault_hit());
    assert_true(one_succeeds());
    memory_fail_at(0, 0);
    assert_true(memory_fault_hit());
    memory_fail_at(1, 0);
    assert_false(memory_fault_hit());
}

static void sticky_faults_last_until_disarmed(void **state)
{
    (void)state;
    memory_fail_at(2, 1);
    assert_true(one_succeeds());
    for (int i = 0; i < 5; i++)
        assert_false(one_succeeds());
    memory_fail_at(0, 0);
    assert_true(one_succeeds());
}

static int times_asked;

static int second_of_three(void)
{
    return ++times_asked % 3 == 2;
}

static void who_is_asked_chooses(void **state)
{
    (void)state;
    times_asked = 0;
    memory_fail_if(second_of_three);
    assert_true(one_succeeds());
    assert_false(memory_fault_hit());
    assert_false(one_succeeds());
    assert_true(memory_fault_hit());
    assert_true(one_succeeds());
    memory_fail_if(NULL);
    assert_true(one_succeeds());
    assert_int_equal(times_asked, 3);
    assert_true(memory_fault_hit());
    memory_fail_if(second_of_three);
    assert_false(memory_fault_hit());
    memory_fail_at(0, 0);
    assert_true(one_succeeds());
    assert_int_equal(times_asked, 3);
}

static void every_kind_of_allocation_fails(void **state)
{
    (void)state;
    char *memory = memory_alloc(1);
    memory_fail_at(1, 1);
    assert_null(memory_alloc(1));
    assert_null(memory_new(1));
    assert_null(memory_resize(memory, 100));
    assert_null(memory_copy_string("a", 1));
    memory_fail_at(0, 0);
    memory_free(memory); /* a failed resize left it alone */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(zero_bytes_are_memory_too, disarm),
        cmocka_unit_test_teardown(new_memory_is_zero, disarm),
        cmocka_unit_test_teardown(strings_are_copied_and_terminated, disarm),
        cmocka_unit_test_teardown(the_nth_fails_once, disarm),
        cmocka_unit_test_teardown(sticky_faults_last_until_disarmed, disarm),
        cmocka_unit_test_teardown(who_is_asked_chooses, disarm),
        cmocka_unit_test_teardown(every_kind_of_allocation_fails, disarm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
