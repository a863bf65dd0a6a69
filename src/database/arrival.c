/* A copy that comes from elsewhere, byte by byte: under its name only when it is whole, on disk,
 * and was looked at. */
#include "database/database_internal.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct database_arrival {
    struct backup_file file;
    int64_t bytes;
};

struct database_arrival *database_arrive(const char *to, bool replace, struct error *error)
{
    struct database_arrival *arrival = memory_new(sizeof *arrival);
    database_setup();
    if (!arrival) {
        error_set(error, ERROR_MEMORY, "out of memory");
        return NULL;
    }
    arrival->file =
        (struct backup_file){.to = to, .replace = replace, .descriptor = -1, .lock = -1};
    if (backup_file_make(&arrival->file, NULL, error)) {
        return arrival;
    }
    database_arrival_free(arrival);
    return NULL;
}

void database_arrival_free(struct database_arrival *arrival)
{
    if (arrival) {
        backup_file_fini(&arrival->file);
    }
    memory_free(arrival);
}

bool database_arrival_expect(struct database_arrival *arrival, int64_t bytes, struct error *error)
{
    return backup_file_has_room(&arrival->file, bytes, error);
}

bool database_arrival_write(struct database_arrival *arrival, struct span bytes,
                            struct error *error)
{
    while (bytes.length) {
        ssize_t wrote = write(arrival->file.descriptor, bytes.data, bytes.length);
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote <= 0) {
            bool full = errno == ENOSPC || errno == EDQUOT;
            return error_set(error, full ? ERROR_DISK_FULL : ERROR_DISK_FAILED,
                             "cannot write %s (%s): nothing is left of it", arrival->file.partial,
                             error_reason(errno));
        }
        arrival->bytes += wrote;
        bytes = span_make(bytes.data + wrote, bytes.length - (size_t)wrote);
    }
    return true;
}

int database_arrival_descriptor(const struct database_arrival *arrival)
{
    return arrival->file.descriptor;
}

/* ---- what came ---- */

static bool check_sound(struct connection *copy, struct error *error)
{
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(copy->sqlite, "PRAGMA quick_check(1)", -1, &statement, NULL);
    if (result == SQLITE_OK) {
        result = sqlite3_step(statement);
    }
    const char *line =
        result == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    bool good = line && strcmp(line, "ok") == 0;
    if (!line) {
        connection_fail(copy, result, error);
    } else if (!good) {
        error_set(error, ERROR_DATABASE, "what came is damaged (%s)", line);
    }
    sqlite3_finalize(statement);
    return good;
}

static bool read_state(struct connection *copy, struct database_backup_result *result,
                       struct error *error)
{
    int64_t application = 0;
    if (!connection_integer(copy, "PRAGMA application_id", &application, error)) {
        return false;
    }
    if (application != DATABASE_APPLICATION_ID) {
        return error_set(error, ERROR_DATABASE, "what came is no database of stele");
    }
    bool read =
        connection_integer(copy, "PRAGMA page_size", &result->page_bytes, error) &&
        connection_integer(copy, "SELECT last_change FROM log_state", &result->last_change,
                           error) &&
        connection_integer(copy, "SELECT head_slot FROM log_state", &result->head.slot, error) &&
        connection_integer(copy, "SELECT head_idx FROM log_state", &result->head.index, error);
    result->any = result->last_change > 0;
    return read;
}

bool database_arrival_keep(struct database_arrival *arrival, bool check,
                           struct database_backup_result *result, struct error *error)
{
    struct connection copy = {.path = arrival->file.partial};
    *result = (struct database_backup_result){.bytes = arrival->bytes, .descriptor = -1};
    int opened = open_alone(arrival->file.partial, &copy.sqlite);
    bool good = (opened == SQLITE_OK || connection_fail(&copy, opened, error)) &&
                read_state(&copy, result, error) && (!check || check_sound(&copy, error));
    connection_close(&copy);
    return good && backup_file_keep(&arrival->file, error);
}
