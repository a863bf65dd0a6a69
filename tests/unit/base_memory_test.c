#include "base/base.h"
#include "memory_fault.h"
#include "test.h"

static void disarm(void)
{
    memory_fail_at(0, 0);
}

TEST_EACH(NULL, disarm)

static bool one_succeeds(void)
{
    void *memory = memory_alloc(10);
    memory_free(memory);
    return memory != NULL;
}

TEST(zero_bytes_are_memory_too)
{
    void *some = memory_alloc(0);
    assert_non_null(some);
    some = memory_resize(some, 0);
    assert_non_null(some);
    memory_free(some);
    memory_free(NULL);
}

TEST(new_memory_is_zero)
{
    unsigned char *memory = memory_new(1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(memory[i], 0);
    memory = memory_resize(memory, 2000);
    assert_int_equal(memory[999], 0);
    memory_free(memory);
}

TEST(strings_are_copied_and_terminated)
{
    char *copy = memory_copy_string("abcdef", 3);
    assert_string_equal(copy, "abc");
    memory_free(copy);
    copy = memory_copy_string(NULL, 0);
    assert_string_equal(copy, "");
    memory_free(copy);
    assert_null(memory_copy_string("", SIZE_MAX));
}

TEST(the_nth_fails_once)
{
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

TEST(sticky_faults_last_until_disarmed)
{
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

TEST(who_is_asked_chooses)
{
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

TEST(every_kind_of_allocation_fails)
{
    char *memory = memory_alloc(1);
    memory_fail_at(1, 1);
    assert_null(memory_alloc(1));
    assert_null(memory_new(1));
    assert_null(memory_resize(memory, 100));
    assert_null(memory_copy_string("a", 1));
    memory_fail_at(0, 0);
    memory_free(memory); /* a failed resize left it alone */
}
