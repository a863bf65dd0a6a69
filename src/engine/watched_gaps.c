/*
 * Gaps: which changes subscribers may have been shown without a note of it, because the engine
 * ended before that was written. They outlive every later start until they are old, for whoever
 * comes back may have been away over several. There are two lists: of views that coalesce, more may
 * be unnoted.
 *
 * What changed in them, and since the oldest of them, somebody will ask for. So a start pins in the
 * database which entities changed in the new ones, and trimming keeps which it takes the changes of
 * (store_watched_keys_pin, store_trim).
 */
#include "engine/engine_internal.h"
#include "store/watched.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* The facts by name: up to where it is noted, and the gaps. */
static const struct {
    const char *noted, *gaps;
} lists[ENGINE_WATCHED_LISTS] = {{ENGINE_WATCHED_CHANGE, "watched_gaps"},
                                 {ENGINE_WATCHED_COALESCED, "watched_coalesced_gaps"}};

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

static void read_gaps(const char *text, int64_t since, struct engine_gaps *gaps)
{
    struct engine_watched_gap gap;
    gaps->count = 0;
    while (gaps->count < ENGINE_WATCHED_GAPS && read_gap(&text, &gap))
        if (gap.at >= since)
            gaps->list[gaps->count++] = gap;
}

static bool put_gaps(struct store_writer *store, int which, const struct engine_gaps *gaps,
                     struct error *error)
{
    char text[ENGINE_WATCHED_GAPS * 3 * 21 + 1];
    size_t length = 0;
    for (size_t i = 0; i < gaps->count; i++) {
        const struct engine_watched_gap *gap = &gaps->list[i];
        length += (size_t)snprintf(text + length, sizeof text - length,
                                   "%s%" PRId64 " %" PRId64 " %" PRId64, i ? " " : "", gap->from,
                                   gap->to, gap->at);
    }
    return store_meta_put(store, lists[which].gaps, span_make(text, length), error);
}

/* ---- at a start ---- */

/* Without room the oldest two gaps become one, as young as the second. Lives without a change,
 * as of a server that starts again and again in vain, add none. */
static void add_gap(struct engine_gaps *gaps, struct engine_watched_gap gap)
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

static bool read_writer_gaps(struct store_writer *store, int which, int64_t since,
                             struct engine_gaps *gaps, struct error *error)
{
    struct buffer text;
    bool found;
    buffer_init(&text, 4096);
    gaps->count = 0;
    bool done =
        store_read_meta(store_writer_reader(store), lists[which].gaps, &text, &found, error);
    if (done && found) {
        const char *string = buffer_string(&text);
        done = string || error_set(error, ERROR_MEMORY, "out of memory while starting");
        if (done)
            read_gaps(string, since, gaps);
    }
    buffer_fini(&text);
    return done;
}

/* Up to which change all that was shown is noted; where nobody ever noted anything, it stays. */
static bool read_noted(struct store_writer *store, int which, int64_t *noted, struct error *error)
{
    struct buffer text;
    bool found;
    buffer_init(&text, 64);
    bool done =
        store_read_meta(store_writer_reader(store), lists[which].noted, &text, &found, error);
    const char *string = done && found ? buffer_string(&text) : NULL;
    if (done && found && !string)
        done = error_set(error, ERROR_MEMORY, "out of memory while reading what was noted");
    if (string)
        *noted = strcmp(string, ENGINE_WATCHED_ALL) == 0 ? INT64_MAX : strtoll(string, NULL, 10);
    buffer_fini(&text);
    return done;
}

/* The gap of the last life: none when it noted everything. If no life ever noted anything, all
 * rows may have been seen; a former version noted nothing apart for views that coalesce. */
static bool find_gap(struct engine *engine, int which, int64_t last, struct error *error)
{
    struct store_writer *store = engine->writer.store;
    int64_t from = last > 0 ? last : INT64_MAX;
    if (!read_noted(store, 0, &from, error) || (which && !read_noted(store, which, &from, error)))
        return false;
    if (from != INT64_MAX)
        add_gap(&engine->writer.gaps[which],
                (struct engine_watched_gap){from, last, engine_times(engine).now});
    return true;
}

/* The gaps before the last one are pinned already, unless this is new to the file. */
static bool pin(struct engine *engine, int which, bool all, struct error *error)
{
    const struct engine_gaps *gaps = &engine->writer.gaps[which];
    bool done = true;
    for (size_t i = all || !gaps->count ? 0 : gaps->count - 1; done && i < gaps->count; i++)
        done = store_watched_keys_pin(engine->writer.store, gaps->list[i].from, gaps->list[i].to,
                                      error);
    return done;
}

static bool note_list(struct engine *engine, int which, int64_t since, bool all,
                      struct error *error)
{
    struct store_writer *store = engine->writer.store;
    struct engine_gaps *gaps = &engine->writer.gaps[which];
    return read_writer_gaps(store, which, since, gaps, error) &&
           find_gap(engine, which, engine->writer.open.last_change, error) &&
           put_gaps(store, which, gaps, error) && pin(engine, which, all, error);
}

static bool note(struct engine *engine, struct error *error)
{
    struct store_writer *store = engine->writer.store;
    int64_t age = engine->options.retention.tombstone_age_ms,
            since = engine_times(engine).due - age;
    char last[32];
    bool all, done = store_watched_keys_start(store, age > 0, &all, error);
    snprintf(last, sizeof last, "%" PRId64, engine->writer.open.last_change);
    for (int i = 0; done && i < ENGINE_WATCHED_LISTS; i++)
        done = note_list(engine, i, since, all, error);
    for (int i = 0; done && i < ENGINE_WATCHED_LISTS; i++)
        done = store_meta_put(store, lists[i].noted, span_of(last), error);
    return done;
}

bool engine_note_watched(struct engine *engine, struct error *error)
{
    struct store_writer *store = engine->writer.store;
    bool done = store_begin(store, error) && note(engine, error) && store_commit(store, error);
    if (!done)
        store_rollback(store);
    return done;
}

/* ---- while it runs ---- */

static void lower(int64_t *number, int64_t bound)
{
    if (bound < *number)
        *number = bound;
}

/* Of what nobody noted yet the newest changes count, as at a start (store_watched_keys_pin). */
bool engine_watched_from(struct engine *engine, struct engine_watched *watched, struct error *error)
{
    int64_t age = engine->options.retention.tombstone_age_ms,
            since = engine_times(engine).due - age;
    int64_t least =
        store_writer_state(engine->writer.store).log->last_change - STORE_WATCHED_CHANGES;
    *watched = (struct engine_watched){INT64_MAX, INT64_MAX};
    for (int i = 0; age > 0 && i < ENGINE_WATCHED_LISTS; i++) {
        const struct engine_gaps *gaps = &engine->writer.gaps[i];
        int64_t noted = 0;
        if (!read_noted(engine->writer.store, i, &noted, error))
            return false;
        lower(&watched->changes, noted > least ? noted : least);
        for (size_t j = 0; j < gaps->count; j++) {
            if (gaps->list[j].at < since)
                continue;
            lower(&watched->pinned, gaps->list[j].from);
            if (gaps->list[j].from >= least)
                lower(&watched->changes, gaps->list[j].from);
        }
    }
    return true;
}

/* ---- for readers ---- */

bool engine_watched_gaps(struct store_reader *reader, bool coalesces, int64_t since,
                         struct engine_watched_gap list[ENGINE_WATCHED_GAPS], size_t *count,
                         struct error *error)
{
    struct engine_gaps gaps = {.count = 0};
    struct buffer text;
    bool found;
    buffer_init(&text, 4096);
    bool done = store_read_meta(reader, lists[coalesces].gaps, &text, &found, error);
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
