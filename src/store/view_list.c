/* The SQL views that are there, for `stele views`. */
#include "store/store_internal.h"

enum { NAMES_LIMIT = 256 << 20, SQL_LIMIT = 64 << 10 };

static const char names_sql[] = "SELECT view, name, body FROM sql_view ORDER BY view";

/* All ids and names first, each with its NUL: no statement may be open while the rows are counted.
 */
static bool read_names(struct store_reader *reader, struct buffer *names, struct error *error)
{
    struct query query;
    if (!query_start(&query, &reader->connection, STATEMENT_VIEW_LIST, names_sql, error))
        return false;
    enum query_step step;
    while ((step = query_row(&query, error)) == QUERY_ROW) {
        struct span id = query_column_text(&query, 0), name = query_column_text(&query, 1);
        if (!id.data || !name.data || !buffer_add(names, id.data, id.length + 1) ||
            !buffer_add(names, name.data, name.length + 1)) {
            query_end(&query);
            return error_set(error, ERROR_MEMORY, "no memory for the names of the SQL views");
        }
    }
    return step == QUERY_DONE;
}

static bool count_rows(struct store_reader *reader, const char *name, int64_t *rows,
                       struct error *error)
{
    struct buffer sql;
    buffer_init(&sql, SQL_LIMIT);
    buffer_add_string(&sql, "SELECT count(*) FROM \"");
    for (; *name; name++)
        buffer_add(&sql, *name == '"' ? "\"\"" : name, *name == '"' ? 2 : 1);
    buffer_add_string(&sql, "\"");
    const char *text = buffer_string(&sql);
    bool done = text ? connection_integer(&reader->connection, text, rows, error)
                     : error_set(error, ERROR_MEMORY, "out of memory");
    buffer_fini(&sql);
    return done;
}

bool store_read_views(struct store_reader *reader,
                      bool (*each)(void *argument, const char *id, int64_t rows), void *argument,
                      struct error *error)
{
    struct buffer names;
    buffer_init(&names, NAMES_LIMIT);
    bool done = read_names(reader, &names, error), more = true;
    for (size_t at = 0; done && more && at < names.length;) {
        int64_t rows = 0;
        const char *id = names.data + at, *name = id + strlen(id) + 1;
        done = count_rows(reader, name, &rows, error);
        more = done && each(argument, id, rows);
        at += strlen(id) + strlen(name) + 2;
    }
    buffer_fini(&names);
    return done;
}

bool store_read_sql_views(struct store_reader *reader,
                          bool (*each)(void *argument, struct span id, struct span body),
                          void *argument, struct error *error)
{
    struct query query;
    if (!query_start(&query, &reader->connection, STATEMENT_VIEW_LIST, names_sql, error))
        return false;
    enum query_step step;
    while ((step = query_row(&query, error)) == QUERY_ROW) {
        struct span id = query_column_text(&query, 0), body = query_column_text(&query, 2);
        if (!id.data || !body.data) {
            query_end(&query);
            return error_set(error, ERROR_MEMORY, "no memory for a SQL view");
        }
        if (!each(argument, id, body)) {
            query_end(&query);
            return true;
        }
    }
    return step == QUERY_DONE;
}
