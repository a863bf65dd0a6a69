/* The table revoked_token. */
#include "store/store_internal.h"

/* 0 in a row would be the earliest end instead of none, so it is NULL; and no end is the latest. */
static const char put_sql[] =
    "INSERT INTO revoked_token VALUES (?1, nullif(?2, 0), ?3) ON CONFLICT (jti) DO UPDATE SET "
    "expires_at = excluded.expires_at WHERE expires_at IS NOT NULL AND "
    "(excluded.expires_at IS NULL OR excluded.expires_at > expires_at)";
/* Whether there is room for a token: it has a row, or there are not yet so many. */
static const char count_sql[] = "SELECT EXISTS (SELECT 1 FROM revoked_token WHERE jti = ?) OR "
                                "(SELECT count(*) FROM revoked_token) < ?";
static const char trim_sql[] =
    "DELETE FROM revoked_token WHERE jti IN (SELECT jti FROM revoked_token WHERE expires_at IS NOT "
    "NULL AND expires_at <= ? ORDER BY expires_at LIMIT ?) RETURNING 1";
static const char all_sql[] = "SELECT jti, coalesce(expires_at, 0), at FROM revoked_token "
                              "ORDER BY jti";

static bool has_room(struct store_writer *writer, struct span token_id, bool *room,
                     struct error *error)
{
    struct query query;
    *room = false;
    if (!query_start(&query, &writer->connection, STATEMENT_REVOCATION_COUNT, count_sql, error)) {
        return false;
    }
    query_text(&query, token_id);
    query_integer(&query, STORE_MAX_REVOCATIONS);
    enum query_step step = query_row(&query, error);
    if (step == QUERY_ROW) {
        *room = query_column(&query, 0) != 0;
        query_end(&query);
    }
    return step != QUERY_FAILED;
}

bool store_revocation_put(struct store_writer *writer, const struct store_revocation *revocation,
                          bool *kept, struct error *error)
{
    struct query query;
    *kept = false;
    if (!writer_ready(writer, error) || !has_room(writer, revocation->token_id, kept, error)) {
        return false;
    }
    if (!*kept) {
        return true;
    }
    if (!query_start(&query, &writer->connection, STATEMENT_REVOCATION_PUT, put_sql, error)) {
        return false;
    }
    query_text(&query, revocation->token_id);
    query_integer(&query, revocation->expires_at);
    query_integer(&query, revocation->at);
    if (!query_run(&query, error)) {
        return false;
    }
    return connection_changes(&writer->connection) == 0 ||
           note_put(writer, STORE_NOTE_REVOKED, writer->now.state.last_change, revocation->token_id,
                    span_make(NULL, 0), error);
}

bool store_revocation_trim(struct store_writer *writer, int64_t now, int64_t step, bool *more,
                           struct error *error)
{
    struct query query;
    int64_t removed = 0;
    *more = false;
    if (!writer_ready(writer, error) ||
        !query_start(&query, &writer->connection, STATEMENT_REVOCATION_TRIM, trim_sql, error)) {
        return false;
    }
    query_integer(&query, now - STORE_REVOCATION_GRACE);
    query_integer(&query, step);
    enum query_step found;
    while ((found = query_row(&query, error)) == QUERY_ROW) {
        removed++;
    }
    *more = removed == step;
    return found == QUERY_DONE;
}

bool store_revocation_keep(struct store_writer *writer, const struct store_revocation *revocation,
                           int64_t now, int64_t step, bool *kept, struct error *error)
{
    bool more;
    return store_revocation_put(writer, revocation, kept, error) &&
           (*kept ||
            (store_revocation_trim(writer, now + STORE_REVOCATION_GRACE, step, &more, error) &&
             store_revocation_put(writer, revocation, kept, error)));
}

bool store_read_revocations(struct store_reader *reader,
                            bool (*each)(void *argument, const struct store_revocation *revocation),
                            void *argument, struct error *error)
{
    struct query query;
    if (!query_start(&query, &reader->connection, STATEMENT_REVOCATION_ALL, all_sql, error)) {
        return false;
    }
    enum query_step step;
    while ((step = query_row(&query, error)) == QUERY_ROW) {
        struct store_revocation revocation = {.token_id = query_column_text(&query, 0),
                                              .expires_at = query_column(&query, 1),
                                              .at = query_column(&query, 2)};
        bool good = revocation.token_id.data != NULL;
        if (!good || !each(argument, &revocation)) {
            query_end(&query);
            return good || error_set(error, ERROR_MEMORY, "out of memory");
        }
    }
    return step == QUERY_DONE;
}
