/* The table idempotency_key: which requests were committed under a key, and their answers. */
#include "store/producer.h"
#include "store/store_internal.h"

static const char get_sql[] =
    "SELECT body, answer, at FROM idempotency_key WHERE owner = ? AND key = ?";
static const char put_sql[] =
    "INSERT OR REPLACE INTO idempotency_key (owner, key, body, answer, at) VALUES (?, ?, ?, ?, ?)";
static const char restamp_sql[] = "UPDATE idempotency_key SET at = ?3 WHERE owner = ?1 AND at > ?2";
static const char trim_sql[] =
    "DELETE FROM idempotency_key WHERE (owner, key) IN (SELECT owner, key FROM idempotency_key "
    "WHERE owner = ?1 AND at <= ?2 ORDER BY at LIMIT ?3) RETURNING 1";

bool store_key_get(struct store_writer *writer, struct span owner, struct span key,
                   struct store_key *found_key, bool *found, struct error *error)
{
    struct query query;
    *found = false;
    if (!query_start(&query, &writer->connection, STATEMENT_KEY_GET, get_sql, error)) {
        return false;
    }
    query_text(&query, owner);
    query_text(&query, key);
    enum query_step step = query_row(&query, error);
    if (step == QUERY_ROW) {
        *found_key = (struct store_key){.owner = owner,
                                        .key = key,
                                        .body = query_column_bytes(&query, 0),
                                        .answer = query_column_text(&query, 1),
                                        .at = query_column(&query, 2)};
        *found = found_key->answer.data != NULL;
        query_lend(&query);
        return *found || error_set(error, ERROR_MEMORY, "out of memory while reading a key");
    }
    return step != QUERY_FAILED;
}

bool store_key_put(struct store_writer *writer, const struct store_key *key, struct error *error)
{
    struct query query;
    if (!writer_ready(writer, error) ||
        !query_start(&query, &writer->connection, STATEMENT_KEY_PUT, put_sql, error)) {
        return false;
    }
    query_text(&query, key->owner);
    query_text(&query, key->key);
    query_bytes(&query, key->body);
    query_text(&query, key->answer);
    query_integer(&query, key->at);
    return query_run(&query, error) &&
           note_put(writer, STORE_NOTE_KEY, key->change, key->key, key->owner, error);
}

bool store_key_restamp(struct store_writer *writer, struct span owner, int64_t latest, int64_t at,
                       struct error *error)
{
    struct query query;
    if (!writer_ready(writer, error) ||
        !query_start(&query, &writer->connection, STATEMENT_KEY_RESTAMP, restamp_sql, error)) {
        return false;
    }
    query_text(&query, owner);
    query_integer(&query, latest);
    query_integer(&query, at);
    return query_run(&query, error);
}

bool store_key_trim(struct store_writer *writer, struct span owner, int64_t before, int64_t step,
                    int64_t *removed, struct error *error)
{
    struct query query;
    *removed = 0;
    if (!writer_ready(writer, error) ||
        !query_start(&query, &writer->connection, STATEMENT_KEY_TRIM, trim_sql, error)) {
        return false;
    }
    query_text(&query, owner);
    query_integer(&query, before);
    query_integer(&query, step);
    enum query_step found;
    while ((found = query_row(&query, error)) == QUERY_ROW) {
        ++*removed;
    }
    return found == QUERY_DONE;
}
