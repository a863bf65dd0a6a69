/*
 * A wall clock in the test's hand, for a program that is started with this library in LD_PRELOAD:
 * the file that STELE_TEST_CLOCK names holds two 64-bit numbers, nanoseconds that are added to the
 * wall clock and to the monotonic clock, and may be changed while the program runs
 * (tests/clients/lib/clock.js). Waits on a condition end by them, too. Without that file the clocks
 * are as they are.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { WALL, MONOTONIC, CLOCKS };

enum { SECONDS_ON = 1000000000 };

typedef int clock_function(clockid_t clock, struct timespec *now);
typedef int wait_function(pthread_cond_t *condition, pthread_mutex_t *mutex,
                          const struct timespec *until);

static volatile const int64_t *added; /* NULL: nothing */
static clock_function *real_clock;
static wait_function *real_wait;

__attribute__((constructor)) static void begin(void)
{
    const char *name = getenv("STELE_TEST_CLOCK");
    int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    real_clock = (clock_function *)dlsym(RTLD_NEXT, "clock_gettime");
    real_wait = (wait_function *)dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    if (file < 0)
        return;
    void *memory = mmap(NULL, CLOCKS * sizeof *added, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (memory != MAP_FAILED)
        added = memory;
}

static void add(struct timespec *now, int64_t nanoseconds)
{
    int64_t sum = now->tv_nsec + nanoseconds % 1000000000;
    now->tv_sec += nanoseconds / 1000000000 + sum / 1000000000;
    now->tv_nsec = sum % 1000000000;
    if (now->tv_nsec < 0) {
        now->tv_nsec += 1000000000;
        now->tv_sec--;
    }
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    if (!real_clock) /* somebody's constructor comes before ours */
        real_clock = (clock_function *)dlsym(RTLD_NEXT, "clock_gettime");
    int result = real_clock(clock, now);
    if (result != 0 || !added)
        return result;
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
        add(now, added[WALL]);
    if (clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE || clock == CLOCK_BOOTTIME)
        add(now, added[MONOTONIC]);
    return result;
}

/* The kernel keeps its own clocks: a moment by ours is another by those. */
int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until)
{
    struct timespec moment = *until;
    if (!real_wait)
        real_wait = (wait_function *)dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    if (added) /* no machine has been on since 1970 */
        add(&moment, -added[until->tv_sec > SECONDS_ON ? WALL : MONOTONIC]);
    return real_wait(condition, mutex, &moment);
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec wall;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &wall) != 0)
        return -1;
    *now = (struct timeval){.tv_sec = wall.tv_sec, .tv_usec = wall.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *now)
{
    struct timespec wall;
    if (clock_gettime(CLOCK_REALTIME, &wall) != 0)
        return -1;
    if (now)
        *now = wall.tv_sec;
    return wall.tv_sec;
}
