/*
 * Windows in the database. The rows that members are shown are written down soon after: which rows
 * came into a window and which left it, a moment's worth in one transaction. So a client that kept
 * its rows and no cursor learns its deletes, also after a crash (recall.c).
 *
 * The writer gets this in one job at a time. Once it has all windows, it also gets the change up to
 * which that holds: no client has been shown anything of a later change that the database does not
 * know.
 */
#include "store/watched.h"
#include "window/reading.h"

#include <stdio.h>

enum {
    KEEP_MS = 200,              /* between two jobs, when rows came or left */
    SETTLE_MS = 2000,           /* and when only the position is another */
    IDLE_MS = 30000,            /* the same, while nobody watches */
    RETRY_MS = 2000,            /* after one that failed */
    KEEP_CHANGES = 1000,        /* so many behind the position are as rows that came */
    KEEP_MOVES = 4000,          /* in one job; a single window may have more */
    KEEP_LEFT = 4096,           /* rows that left a window, for each */
    FORGET_ROWS = 2000,         /* of windows that nobody watches any more, in one job, */
    FORGET_WINDOWS = 200,       /* ... and so many of these */
    SLICE_MS = 20,              /* between two jobs that only forget */
    FORGET_MS = 60 * 1000,      /* between two jobs for that alone, at most */
    DATABASE_ROWS = 500 * 1000, /* of all windows that it has, */
    LEAST_WINDOWS = 1000 /* ... which are twice as many as may be watched, but at least so many */
};

/* One window's part of a job. */
struct keep_part {
    struct window *window; /* pinned */
    char *name;
    int64_t change;
    bool renewed; /* it was told before */
    struct window_rows moves;
};

struct keep_job {
    struct write_job job;
    struct hub *hub;
    struct keep_part *parts;
    size_t count;
    int64_t change; /* up to which all is told; -1: as before; INT64_MAX: nobody watches any more */
    int64_t coalesced; /* the same, of views that coalesce too */
    int64_t at;
    int64_t grown; /* rows that it added */
    struct {
        int64_t rows, windows;
    } bounds; /* of the tables; beyond them windows go before their time */
    struct store_watched_limits limits;
    struct store_watched_state state; /* of the database, after it */
};

/* ---- on the writer ---- */

static bool write_part(struct keep_job *keep, struct keep_part *part, struct store_writer *store,
                       int64_t *grown, struct error *error)
{
    struct store_watched window = {.name = span_of(part->name),
                                   .change = part->change,
                                   .at = keep->at,
                                   .renewed = part->renewed};
    int64_t id;
    bool kept;
    if (!store_watched_put(store, &window, &id, &kept, error))
        return false;
    for (size_t i = 0; kept && i < part->moves.count; i++) {
        const struct window_row *move = part->moves.list[i];
        int64_t left_at = move->mark == MOVE_LEFT ? keep->at : 0;
        if (!store_watched_row(store, id, window_row_key(move), left_at, grown, error))
            return false;
    }
    return store_watched_trim(store, id, keep->limits.before, KEEP_LEFT, grown, error);
}

static bool put_noted(struct store_writer *store, const char *name, int64_t noted,
                      struct error *error)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)noted);
    return store_meta_put(store, name, span_of(noted == INT64_MAX ? ENGINE_WATCHED_ALL : text),
                          error);
}

static bool run(struct write_job *job, struct store_writer *store, struct error *error)
{
    struct keep_job *keep = (struct keep_job *)job;
    keep->grown = 0;
    for (size_t i = 0; i < keep->count; i++)
        if (!write_part(keep, &keep->parts[i], store, &keep->grown, error))
            return false;
    return store_watched_forget(store, &keep->limits, keep->grown, &keep->state, error) &&
           (keep->change < 0 ||
            (put_noted(store, ENGINE_WATCHED_CHANGE, keep->change, error) &&
             put_noted(store, ENGINE_WATCHED_COALESCED, keep->coalesced, error)));
}

/* ---- what is to be told ---- */

/* The newest counts; without memory for it, it is as if the window had too many rows. */
static void add_move(struct window *window, struct window_row *move, bool newer)
{
    struct window_row *old = map_get(&window->kept.moves, window_row_key(move));
    if (old && newer)
        old->mark = move->mark;
    if (old || !map_add(&window->kept.moves, move))
        memory_free(move);
}

static void add_moves(struct window *window, struct window_rows *moves, bool newer)
{
    for (size_t i = 0; i < moves->count; i++)
        add_move(window, moves->list[i], newer);
    memory_free(moves->list);
    *moves = (struct window_rows){.list = NULL};
}

static void drop_moves(struct window *window)
{
    size_t position = 0;
    struct window_row *move;
    while ((move = map_next(&window->kept.moves, &position)))
        memory_free(move);
    map_fini(&window->kept.moves);
    map_init(&window->kept.moves, window_row_map_key);
}

/* A window that the database does not know at all comes first. */
static void tell(struct window *window)
{
    struct link *moved = &window->hub->windows->moved;
    if (!link_alone(&window->kept.in_moved))
        return;
    if (window->kept.us)
        link_append(moved, &window->kept.in_moved);
    else
        link_prepend(moved, &window->kept.in_moved);
}

static void decide(struct window *window)
{
    struct windows *windows = window->hub->windows;
    INVARIANT(!window->kept.rows);
    bool room = windows->kept_rows + window->content.rows.count <= WINDOW_KEPT_ROWS;
    window->kept.state = room ? WINDOW_KEPT : WINDOW_NOT_KEPT;
    window->kept.rows = room ? window->content.rows.count : 0;
    windows->kept_rows += window->kept.rows;
    tell(window);
}

void window_keep(struct window *window, struct window_result *result)
{
    INVARIANT(window->published.change <= window->content.position);
    window->published.change = window->content.position;
    if (!result->keeps)
        return;
    if (window->kept.state == WINDOW_UNDECIDED)
        decide(window);
    if (window->kept.state != WINDOW_KEPT || !result->moves.count)
        return;
    add_moves(window, &result->moves, true);
    tell(window);
}

void window_keep_end(struct window *window)
{
    INVARIANT(window->hub->windows->kept_rows >= window->kept.rows);
    window->hub->windows->kept_rows -= window->kept.rows;
    link_remove(&window->kept.in_moved);
    drop_moves(window);
    map_fini(&window->kept.moves);
}

/* ---- when ---- */

/* The change up to which members were shown everything, or had nothing to be shown. Windows that
 * coalesce may be behind it. Where they do not count, they do not hold up the others. */
static int64_t shown_change(const struct hub *hub, bool coalesces)
{
    int64_t change = hub->backlog.last;
    const struct link *link;
    for (link = hub->windows->active.next; link != &hub->windows->active; link = link->next) {
        const struct window *window = LINK_OWNER(struct window, in_active, link);
        bool waits = window->member_count && window->published.version > 0 &&
                     (window->stale || window->busy == WINDOW_REFRESHED) &&
                     (coalesces || !window->spec.view->coalesce_ms);
        if (waits && window->published.change < change)
            change = window->published.change;
    }
    return change;
}

/* Windows that are watched are told again in time, though nothing came or left. */
static void tell_watched(struct hub *hub, uint64_t now)
{
    uint64_t age = (uint64_t)hub->options.tombstone_ms * 1000 / 4;
    struct link *link;
    if (hub->windows->crowded)
        age = 0; /* the oldest in the database are to be those that nobody watches */
    for (link = hub->windows->all.next; link != &hub->windows->all; link = link->next) {
        struct window *window = LINK_OWNER(struct window, in_windows, link);
        bool counts = window->kept.state != WINDOW_UNDECIDED && !window->spec.is_extra;
        if (window->member_count && counts && now - window->kept.us > age)
            tell(window);
    }
}

/* Soon while much changes: what the log loses meanwhile is kept apart, which costs the writer. */
static uint64_t settling_us(const struct hub *hub)
{
    const struct windows *windows = hub->windows;
    int64_t behind = hub->backlog.last - windows->kept_change;
    if (behind >= KEEP_CHANGES)
        return 0;
    if (behind > 0 && windows->members)
        return SETTLE_MS * 1000;
    bool waits = behind > 0 || hub->backlog.last > windows->kept_coalesced;
    return waits ? IDLE_MS * 1000 : UINT64_MAX;
}

/* Also one window after the other, each watched for the first time, is not a job for each. */
uint64_t windows_keep_due(const struct hub *hub)
{
    const struct windows *windows = hub->windows;
    uint64_t due = windows->forget_us;
    if (windows->keeping || !hub->engine)
        return UINT64_MAX;
    uint64_t settling = hub->options.tombstone_ms > 0 ? settling_us(hub) : UINT64_MAX;
    if (!link_alone(&windows->moved))
        due = 0;
    else if (settling != UINT64_MAX && windows->kept_us + settling < due)
        due = windows->kept_us + settling;
    if (windows->forget_slices)
        due = 0;
    uint64_t soonest = windows->kept_us + (windows->forget_slices ? SLICE_MS : KEEP_MS) * 1000;
    return due > soonest ? due : soonest;
}

/* ---- a job ---- */

static void free_job(struct keep_job *keep)
{
    for (size_t i = 0; i < keep->count; i++) {
        INVARIANT(keep->parts[i].window->source.pins > 0);
        keep->parts[i].window->source.pins--;
        memory_free(keep->parts[i].name);
        window_rows_fini(&keep->parts[i].moves);
    }
    memory_free(keep->parts);
    memory_free(keep);
}

/* Moves that this job cannot write go into a later one, unless something newer is known of the
 * row. */
static void give_back(struct keep_job *keep)
{
    for (size_t i = 0; i < keep->count; i++) {
        add_moves(keep->parts[i].window, &keep->parts[i].moves, false);
        tell(keep->parts[i].window);
    }
}

/* The database has more rows than it may. Then a quarter goes. */
static bool is_crowded(const struct keep_job *keep)
{
    const struct store_watched_state *state = &keep->state;
    return state->rows > keep->bounds.rows || state->windows > keep->bounds.windows ||
           (state->more && keep->limits.rows < INT64_MAX);
}

/* When something in the database gets old. */
static uint64_t next_forget_us(const struct keep_job *keep)
{
    uint64_t now = keep->hub->windows->kept_us;
    int64_t wait = FORGET_MS, oldest = keep->state.oldest_at;
    if (oldest == INT64_MAX)
        return UINT64_MAX;
    if (oldest - keep->limits.before < wait)
        wait = oldest - keep->limits.before + 1;
    if (wait < SETTLE_MS)
        wait = SETTLE_MS;
    return keep->state.more || is_crowded(keep) ? now : now + (uint64_t)wait * 1000;
}

static unsigned slices_of(int64_t came, int64_t step)
{
    return came > 0 ? (unsigned)((2 * came + step - 1) / step) : 0;
}

/*
 * Twice as many rows go as come, before more come, so the tables come within their bounds however
 * fast they grow. Each job takes few, because the writer does nothing else meanwhile. Rows that a
 * client watches were written again with the new ones, so they are not the oldest by then.
 */
static void owe(struct windows *windows, const struct keep_job *keep)
{
    unsigned rows = slices_of(keep->grown, FORGET_ROWS);
    unsigned count = slices_of((int64_t)keep->count, FORGET_WINDOWS);
    if (!keep->state.more)
        windows->forget_slices = 0;
    else if (keep->count)
        windows->forget_slices = rows > count ? rows : count;
    else if (windows->forget_slices)
        windows->forget_slices--;
}

static void deliver(struct engine_event *event)
{
    struct keep_job *keep = (struct keep_job *)event;
    struct windows *windows = keep->hub->windows;
    windows->keeping = false;
    if (keep->job.error.code != ERROR_NONE) {
        give_back(keep);
        windows->kept_us += RETRY_MS * 1000;
    } else {
        for (size_t i = 0; i < keep->count; i++)
            keep->parts[i].window->kept.told = true;
        if (keep->change >= 0) {
            windows->kept_change = keep->change;
            windows->kept_coalesced = keep->coalesced;
        }
        windows->crowded = is_crowded(keep);
        owe(windows, keep);
        windows->forget_us = next_forget_us(keep);
    }
    free_job(keep);
}

static bool take_part(struct keep_job *keep, struct window *window, uint64_t now)
{
    struct keep_part *part = &keep->parts[keep->count];
    struct window_row *move;
    size_t position = 0;
    *part = (struct keep_part){
        .window = window,
        .name = memory_copy_string(window->name, strlen(window->name)),
        .change = window->kept.state == WINDOW_KEPT ? window->published.change : -1,
        .renewed = window->kept.told};
    if (!part->name)
        return false;
    while ((move = map_next(&window->kept.moves, &position)))
        if (!window_rows_add(&part->moves, move)) {
            memory_free(part->moves.list);
            memory_free(part->name);
            return false;
        }
    map_fini(&window->kept.moves);
    map_init(&window->kept.moves, window_row_map_key);
    link_remove(&window->kept.in_moved);
    window->kept.us = now;
    window->source.pins++;
    keep->count++;
    return true;
}

/* All that wait, or as many as go into one job. */
static void take_parts(struct keep_job *keep, uint64_t now)
{
    struct windows *windows = keep->hub->windows;
    size_t capacity = windows->count, moves = 0;
    keep->parts = capacity ? memory_new(capacity * sizeof *keep->parts) : NULL;
    while (keep->parts && keep->count < capacity && moves < KEEP_MOVES &&
           !link_alone(&windows->moved)) {
        struct window *window = LINK_OWNER(struct window, kept.in_moved, windows->moved.next);
        if (!take_part(keep, window, now))
            break;
        moves += keep->parts[keep->count - 1].moves.count;
    }
    keep->change = link_alone(&windows->moved) ? shown_change(keep->hub, false) : -1;
    keep->coalesced = shown_change(keep->hub, true);
}

static void set_limits(struct keep_job *keep)
{
    struct hub *hub = keep->hub;
    int64_t windows = 2 * (int64_t)hub->options.max_windows;
    keep->bounds.rows = DATABASE_ROWS;
    keep->bounds.windows = windows > LEAST_WINDOWS ? windows : LEAST_WINDOWS;
    keep->limits = (struct store_watched_limits){.row_step = FORGET_ROWS,
                                                 .window_step = FORGET_WINDOWS,
                                                 .before = engine_times(hub->engine).due -
                                                           hub->options.tombstone_ms,
                                                 .rows = INT64_MAX,
                                                 .windows = INT64_MAX,
                                                 .now = keep->at};
    if (hub->windows->crowded) {
        keep->limits.rows = keep->bounds.rows / 4 * 3;
        keep->limits.windows = keep->bounds.windows / 4 * 3;
    }
}

static void keep_now(struct hub *hub, uint64_t now, bool last)
{
    struct windows *windows = hub->windows;
    struct keep_job *keep = memory_new(sizeof *keep);
    if (!keep)
        return;
    keep->job = (struct write_job){.event.deliver = deliver, .run = run};
    keep->hub = hub;
    keep->at = engine_times(hub->engine).now;
    set_limits(keep);
    tell_watched(hub, now);
    keep->change = -1;
    if (last || !windows->forget_slices)
        take_parts(keep, now);
    if (hub->options.tombstone_ms <= 0)
        keep->change = -1; /* no window is kept; those of before go */
    if (last && keep->change >= 0)
        keep->change = keep->coalesced = INT64_MAX;
    windows->kept_us = now;
    windows->keeping = engine_write(hub->engine, &keep->job);
    if (windows->keeping)
        return;
    give_back(keep); /* too many jobs wait, or the engine ends */
    free_job(keep);
}

void windows_keep(struct hub *hub)
{
    uint64_t now = clock_monotonic_us();
    if (windows_keep_due(hub) <= now)
        keep_now(hub, now, false);
}

void windows_keep_last(struct hub *hub)
{
    struct windows *windows = hub->windows;
    if (hub->options.tombstone_ms <= 0)
        return;
    do {
        keep_now(hub, clock_monotonic_us(), true);
    } while (windows->keeping && !link_alone(&windows->moved));
}
