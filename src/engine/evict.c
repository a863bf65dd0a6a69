/*
 * Eviction: an export with max_entities loses its least recently changed entity with each mutation
 * that makes one too many, right behind that mutation and with its seq. So what is there depends
 * on the mutations and their order alone, however they were grouped into requests and transactions.
 * A limit that was lowered is reached in the background, in steps of EVICTION_STEP. One that is new
 * to an export with rows holds when their order is made, in steps of ORDER_STEP (store,
 * evict_order.c).
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

enum { EVICTION_STEP = 1000, ORDER_STEP = 2000 };

/* ---- the order of one export ---- */

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
        eviction->next_listed = writer->evicting;
        writer->evicting = export;
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

/* ---- evicting ---- */

static bool is_over(const struct export_state *export)
{
    return export->max_entities && export->live > export->max_entities;
}

static struct entity *find_oldest(struct writer *writer, struct export_state *export,
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

static bool record(struct writer *writer, struct entity *entity, struct seq seq,
                   uint64_t received_us, struct error *error)
{
    struct span none = span_make(NULL, 0);
    return writer_record(writer, entity, ROW_EVICT, seq, NULL, none, none, received_us, error);
}

bool writer_evict_behind(struct writer *writer, struct export_state *export, struct seq seq,
                         uint64_t received_us, struct error *error)
{
    if (!is_over(export))
        return true;
    struct entity *oldest = find_oldest(writer, export, error);
    return oldest && writer_undo_note(writer, oldest, error) &&
           record(writer, oldest, seq, received_us, error);
}

/* No mutation pushes these out: they go with the seq of the export's newest change. */
static bool evict_some(struct writer *writer, struct export_state *export, int *left,
                       struct error *error)
{
    struct seq seq = store_export_last_seq(writer->store, export->id);
    for (; *left > 0 && is_over(export); --*left) {
        struct entity *oldest = find_oldest(writer, export, error);
        if (!oldest || !record(writer, oldest, seq, clock_monotonic_us(), error))
            return false;
    }
    return true;
}

/* One step, of the first order that is to be made or cleared. */
static bool order_some(struct writer *writer, struct error *error)
{
    size_t position = 0;
    int64_t rows = 0;
    struct export_state *export;
    while (rows == 0 && (export = map_next(&writer->exports, &position))) {
        if (!store_export_order_waits(writer->store, export->id))
            continue;
        if (!store_export_order(writer->store, export->id, ORDER_STEP, &rows, error))
            return false;
        export_set_limit(writer, export, store_export_max_entities(writer->store, export->id));
    }
    writer->order_waits = rows > 0;
    return true;
}

bool writer_evict_waits(const struct writer *writer)
{
    return writer->over_limit || writer->order_waits;
}

bool writer_evict(struct writer *writer, struct error *error)
{
    int left = EVICTION_STEP;
    size_t position = 0;
    struct export_state *export;
    if (writer->order_waits && !order_some(writer, error))
        return false;
    if (!writer->over_limit)
        return true;
    while (left > 0 && (export = map_next(&writer->exports, &position)))
        if (!evict_some(writer, export, &left, error))
            return false;
    writer->over_limit = left == 0;
    return writer_log_pending(writer, error) && writer_flush(writer, error);
}

/* ---- between transactions ---- */

static void settle(struct eviction *eviction)
{
    eviction->recent_first = eviction->recent_count = 0;
    eviction->exhausted = false;
    eviction->listed = false;
}

void writer_evict_settle(struct writer *writer)
{
    while (writer->evicting) {
        struct export_state *export = writer->evicting;
        INVARIANT(export->eviction.listed);
        writer->evicting = export->eviction.next_listed;
        settle(&export->eviction);
    }
}

void export_set_limit(struct writer *writer, struct export_state *export, int64_t max_entities)
{
    if (!export->max_entities)
        order_reset(&export->eviction, 0);
    export->max_entities = max_entities;
    if (is_over(export))
        writer->over_limit = true;
    if (store_export_order_waits(writer->store, export->id))
        writer->order_waits = true;
}

void export_read_limit(struct writer *writer, struct export_state *export)
{
    export->live = store_export_entities(writer->store, export->id);
    order_reset(&export->eviction, 0);
    settle(&export->eviction);
    export_set_limit(writer, export, store_export_max_entities(writer->store, export->id));
}

void writer_evict_reset(struct writer *writer)
{
    size_t position = 0;
    struct export_state *export;
    writer->evicting = NULL;
    while ((export = map_next(&writer->exports, &position)))
        export_read_limit(writer, export);
}

void eviction_free(struct export_state *export)
{
    memory_free(export->eviction.recent);
    export->eviction.recent = NULL;
}
