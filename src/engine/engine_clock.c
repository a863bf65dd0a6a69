/*
 * The engine's clock: the wall clock, as far as it can be believed (see base/clock_watch.h). The
 * database keeps the trusted state, so a restart knows it: the time, how far the boot clock was
 * then, and which start of the machine that counts from.
 */
#include "engine/engine_internal.h"

#include <stdio.h>

#define CLOCK_NAME "clock"

enum { SAVE_MS = 60 * 1000, MINUTES = CLOCK_SETTLE_MS / (60 * 1000) };

static int64_t wall_clock(const struct engine *engine)
{
    const struct engine_options *options = &engine->options;
    return options->wall_ms ? options->wall_ms(options->wall_argument) : clock_wall_ms();
}

/* A wall clock that a test gives without the other one is believed: they go together. */
static int64_t boot_clock(const struct engine *engine, int64_t wall)
{
    const struct engine_options *options = &engine->options;
    if (options->boot_ms)
        return options->boot_ms(options->wall_argument);
    return options->wall_ms ? wall : clock_boot_ms();
}

static void report(const struct engine *engine, enum clock_event event,
                   const struct clock_watch *watch, int64_t wall, int64_t boot)
{
    int64_t off = (wall - boot - watch->distance) / 1000;
    const char *file = database_state(engine->facts.database).path;
    char hint[160];
    switch (event) {
    case CLOCK_STEADY:
        break;
    case CLOCK_PARTED:
        snprintf(hint, sizeof hint,
                 "the wall clock was set by that much: it is believed when it stays so for %d "
                 "minutes; until then nothing goes by age",
                 MINUTES);
        log_warning("engine", "clock-parted", log_text("file", file), log_number("seconds", off),
                    log_text("hint", hint));
        break;
    case CLOCK_RETURNED:
        log_info("engine", "clock-returned", log_text("file", file));
        break;
    case CLOCK_SETTLED:
        log_warning("engine", "clock-settled", log_text("file", file),
                    log_text("hint", "the wall clock as it was set is believed from now on"));
        break;
    }
}

struct clock_times engine_times(struct engine *engine)
{
    struct engine_clock *clock = &engine->clock;
    struct clock_times times;
    pthread_mutex_lock(&clock->mutex);
    int64_t wall = wall_clock(engine), boot = boot_clock(engine, wall);
    enum clock_event event = clock_watch_look(&clock->watch, wall, boot, &times);
    struct clock_watch watch = clock->watch;
    if (event == CLOCK_SETTLED)
        clock->saved_at = 0;
    pthread_mutex_unlock(&clock->mutex);
    report(engine, event, &watch, wall, boot);
    return times;
}

/* ---- over a restart ---- */

struct saved {
    long long wall, boot;
    char boot_id[CLOCK_BOOT_ID_SIZE];
};

static bool read_saved(struct engine *engine, struct saved *saved, bool *found, struct error *error)
{
    struct buffer value;
    buffer_init(&value, 128);
    bool done = store_read_meta(store_writer_reader(engine->writer.store), CLOCK_NAME, &value,
                                found, error);
    const char *text = done && *found ? buffer_string(&value) : NULL;
    *found =
        text && sscanf(text, "%lld %lld %36s", &saved->wall, &saved->boot, saved->boot_id) == 3;
    buffer_fini(&value);
    return done;
}

static void tell_unconfirmed(const struct engine *engine, int64_t seconds)
{
    char hint[160];
    snprintf(hint, sizeof hint,
             "so long after the time that was seen last: for %d minutes nothing goes by age",
             MINUTES);
    log_info("engine", "clock-unconfirmed",
             log_text("file", database_state(engine->facts.database).path),
             log_number("seconds", seconds), log_text("hint", hint));
}

bool engine_clock_open(struct engine *engine, struct error *error)
{
    struct engine_clock *clock = &engine->clock;
    struct saved saved = {0};
    char boot_id[CLOCK_BOOT_ID_SIZE];
    bool found = false;
    int64_t wall = wall_clock(engine), boot = boot_clock(engine, wall);
    if (!read_saved(engine, &saved, &found, error))
        return false;
    bool same = found && clock_boot_id(boot_id) && strcmp(boot_id, saved.boot_id) == 0 &&
                boot >= saved.boot;
    if (!found || (engine->options.wall_ms && !engine->options.boot_ms))
        clock_watch_start(&clock->watch, wall - boot);
    else if (same)
        clock_watch_start(&clock->watch, saved.wall - saved.boot);
    else
        clock_watch_restart(&clock->watch, saved.wall, wall, boot);
    if (!clock->watch.is_certain)
        tell_unconfirmed(engine, (wall - saved.wall) / 1000);
    return true;
}

bool engine_clock_save(struct engine *engine, enum engine_clock_save when, struct error *error)
{
    struct engine_clock *clock = &engine->clock;
    struct clock_times times = engine_times(engine);
    char text[128], boot_id[CLOCK_BOOT_ID_SIZE];
    pthread_mutex_lock(&clock->mutex);
    int64_t boot = times.now - clock->watch.distance;
    bool saves =
        clock->watch.is_certain && (when == CLOCK_SAVE_NOW || !clock->saved_at ||
                                    (when == CLOCK_SAVE_DUE && boot - clock->saved_at >= SAVE_MS));
    if (saves)
        clock->saved_at = boot ? boot : 1;
    pthread_mutex_unlock(&clock->mutex);
    if (!saves)
        return true;
    snprintf(text, sizeof text, "%lld %lld %s", (long long)times.now, (long long)boot,
             clock_boot_id(boot_id) ? boot_id : "-");
    return store_meta_put(engine->writer.store, CLOCK_NAME, span_of(text), error);
}
