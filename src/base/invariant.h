/*
 * INVARIANT(condition): what must hold, in every build. Where it does not, the process says which
 * one it was and ends at once: nothing committed is lost by that, and a wrong state served on might
 * lose it.
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
