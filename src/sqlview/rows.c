/* The table sql_view: which SQL views there are, under which names, made of what. */
#include "sqlview/sqlview_internal.h"

#define TEXT_OF_VIEW                                                                               \
    "'CREATE VIEW \"' || replace(v.name, '\"', '\"\"') || '\" AS' || char(10) || v.body"

static const char find_sql[] = "SELECT name, body FROM sql_view WHERE view = ?";
static const char others_sql[] =
    "SELECT view, name, body FROM sql_view WHERE view = ?1 COLLATE NOCASE AND view <> ?1";
static const char all_sql[] =
    "SELECT v.view, v.name, v.body, coalesce(e.id, '') FROM sql_view AS v LEFT JOIN export AS e "
    "ON e.name = substr(v.view, 1, instr(v.view, '/') - 1)";
static const char stray_sql[] = "SELECT name " SQL_VIEW_STRAYS;
static const char unequal_sql[] =
    "SELECT v.view, v.name, v.body FROM sql_view AS v LEFT JOIN sqlite_schema AS s "
    "ON s.type = 'view' AND s.name = v.name WHERE s.sql IS NOT " TEXT_OF_VIEW;

static const struct {
    enum sql_view_statement statement;
    const char *sql;
    int columns;
    bool of_id;
} lists[] = {
    [SQL_VIEW_ROW] = {STATEMENT_VIEW_FIND, find_sql, 2, true},
    [SQL_VIEW_OTHERS] = {STATEMENT_VIEW_OTHERS, others_sql, 3, true},
    [SQL_VIEW_ALL] = {STATEMENT_VIEW_ALL, all_sql, 4, false},
    [SQL_VIEW_STRAY] = {STATEMENT_VIEW_STRAY, stray_sql, 1, false},
    [SQL_VIEW_UNEQUAL] = {STATEMENT_VIEW_UNEQUAL, unequal_sql, 3, false},
};

bool sql_view_gather(struct sql_views *views, enum sql_view_list which, struct span id,
                     struct buffer *list, struct error *error)
{
    struct query query;
    if (!query_start(&query, views->connection, lists[which].statement, lists[which].sql, error)) {
        return false;
    }
    if (lists[which].of_id) {
        query_text(&query, id);
    }
    enum query_step step;
    while ((step = query_row(&query, error)) == QUERY_ROW) {
        for (int i = 0; i < lists[which].columns; i++) {
            struct span text = query_column_text(&query, i);
            if (!text.data || !buffer_add(list, text.data, text.length + 1)) {
                query_end(&query);
                return error_set(error, ERROR_MEMORY, "no memory for the SQL views");
            }
        }
    }
    return step == QUERY_DONE;
}
