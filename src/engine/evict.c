/*
 * Eviction: an export with max_entities loses its least recently changed entity with each mutation
 * that makes one too many, right behind that mutation and with its seq. So what is there depends
 * on the mutations and their order alone, however they were grouped into requests and transactions.
 * A limit that was lowered is reached in the background, in steps of EVICTION_STEP. One that is new
 * to an export with rows holds when their order is made, in steps of ORDER_STEP (store,
 * evict_order.c).
 */
#include "engine/engine_internal.h"

enum { EVICTION_STEP = 1000, ORDER_STEP = 2000 };

static bool record(struct writer *writer, struct entity *entity, struct seq seq,
                   uint64_t received_us, struct error *error)
{
    struct span none = span_make(NULL, 0);
    return writer_record(writer, entity, ROW_EVICT, seq, NULL, none, none, received_us, error);
}

bool writer_evict_behind(struct writer *writer, struct export_state *export, struct seq seq,
                         uint64_t received_us, struct error *error)
{
    if (!export_is_over(export))
        return true;
    struct entity *oldest = eviction_oldest(writer, export, error);
    return oldest && writer_undo_note(writer, oldest, error) &&
           record(writer, oldest, seq, received_us, error);
}

/* No mutation pushes these out: they go with the seq of the export's newest change. */
static bool evict_some(struct writer *writer, struct export_state *export, int *left,
                       struct error *error)
{
    struct seq seq = store_export_counts(writer->store, export->id).last_seq;
    for (; *left > 0 && export_is_over(export); --*left) {
        struct entity *oldest = eviction_oldest(writer, export, error);
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
        if (!store_export_counts(writer->store, export->id).order_waits)
            continue;
        if (!store_export_order(writer->store, export->id, ORDER_STEP, &rows, error))
            return false;
        export_set_limit(writer, export,
                         store_export_counts(writer->store, export->id).max_entities);
    }
    writer->eviction.order_waits = rows > 0;
    return true;
}

bool writer_evict(struct writer *writer, struct error *error)
{
    int left = EVICTION_STEP;
    size_t position = 0;
    struct export_state *export;
    if (writer->eviction.order_waits && !order_some(writer, error))
        return false;
    if (!writer->eviction.over_limit || writer->engine->options.copies)
        return true;
    while (left > 0 && (export = map_next(&writer->exports, &position)))
        if (!evict_some(writer, export, &left, error))
            return false;
    writer->eviction.over_limit = left == 0;
    return writer_log_pending(writer, error) && writer_flush(writer, error);
}
