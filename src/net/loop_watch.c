#include "net/loop_watch.h"

enum { MINUTE_US = 60 * 1000 * 1000 };

/* Called before each wait for events, and what a turn does is all between two of them, but for the
 * waiting, which libuv measures itself. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct loop_watch *watch = prepare->data;
    uint64_t now_us = clock_monotonic_us();
    uint64_t idle_us = uv_metrics_idle_time(prepare->loop) / 1000;
    uint64_t took_us = now_us - watch->turn_us, waited_us = idle_us - watch->idle_us;
    uint64_t busy_us = took_us > waited_us ? took_us - waited_us : 0;
    bool first = !watch->turn_us;
    watch->turn_us = now_us;
    watch->idle_us = idle_us;
    if (first) /* what came before was the opening */
        return;
    histogram_add(&watch->pauses, busy_us);
    if (now_us - watch->minute_us >= MINUTE_US) {
        watch->before_us = watch->longest_us;
        watch->longest_us = 0;
        watch->minute_us = now_us;
    }
    if (busy_us > watch->longest_us)
        watch->longest_us = busy_us;
}

void loop_watch_start(struct loop_watch *watch, uv_loop_t *loop)
{
    uv_loop_configure(loop, UV_METRICS_IDLE_TIME); /* cannot fail for this option */
    watch->minute_us = clock_monotonic_us();
    uv_prepare_init(loop, &watch->prepare);
    watch->prepare.data = watch;
    uv_prepare_start(&watch->prepare, on_prepare);
}

double loop_watch_longest(const struct loop_watch *watch)
{
    uint64_t longest_us =
        watch->longest_us > watch->before_us ? watch->longest_us : watch->before_us;
    return (double)longest_us / 1e6;
}
