/*
 * A replica: the database of a server that copies the log of changes of another one, its origin
 * (docs/cluster.md). Its history is the origin's, with the same epoch, for as long as it follows.
 * So it stays marked as a copy: opened without its origin, it parts from it there.
 *
 * And the settings that decide what a change in the log does to an entity. Changes from before they
 * began to hold cannot be made again by a server that has them; so a replica has one set for ever,
 * and its origin does not give changes from before its own.
 */
#include "database/database_internal.h"

static bool refuse(const struct database *database, const struct database_origin *origin,
                   struct error *error)
{
    return error_set(
        error, ERROR_CONFIGURATION,
        "%s is no replica of %.200s as that server is now: they have different epochs. "
        "Move the file away, and make a new one of a backup of that server (stele "
        "bootstrap)",
        database->path, origin->url);
}

/* A cursor of these is no better at a replica than at its origin. */
static bool take_former(struct database *database, const char *former, struct error *error)
{
    static const char sql[] = "INSERT INTO former_epoch SELECT key, value FROM json_each(?) WHERE "
                              "type = 'integer' AND length(key) = 36";
    struct query query;
    if (!query_start(&query, &database->main, STATEMENT_FORMER_PUT, sql, error)) {
        return false;
    }
    query_text(&query, span_of(former));
    return query_run(&query, error);
}

static bool begin(struct database *database, const struct database_origin *origin,
                  struct error *error)
{
    if (!origin->epoch || !origin->former) {
        return error_set(error, ERROR_CONFIGURATION,
                         "%s is there, and was never opened by a server: move it away",
                         database->path);
    }
    return meta_put(&database->main, "epoch", span_of(origin->epoch), error) &&
           take_former(database, origin->former, error);
}

bool origin_take(struct database *database, const struct database_origin *origin, bool is_new,
                 struct error *error)
{
    struct connection *main = &database->main;
    bool same = true;
    bool there = false;
    if (!is_new && (!origin_there(database, &there, error) ||
                    (origin->epoch && !meta_says(main, "epoch", origin->epoch, &same, error)))) {
        return false;
    }
    if (!is_new && !there && !origin->epoch) {
        return error_set(
            error, ERROR_NETWORK,
            "%s is no replica yet, and %.200s cannot be reached: the first start needs "
            "it",
            database->path, origin->url);
    }
    if (!same) {
        return refuse(database, origin, error);
    }
    database->log_created = 0;
    database->is_replica = true;
    return (!is_new || begin(database, origin, error)) &&
           meta_put(main, "copied", span_of("1"), error) &&
           meta_put(main, "origin", span_of(origin->url), error) &&
           connection_execute(
               main, "DELETE FROM meta WHERE name IN ('log_stream', 'log_created', 'log_settings')",
               error);
}

bool origin_there(struct database *database, bool *there, struct error *error)
{
    int64_t count = 0;
    bool read = connection_integer(
        &database->main, "SELECT count(*) FROM meta WHERE name = 'origin'", &count, error);
    *there = database->is_replica = count > 0;
    return read;
}

/* ---- the settings ---- */

/* "digest change" */
static bool merging_put(struct database *database, int64_t last_change, struct error *error)
{
    char text[128];
    snprintf(text, sizeof text, "%.64s %lld", database->options.merging, (long long)last_change);
    database->merging_since = last_change;
    return meta_put(&database->main, "merging", span_of(text), error);
}

static bool says_merging(const char *text, const char *digest, int64_t *since)
{
    size_t length = strlen(digest);
    return strncmp(text, digest, length) == 0 && text[length] == ' ' &&
           typed_number(span_of(text + length + 1), since);
}

bool merging_note(struct database *database, int64_t last_change, struct error *error)
{
    struct buffer value;
    bool found = false, same = false;
    if (!database->options.merging) {
        return true;
    }
    buffer_init(&value, 256);
    bool read = meta_get(&database->main, "merging", &value, &found, error);
    const char *text = read && found ? buffer_string(&value) : NULL;
    same = text && says_merging(text, database->options.merging, &database->merging_since);
    buffer_fini(&value);
    if (!read || same) {
        return read;
    }
    if (found && database->options.origin) {
        return error_set(error, ERROR_CONFIGURATION,
                         "%s was made with other settings that decide how changes are merged "
                         "(docs/cluster.md lists them): set them as they are on %.200s",
                         database->path, database->options.origin->url);
    }
    return merging_put(database, last_change, error);
}
