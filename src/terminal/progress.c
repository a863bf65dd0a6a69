#include "base/base.h"
#include "terminal/terminal.h"

#include <stdio.h>
#include <unistd.h>

enum { SHOW_US = 200 * 1000, BAR = 24 };

void progress_init(struct progress *progress, int64_t total)
{
    *progress = (struct progress){
        .total = total,
        .unit = "lines",
        .started_us = clock_monotonic_us(),
        .terminal = isatty(STDERR_FILENO) != 0,
    };
}

static void show_bar(double share, double seconds)
{
    char bar[BAR + 1];
    int full = (int)(share * BAR);
    for (int i = 0; i < BAR; i++)
        bar[i] = i < full ? '#' : '.';
    bar[BAR] = '\0';
    fprintf(stderr, "[%s] %3.0f %%  ", bar, share * 100);
    if (share > 0)
        fprintf(stderr, "%.0f s left  ", seconds * (1 - share) / share);
}

void progress_show(struct progress *progress, int64_t bytes, int64_t lines)
{
    uint64_t now = clock_monotonic_us();
    if (!progress->terminal || now - progress->shown_us < SHOW_US)
        return;
    progress->shown_us = now;
    progress->shown = true;
    double seconds = (double)(now - progress->started_us) / 1e6;
    fprintf(stderr, "\r");
    if (progress->total > 0) {
        double share = (double)bytes / (double)progress->total;
        show_bar(share < 1 ? share : 1, seconds);
    }
    /* The escape clears what a longer line left behind. */
    fprintf(stderr, "%lld %s, %.0f/s\033[K", (long long)lines, progress->unit,
            seconds > 0 ? (double)lines / seconds : 0);
    fflush(stderr);
}

void progress_hide(struct progress *progress)
{
    if (progress->shown)
        fprintf(stderr, "\r\033[K");
    progress->shown = false;
}
