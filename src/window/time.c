/*
 * Windows whose query asks for the time. A row can begin to match, or cease to, without a change of
 * its own: at its *turn*, a second that follows from its values. If matches are kept, so are the
 * turns, also of rows that do not match yet; at each the row is looked up and checked again. Else
 * the rows are read anew at each refresh, and the first turn among them is enough.
 *
 * A window's `now` is the second as of which its rows match. Like the engine's clock, it does not
 * go back by less than BACK_SECONDS; by more, the window is filled anew.
 */
#include "window/window_internal.h"

#include <stddef.h>

enum {
    WINDOW_TURNS = 10, /* turns for each row that a window may have */
    BACK_SECONDS = 10, /* as derived views bear it */
    FAR_SECONDS = 3600
};

struct window_turn {
    struct heap_entry in_turns;
    uint32_t length;
    char key[];
};

static struct window_turn *turn_of(struct heap_entry *entry)
{
    return (struct window_turn *)((char *)entry - offsetof(struct window_turn, in_turns));
}

struct span window_turn_map_key(const void *turn)
{
    const struct window_turn *it = turn;
    return span_make(it->key, it->length);
}

static void free_turn(struct window_matches *matches, struct window_turn *turn)
{
    map_remove(&matches->turn_by_key, window_turn_map_key(turn));
    heap_remove(&matches->turns, &turn->in_turns);
    memory_free(turn);
}

void window_turns_clear(struct window_matches *matches)
{
    struct heap_entry *entry;
    while ((entry = heap_first(&matches->turns)))
        free_turn(matches, turn_of(entry));
}

static bool add_turn(struct window_matches *matches, struct span key, int64_t at,
                     struct error *error)
{
    struct window_turn *turn = memory_new(sizeof *turn + key.length);
    if (turn) {
        turn->length = (uint32_t)key.length;
        memcpy(turn->key, key.data, key.length);
    }
    if (!turn || !map_add(&matches->turn_by_key, turn)) {
        memory_free(turn);
        return error_set(error, ERROR_MEMORY, "out of memory while filtering a view");
    }
    heap_add(&matches->turns, &turn->in_turns, at);
    return true;
}

static bool is_full(const struct window_matches *matches, int64_t max_rows)
{
    return (int64_t)matches->turn_by_key.count / WINDOW_TURNS >= max_rows;
}

bool window_note_turn(struct window *window, struct span key, struct span data, int64_t max_rows,
                      struct error *error)
{
    if (!view_query_traits(window->spec.query).is_timed)
        return true;
    struct window_matches *matches = window->matches;
    struct window_turn *turn = map_get(&matches->turn_by_key, key);
    int64_t at = data.data && window_sees(window, key, data)
                     ? view_query_rechecks(window->spec.query, data, window->time.now)
                     : INT64_MAX;
    if (turn && turn->in_turns.order == at)
        return true;
    if (turn)
        free_turn(matches, turn);
    if (at == INT64_MAX)
        return true;
    if (is_full(matches, max_rows))
        return error_set(error, ERROR_TOO_LARGE,
                         "time is still to change whether the query holds for more than %lld rows; "
                         "leave rows out, define a view with that filter, or raise max_window_rows",
                         (long long)max_rows * WINDOW_TURNS);
    return add_turn(matches, key, at, error);
}

void window_expect_turn(struct window *window, struct span data)
{
    int64_t at = view_query_rechecks(window->spec.query, data, window->time.now);
    if (at < window->time.turn)
        window->time.turn = at;
}

void window_expect_first_turn(struct window *window)
{
    const struct heap_entry *first = heap_first(&window->matches->turns);
    window->time.turn = first ? first->order : INT64_MAX;
}

bool window_take_rechecks(struct window *window, int64_t now,
                          bool (*each)(void *argument, struct span key), void *argument)
{
    struct window_matches *matches = window->matches;
    struct heap_entry *entry;
    window->time.now = matches->now = now > matches->now ? now : matches->now;
    while ((entry = heap_first(&matches->turns)) && entry->order <= matches->now) {
        struct window_turn *turn = turn_of(entry);
        bool done = each(argument, window_turn_map_key(turn));
        free_turn(matches, turn);
        if (!done)
            return false;
    }
    return true;
}

bool window_is_ahead(const struct window *window, int64_t now)
{
    return view_query_traits(window->spec.query).is_timed &&
           now < window->matches->now - BACK_SECONDS;
}

/* ---- on the loop ---- */

int64_t window_turns_in(const struct window *window, int64_t now_ms)
{
    int64_t at = window->content.known ? window->time.turn : INT64_MAX;
    if (!view_query_traits(window->spec.query).is_timed || at == INT64_MAX)
        return INT64_MAX;
    if (at > now_ms / 1000 + FAR_SECONDS)
        return FAR_SECONDS * 1000; /* and then it is asked again */
    return at * 1000 > now_ms ? at * 1000 - now_ms : 0;
}
