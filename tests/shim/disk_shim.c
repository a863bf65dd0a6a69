/*
 * A disk in the test's hand, for a program that is started with this library in LD_PRELOAD: the
 * file that STELE_TEST_DISK names holds a 32-bit number for each kind of fault below
 * (tests/clients/lib/disk.js). A number of faults is counted down with each of them.
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

enum fault {
    SYNCS,     /* of a write-ahead log: so many fail */
    DATABASE,  /* not 0: the database's own file takes neither writes nor syncs */
    SHORT,     /* so many writes to a write-ahead log write half of what they were given */
    TORN,      /* likewise, and then the one that goes on fails */
    TORN_HALF, /* such a write is half done */
    CUTS,      /* of a write-ahead log: so many fail */
    COPY,      /* 0: nothing; else what the server writes to a copy waits when so many less one are
                * written */
    FAULTS
};

static _Atomic int *faults; /* NULL: none */

__attribute__((constructor)) static void begin(void)
{
    const char *name = getenv("STELE_TEST_DISK");
    int file = name ? open(name, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *memory = mmap(NULL, FAULTS * sizeof *faults, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (memory != MAP_FAILED)
        faults = memory;
}

static int ends_with(int file, const char *ending)
{
    char link[64], name[PATH_MAX];
    size_t size = strlen(ending);
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, name, sizeof name);
    return length > (ssize_t)size && memcmp(name + length - size, ending, size) == 0;
}

static int is_log(int file)
{
    return ends_with(file, "-wal");
}

/* Whether one of these is due; it is used up. */
static int take(enum fault fault)
{
    int left = atomic_load(&faults[fault]);
    while (left > 0)
        if (atomic_compare_exchange_weak(&faults[fault], &left, left - 1))
            return 1;
    return 0;
}

static int database_fails(int file)
{
    return atomic_load(&faults[DATABASE]) && ends_with(file, ".db");
}

static int fail(void)
{
    errno = EIO;
    return -1;
}

int fdatasync(int file)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    if (faults && ((is_log(file) && take(SYNCS)) || database_fails(file)))
        return fail();
    return real(file);
}

/* How much of a write is done; 0: it fails. */
static size_t part_of(int file, size_t size)
{
    if (database_fails(file))
        return 0;
    if (!is_log(file) || size < 2)
        return size;
    if (take(TORN_HALF))
        return 0;
    if (take(TORN)) {
        atomic_store(&faults[TORN_HALF], 1);
        return size / 2;
    }
    return take(SHORT) ? size / 2 : size;
}

static void wait_for_copy(int file)
{
    if (!atomic_load(&faults[COPY]) || !ends_with(file, "-served-copy.partial"))
        return;
    int left;
    while ((left = atomic_load(&faults[COPY])) > 0) {
        if (left > 1 && atomic_compare_exchange_weak(&faults[COPY], &left, left - 1))
            return;
        if (left == 1)
            usleep(1000);
    }
}

ssize_t pwrite64(int file, const void *data, size_t size, off64_t offset)
{
    ssize_t (*real)(int, const void *, size_t, off64_t) =
        (ssize_t(*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
    if (faults)
        wait_for_copy(file);
    size_t part = faults && size ? part_of(file, size) : size;
    return part || !size ? real(file, data, part, offset) : fail();
}

int ftruncate64(int file, off64_t size)
{
    int (*real)(int, off64_t) = (int (*)(int, off64_t))dlsym(RTLD_NEXT, "ftruncate64");
    return faults && is_log(file) && take(CUTS) ? fail() : real(file, size);
}
