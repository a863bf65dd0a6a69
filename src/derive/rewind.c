/*
 * Time that goes back: the clock was wrong, and derived rows tell of a time that has not come. They
 * are brought back to the right one by looking at the entities whose truth differs between the two,
 * which are those with a turn in between. Nothing is noted of turns that were taken, so each entity
 * of a stage with now() is asked for them.
 *
 * One transaction takes at most MOST_TURNS of them back, those of the latest seconds; the next goes
 * on from there.
 */
#include "derive/derive_internal.h"

#include <stdlib.h>

enum { MOST_TURNS = 20000, BEARABLE_S = 10 };

/* An entity whose truth may have changed between the right time and derive.now. */
struct taken_turn {
    int64_t at; /* when it did last */
    int64_t entity;
    struct derived *derived;
};

struct turn_search {
    struct derive *derive;
    struct derived *derived;
    int64_t target;
    struct taken_turn *turns;
    size_t count, capacity;
    struct error *error;
    bool failed;
};

static bool note_turn(struct turn_search *search, int64_t entity, struct span text)
{
    const struct view_stage *stage = search->derived->stage;
    int64_t last = 0, at = search->target;
    while ((at = view_stage_turns(stage, text, at)) <= search->derive->now)
        last = at;
    if (!last)
        return true;
    search->failed = !array_reserve((void **)&search->turns, search->count, &search->capacity,
                                    sizeof *search->turns);
    if (!search->failed)
        search->turns[search->count++] =
            (struct taken_turn){.at = last, .entity = entity, .derived = search->derived};
    else
        error_set(search->error, ERROR_MEMORY, "out of memory while keeping a view");
    return !search->failed;
}

static bool look_at_entity(void *argument, const struct store_entity *entity)
{
    return note_turn(argument, entity->id, entity->data);
}

static bool look_at_row(void *argument, struct span place, int64_t id)
{
    struct turn_search *search = argument;
    struct store_entity entity;
    bool found = false;
    if (!derive_slice_has(search->derived->source, place))
        return false;
    search->failed =
        !store_entity_by_id(search->derive->context.store, id, &entity, &found, search->error);
    return !search->failed && (!found || note_turn(search, id, entity.data));
}

/* Every entity of the stage's source, as derive_build reads them. */
static bool search_stage(struct turn_search *search, struct derived *derived)
{
    struct store_writer *store = search->derive->context.store;
    search->derived = derived;
    bool done = true;
    if (!derived->source)
        done = store_entity_walk(store, derived->export->id, span_make(NULL, 0), -1, look_at_entity,
                                 search, search->error);
    else if (!derived->source->low.end)
        done =
            store_row_scan(store, derived->source->of->id, buffer_span(&derived->source->low.place),
                           false, 0, -1, look_at_row, search, search->error);
    return done && !search->failed;
}

static int latest_first(const void *a, const void *b)
{
    int64_t x = ((const struct taken_turn *)a)->at, y = ((const struct taken_turn *)b)->at;
    return (x < y) - (x > y);
}

/* Take back those of the latest seconds, each second whole. */
static bool take_back(struct turn_search *search)
{
    struct derive *derive = search->derive;
    size_t count = search->count;
    if (count)
        qsort(search->turns, count, sizeof *search->turns, latest_first);
    derive->next = search->target;
    if (count > MOST_TURNS) {
        size_t end = MOST_TURNS;
        while (end < count && search->turns[end].at == search->turns[end - 1].at)
            end++;
        derive->next = end < count ? search->turns[end].at : search->target;
        count = end;
    }
    for (size_t i = 0; i < count; i++) {
        derive_touch_export(derive, search->turns[i].derived->export);
        if (!id_set_add(&search->turns[i].derived->due, search->turns[i].entity))
            return error_set(search->error, ERROR_MEMORY, "out of memory while keeping a view");
    }
    return true;
}

bool derive_is_ahead(const struct derive *derive, int64_t now)
{
    return derive->timed && now < derive->now - BEARABLE_S;
}

bool derive_rewind(struct derive *derive, int64_t target, struct error *error)
{
    struct turn_search search = {.derive = derive, .target = target, .error = error};
    bool done = true;
    for (size_t i = 0; done && i < derive->stage_count; i++)
        done = !derive->stages[i]->stage->timed || search_stage(&search, derive->stages[i]);
    done = done && take_back(&search);
    memory_free(search.turns);
    derive->looked = true; /* also where nothing was to be taken back, the time is to be stored */
    return done;
}
