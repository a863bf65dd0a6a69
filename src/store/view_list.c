/* The SQL views that are there, for `stele views`. */
#include "store/store_internal.h"

enum { NAMES_LIMIT = 256 << 20, SQL_LIMIT = 64 << 10 };

static const char names_sql[] =
    "SELECT name FROM sqlite_schema WHERE type = 'view' AND instr(name, '/') > 0 ORDER BY name";

/* All names first, each with its NUL: no statement may be open while the rows are counted. */
static bool read_names(struct store_reader *reader, struct buffer *names, struct error *error)
{
    struct query query;
    if (!query_start(&query, &reader->connection, STATEMENT_VIEW_ALL, names_sql, error))
        return false;
    enum query_step step;
    while ((step = query_row(&query, error)) == QUERY_ROW) {
        struct span name = query_column_text(&query, 0);
        if (!name.data || !buffer_add(names, name.data, name.length + 1)) {
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
    for (size_t at = 0; done && more && at < names.length; at += strlen(names.data + at) + 1) {
        int64_t rows = 0;
        done = count_rows(reader, names.data + at, &rows, error);
        more = done && each(argument, names.data + at, rows);
    }
    buffer_fini(&names);
    return done;
}
