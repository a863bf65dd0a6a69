/*
 * The eviction order of each limited export, as the open transaction has left it; evict.c takes the
 * oldest entities from it.
 *
 * The least recently changed entity is found without a search. The open transaction has written no
 * entity yet, so its rows are in the order of before: whatever it changed comes behind all others.
 *
 * Invariants, for each limited export:
 *  1. Every entity whose row has an evict_order up to `passed` was changed by the open transaction.
 *  2. `recent` holds, in order, a step for each change of the open transaction to a present entity;
 *     a step is stale when its entity was changed again or is gone.
 *  3. `live` is the number of entities as the open transaction has left them.
 */
#include "engine/engine_internal.h"

/* ---- the oldest ---- */

static void order_reset(struct eviction *eviction, int64_t passed)
{
    eviction->passed = passed;
    eviction->next = eviction->count = 0;
    eviction->exhausted = false;
}

static bool note_ahead(void *argument, int64_t id, int64_t change)
{
    struct eviction *eviction = argument;
    eviction->ahead[eviction->count++] = (struct evictable){.id = id, .change = change};
    return eviction->count < EVICTION_AHEAD;
}

static bool fetch_ahead(struct writer *writer, struct export_state *export, struct error *error)
{
    struct eviction *eviction = &export->eviction;
    eviction->next = eviction->count = 0;
    if (!store_export_oldest(writer->store, export->id, eviction->passed, EVICTION_AHEAD,
                             note_ahead, eviction, error))
        return false;
    eviction->exhausted = eviction->count == 0;
    return true;
}

/* The next one that the open transaction has not changed; NULL: it has changed all there are. */
static bool oldest_stored(struct writer *writer, struct export_state *export,
                          struct entity **oldest, struct error *error)
{
    struct eviction *eviction = &export->eviction;
    *oldest = NULL;
    while (!*oldest) {
        INVARIANT(eviction->next <= eviction->count && eviction->count <= EVICTION_AHEAD);
        if (eviction->next == eviction->count && !eviction->exhausted &&
            !fetch_ahead(writer, export, error))
            return false;
        if (eviction->next == eviction->count)
            return true;
        const struct evictable *next = &eviction->ahead[eviction->next++];
        INVARIANT(eviction->passed < next->change);
        eviction->passed = next->change;
        if (!writer_entity_unchanged(writer, export, next->id, next->change, oldest, error))
            return false;
    }
    return true;
}

/* The first that it has changed. */
static struct entity *oldest_recent(struct eviction *eviction)
{
    while (eviction->recent_first < eviction->recent_count) {
        const struct recent_change *step = &eviction->recent[eviction->recent_first++];
        if (step->entity->data && step->entity->change == step->change)
            return step->entity;
    }
    return NULL;
}

struct entity *eviction_oldest(struct writer *writer, struct export_state *export,
                               struct error *error)
{
    struct entity *oldest;
    if (!oldest_stored(writer, export, &oldest, error))
        return NULL;
    if (!oldest)
        oldest = oldest_recent(&export->eviction);
    if (!oldest)
        error_set(error, ERROR_INTERNAL,
                  "export '%.*s' counts %lld entities but has none to evict; run \"stele check\"",
                  (int)export->name.length, export->name.data, (long long)export->live);
    return oldest;
}

/* ---- following what the transaction does ---- */

void eviction_remember(struct export_state *export, uint64_t submission_number)
{
    struct eviction *eviction = &export->eviction;
    if (eviction->noted == submission_number)
        return;
    INVARIANT(eviction->noted < submission_number);
    INVARIANT(eviction->recent_first <= eviction->recent_count);
    eviction->noted = submission_number;
    eviction->was.live = export->live;
    eviction->was.passed = eviction->passed;
    eviction->was.recent_first = eviction->recent_first;
    eviction->was.recent_count = eviction->recent_count;
}

void eviction_undo(struct export_state *export)
{
    struct eviction *eviction = &export->eviction;
    INVARIANT(eviction->was.recent_first <= eviction->recent_first);
    INVARIANT(eviction->was.recent_count <= eviction->recent_count);
    export->live = eviction->was.live;
    eviction->recent_first = eviction->was.recent_first;
    eviction->recent_count = eviction->was.recent_count;
    if (eviction->passed != eviction->was.passed)
        order_reset(eviction, eviction->was.passed);
}

static bool recent_reserve(struct writer *writer, struct export_state *export)
{
    struct eviction *eviction = &export->eviction;
    if (!array_reserve((void **)&eviction->recent, eviction->recent_count,
                       &eviction->recent_capacity, sizeof *eviction->recent))
        return false;
    if (!eviction->listed) {
        eviction->listed = true;
        eviction->next_listed = writer->eviction.listed;
        writer->eviction.listed = export;
    }
    return true;
}

bool eviction_reserve(struct writer *writer, struct export_state *export)
{
    return !export->max_entities || recent_reserve(writer, export);
}

void eviction_note(struct entity *entity, bool was_there)
{
    struct export_state *export = entity->export;
    struct eviction *eviction = &export->eviction;
    export->live += (entity->data != NULL) - was_there;
    if (!export->max_entities || !entity->data)
        return;
    INVARIANT(eviction->recent_count < eviction->recent_capacity && eviction->listed);
    eviction->recent[eviction->recent_count++] =
        (struct recent_change){.entity = entity, .change = entity->change};
}

/* ---- limits, and between transactions ---- */

static void settle(struct eviction *eviction)
{
    eviction->recent_first = eviction->recent_count = 0;
    eviction->exhausted = false;
    eviction->listed = false;
}

static void settle_listed(struct writer *writer)
{
    while (writer->eviction.listed) {
        struct export_state *export = writer->eviction.listed;
        INVARIANT(export->eviction.listed);
        writer->eviction.listed = export->eviction.next_listed;
        settle(&export->eviction);
    }
}

void export_set_limit(struct writer *writer, struct export_state *export, int64_t max_entities)
{
    if (!export->max_entities)
        order_reset(&export->eviction, 0);
    export->max_entities = max_entities;
    if (export_is_over(export) && !writer->engine->options.copies)
        writer->eviction.over_limit = true;
    if (store_export_counts(writer->store, export->id).order_waits)
        writer->eviction.order_waits = true;
}

void export_read_limit(struct writer *writer, struct export_state *export)
{
    export->live = store_export_counts(writer->store, export->id).entities;
    order_reset(&export->eviction, 0);
    settle(&export->eviction);
    export_set_limit(writer, export, store_export_counts(writer->store, export->id).max_entities);
}

void writer_evict_end(struct writer *writer, bool committed)
{
    size_t position = 0;
    struct export_state *export;
    if (committed) {
        settle_listed(writer);
        return;
    }
    writer->eviction.listed = NULL;
    while ((export = map_next(&writer->exports, &position)))
        export_read_limit(writer, export);
}
