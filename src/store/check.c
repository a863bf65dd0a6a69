/* Checks that need no JSON: SQLite's own, and the invariants of store.h as SQL. */
#include "store/store_internal.h"

#define KINDS "(SELECT 'list' AS kind UNION ALL SELECT 'state' UNION ALL SELECT 'append') "
#define SEQ_OF(table) table ".slot || ':' || " table ".idx"

/* Each yields one line of text per finding. */
static const char *const checks[] = {
    /* the log */
    "SELECT 'log_state counts ' || rows || ' changes, there are ' || found FROM log_state, "
    "(SELECT count(*) AS found FROM change) WHERE rows <> found",
    "SELECT 'log_state counts ' || bytes || ' bytes, there are ' || found FROM log_state, "
    "(SELECT coalesce(sum(64 + length(CAST(key AS BLOB)) + coalesce(length(CAST(patch AS BLOB)), 0)"
    " + coalesce(length(CAST(append AS BLOB)), 0)), 0) AS found FROM change) WHERE bytes <> found",
    "SELECT 'the log holds changes ' || first || ' to ' || last || ', it should hold ' || "
    "(floor_change + 1) || ' to ' || last_change FROM log_state, "
    "(SELECT min(id) AS first, max(id) AS last FROM change) "
    "WHERE first <> floor_change + 1 OR last <> last_change",
    "SELECT 'the log has a hole: ' || rows || ' rows between ' || floor_change || ' and ' || "
    "last_change FROM log_state WHERE rows <> last_change - floor_change",
    "SELECT 'change ' || change.id || ' has seq ' || " SEQ_OF(
        "change") " || ', beyond the head' "
                  "FROM log_state, change WHERE (change.slot, change.idx) > (head_slot, head_idx) "
                  "LIMIT 20",
    "SELECT 'the floor has a greater seq than the head' FROM log_state "
    "WHERE floor_change > 0 AND (floor_slot, floor_idx) > (head_slot, head_idx)",
    "SELECT 'change ' || change.id || ' belongs to no export' FROM change "
    "WHERE export NOT IN (SELECT id FROM export) LIMIT 20",
    /* the exports */
    "SELECT 'export ' || name || ' counts ' || entities || ' entities, there are ' || found "
    "FROM (SELECT name, entities, (SELECT count(*) FROM entity WHERE entity.export = export.id) "
    "AS found FROM export) WHERE entities <> found",
    "SELECT 'export ' || name || ' ends with change ' || last_change || ', the log with ' || found "
    "FROM export JOIN (SELECT export, max(id) AS found FROM change GROUP BY export) AS newest "
    "ON newest.export = export.id WHERE found <> last_change",
    "SELECT 'export ' || name || ' ends with another seq than change ' || last_change "
    "FROM export JOIN change ON change.id = last_change "
    "WHERE change.slot <> last_slot OR change.idx <> last_idx OR change.export <> export.id",
    /* the entities */
    "SELECT 'entity ' || entity.id || ' belongs to no export' FROM entity "
    "WHERE export NOT IN (SELECT id FROM export) LIMIT 20",
    "SELECT 'entity ' || entity.id || ' has change ' || change || ', beyond the end of the log' "
    "FROM entity, log_state WHERE change > last_change LIMIT 20",
    "SELECT 'entity ' || entity.id || ' has seq ' || " SEQ_OF(
        "entity") " || ', beyond the head' "
                  "FROM entity, log_state WHERE (entity.slot, entity.idx) > (head_slot, head_idx) "
                  "LIMIT 20",
    "SELECT 'entity ' || entity.id || ' does not match its change ' || entity.change "
    "FROM log_state, entity LEFT JOIN change ON change.id = entity.change "
    "WHERE entity.change > floor_change AND (change.id IS NULL OR change.key <> entity.key "
    "OR change.export <> entity.export OR change.slot <> entity.slot OR change.idx <> entity.idx "
    "OR change.op > 2) LIMIT 20",
    "SELECT 'entity ' || entity.id || ' is older than change ' || change.id || ' of its key' "
    "FROM change JOIN entity ON entity.export = change.export AND entity.key = change.key "
    "WHERE entity.change < change.id LIMIT 20",
    "SELECT 'entity ' || entity.id || ' is not in the right place for eviction' "
    "FROM entity JOIN export ON export.id = entity.export WHERE max_entities > 0 "
    "AND evict_order IS NOT entity.change LIMIT 20",
    /* the tombstones */
    "SELECT 'log_state counts ' || tombstones || ' tombstones, there are ' || found "
    "FROM log_state, (SELECT count(*) AS found FROM tombstone) WHERE tombstones <> found",
    "SELECT 'the tombstone of change ' || tombstone.change || ' has an entity' "
    "FROM tombstone JOIN entity ON entity.export = tombstone.export "
    "AND entity.key = tombstone.key WHERE tombstone.scope = '' LIMIT 20",
    "SELECT 'the tombstone of change ' || tombstone.change || ' does not match the log' "
    "FROM log_state, tombstone LEFT JOIN change ON change.id = tombstone.change "
    "WHERE tombstone.change > last_change OR (tombstone.change > floor_change AND "
    "(change.id IS NULL OR change.key <> tombstone.key OR change.export <> tombstone.export OR "
    "CASE WHEN change.op < 3 THEN change.scope_left ELSE coalesce(change.scope, '') END "
    "IS NOT tombstone.scope)) LIMIT 20",
    /* the membership changes */
    "SELECT 'flip ' || number || ' of change ' || change || ' is beyond the last, which is ' || "
    "last_flip || ' of change ' || last_change FROM log_state, derived_flip "
    "WHERE number > last_flip OR change > last_change LIMIT 20",
    "SELECT 'flip ' || number || ' is there ' || count(*) || ' times' FROM derived_flip "
    "GROUP BY number HAVING count(*) > 1 LIMIT 20",
    /* the SQL views */
    "SELECT 'the SQL view ' || v.name || ' is not what view ' || v.view || ' shows: it was changed "
    "by hand, or dropped' FROM sql_view AS v LEFT JOIN sqlite_schema AS s ON s.type = 'view' "
    "AND s.name = v.name WHERE s.sql IS NOT 'CREATE VIEW \"' || replace(v.name, '\"', '\"\"') || "
    "'\" AS' || char(10) || v.body LIMIT 20",
    "SELECT 'the SQL view ' || name || ' is left over: no view is shown by it' " SQL_VIEW_STRAYS
    " LIMIT 20",
    /* Exports get theirs in the order of their numbers, a new one a little later than its rows. */
    "SELECT 'view ' || e.name || '/' || kind || ' has no SQL view' FROM export AS e, " KINDS
    "WHERE e.id <= (SELECT coalesce(max(later.id), 0) FROM export AS later, " KINDS
    "JOIN sql_view ON view = later.name || '/' || kind) "
    "AND e.name || '/' || kind NOT IN (SELECT view FROM sql_view) LIMIT 20",
    /* the usage events */
    "SELECT 'usage_state counts ' || rows || ' events and ' || bytes || ' bytes, there are ' || "
    "found || ' and ' || size FROM usage_state, (SELECT count(*) AS found, "
    "coalesce(sum(64 + length(CAST(event AS BLOB))), 0) AS size FROM usage_event) "
    "WHERE rows <> found OR bytes <> size",
    /* the stages */
    "SELECT 'stage ' || stage.id || ' has a row for entity ' || d.entity || ', which is not of its "
    "export' FROM stage JOIN derived_row AS d ON d.stage = stage.id "
    "LEFT JOIN entity ON entity.id = d.entity WHERE definition IS NOT NULL "
    "AND entity.export IS NOT stage.export LIMIT 20",
    "SELECT 'stage ' || stage || ' has ' || count(*) || ' rows for entity ' || entity "
    "FROM derived_row JOIN stage AS s ON s.id = stage WHERE definition IS NOT NULL "
    "GROUP BY stage, entity HAVING count(*) > 1 LIMIT 20",
    "SELECT 'stage ' || stage.id || ' counts ' || rows || ' rows, there are ' || found FROM stage "
    "JOIN (SELECT id AS stage_id, (SELECT count(*) FROM derived_row AS d WHERE d.stage = id) "
    "AS found FROM stage) ON stage_id = stage.id WHERE definition IS NOT NULL AND rows <> found",
    "SELECT 'stage ' || stage.id || ' has ' || found || ' rows, its export has ' || entities || "
    "' entities' FROM stage JOIN export ON export.id = stage.export "
    "JOIN (SELECT id AS stage_id, (SELECT count(*) FROM derived_row AS d WHERE d.stage = id) "
    "AS found FROM stage) ON stage_id = stage.id WHERE definition IS NOT NULL "
    "AND built_change IS NOT NULL AND whole AND found <> entities",
    "SELECT 'there are rows of stage ' || stage || ', which does not exist' FROM derived_row "
    "WHERE stage NOT IN (SELECT id FROM stage) GROUP BY stage LIMIT 20",
    "SELECT 'stage ' || stage.id || ' waits for entity ' || d.entity || ', which is not of its "
    "export' FROM stage JOIN derived_turn AS d ON d.stage = stage.id "
    "LEFT JOIN entity ON entity.id = d.entity WHERE definition IS NOT NULL "
    "AND entity.export IS NOT stage.export LIMIT 20",
};

struct listener {
    void (*found)(void *argument, const char *line);
    void *argument;
};

static bool run_check(struct connection *connection, const char *sql, struct listener listener,
                      struct error *error)
{
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(connection->sqlite, sql, -1, &statement, NULL);
    while (result == SQLITE_OK || result == SQLITE_ROW) {
        result = sqlite3_step(statement);
        const char *line =
            result == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
        if (line && strcmp(line, "ok") != 0) {
            listener.found(listener.argument, line);
        }
    }
    /* Damage is a finding, and the other checks may still run. */
    bool damaged = (result & 0xff) == SQLITE_CORRUPT;
    if (damaged) {
        listener.found(listener.argument, sqlite3_errmsg(connection->sqlite));
    } else if (result != SQLITE_DONE) {
        connection_fail(connection, result, error);
    }
    sqlite3_finalize(statement);
    return damaged || result == SQLITE_DONE;
}

bool store_check(struct store_reader *reader, void (*found)(void *argument, const char *line),
                 void *argument, struct error *error)
{
    struct connection *connection = &reader->connection;
    struct listener listener = {found, argument};
    if (!connection_settle(connection, error)) {
        return false;
    }
    /* One state for all of them, unless the caller has a transaction open already. */
    bool own = sqlite3_get_autocommit(connection->sqlite);
    if (own && !store_read_begin(reader, error)) {
        return false;
    }
    bool ok = run_check(connection, "PRAGMA integrity_check", listener, error);
    for (size_t i = 0; ok && i < sizeof checks / sizeof *checks; i++) {
        ok = run_check(connection, checks[i], listener, error);
    }
    if (own) {
        store_read_end(reader);
    }
    return ok;
}
