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

enum { SQL_LIMIT = 4 << 20 };

static const char *const standard_names[] = {"list", "state", "append"};
enum { STANDARD_COUNT = 3, SHOWN = STANDARD_COUNT, DERIVED };
/* ---- texts ---- */

/* What the text of a view says of itself: of a standard one by its place, or SHOWN, or DERIVED. */
static const char *comment_of(size_t kind)
{
    switch (kind) {
    case 0:
        return SQL_VIEW_LIST_COMMENT;
    case 1:
        return SQL_VIEW_STATE_COMMENT;
    case 2:
        return SQL_VIEW_APPEND_COMMENT;
    case SHOWN:
        return SQL_VIEW_SHOWN_COMMENT;
    default:
        return SQL_VIEW_DERIVED_COMMENT;
    }
}

void sql_add_identifier(struct buffer *sql, struct span name)
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

static void add_head(struct buffer *sql, int kind)
{
    buffer_add_string(sql, comment_of((size_t)kind));
    buffer_add_string(sql, "\nSELECT key, printf('%d:%012d', slot, idx) AS seq, ");
}

static void add_keys(struct buffer *sql, const char *before, const struct span *keys, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buffer_add_string(sql, i ? ", " : before);
        sql_add_literal(sql, keys[i]);
    }
    buffer_add_string(sql, count ? ")" : "");
}

static void standard_sql(struct buffer *sql, int kind, uint32_t export_id)
{
    add_head(sql, kind);
    switch (kind) {
    case 0:
        buffer_printf(sql,
                      "data\nFROM entity WHERE export = %u "
                      "ORDER BY slot DESC, idx DESC, key",
                      export_id);
        break;
    case 1:
        buffer_printf(sql, "data\nFROM entity WHERE export = %u ORDER BY key", export_id);
        break;
    default:
        buffer_printf(sql,
                      "patch AS data,\n    CASE op WHEN 0 THEN 'create' WHEN 1 THEN 'patch' "
                      "WHEN 2 THEN 'upsert' WHEN 3 THEN 'delete' ELSE 'evict' END AS op,\n"
                      "    at, id AS change\nFROM change WHERE export = %u ORDER BY id",
                      export_id);
    }
}

bool store_view_sql(struct buffer *sql, uint32_t export_id, const struct span *paths,
                    size_t path_count, const struct span *keys, size_t key_count)
{
    add_head(sql, SHOWN);
    if (!projection_sql(sql, paths, path_count)) {
        return false;
    }
    buffer_printf(sql, " AS data\nFROM entity WHERE export = %u", export_id);
    add_keys(sql, " AND key IN (", keys, key_count);
    return buffer_add_string(sql, " ORDER BY slot DESC, idx DESC, key");
}

bool store_derived_view_sql(struct buffer *sql, int64_t stage, struct store_cut cut,
                            const struct span *paths, size_t path_count, const struct span *keys,
                            size_t key_count)
{
    buffer_add_string(sql, comment_of(DERIVED));
    buffer_add_string(sql, "\nSELECT row_number() OVER (ORDER BY place) AS rank, key, "
                           "printf('%d:%012d', slot, idx) AS seq, ");
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

static bool define(struct store_writer *writer, struct span id, struct buffer *sql,
                   struct error *error)
{
    bool ok = sql->failed ? error_set(error, ERROR_MEMORY, "no memory for the SQL view of %.*s",
                                      (int)id.length, id.data)
                          : sql_view_set(writer, id, buffer_span(sql), error);
    return ok || writer_break(writer, error);
}

bool sql_view_set_standard(struct store_writer *writer, struct span export_name, int kind,
                           uint32_t export_id, struct error *error)
{
    struct buffer id, sql;
    buffer_init(&id, SQL_LIMIT);
    buffer_init(&sql, SQL_LIMIT);
    buffer_add_span(&id, export_name);
    buffer_add_char(&id, '/');
    buffer_add_string(&id, standard_names[kind]);
    standard_sql(&sql, kind, export_id);
    sql.failed = sql.failed || id.failed;
    bool ok = define(writer, buffer_span(&id), &sql, error);
    buffer_fini(&id);
    buffer_fini(&sql);
    return ok;
}

int sql_view_standard(struct span id)
{
    const char *slash = memchr(id.data, '/', id.length);
    struct span name = slash ? span_make(slash + 1, (size_t)(id.data + id.length - slash - 1)) : id;
    for (int kind = 0; kind < STANDARD_COUNT; kind++) {
        if (slash && span_equal(name, span_of(standard_names[kind]))) {
            return kind;
        }
    }
    return -1;
}

/* Where there is one already it may show what the configuration says instead: then it stays, until
 * store_view_drop_others knows better. */
bool sql_views_create_standard(struct store_writer *writer, struct span name, uint32_t export_id,
                               struct error *error)
{
    struct buffer id;
    bool ok = true;
    buffer_init(&id, SQL_LIMIT);
    for (int kind = 0; ok && kind < STANDARD_COUNT; kind++) {
        bool known = false;
        buffer_clear(&id);
        buffer_add_span(&id, name);
        buffer_add_char(&id, '/');
        ok = (buffer_add_string(&id, standard_names[kind]) ||
              error_set(error, ERROR_MEMORY, "no memory for a SQL view")) &&
             sql_view_is_known(writer, buffer_span(&id), &known, error) &&
             (known || sql_view_set_standard(writer, name, kind, export_id, error));
    }
    buffer_fini(&id);
    return ok || writer_break(writer, error);
}

bool store_standard_view_sql(struct buffer *sql, struct span id, uint32_t export_id)
{
    int kind = sql_view_standard(id);
    if (kind >= 0) {
        standard_sql(sql, kind, export_id);
    }
    return kind >= 0;
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
    sql.failed |= !store_view_sql(&sql, export_id, paths, path_count, keys, key_count);
    bool ok = define(writer, id, &sql, error);
    buffer_fini(&sql);
    return ok;
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
    sql.failed |= !store_derived_view_sql(&sql, stage, cut, paths, path_count, keys, key_count);
    bool ok = define(writer, id, &sql, error);
    buffer_fini(&sql);
    return ok;
}
