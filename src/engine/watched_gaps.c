/*
 * Gaps: which changes subscribers may have been shown without a note of it, because the engine
 * ended before that was written. They outlive every later start until they are old, for whoever
 * comes back may have been away over several.
 */
#include "engine/engine_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define GAPS_NAME "watched_gaps"

struct gaps {
    struct engine_watched_gap list[ENGINE_WATCHED_GAPS];
    size_t count;
};

/* ---- as text: three numbers for each ---- */

static bool read_gap(const char **text, struct engine_watched_gap *gap)
{
    int64_t numbers[3];
    for (int i = 0; i < 3; i++) {
        char *end;
        numbers[i] = strtoll(*text, &end, 10);
        if (end == *text)
            return false;
        *text = end;
    }
    *gap = (struct engine_watched_gap){numbers[0], numbers[1], numbers[2]};
    return true;
}

static void read_gaps(const char *text, int64_t since, struct gaps *gaps)
{
    struct engine_watched_gap gap;
    gaps->count = 0;
    while (gaps->count < ENGINE_WATCHED_GAPS && read_gap(&text, &gap))
        if (gap.at >= since)
            gaps->list[gaps->count++] = gap;
}

static bool put_gaps(struct store_writer *store, const struct gaps *gaps, struct error *error)
{
    char text[ENGINE_WATCHED_GAPS * 3 * 21 + 1];
    size_t length = 0;
    for (size_t i = 0; i < gaps->count; i++) {
        const struct engine_watched_gap *gap = &gaps->list[i];
        length += (size_t)snprintf(text + length, sizeof text - length,
                                   "%s%" PRId64 " %" PRId64 " %" PRId64, i ? " " : "", gap->from,
                                   gap->to, gap->at);
    }
    return store_meta_put(store, GAPS_NAME, span_make(text, length), error);
}

/* ---- at a start ---- */

/* Where there is no room, the oldest two become one, which is as young as the second. Lives without
 * a change, as of a server that is started again and again in vain, add none. */
static void add_gap(struct gaps *gaps, struct engine_watched_gap gap)
{
    struct engine_watched_gap *newest = gaps->count ? &gaps->list[gaps->count - 1] : NULL;
    if (newest && newest->to == gap.to && gap.from == gap.to) {
        newest->at = gap.at;
        return;
    }
    if (gaps->count == ENGINE_WATCHED_GAPS) {
        gaps->list[1].from = gaps->list[0].from;
        gaps->count--;
        memmove(gaps->list, gaps->list + 1, gaps->count * sizeof *gaps->list);
    }
    gaps->list[gaps->count++] = gap;
}

static bool read_writer_gaps(struct engine *engine, int64_t since, struct gaps *gaps,
                             struct error *error)
{
    struct buffer text;
    bool found;
    buffer_init(&text, 4096);
    gaps->count = 0;
    bool done = store_meta_get(engine->writer.store, GAPS_NAME, &text, &found, error);
    if (done && found) {
        const char *string = buffer_string(&text);
        done = string || error_set(error, ERROR_MEMORY, "out of memory while starting");
        if (done)
            read_gaps(string, since, gaps);
    }
    buffer_fini(&text);
    return done;
}

/* What the last life left: nothing when it noted all. Where none ever noted anything, what is there
 * may have been seen. */
static bool find_gap(struct engine *engine, int64_t last, struct gaps *gaps, struct error *error)
{
    struct buffer text;
    bool found;
    buffer_init(&text, 64);
    bool done = store_meta_get(engine->writer.store, ENGINE_WATCHED_CHANGE, &text, &found, error);
    const char *string = done && found ? buffer_string(&text) : NULL;
    if (done && found && !string)
        done = error_set(error, ERROR_MEMORY, "out of memory while starting");
    bool leaves = string ? strcmp(string, ENGINE_WATCHED_ALL) != 0 : last > 0;
    if (done && leaves)
        add_gap(gaps, (struct engine_watched_gap){string ? strtoll(string, NULL, 10) : last, last,
                                                  engine_now_ms(engine)});
    buffer_fini(&text);
    return done;
}

static bool note(struct engine *engine, struct error *error)
{
    struct store_writer *store = engine->writer.store;
    int64_t since = engine_due_ms(engine) - engine->options.retention.tombstone_age_ms;
    char last[32];
    struct gaps gaps;
    snprintf(last, sizeof last, "%" PRId64, engine->writer.last_change);
    return read_writer_gaps(engine, since, &gaps, error) &&
           find_gap(engine, engine->writer.last_change, &gaps, error) &&
           put_gaps(store, &gaps, error) &&
           store_meta_put(store, ENGINE_WATCHED_CHANGE, span_of(last), error);
}

bool engine_note_watched(struct engine *engine, struct error *error)
{
    struct store_writer *store = engine->writer.store;
    bool done = store_begin(store, error) && note(engine, error) && store_commit(store, error);
    if (!done)
        store_rollback(store);
    return done;
}

/* ---- for readers ---- */

bool engine_watched_gaps(struct store_reader *reader, int64_t since,
                         struct engine_watched_gap list[ENGINE_WATCHED_GAPS], size_t *count,
                         struct error *error)
{
    struct gaps gaps = {.count = 0};
    struct buffer text;
    bool found;
    buffer_init(&text, 4096);
    bool done = store_read_meta(reader, GAPS_NAME, &text, &found, error);
    if (done && found) {
        const char *string = buffer_string(&text);
        done = string || error_set(error, ERROR_MEMORY, "out of memory while reading a window");
        if (done)
            read_gaps(string, since, &gaps);
    }
    buffer_fini(&text);
    memcpy(list, gaps.list, gaps.count * sizeof *list);
    *count = gaps.count;
    return done;
}
