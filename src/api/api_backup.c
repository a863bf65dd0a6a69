/*
 * A copy of the database of a store that is open: made on the thread that asks, by connections of
 * its own, while the store goes on.
 */
#include "api/api_internal.h"

#include "database/database.h"

struct backup {
    struct stele *store;
    const stele_backup_options *options;
    bool stopped; /* the store ended meanwhile */
};

static bool go_on(void *argument, int64_t done, int64_t total)
{
    struct backup *backup = argument;
    const stele_backup_options *options = backup->options;
    pthread_mutex_lock(&backup->store->lock);
    backup->stopped = backup->store->state != API_RUNNING;
    pthread_mutex_unlock(&backup->store->lock);
    return !backup->stopped &&
           (!options->progress || options->progress(options->argument, done, total));
}

static void print_result(stele_backup_result *result, const struct database_backup_result *made)
{
    if (!result)
        return;
    *result = (stele_backup_result){.bytes = made->bytes};
    if (made->any)
        seq_print(result->seq, made->head);
}

static bool back_up(struct stele *store, const stele_backup_options *options,
                    stele_backup_result *result, struct error *error)
{
    struct backup backup = {.store = store, .options = options};
    struct database_backup_result made;
    struct database_backup_options wanted = {
        .from = store->file,
        .to = options->file,
        .replace = options->replace,
        .check = !options->unchecked,
        .wal_limit = options->wal_limit > 0 ? options->wal_limit : 0,
        .progress = go_on,
        .argument = &backup,
    };
    if (!options->file)
        return api_refuse_null(error, "file");
    if (database_backup(&wanted, &made, error)) {
        print_result(result, &made);
        return true;
    }
    return backup.stopped &&
           error_set(error, ERROR_SHUTTING_DOWN,
                     "the store was stopped while it was copied: there is no copy");
}

bool stele_backup(stele *store, const stele_backup_options *options, stele_backup_result *result,
                  stele_error *error)
{
    struct error reason = {0};
    stele_backup_options known = STELE_BACKUP_INIT;
    if (!api_enter(store, "stele_backup", &reason))
        return api_error(error, &reason);
    bool done = api_take_options(&known, sizeof known, options, sizeof known, "STELE_BACKUP_INIT",
                                 &reason) &&
                back_up(store, &known, result, &reason);
    api_leave(store);
    return done || api_error(error, &reason);
}
