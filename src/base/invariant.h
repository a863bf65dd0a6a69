/*
 * INVARIANT(condition): a condition that must hold, in every build. If it does not, the process
 * names it and ends at once. Nothing committed is lost by that; a wrong state that is served
 * further might lose it.
 */
#ifndef BASE_INVARIANT_H
#define BASE_INVARIANT_H

#define INVARIANT(condition)                                                                       \
    (__builtin_expect(!!(condition), 1) ? (void)0                                                  \
                                        : invariant_broken(#condition, __func__, __LINE__))

/* Any thread; never returns. */
void invariant_broken(const char *condition, const char *function, int line)
    __attribute__((noreturn, cold));

#endif
