#include "base/clock.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

/* These calls cannot fail for these clocks, so the results are not looked at. */

uint64_t clock_monotonic_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

int64_t clock_wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_boot_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool clock_boot_id(char text[CLOCK_BOOT_ID_SIZE])
{
    int file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? -1 : read(file, text, CLOCK_BOOT_ID_SIZE - 1);
    if (file >= 0)
        close(file);
    text[CLOCK_BOOT_ID_SIZE - 1] = 0;
    return length == CLOCK_BOOT_ID_SIZE - 1;
}
