/*
 * Cases that enter themselves, and all that cmocka wants.
 *
 *     TEST(an_empty_map_has_no_keys) { … }
 *
 * The cases of a program run in the order in which they stand. What goes before and after them:
 *
 *     TEST_EACH(set_up, tear_down)            each case
 *     TEST_WITH(name, set_up, NULL) { … }     this case, in place of those
 *     TEST_ALL(make_folder, remove_folder)    the program
 *
 * These are functions without arguments, which assert as a case does; NULL: nothing. A program's
 * argument is the name of the one case that it runs.
 */
#ifndef TESTS_TEST_H
#define TESTS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

typedef void (*test_step)(void);

struct test_case {
    const char *name;
    test_step run, before, after;
    bool with; /* its own steps, not those of each */
    int line;
    struct test_case *next;
};

void test_enter(struct test_case *test);
void test_each(test_step before, test_step after);
void test_all(test_step before, test_step after);

#define TEST_ENTER(name, ...)                                                                      \
    static void name(void);                                                                        \
    __attribute__((constructor)) static void name##_enters(void)                                   \
    {                                                                                              \
        static struct test_case name##_case = {#name, name, __VA_ARGS__, __LINE__, NULL};          \
        test_enter(&name##_case);                                                                  \
    }                                                                                              \
    static void name(void)
#define TEST(name) TEST_ENTER(name, NULL, NULL, false)
#define TEST_WITH(name, before, after) TEST_ENTER(name, before, after, true)

#define TEST_STEPS(which, before, after)                                                           \
    __attribute__((constructor)) static void which##_enters(void)                                  \
    {                                                                                              \
        which(before, after);                                                                      \
    }
#define TEST_EACH(before, after) TEST_STEPS(test_each, before, after)
#define TEST_ALL(before, after) TEST_STEPS(test_all, before, after)

#endif
