/*
 * The SQL views: what a person with the sqlite3 shell reads. Nothing in the program reads them.
 *
 *   "Quake/list"    key, seq, data: the entities, newest first
 *   "Quake/state"   key, seq, data: the entities in order of key
 *   "Quake/append"  key, seq, data, op, at, change: the log as it is kept, oldest first; data is
 *                   the patch as it came
 *
 * and one for every other configured view, like list but with its members and keys only; for a
 * derived view in its order, with a column rank from 1 on. seq is the text that clients see, so it
 * sorts as text only within a slot.
 */
#include "store/store_internal.h"

#include <strings.h>

enum { SQL_LIMIT = 4 << 20 };

static const char sql_of_sql[] =
    "SELECT name, sql FROM sqlite_schema WHERE type = 'view' AND name = ? COLLATE NOCASE";
static const char all_sql[] =
    "SELECT name FROM sqlite_schema WHERE type = 'view' AND instr(name, '/') > 0";

#define DERIVED_COMMENT "The rows of this view, in its order."
static const char derived_sql[] =
    "SELECT name FROM sqlite_schema WHERE type = 'view' AND instr(sql, '" DERIVED_COMMENT "') > 0";

static const char *const standard_names[] = {"list", "state", "append"};
enum { STANDARD_COUNT = 3 };

/* ---- texts ---- */

static void add_identifier(struct buffer *sql, struct span name)
{
    buffer_add_char(sql, '"');
    for (size_t i = 0; i < name.length; i++) {
        buffer_add(sql, name.data[i] == '"' ? "\"\"" : &name.data[i], name.data[i] == '"' ? 2 : 1);
    }
    buffer_add_char(sql, '"');
}

/* A string as bytes where it holds a NUL, which SQL text cannot. */
void sql_add_literal(struct buffer *sql, struct span text)
{
    if (text.length && memchr(text.data, 0, text.length)) {
        buffer_add_string(sql, "CAST(X'");
        for (size_t i = 0; i < text.length; i++) {
            buffer_printf(sql, "%02x", (unsigned char)text.data[i]);
        }
        buffer_add_string(sql, "' AS TEXT)");
        return;
    }
    buffer_add_char(sql, '\'');
    for (size_t i = 0; i < text.length; i++) {
        buffer_add(sql, text.data[i] == '\'' ? "''" : &text.data[i], text.data[i] == '\'' ? 2 : 1);
    }
    buffer_add_char(sql, '\'');
}

static void add_head(struct buffer *sql, struct span id, const char *comment)
{
    buffer_add_string(sql, "CREATE VIEW ");
    add_identifier(sql, id);
    buffer_printf(sql, " AS\n-- %s\nSELECT key, printf('%%d:%%012d', slot, idx) AS seq, ", comment);
}

static void add_keys(struct buffer *sql, const char *before, const struct span *keys, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buffer_add_string(sql, i ? ", " : before);
        sql_add_literal(sql, keys[i]);
    }
    buffer_add_string(sql, count ? ")" : "");
}

static void standard_sql(struct buffer *sql, struct span id, int kind, uint32_t export_id)
{
    switch (kind) {
    case 0:
        add_head(sql, id, "The entities, newest first.");
        buffer_printf(sql,
                      "data\nFROM entity WHERE export = %u "
                      "ORDER BY slot DESC, idx DESC, id DESC",
                      export_id);
        break;
    case 1:
        add_head(sql, id, "The entities in order of key.");
        buffer_printf(sql, "data\nFROM entity WHERE export = %u ORDER BY key", export_id);
        break;
    default:
        add_head(sql, id,
                 "The log as it is kept, oldest first. data: the patch as it came; "
                 "at: milliseconds since 1970 UTC.");
        buffer_printf(sql,
                      "patch AS data,\n    CASE op WHEN 0 THEN 'create' WHEN 1 THEN 'patch' "
                      "WHEN 2 THEN 'upsert' WHEN 3 THEN 'delete' ELSE 'evict' END AS op,\n"
                      "    at, id AS change\nFROM change WHERE export = %u ORDER BY id",
                      export_id);
    }
}

static bool projected_sql(struct buffer *sql, struct span id, uint32_t export_id,
                          const struct span *paths, size_t path_count, const struct span *keys,
                          size_t key_count)
{
    add_head(sql, id, "The entities that this view shows, newest first.");
    if (!projection_sql(sql, paths, path_count)) {
        return false;
    }
    buffer_printf(sql, " AS data\nFROM entity WHERE export = %u", export_id);
    add_keys(sql, " AND key IN (", keys, key_count);
    return buffer_add_string(sql, " ORDER BY slot DESC, idx DESC, id DESC");
}

static bool derived_view_sql(struct buffer *sql, struct span id, int64_t stage,
                             struct store_cut cut, const struct span *paths, size_t path_count,
                             const struct span *keys, size_t key_count)
{
    buffer_add_string(sql, "CREATE VIEW ");
    add_identifier(sql, id);
    buffer_add_string(sql, " AS\n-- " DERIVED_COMMENT "\nSELECT row_number() OVER (ORDER BY place) "
                           "AS rank, key, printf('%d:%012d', slot, idx) AS seq, ");
    if (!projection_sql(sql, paths, path_count)) {
        return false;
    }
    buffer_printf(sql,
                  " AS data\nFROM (SELECT place, entity FROM derived_row WHERE stage = %lld "
                  "ORDER BY place%s LIMIT %lld OFFSET %lld) AS shown "
                  "JOIN entity ON entity.id = shown.entity",
                  (long long)stage, cut.last ? " DESC" : "",
                  cut.last       ? 1
                  : cut.take < 0 ? -1
                                 : (long long)cut.take,
                  (long long)cut.skip);
    add_keys(sql, " WHERE key IN (", keys, key_count);
    return buffer_add_string(sql, " ORDER BY place");
}

/* ---- defining ---- */

/* Names that SQLite will not take: its own prefix. */
static bool is_reserved(struct span id)
{
    return id.length >= 7 && strncasecmp(id.data, "sqlite_", 7) == 0;
}

enum known_view { VIEW_ABSENT, VIEW_SAME, VIEW_DIFFERENT, VIEW_TAKEN, VIEW_UNKNOWN };

/* What there is under this name. SQLite ignores the case of names, stele does not. */
static enum known_view compare_view(struct store_writer *writer, struct span id, struct span wanted,
                                    struct error *error)
{
    struct query query;
    if (!query_start(&query, &writer->connection, STATEMENT_VIEW_SQL, sql_of_sql, error)) {
        return VIEW_UNKNOWN;
    }
    query_text(&query, id);
    enum query_step step = query_row(&query, error);
    if (step != QUERY_ROW) {
        return step == QUERY_DONE ? VIEW_ABSENT : VIEW_UNKNOWN;
    }
    struct span name = query_column_text(&query, 0), sql = query_column_text(&query, 1);
    enum known_view known = VIEW_TAKEN;
    if (!name.data || !sql.data) {
        error_set(error, ERROR_MEMORY, "out of memory");
        known = VIEW_UNKNOWN;
    } else if (span_equal(name, id)) {
        known = span_equal(sql, wanted) ? VIEW_SAME : VIEW_DIFFERENT;
    }
    query_end(&query);
    return known;
}

static bool drop_view(struct store_writer *writer, struct span id, struct error *error)
{
    struct buffer sql;
    buffer_init(&sql, SQL_LIMIT);
    buffer_add_string(&sql, "DROP VIEW ");
    add_identifier(&sql, id);
    bool ok = buffer_string(&sql) ? connection_execute(&writer->connection, sql.data, error)
                                  : error_set(error, ERROR_MEMORY, "no memory for a SQL view");
    buffer_fini(&sql);
    return ok;
}

/* Only what differs is written: a change of the schema makes every connection read it anew. */
static bool set_view(struct store_writer *writer, struct span id, struct buffer *sql,
                     struct error *error)
{
    if (!buffer_string(sql)) {
        return error_set(error, ERROR_MEMORY, "no memory for the SQL view of %.*s", (int)id.length,
                         id.data);
    }
    enum known_view known =
        is_reserved(id) ? VIEW_TAKEN : compare_view(writer, id, buffer_span(sql), error);
    switch (known) {
    case VIEW_UNKNOWN:
        return false;
    case VIEW_SAME:
        return true;
    case VIEW_TAKEN:
        log_warning("store", "sql-view-name-taken",
                    "view=\"%.*s\" remedy=\"its rows are in the tables entity and change\"",
                    (int)id.length, id.data);
        return true;
    case VIEW_DIFFERENT:
        if (!drop_view(writer, id, error)) {
            return false;
        }
        break;
    case VIEW_ABSENT:
        break;
    }
    return connection_execute(&writer->connection, sql->data, error);
}

/* The standard view `kind` of an export; with `restore` also where another is in its place. */
static bool set_standard(struct store_writer *writer, struct span export_name, int kind,
                         uint32_t export_id, bool restore, struct error *error)
{
    struct buffer id, sql;
    buffer_init(&id, SQL_LIMIT);
    buffer_init(&sql, SQL_LIMIT);
    buffer_add_span(&id, export_name);
    buffer_add_char(&id, '/');
    bool ok = buffer_add_string(&id, standard_names[kind]) ||
              error_set(error, ERROR_MEMORY, "no memory for a SQL view");
    if (ok) {
        standard_sql(&sql, buffer_span(&id), kind, export_id);
    }
    enum known_view known = VIEW_DIFFERENT;
    if (ok && !restore) {
        known = compare_view(writer, buffer_span(&id), buffer_span(&sql), error);
        ok = known != VIEW_UNKNOWN;
    }
    if (ok && (restore || known == VIEW_ABSENT || known == VIEW_TAKEN)) {
        ok = set_view(writer, buffer_span(&id), &sql, error);
    }
    buffer_fini(&id);
    buffer_fini(&sql);
    return ok;
}

bool sql_views_create_standard(struct store_writer *writer, struct span name, uint32_t export_id,
                               struct error *error)
{
    for (int kind = 0; kind < STANDARD_COUNT; kind++) {
        if (!set_standard(writer, name, kind, export_id, false, error)) {
            return writer_break(writer, error);
        }
    }
    return true;
}

bool store_view_define(struct store_writer *writer, struct span id, uint32_t export_id,
                       const struct span *paths, size_t path_count, const struct span *keys,
                       size_t key_count, struct error *error)
{
    struct buffer sql;
    if (!writer_ready(writer, error)) {
        return false;
    }
    buffer_init(&sql, SQL_LIMIT);
    bool ok = projected_sql(&sql, id, export_id, paths, path_count, keys, key_count)
                  ? set_view(writer, id, &sql, error)
                  : error_set(error, ERROR_MEMORY, "no memory for the SQL view of %.*s",
                              (int)id.length, id.data);
    buffer_fini(&sql);
    return ok || writer_break(writer, error);
}

bool store_view_define_derived(struct store_writer *writer, struct span id, int64_t stage,
                               struct store_cut cut, const struct span *paths, size_t path_count,
                               const struct span *keys, size_t key_count, struct error *error)
{
    struct buffer sql;
    if (!writer_ready(writer, error)) {
        return false;
    }
    buffer_init(&sql, SQL_LIMIT);
    bool ok = derived_view_sql(&sql, id, stage, cut, paths, path_count, keys, key_count)
                  ? set_view(writer, id, &sql, error)
                  : error_set(error, ERROR_MEMORY, "no memory for the SQL view of %.*s",
                              (int)id.length, id.data);
    buffer_fini(&sql);
    return ok || writer_break(writer, error);
}

/* ---- dropping ---- */

/* The export that a SQL view belongs to by its name, 0 when it is not one of ours. */
static uint32_t owner_of(const struct store_writer *writer, struct span id)
{
    const char *slash = memchr(id.data, '/', id.length);
    struct span name = span_make(id.data, slash ? (size_t)(slash - id.data) : 0);
    for (size_t i = 0; slash && i < writer->export_count; i++) {
        const struct export_record *record = &writer->exports[i];
        if (span_equal(span_make(record->name, record->name_length), name)) {
            return (uint32_t)i + 1;
        }
    }
    return 0;
}

/* Drop it, or put the standard view of that name back in its place. */
static bool retire_view(struct store_writer *writer, struct span id, struct error *error)
{
    uint32_t export_id = owner_of(writer, id);
    if (!export_id) {
        return true;
    }
    const struct export_record *record = &writer->exports[export_id - 1];
    struct span export_name = span_make(record->name, record->name_length);
    struct span name =
        span_make(id.data + record->name_length + 1, id.length - record->name_length - 1);
    for (int kind = 0; kind < STANDARD_COUNT; kind++) {
        if (span_equal(name, span_of(standard_names[kind]))) {
            return set_standard(writer, export_name, kind, export_id, true, error);
        }
    }
    return drop_view(writer, id, error);
}

/* All names with a slash, or those of derived views, each ended by a NUL. They are gathered first,
 * because nothing can be dropped while the list is being read. */
static bool list_views(struct store_writer *writer, bool derived, struct buffer *names,
                       struct error *error)
{
    struct query query;
    if (!query_start(&query, &writer->connection,
                     derived ? STATEMENT_VIEW_DERIVED : STATEMENT_VIEW_ALL,
                     derived ? derived_sql : all_sql, error)) {
        return false;
    }
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

static bool is_among(struct span id, const struct span *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (span_equal(ids[i], id)) {
            return true;
        }
    }
    return false;
}

static bool drop_others(struct store_writer *writer, bool derived, const struct span *ids,
                        size_t count, struct error *error)
{
    struct buffer names;
    if (!writer_ready(writer, error)) {
        return false;
    }
    buffer_init(&names, SQL_LIMIT);
    bool ok = list_views(writer, derived, &names, error);
    for (size_t at = 0; ok && at < names.length;) {
        struct span id = span_of(names.data + at);
        ok = is_among(id, ids, count) || retire_view(writer, id, error);
        at += id.length + 1;
    }
    buffer_fini(&names);
    return ok || writer_break(writer, error);
}

bool store_view_drop_others(struct store_writer *writer, const struct span *ids, size_t count,
                            struct error *error)
{
    return drop_others(writer, false, ids, count, error);
}

bool store_view_drop_derived(struct store_writer *writer, const struct span *ids, size_t count,
                             struct error *error)
{
    return drop_others(writer, true, ids, count, error);
}
