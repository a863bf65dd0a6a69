/*
 * The SQL views that a writing connection maintains: for the store, which has the connection and
 * the transactions.
 */
#ifndef SQLVIEW_UPKEEP_H
#define SQLVIEW_UPKEEP_H

#include "database/connection.h"
#include "sqlview/sqlview.h"

/* The prepared statements of this folder, in the slots of its connection. */
enum sql_view_statement {
    STATEMENT_VIEW_FIND = DATABASE_STATEMENTS,
    STATEMENT_VIEW_OTHERS,
    STATEMENT_VIEW_ALL,
    STATEMENT_VIEW_STRAY,
    STATEMENT_VIEW_UNEQUAL,
    STATEMENT_VIEW_PUT,
    STATEMENT_VIEW_DELETE,
    STATEMENT_SCHEMA_INSERT,
    SQL_VIEW_STATEMENTS
};

/* The writing connection's picture of them. Embedded; the connection must outlive it. */
struct sql_views {
    struct connection *connection;
    struct buffer due; /* ids, each ended by a NUL, whose SQL views the open transaction makes */
    size_t due_count;
    bool schema_behind; /* SQL views that this connection does not know were made by it */
};

static inline void sql_views_init(struct sql_views *views, struct connection *connection)
{
    *views = (struct sql_views){.connection = connection};
    buffer_init(&views->due, SIZE_MAX / 2);
}
static inline void sql_views_fini(struct sql_views *views)
{
    buffer_fini(&views->due);
}

/* Make due SQL views in the schema, as the last act of a transaction / forget them: it was
 * rolled back. */
bool sql_views_make_due(struct sql_views *views, struct error *error);
void sql_views_forget_due(struct sql_views *views);

/* The three of an export, if they are not there. An existing one may show a view of the
 * configuration instead: then it stays, until sql_views_drop_others decides. */
bool sql_views_add_standard(struct sql_views *views, struct span export_name, uint32_t export_id,
                            struct error *error);
/* The first line of each SQL view, by which it is recognised. Files of former versions hold
 * these texts: add to them, never change one. */
#define SQL_VIEW_LIST_COMMENT "-- The entities, newest first."
#define SQL_VIEW_STATE_COMMENT "-- The entities in order of key."
#define SQL_VIEW_APPEND_COMMENT                                                                    \
    "-- The log as it is kept, oldest first. data: the patch as it came; "                         \
    "at: milliseconds since 1970 UTC."
#define SQL_VIEW_SHOWN_COMMENT "-- The entities that this view shows, newest first."
#define SQL_VIEW_DERIVED_COMMENT "-- The rows of this view, in its order."
/* The SQL views, by `name`, that this program made, by their text, but that stand for no view: a
 * former version left them. */
#define SQL_VIEW_STRAYS                                                                            \
    "FROM sqlite_schema, (SELECT '" SQL_VIEW_LIST_COMMENT "' AS comment UNION ALL "                \
    "SELECT '" SQL_VIEW_STATE_COMMENT "' UNION ALL SELECT '" SQL_VIEW_APPEND_COMMENT "' "          \
    "UNION ALL SELECT '" SQL_VIEW_SHOWN_COMMENT "' "                                               \
    "UNION ALL SELECT '" SQL_VIEW_DERIVED_COMMENT "') WHERE type = 'view' "                        \
    "AND instr(name, '/') > 0 AND name NOT IN (SELECT name FROM sql_view) "                        \
    "AND instr(sql, 'CREATE VIEW \"' || replace(name, '\"', '\"\"') || '\" AS' || char(10) "       \
    "|| comment || char(10) || 'SELECT ') = 1"

#endif
