/* The table meta: small values by name. */
#include "database/database_internal.h"

static const char get_sql[] = "SELECT value FROM meta WHERE name = ?";
static const char put_sql[] =
    "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value";

bool meta_get(struct connection *connection, const char *name, struct buffer *value, bool *found,
              struct error *error)
{
    struct query query;
    *found = false;
    if (!query_start(&query, connection, STATEMENT_META_GET, get_sql, error)) {
        return false;
    }
    query_text(&query, span_of(name));
    enum query_step step = query_row(&query, error);
    if (step != QUERY_ROW) {
        return step == QUERY_DONE;
    }
    struct span text = query_column_text(&query, 0);
    *found = true;
    bool ok = text.data && buffer_add_span(value, text);
    query_end(&query);
    return ok || error_set(error, ERROR_MEMORY, "no memory for the value of %s", name);
}

bool meta_put(struct connection *connection, const char *name, struct span value,
              struct error *error)
{
    struct query query;
    if (!query_start(&query, connection, STATEMENT_META_PUT, put_sql, error)) {
        return false;
    }
    query_text(&query, span_of(name));
    query_text(&query, value);
    return query_run(&query, error);
}

bool meta_says(struct connection *connection, const char *name, const char *text, bool *same,
               struct error *error)
{
    struct buffer value;
    bool found = false;
    buffer_init(&value, 1 << 16);
    bool done = meta_get(connection, name, &value, &found, error);
    *same = !found || span_equal(buffer_span(&value), span_of(text));
    buffer_fini(&value);
    return done;
}
