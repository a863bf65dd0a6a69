/*
 * When the SQL views of new exports are made.
 *
 * To make them changes the schema, and then each other connection to the file reads the whole of
 * it before its next statement: 13 µs for each export that there is. So a new export gets them in
 * its own transaction only if the last change of the schema is long enough ago: a millisecond for
 * each export. Else it waits for that, or until there are as many others as are a quarter of all,
 * and gets them with these, in transactions that no request waits for. These are short and follow
 * each other at once, with requests in between: what reads the schema meanwhile reads it once or
 * twice. An export then costs the same however many there are. A stop makes all that are due, and
 * so does a start.
 */
#include "engine/engine_internal.h"

enum {
    UNPACED = 100,  /* exports: with so few the schema is read quickly */
    BATCH = 64,     /* exports whose SQL views are worth a transaction in any case; */
    BATCH_PART = 4, /* ... of many exports, this part of them */
    MOST = 512,     /* exports of one transaction */
    REST_US = 1000  /* for each export, between two changes of the schema */
};

static size_t batch_size(const struct writer *writer)
{
    size_t part = store_writer_state(writer->store).exports / BATCH_PART;
    return part > BATCH ? part : BATCH;
}

/* Microseconds until the schema may change again for a few exports. */
static uint64_t rest_us(const struct writer *writer)
{
    uint64_t exports = store_writer_state(writer->store).exports, now = clock_monotonic_us();
    uint64_t due = exports > UNPACED ? writer->upkeep.schema_us + exports * REST_US : 0;
    return due > now ? due - now : 0;
}

static bool make(struct writer *writer, size_t exports, struct error *error)
{
    writer->upkeep.schema_us = clock_monotonic_us();
    return store_sql_views_make(writer->store, exports, error);
}

static bool make_own(struct writer *writer, struct error *error)
{
    size_t due = store_writer_state(writer->store).sql_views_due;
    return due == 0 || due > BATCH || rest_us(writer) > 0 || make(writer, due, error);
}

static bool batch_waits(const struct writer *writer)
{
    size_t due = store_writer_state(writer->store).sql_views_due;
    return due > 0 &&
           (writer->upkeep.views_begun > 0 || due >= batch_size(writer) || rest_us(writer) == 0);
}

static bool make_of_batch(struct writer *writer, struct error *error)
{
    if (!batch_waits(writer))
        return true;
    if (writer->upkeep.views_begun == 0)
        writer->upkeep.views_begun = batch_size(writer);
    size_t some = writer->upkeep.views_begun < MOST ? writer->upkeep.views_begun : MOST;
    if (!make(writer, some, error))
        return false;
    size_t due = store_writer_state(writer->store).sql_views_due,
           left = writer->upkeep.views_begun - some;
    writer->upkeep.views_begun = left < due ? left : due;
    return true;
}

bool writer_make_views(struct writer *writer, enum sql_views_made which, struct error *error)
{
    return which == VIEWS_OWN ? make_own(writer, error) : make_of_batch(writer, error);
}

int writer_views_rest(const struct writer *writer, int most)
{
    if (store_writer_state(writer->store).sql_views_due == 0)
        return most;
    uint64_t rest = batch_waits(writer) ? 0 : rest_us(writer) / 1000 + 1;
    return rest < (uint64_t)most ? (int)rest : most;
}

void writer_make_last_views(struct writer *writer)
{
    struct error error;
    if (disk_state(&writer->engine->disk) != ERROR_NONE ||
        store_writer_state(writer->store).sql_views_due == 0)
        return;
    if (!store_begin(writer->store, &error) || !make(writer, SIZE_MAX, &error) ||
        !store_commit(writer->store, &error)) {
        store_rollback(writer->store);
        log_warning("engine", "sql-views-not-made", log_text("error", error.message));
    }
}
