/* What SQL views are made of, behind CREATE VIEW <name> AS. Pure. */
#include "sqlview/sqlview_internal.h"

static const char *const standard_names[] = {"list", "state", "append"};
enum { SHOWN = SQL_VIEW_STANDARD, DERIVED };

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

void sql_view_standard_text(struct buffer *sql, int kind, uint32_t export_id)
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

bool sql_view_body(struct buffer *sql, uint32_t export_id, const struct span *paths,
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

bool sql_view_derived_body(struct buffer *sql, int64_t stage, struct sql_view_cut cut,
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

const char *sql_view_standard_name(int kind)
{
    return standard_names[kind];
}

int sql_view_standard(struct span id)
{
    const char *slash = memchr(id.data, '/', id.length);
    struct span name = slash ? span_make(slash + 1, (size_t)(id.data + id.length - slash - 1)) : id;
    for (int kind = 0; kind < SQL_VIEW_STANDARD; kind++) {
        if (slash && span_equal(name, span_of(standard_names[kind]))) {
            return kind;
        }
    }
    return -1;
}

bool sql_view_standard_body(struct buffer *sql, struct span id, uint32_t export_id)
{
    int kind = sql_view_standard(id);
    if (kind >= 0) {
        sql_view_standard_text(sql, kind, export_id);
    }
    return kind >= 0;
}
