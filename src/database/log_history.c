/*
 * The history of a database that follows a log (docs/cluster.md): that of the log. So its epoch is
 * made from the stream and the settings that decide what messages do, all nodes have the same, and
 * a copy keeps it. Three values of the table meta say which log it is.
 */
#include "database/database_internal.h"

static bool put_created(struct connection *main, int64_t created, struct error *error)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)created);
    return meta_put(main, "log_created", span_of(text), error);
}

bool log_history_begin(struct database *database, const struct database_log *log,
                       struct error *error)
{
    struct connection *main = &database->main;
    if (!log->epoch) {
        return error_set(error, ERROR_NETWORK,
                         "%s is new, and its log cannot be reached: the first start needs it",
                         database->path);
    }
    database->log_created = log->created;
    return meta_put(main, "epoch", span_of(log->epoch), error) &&
           meta_put(main, "log_stream", span_of(log->stream), error) &&
           put_created(main, log->created, error) &&
           meta_put(main, "log_settings", span_of(log->settings), error);
}

static bool refuse(const struct database *database, const char *why, struct error *error)
{
    return error_set(error, ERROR_CONFIGURATION,
                     "%s %s. Move the file away and start with a new one, which reads the log from "
                     "its beginning, or with a backup of a node of this log",
                     database->path, why);
}

static bool read_created(struct database *database, bool *found, struct error *error)
{
    struct buffer value;
    buffer_init(&value, 64);
    bool ok = meta_get(&database->main, "log_created", &value, found, error);
    if (ok && *found) {
        *found = typed_number(buffer_span(&value), &database->log_created);
    }
    buffer_fini(&value);
    return ok;
}

bool log_history_check(struct database *database, const struct database_log *log,
                       struct error *error)
{
    bool found = false, same_stream = false, same_settings = false;
    if (!read_created(database, &found, error) ||
        !meta_says(&database->main, "log_stream", log->stream, &same_stream, error) ||
        !meta_says(&database->main, "log_settings", log->settings, &same_settings, error)) {
        return false;
    }
    if (!found) {
        return refuse(database, "was not made by following a log", error);
    }
    if (!same_stream) {
        return refuse(database, "follows another stream than log.stream", error);
    }
    if (log->created && log->created != database->log_created) {
        return refuse(database, "follows a stream of this name that is no more: it was made anew",
                      error);
    }
    if (!same_settings) {
        return refuse(database,
                      "was made with other settings that decide how mutations are merged "
                      "(docs/cluster.md lists them): set them as they were, as on all nodes",
                      error);
    }
    return connection_execute(&database->main, "DELETE FROM meta WHERE name = 'copied'", error);
}

bool log_history_there(struct database *database, bool *there, struct error *error)
{
    return read_created(database, there, error);
}

bool log_history_left(struct database *database, const char **cause, struct error *error)
{
    bool found = false;
    if (!read_created(database, &found, error)) {
        return false;
    }
    database->log_created = 0;
    if (!found) {
        return true;
    }
    *cause = "it followed a log before, and does not now";
    return connection_execute(
        &database->main,
        "DELETE FROM meta WHERE name IN ('log_stream', 'log_created', 'log_settings')", error);
}
