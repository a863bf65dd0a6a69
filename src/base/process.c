#include "base/process.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static double seconds(const struct timeval *time)
{
    return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

static double clock_seconds(clockid_t clock)
{
    struct timespec now = {0};
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double first_start;
static pthread_once_t start_once = PTHREAD_ONCE_INIT;

/* The two clocks cannot be read at one instant, and the wall clock is corrected all the time: each
 * reading would give another start, and an alert would see a restart in each. So there is one
 * reading for the life of the process. */
static void read_start(void)
{
    first_start = clock_seconds(CLOCK_REALTIME) - clock_seconds(CLOCK_BOOTTIME);
}

static double start_of(double since_boot)
{
    pthread_once(&start_once, read_start);
    return first_start + since_boot;
}

/* Of /proc/self/stat what stands behind the name of the program, which may hold anything. */
static void read_stat(struct process_figures *figures)
{
    char text[2048];
    FILE *file = fopen("/proc/self/stat", "re");
    if (!file)
        return;
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = '\0';
    const char *rest = strrchr(text, ')');
    unsigned long long start = 0, size = 0;
    long threads = 0, pages = 0;
    /* State, then 16 numbers; threads; one; start, size, resident pages. */
    if (!rest || sscanf(rest + 1,
                        " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
                        "%ld %*s %llu %llu %ld",
                        &threads, &start, &size, &pages) != 4)
        return;
    figures->threads = (double)threads;
    figures->virtual_bytes = (double)size;
    figures->resident_bytes = (double)pages * (double)sysconf(_SC_PAGESIZE);
    figures->start_seconds = start_of((double)start / (double)sysconf(_SC_CLK_TCK));
}

static double count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    double count = -3; /* the folder's own, "." and ".." */
    if (!folder)
        return 0;
    while (readdir(folder)) /* NOLINT(concurrency-mt-unsafe): the folder is ours alone */
        count++;
    closedir(folder);
    return count;
}

void process_read(struct process_figures *figures)
{
    struct rusage usage;
    struct rlimit limit;
    *figures = (struct process_figures){0};
    read_stat(figures);
    figures->open_descriptors = count_descriptors();
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        figures->most_descriptors = (double)limit.rlim_cur;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        figures->cpu_seconds = seconds(&usage.ru_utime) + seconds(&usage.ru_stime);
}
