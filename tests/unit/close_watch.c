#include "close_watch.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NUMBERS = 4096 };

static int (*next_close)(int descriptor);
static int unlucky = -1; /* the file that takes the numbers */
static atomic_bool watching, taken[NUMBERS];
static atomic_size_t wrong;

/* Behind ours: the sanitizer's, if there is one, or the C library's. */
__attribute__((constructor)) static void find_next(void)
{
    *(void **)&next_close = dlsym(RTLD_NEXT, "close");
}

static void note(int descriptor)
{
    atomic_fetch_add(&wrong, 1);
    fprintf(stderr, "descriptor %d was closed by somebody who did not own it\n", descriptor);
}

static void take(int descriptor)
{
    int copy = fcntl(unlucky, F_DUPFD_CLOEXEC, descriptor);
    if (copy == descriptor && descriptor < NUMBERS)
        atomic_store(&taken[descriptor], true);
    else if (copy >= 0)
        next_close(copy); /* another thread was quicker */
}

__attribute__((visibility("default"))) int close(int descriptor)
{
    if (!next_close)
        return (int)syscall(SYS_close, descriptor);
    if (!atomic_load(&watching))
        return next_close(descriptor);
    if (descriptor >= 0 && descriptor < NUMBERS && atomic_load(&taken[descriptor])) {
        note(descriptor);
        errno = EBADF;
        return -1;
    }
    int result = next_close(descriptor);
    if (result == 0)
        take(descriptor);
    else if (errno == EBADF)
        note(descriptor);
    return result;
}

void close_watch_begin(void)
{
    unlucky = memfd_create("unlucky", MFD_CLOEXEC);
    atomic_store(&wrong, 0);
    atomic_store(&watching, true);
}

static bool is_ours(int descriptor, const struct stat *ours)
{
    struct stat found;
    return fstat(descriptor, &found) == 0 && found.st_dev == ours->st_dev &&
           found.st_ino == ours->st_ino;
}

size_t close_watch_end(void)
{
    struct stat ours;
    atomic_store(&watching, false);
    fstat(unlucky, &ours);
    for (int i = 0; i < NUMBERS; i++) {
        if (!atomic_exchange(&taken[i], false))
            continue;
        if (is_ours(i, &ours))
            next_close(i);
        else /* closed by a way that does not lead through here */
            note(i);
    }
    next_close(unlucky);
    return atomic_load(&wrong);
}
