/*
 * Time: derive.now goes along with the engine's clock, and never past rechecks that have not been
 * taken. When that clock turns out to have been ahead by seconds, it is waited for; by more,
 * derived rows go back. At most TURNS of a stage are taken in one transaction;
 * what is left at the second where that stops keeps its recheck (derive.pending) and comes next.
 *
 * Rows go back to the right time by looking at the entities whose truth differs between the two,
 * which are those with a recheck in between. Nothing is noted of rechecks that were taken, so each
 * entity of a stage with now() is asked for them. One transaction takes at most context.rows
 * of them back, those of the latest seconds; the next goes on from there.
 */
#include "derive/derive_internal.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- back ---- */

enum { BEARABLE_S = 10 };

/* An entity whose truth may have changed between the right time and derive.now. */
struct taken_recheck {
    int64_t at; /* when it did last */
    int64_t entity;
    struct derived *derived;
};

struct recheck_search {
    struct derive *derive;
    struct derived *derived;
    int64_t target;
    struct taken_recheck *rechecks;
    size_t count, capacity;
    struct error *error;
    bool failed;
};

static bool note_recheck(struct recheck_search *search, int64_t entity, struct span text)
{
    const struct view_stage *stage = search->derived->stage;
    int64_t last = 0, at = search->target;
    while ((at = view_stage_rechecks(stage, text, at)) <= search->derive->now)
        last = at;
    if (!last)
        return true;
    search->failed = !array_reserve((void **)&search->rechecks, search->count, &search->capacity,
                                    sizeof *search->rechecks);
    if (!search->failed)
        search->rechecks[search->count++] =
            (struct taken_recheck){.at = last, .entity = entity, .derived = search->derived};
    else
        error_set(search->error, ERROR_MEMORY, "out of memory while keeping a view");
    return !search->failed;
}

static bool look_at_entity(void *argument, const struct store_entity *entity)
{
    return note_recheck(argument, entity->id, entity->data);
}

static bool look_at_row(void *argument, struct span sort_key, int64_t id)
{
    struct recheck_search *search = argument;
    struct store_entity entity;
    bool found = false;
    if (!derive_slice_has(search->derived->source, sort_key))
        return false;
    search->failed = !store_read_entity_by_id(store_writer_reader(search->derive->context.store), 0,
                                              id, &entity, &found, search->error);
    return !search->failed && (!found || note_recheck(search, id, entity.data));
}

/* Every entity of the stage's source, as derive_build reads them. */
static bool search_stage(struct recheck_search *search, struct derived *derived)
{
    struct store_writer *store = search->derive->context.store;
    search->derived = derived;
    bool done = true;
    if (!derived->source)
        done = store_scan_keys(store_writer_reader(store), derived->export->id, span_make(NULL, 0),
                               -1, look_at_entity, search, search->error);
    else if (!derived->source->low.end)
        done = store_row_scan(store, derived->source->of->id,
                              buffer_span(&derived->source->low.sort_key), false, 0, -1,
                              look_at_row, search, search->error);
    return done && !search->failed;
}

static int latest_first(const void *a, const void *b)
{
    int64_t x = ((const struct taken_recheck *)a)->at, y = ((const struct taken_recheck *)b)->at;
    return (x < y) - (x > y);
}

/* Take back those of the latest seconds, each second whole. */
static bool take_back(struct recheck_search *search)
{
    struct derive *derive = search->derive;
    size_t count = search->count, most = derive->context.rows;
    if (count)
        qsort(search->rechecks, count, sizeof *search->rechecks, latest_first);
    derive->next = search->target;
    if (count > most) {
        size_t end = most;
        while (end < count && search->rechecks[end].at == search->rechecks[end - 1].at)
            end++;
        derive->next = end < count ? search->rechecks[end].at : search->target;
        count = end;
    }
    for (size_t i = 0; i < count; i++) {
        derive_touch_export(derive, search->rechecks[i].derived->export);
        if (!id_set_add(&search->rechecks[i].derived->due, search->rechecks[i].entity))
            return error_set(search->error, ERROR_MEMORY, "out of memory while keeping a view");
    }
    return true;
}

/* Whether rows tell of a time that has not come, by more than can be waited for. */
static bool is_ahead(const struct derive *derive, int64_t now)
{
    return derive->timed && now < derive->now - BEARABLE_S;
}

/* Choose derive.next in the direction of `target`, and the entities to look at again. Only while
 * nothing is pending. */
static bool go_back(struct derive *derive, int64_t target, struct error *error)
{
    struct recheck_search search = {.derive = derive, .target = target, .error = error};
    bool done = true;
    for (size_t i = 0; done && i < derive->stage_count; i++)
        done = !derive->stages[i]->stage->timed || search_stage(&search, derive->stages[i]);
    done = done && take_back(&search);
    memory_free(search.rechecks);
    derive->looked = true; /* also where nothing was to be taken back, the time is to be stored */
    return done;
}

/* ---- on ---- */

enum { RECHECKS = 5000, REST_MS = 10 };

static int64_t present_ms(const struct derive *derive)
{
    return derive->context.now_ms(derive->context.argument);
}

static int64_t present(const struct derive *derive)
{
    return present_ms(derive) / 1000;
}

/* ---- which recheck comes first ---- */

static struct derived *stage_of(struct heap_entry *entry)
{
    return (struct derived *)((char *)entry - offsetof(struct derived, recheck));
}

/*
 * The stage with the first recheck of all, and its second; NULL: there is none. The heap's second
 * is not later than that, and it is held against the database. Only while the open transaction, if
 * any, has changed no recheck: else the result would not hold after a rollback.
 */
static bool first_turn(struct derive *derive, struct derived **first, int64_t *at,
                       struct error *error)
{
    struct heap_entry *entry;
    *first = NULL;
    *at = INT64_MAX;
    while ((entry = heap_first(&derive->rechecks))) {
        struct derived *derived = stage_of(entry);
        int64_t found;
        derive_note_visit(derive);
        if (!store_recheck_at(derive->context.store, derived->id, 0, &found, error))
            return false;
        if (found == entry->order) {
            *first = derived;
            *at = found;
            return true;
        }
        heap_remove(&derive->rechecks, entry);
        if (found != INT64_MAX)
            heap_add(&derive->rechecks, entry, found);
    }
    return true;
}

static bool earliest_turn(struct derive *derive, int64_t *at, struct error *error)
{
    struct derived *first;
    return first_turn(derive, &first, at, error);
}

/* ---- taking rechecks ---- */

/* Take those stages out of the heap that have a recheck by `until`. */
static bool take_due(struct derive *derive, int64_t until, struct derived **due,
                     struct error *error)
{
    struct derived *first;
    int64_t at;
    bool done;
    while ((done = first_turn(derive, &first, &at, error)) && first && at <= until) {
        heap_remove(&derive->rechecks, &first->recheck);
        first->next_due = *due;
        *due = first;
    }
    return done;
}

/* Their orders are kept: until the transaction is committed, they still have the rechecks. */
static void put_back(struct derive *derive, struct derived *due)
{
    for (; due; due = due->next_due)
        heap_add(&derive->rechecks, &due->recheck, due->recheck.order);
}

/* The earliest recheck of those behind the first `skip` of each stage. */
static bool next_turn(struct derive *derive, const struct derived *due, int64_t skip,
                      int64_t *earliest, struct error *error)
{
    *earliest = INT64_MAX;
    for (; due; due = due->next_due) {
        int64_t at;
        if (!store_recheck_at(derive->context.store, due->id, skip, &at, error))
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
    if (!store_recheck_scan(derive->context.store, derived->id, derive->next, RECHECKS, note_due,
                            &scan, error))
        return false;
    return !scan.failed || error_set(error, ERROR_MEMORY, "out of memory while keeping a view");
}

/* At most TURNS of each stage; derive.next becomes earlier if there are more. */
static bool find_all_due(struct derive *derive, struct derived *due, struct error *error)
{
    int64_t limit;
    if (!next_turn(derive, due, RECHECKS - 1, &limit, error))
        return false;
    if (limit < derive->next)
        derive->next = limit;
    for (struct derived *derived = due; derived; derived = derived->next_due)
        if (!find_due(derive, derived, error))
            return false;
    if (!next_turn(derive, due, RECHECKS, &limit, error))
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
    if (!derive->pending && is_ahead(derive, now))
        return go_back(derive, now, error);
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
    /* Also what is new: a search for rechecks to take back meets it. */
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
    bool done = store_read_meta(store_writer_reader(derive->context.store), DERIVED_NOW_NAME,
                                &value, &found, error);
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
    return derive->timed &&
           (is_ahead(derive, now) || (earliest_turn(derive, &earliest, &error) && earliest <= now));
}

int derive_rest(struct derive *derive, int most)
{
    struct error error;
    int64_t earliest, now = present_ms(derive);
    if (derive->sweeping || is_ahead(derive, now / 1000))
        return REST_MS;
    if (!derive->timed || !earliest_turn(derive, &earliest, &error) ||
        earliest > (now + most) / 1000)
        return most;
    int64_t wait = earliest * 1000 - now;
    /* Not at once, lest a transaction that fails be tried without a pause. */
    return wait < REST_MS ? REST_MS : (int)wait;
}
