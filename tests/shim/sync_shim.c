/*
 * A disk in the test's hand, for a program that is started with this library in LD_PRELOAD: the
 * file that STELE_TEST_SYNC names holds a 32-bit number, so many calls of fdatasync on a
 * write-ahead log fail from now on, each of which counts it down (tests/clients/lib/disk.js).
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic int *failing; /* NULL: none */

__attribute__((constructor)) static void begin(void)
{
    const char *name = getenv("STELE_TEST_SYNC");
    int file = name ? open(name, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *memory = mmap(NULL, sizeof *failing, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (memory != MAP_FAILED)
        failing = memory;
}

static int is_log(int file)
{
    char link[64], name[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, name, sizeof name);
    return length > 4 && memcmp(name + length - 4, "-wal", 4) == 0;
}

int fdatasync(int file)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    if (failing && atomic_load(failing) > 0 && is_log(file)) {
        atomic_fetch_sub(failing, 1);
        errno = EIO;
        return -1;
    }
    return real(file);
}
