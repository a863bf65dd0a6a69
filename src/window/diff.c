/* Windows: how the rows that were read differ from those before, and taking them over. */
#include "window/reading.h"

static bool lacks_memory(struct window_reading *reading)
{
    return error_set(&reading->result->error, ERROR_MEMORY, "out of memory while reading a window");
}

static bool is_fresh(const struct window_reading *reading, const struct window_row *row)
{
    return row->version > reading->window->content.version;
}

static bool find_left(struct window_reading *reading)
{
    struct window *window = reading->window;
    for (size_t i = 0; i < window->content.rows.count; i++) {
        struct window_row *row = window->content.rows.list[i];
        if (row->fate == FATE_LEFT && !window_rows_add(&reading->left, row))
            return lacks_memory(reading);
    }
    return true;
}

static void forget_removals(struct window *window, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        INVARIANT(window->content.removals.floor <= window->content.removals.list[i].version);
        INVARIANT(window->content.removals.bytes >= window->content.removals.list[i].key_length);
        window->content.removals.floor = window->content.removals.list[i].version;
        window->content.removals.bytes -= window->content.removals.list[i].key_length;
        memory_free(window->content.removals.list[i].key);
    }
    window->content.removals.count -= count;
    memmove(window->content.removals.list, window->content.removals.list + count,
            window->content.removals.count * sizeof *window->content.removals.list);
}

static bool add_removal(struct window *window, const struct window_row *row)
{
    struct span key = window_row_key(row);
    if (!window->content.removals.list) {
        window->content.removals.list =
            memory_new(WINDOW_REMOVALS * sizeof *window->content.removals.list);
        if (!window->content.removals.list)
            return false;
    }
    /* In one go, so that making room is cheap for each. */
    if (window->content.removals.count == WINDOW_REMOVALS ||
        window->content.removals.bytes > WINDOW_REMOVAL_BYTES)
        forget_removals(window,
                        window->content.removals.count - window->content.removals.count / 2);
    INVARIANT(window->content.removals.count < WINDOW_REMOVALS);
    INVARIANT(!window->content.removals.count ||
              window->content.removals.list[window->content.removals.count - 1].version <=
                  window->content.version + 1);
    char *copy = memory_copy_string(key.data, key.length);
    if (!copy)
        return false;
    window->content.removals.list[window->content.removals.count++] =
        (struct window_removal){.version = window->content.version + 1,
                                .entered = row->entered,
                                .told = row->version,
                                .change = row->change,
                                .at = engine_now_ms(window->hub->engine),
                                .key_length = (uint32_t)key.length,
                                .key = copy};
    window->content.removals.bytes += key.length;
    return true;
}

static bool can_tell_events(const struct window_reading *reading)
{
    const struct window *window = reading->window;
    return window_tells_events(window) && !window->content.gap && reading->state->found &&
           window->content.position >= reading->state->log.floor_change;
}

/* Deletes for what left, upserts for what is fresh; only the last carries the new cursor. */
static bool put_difference(struct window_reading *reading, struct row_sink *sink)
{
    /* Under the one key that members asked for, what comes takes the place of what left. */
    bool replaced = window_is_keyed_by_field(reading->window) && reading->fresh_count;
    for (size_t i = 0; !replaced && i < reading->left.count; i++)
        if (!row_sink_remove(sink, window_row_key(reading->left.list[i])))
            return false;
    for (size_t i = 0; i < reading->fresh_count; i++) {
        const struct window_fresh *fresh = &reading->fresh[i];
        INVARIANT(fresh->at + fresh->length <= reading->data.length);
        struct store_entity row = {.key = window_row_key(fresh->row),
                                   .change = fresh->row->change,
                                   .data = {reading->data.data + fresh->at, fresh->length}};
        if (!row_sink_put(sink, &row))
            return false;
    }
    return true;
}

bool window_encode_difference(struct window_reading *reading, struct text **text)
{
    struct row_frames frames;
    window_frames_init(&frames, reading);
    frames.before = &reading->window->content.cursor;
    bool done = put_difference(reading, &frames.sink) && row_sink_end(&frames.sink, text);
    row_frames_fini(&frames);
    return done || lacks_memory(reading);
}

static bool encode(struct window_reading *reading)
{
    struct window_result *result = reading->result;
    if (can_tell_events(reading)) {
        if (!window_encode_events(reading, &result->frames, &result->frame_count))
            return false;
    } else {
        result->frame_count = reading->left.count + reading->fresh_count;
        if (!window_encode_difference(reading, &result->frames))
            return false;
    }
    result->differs = result->frames != NULL;
    for (size_t i = 0; i < reading->left.count; i++)
        if (!add_removal(reading->window, reading->left.list[i]))
            return lacks_memory(reading);
    return true;
}

static bool add_move(struct window_result *result, struct span key, enum window_fate fate)
{
    struct window_row *move = window_row_new(key, span_make(NULL, 0), 0);
    if (move)
        move->fate = fate;
    if (move && window_rows_add(&result->moves, move))
        return true;
    memory_free(move);
    return false;
}

/* The keys that came and left, for the database. */
static bool note_moves(struct window_reading *reading)
{
    struct window_result *result = reading->result;
    int64_t version = reading->window->content.version + 1;
    bool done = true;
    for (size_t i = 0; done && result->keeps && i < reading->left.count; i++)
        done = add_move(result, window_row_key(reading->left.list[i]), FATE_LEFT);
    for (size_t i = 0; done && result->keeps && i < reading->rows.count; i++)
        if (is_fresh(reading, reading->rows.list[i]) && reading->rows.list[i]->entered == version)
            done = add_move(result, window_row_key(reading->rows.list[i]), FATE_CARRIED);
    return done || lacks_memory(reading);
}

bool window_diff(struct window_reading *reading)
{
    struct window *window = reading->window;
    struct window_result *result = reading->result;
    INVARIANT(window->content.position <= reading->state->log.last_change);
    INVARIANT(reading->fresh_count <= reading->rows.count);
    if (!find_left(reading) || (window->content.known && !encode(reading)) || !note_moves(reading))
        return false;
    result->version = window->content.version + (result->differs || !window->content.known ? 1 : 0);
    for (size_t i = 0; i < window->content.rows.count; i++)
        if (window->content.rows.list[i]->fate != FATE_CARRIED)
            memory_free(window->content.rows.list[i]);
    memory_free(window->content.rows.list);
    window->content.rows = reading->rows;
    reading->rows = (struct window_rows){.list = NULL};
    reading->left.count = 0;
    window->content.version = result->version;
    if (!window->content.known)
        window->content.first_position = reading->state->log.last_change;
    window->content.position = reading->state->log.last_change;
    window->content.membership = reading->state->log.last_membership;
    window->content.cursor = window_cursor(reading->state);
    window->content.known = true;
    window->content.gap = false;
    window->content.more = reading->more;
    buffer_clear(&window->content.next);
    return buffer_add_span(&window->content.next, buffer_span(&reading->next)) ||
           lacks_memory(reading);
}

void window_reading_fini(struct window_reading *reading)
{
    for (size_t i = 0; i < reading->rows.count; i++)
        if (is_fresh(reading, reading->rows.list[i]))
            memory_free(reading->rows.list[i]); /* it failed: the others are still the window's */
    memory_free(reading->rows.list);
    memory_free(reading->left.list);
    if (reading->old_on)
        map_fini(&reading->old);
    memory_free(reading->fresh);
    buffer_fini(&reading->data);
    buffer_fini(&reading->next);
}
