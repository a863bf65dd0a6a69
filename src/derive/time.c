/*
 * Time: derive.now goes along with the engine's clock, and never past turns that have not been
 * taken. When that clock turns out to have been ahead by seconds, it is waited for; by more,
 * derived rows go back (derive/rewind.c). At most TURNS of a stage are taken in one transaction;
 * what is left at the second where that stops keeps its turn (derive.pending) and comes next.
 */
#include "derive/derive_internal.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

enum { TURNS = 5000, REST_MS = 10 };

static int64_t present_ms(const struct derive *derive)
{
    return derive->context.now_ms(derive->context.argument);
}

static int64_t present(const struct derive *derive)
{
    return present_ms(derive) / 1000;
}

/* ---- which turn comes first ---- */

static struct derived *stage_of(struct heap_entry *entry)
{
    return (struct derived *)((char *)entry - offsetof(struct derived, turn));
}

/*
 * The stage with the first turn of all, and its second; NULL: there is none. What the heap says is
 * not later than that, and it is held against the database. Only while the open transaction, if
 * any, has changed no turn: else what is learnt here would not hold after a rollback.
 */
static bool first_turn(struct derive *derive, struct derived **first, int64_t *at,
                       struct error *error)
{
    struct heap_entry *entry;
    *first = NULL;
    *at = INT64_MAX;
    while ((entry = heap_first(&derive->turns))) {
        struct derived *derived = stage_of(entry);
        int64_t found;
        derive_note_visit(derive);
        if (!store_turn_at(derive->context.store, derived->id, 0, &found, error))
            return false;
        if (found == entry->order) {
            *first = derived;
            *at = found;
            return true;
        }
        heap_remove(&derive->turns, entry);
        if (found != INT64_MAX)
            heap_add(&derive->turns, entry, found);
    }
    return true;
}

static bool earliest_turn(struct derive *derive, int64_t *at, struct error *error)
{
    struct derived *first;
    return first_turn(derive, &first, at, error);
}

/* ---- taking turns ---- */

/* Take those stages out of the heap that have a turn by `until`. */
static bool take_due(struct derive *derive, int64_t until, struct derived **due,
                     struct error *error)
{
    struct derived *first;
    int64_t at;
    bool done;
    while ((done = first_turn(derive, &first, &at, error)) && first && at <= until) {
        heap_remove(&derive->turns, &first->turn);
        first->next_due = *due;
        *due = first;
    }
    return done;
}

/* Their orders are kept: until the transaction is committed, they still have the turns. */
static void put_back(struct derive *derive, struct derived *due)
{
    for (; due; due = due->next_due)
        heap_add(&derive->turns, &due->turn, due->turn.order);
}

/* The earliest turn of those behind the first `skip` of each stage. */
static bool next_turn(struct derive *derive, const struct derived *due, int64_t skip,
                      int64_t *earliest, struct error *error)
{
    *earliest = INT64_MAX;
    for (; due; due = due->next_due) {
        int64_t at;
        if (!store_turn_at(derive->context.store, due->id, skip, &at, error))
            return false;
        if (at < *earliest)
            *earliest = at;
    }
    return true;
}

struct due_scan {
    struct id_set *due;
    bool failed;
};

static bool note_due(void *argument, int64_t at, int64_t entity)
{
    struct due_scan *scan = argument;
    (void)at;
    scan->failed = !id_set_add(scan->due, entity);
    return !scan->failed;
}

static bool find_due(struct derive *derive, struct derived *derived, struct error *error)
{
    struct due_scan scan = {.due = &derived->due};
    derive_touch_export(derive, derived->export);
    if (!store_turn_scan(derive->context.store, derived->id, derive->next, TURNS, note_due, &scan,
                         error))
        return false;
    return !scan.failed || error_set(error, ERROR_MEMORY, "out of memory while keeping a view");
}

/* At most TURNS of each stage; derive.next becomes earlier if there are more. */
static bool find_all_due(struct derive *derive, struct derived *due, struct error *error)
{
    int64_t limit;
    if (!next_turn(derive, due, TURNS - 1, &limit, error))
        return false;
    if (limit < derive->next)
        derive->next = limit;
    for (struct derived *derived = due; derived; derived = derived->next_due)
        if (!find_due(derive, derived, error))
            return false;
    if (!next_turn(derive, due, TURNS, &limit, error))
        return false;
    derive->next_pending = limit <= derive->next;
    return true;
}

bool derive_advance(struct derive *derive, struct error *error)
{
    int64_t now = present(derive);
    struct derived *due = NULL;
    derive->next = now > derive->now ? now : derive->now;
    derive->next_pending = derive->pending;
    if (!derive->pending && derive_is_ahead(derive, now))
        return derive_rewind(derive, now, error);
    if (!derive->timed || (derive->next == derive->now && !derive->pending))
        return true;
    bool done = take_due(derive, derive->next, &due, error) && find_all_due(derive, due, error);
    put_back(derive, due);
    return done;
}

bool derive_take_turns(struct derive *derive, struct derived *derived,
                       const struct derive_steps *told, struct error *error)
{
    struct derive_steps steps = {.count = 0};
    if (derived->due.count == 0)
        return true;
    bool done = true;
    derive->ids.count = 0;
    /* Also what is new: a search for turns to take back meets it. */
    for (size_t i = 0; done && i < told->count; i++) {
        const struct derive_step *step = &told->items[i];
        done = (!step->before.data || id_set_add(&derive->ids, step->before_id)) &&
               (!step->after.data || id_set_add(&derive->ids, step->after_id));
    }
    id_set_sort(&derive->ids);
    for (size_t i = 0; done && i < derived->due.count; i++) {
        struct derive_step step, *added = NULL;
        bool found = false;
        if (id_set_has(&derive->ids, derived->due.ids[i]))
            continue;
        if (!derive_fetch(derive, derived->due.ids[i], &step, &found, error)) {
            memory_free(steps.items);
            return false;
        }
        done = !found || (added = derive_steps_add(&steps));
        if (added)
            *added = step;
    }
    done = done ? derive_apply(derive, derived, &steps, error)
                : error_set(error, ERROR_MEMORY, "out of memory while keeping a view");
    memory_free(steps.items);
    return done;
}

bool derive_store_now(struct derive *derive, int64_t now, struct error *error)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)now);
    return store_meta_put(derive->context.store, DERIVED_NOW_NAME, span_of(text), error);
}

bool derive_read_now(struct derive *derive, struct error *error)
{
    struct buffer value;
    bool found = false;
    int64_t earliest, now = present(derive);
    buffer_init(&value, 64);
    bool done = store_meta_get(derive->context.store, DERIVED_NOW_NAME, &value, &found, error);
    const char *text = done && found ? buffer_string(&value) : NULL;
    derive->now = text ? strtoll(text, NULL, 10) : 0;
    buffer_fini(&value);
    /* Turns that came while nothing ran are taken one after the other, as always. */
    if (!done || !earliest_turn(derive, &earliest, error))
        return false;
    derive->pending = earliest <= derive->now;
    if (earliest > now && now > derive->now)
        derive->now = now;
    return true;
}

bool derive_waits(struct derive *derive)
{
    struct error error;
    int64_t earliest;
    if (derive->sweeping)
        return true;
    int64_t now = present(derive);
    return derive->timed && (derive_is_ahead(derive, now) ||
                             (earliest_turn(derive, &earliest, &error) && earliest <= now));
}

int derive_rest(struct derive *derive, int most)
{
    struct error error;
    int64_t earliest, now = present_ms(derive);
    if (derive->sweeping || derive_is_ahead(derive, now / 1000))
        return REST_MS;
    if (!derive->timed || !earliest_turn(derive, &earliest, &error) ||
        earliest > (now + most) / 1000)
        return most;
    int64_t wait = earliest * 1000 - now;
    /* Not at once, lest a transaction that fails be tried without a pause. */
    return wait < REST_MS ? REST_MS : (int)wait;
}
