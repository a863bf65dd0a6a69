/*
 * The waits, in three orders: by slot and by change for a commit, which wakes the first ones, and
 * in a line for the clock. All wait for the same time, so the line is in order of their ends.
 */
#include "delivery/cursor_wait.h"
#include "delivery/hub_internal.h"

/* To end a connection costs something, and thousands may have come together. Messages that change
 * nothing move the position without a commit that tells so, and requests go without a word: so the
 * waits look for themselves, too. */
enum { ENDS_PER_TURN = 64, LOOK_MS = 100 };

void cursor_waits_init(struct cursor_waits *waits)
{
    *waits = (struct cursor_waits){.ms = -1};
    link_init(&waits->line);
}

void hub_set_cursor_wait(struct hub *hub, int64_t ms)
{
    hub->waits.ms = ms;
}

/* ---- where the node is ---- */

/* The last message of the log that is done with. It is never beyond the head that was told, and may
 * be behind it for a moment. */
static int64_t position_of(const struct hub *hub)
{
    const struct hub_options *options = &hub->options;
    return options->log_position ? options->log_position(options->argument) : -1;
}

/* A message that did nothing moves the position alone; so a seq in it is of no change, and need not
 * be waited for. */
bool cursor_is_ahead(const struct hub *hub, struct cursor_place place)
{
    if (hub->waits.ms < 0)
        return false;
    if (place.change)
        return place.change > hub->backlog.last;
    return seq_compare(place.seq, hub->head) > 0 && place.seq.slot > position_of(hub);
}

/* ---- waiting ---- */

static struct heap *heap_of(const struct cursor_wait *wait)
{
    struct cursor_waits *waits = &wait->hub->waits;
    return wait->place.change ? &waits->changes : &waits->seqs;
}

void cursor_wait_begin(struct hub *hub, struct cursor_wait *wait, struct cursor_place place,
                       void (*done)(struct cursor_wait *wait, const struct error *error))
{
    struct cursor_waits *waits = &hub->waits;
    INVARIANT(!heap_has(&wait->entry));
    wait->hub = hub;
    wait->place = place;
    wait->done = done;
    wait->since_us = clock_monotonic_us();
    link_init(&wait->in_line);
    link_append(&waits->line, &wait->in_line);
    heap_add(heap_of(wait), &wait->entry, place.change ? place.change : place.seq.slot);
    waits->count++;
    if (hub->options.due)
        hub->options.due(hub->options.argument);
}

void cursor_wait_end(struct cursor_wait *wait)
{
    if (!heap_has(&wait->entry))
        return;
    struct cursor_waits *waits = &wait->hub->waits;
    INVARIANT(waits->count > 0);
    heap_remove(heap_of(wait), &wait->entry);
    link_remove(&wait->in_line);
    waits->count--;
}

/* It may be freed by this, and others, too. */
static void finish(struct cursor_wait *wait, const struct error *error)
{
    cursor_wait_end(wait);
    wait->done(wait, error);
}

/* ---- the node is there ---- */

/* Of one slot any may come first; the others of it follow at once, or in the next commit. */
static void wake(struct hub *hub, struct heap *heap)
{
    struct heap_entry *first;
    while ((first = heap_first(heap))) {
        struct cursor_wait *wait = LINK_OWNER(struct cursor_wait, entry, first);
        if (cursor_is_ahead(hub, wait->place))
            break;
        counter_add(&hub->metrics.cursors_waited, 1);
        finish(wait, NULL);
    }
}

void cursor_waits_wake(struct hub *hub)
{
    wake(hub, &hub->waits.seqs);
    wake(hub, &hub->waits.changes);
}

/* ---- its time is over ---- */

static struct cursor_wait *oldest(const struct hub *hub)
{
    const struct link *line = &hub->waits.line;
    return link_alone(line) ? NULL : LINK_OWNER(struct cursor_wait, in_line, line->next);
}

/* Milliseconds until its time is over, rounded up. */
static int64_t left_of(const struct hub *hub, const struct cursor_wait *wait)
{
    uint64_t passed = clock_monotonic_us() - wait->since_us, all = (uint64_t)hub->waits.ms * 1000;
    return passed >= all ? 0 : (int64_t)((all - passed + 999) / 1000);
}

int64_t hub_due(const struct hub *hub)
{
    const struct cursor_wait *first = oldest(hub);
    int64_t left = first ? left_of(hub, first) : -1;
    return left < LOOK_MS ? left : LOOK_MS;
}

/* Each of them has a client of its own, so its end frees no other. */
static void drop_unwanted(struct hub *hub)
{
    struct link *line = &hub->waits.line, *next;
    for (struct link *at = line->next; at != line; at = next) {
        struct cursor_wait *wait = LINK_OWNER(struct cursor_wait, in_line, at);
        next = at->next;
        if (wait->is_wanted && !wait->is_wanted(wait))
            finish(wait, NULL);
    }
}

static void set_behind(const struct hub *hub, struct error *error)
{
    int64_t position = position_of(hub), head = hub->head.slot;
    error_set(error, ERROR_NODE_BEHIND,
              "this node has the log up to message %lld, and the cursor is from behind that; it "
              "waited for %lld ms (cursor_wait_ms)",
              (long long)(head > position ? head : position), (long long)hub->waits.ms);
}

void hub_take_due(struct hub *hub)
{
    struct cursor_wait *wait;
    struct error error;
    drop_unwanted(hub);
    cursor_waits_wake(hub);
    for (int i = 0; i < ENDS_PER_TURN && (wait = oldest(hub)) && !left_of(hub, wait); i++) {
        counter_add(&hub->metrics.cursors_behind, 1);
        set_behind(hub, &error);
        finish(wait, &error);
    }
}

void hub_stop_waits(struct hub *hub)
{
    struct cursor_wait *wait;
    struct error error;
    error_set(&error, ERROR_SHUTTING_DOWN, "the server is stopping; ask again");
    while ((wait = oldest(hub)))
        finish(wait, &error);
}
