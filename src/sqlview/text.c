/* The texts of SQL views, behind CREATE VIEW <name> AS. Pure. */
#include "sqlview/sqlview_internal.h"

/* A string as bytes where it holds a NUL, which SQL text cannot. */
static void sql_add_literal(struct buffer *sql, struct span text)
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

/* ---- members ---- */

/*
 * A projection as a SQL expression over the column data of entity: the same text as subscribers
 * get, whatever is in the entity.
 *
 * SQLite's json_each gives the members of an object in their order, of which fullkey holds the name
 * as it is stored; the operator -> gives a value exactly as it is stored. Where all paths are
 * single names, the members are picked and joined. Else a walk goes down from the entity along the
 * paths, through objects and arrays, in the order of the text:
 *
 *   member   what the walk comes by: its place in that order, how deep it lies, the brackets that
 *            end what it lies in, the path of what it lies in (with a dot behind it), its name and
 *            value, and the text that holds it
 *   shown    those of them that show: whole, as an open bracket, or as null
 *   piece    their texts; joined with commas and the brackets that end before the next one
 *
 * Paths and names are JSON text without quotes, as they are stored, so an escape is as good as what
 * it stands for, and no NUL comes into SQL.
 */

/* The stored name of a member that json_each gives: fullkey is $.name or $."name". */
#define NAME_OF_MEMBER                                                                             \
    "CASE WHEN substr(fullkey, 3, 1) = '\"' THEN substr(fullkey, 4, length(fullkey) - 4) "         \
    "ELSE substr(fullkey, 3) END"

/*
 * The value of a member `name` of the object `holder` as it is stored. Up to SQLite 3.44 a quoted
 * name in a path ends at the first ", so a member with " in its name is looked for under another:
 * \/, which no stored name has, because / is never escaped. The file may be read by any version.
 */
#define VALUE_OF_MEMBER(holder)                                                                    \
    "CASE WHEN kind IN ('object', 'array') THEN body\n"                                            \
    "    ELSE coalesce(" holder " -> ('$.\"' || name || '\"'),\n"                                  \
    "      replace(" holder ", '\"' || name || '\":', '\"\\/\":') -> '$.\"\\/\"') END"

#define CLOSING "iif(kind = 'object', '}', ']')"

static void add_list(struct buffer *sql, const struct span *paths, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sql_add_literal(sql, paths[i]);
        buffer_add_string(sql, ", ");
    }
}

static bool is_among(struct span path, const struct span *paths, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (span_equal(paths[i], path)) {
            return true;
        }
    }
    return false;
}

/* The paths of what is on the way to a named member and not named itself, each with its dot. */
static size_t add_ways(struct buffer *sql, const struct span *paths, size_t count)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 1; j < paths[i].length; j++) {
            if (paths[i].data[j] == '.' && !is_among(span_make(paths[i].data, j), paths, count)) {
                buffer_add_string(sql, found++ ? ", " : "");
                sql_add_literal(sql, span_make(paths[i].data, j + 1));
            }
        }
    }
    return found;
}

/* Every path is a single name. */
static bool add_simple(struct buffer *sql, const struct span *paths, size_t count)
{
    buffer_add_string(sql, "(SELECT '{' || ifnull(group_concat('\"' || name || '\":' ||\n    "
                           "" VALUE_OF_MEMBER("data") ", ','), '') || '}'\n"
                                                      "  FROM (SELECT " NAME_OF_MEMBER
                                                      " AS name, type AS kind, value AS body "
                                                      "FROM json_each(data))\n  WHERE name IN (");
    add_list(sql, paths, count);
    return buffer_add_string(sql, "'_seq'))");
}

static void add_walk(struct buffer *sql, struct span ways)
{
    buffer_add_string(sql,
                      "(WITH RECURSIVE\n"
                      "member(place, depth, ends, above, name, kind, body, holder) AS (\n"
                      "  VALUES ('', 0, '', '', NULL, 'object', data, NULL)\n"
                      "  UNION ALL\n"
                      "  SELECT place || printf('%010d', id), depth + 1, " CLOSING " || ends,\n"
                      "    iif(name IS NULL, above, above || name || '.'),\n"
                      "    iif(kind = 'object', " NAME_OF_MEMBER ", NULL), type, value, body\n"
                      "  FROM member, json_each(body)\n"
                      "  WHERE kind IN ('object', 'array')\n"
                      "    AND (depth = 0 OR above || ifnull(name || '.', '') IN (");
    buffer_add_span(sql, ways);
    buffer_add_string(sql, "))),\n");
}

static void add_shown(struct buffer *sql, const struct span *paths, size_t count, struct span ways)
{
    buffer_add_string(sql, "shown AS (\n"
                           "  SELECT *, name IS NOT NULL AND above || name IN (");
    add_list(sql, paths, count);
    buffer_add_string(sql, "'_seq') AS whole FROM member\n"
                           "  WHERE name IS NULL OR above || name || '.' IN (");
    buffer_add_span(sql, ways);
    buffer_add_string(sql, ") OR above || name IN (");
    add_list(sql, paths, count);
    buffer_add_string(sql, "'_seq')),\n");
}

static bool add_deep(struct buffer *sql, const struct span *paths, size_t count, struct span ways)
{
    add_walk(sql, ways);
    add_shown(sql, paths, count, ways);
    return buffer_add_string(
        sql, "piece AS (\n"
             "  SELECT place, depth, NOT whole AND kind IN ('object', 'array') AS opens,\n"
             "    " CLOSING " || ends AS all_ends, ends,\n"
             "    ifnull('\"' || name || '\":', '') || CASE WHEN whole THEN "
             "" VALUE_OF_MEMBER(
                 "holder") "\n"
                           "    WHEN kind = 'object' THEN '{' WHEN kind = 'array' THEN '[' ELSE "
                           "'null' END AS "
                           "body\n  FROM shown)\n"
                           "SELECT group_concat(body, '') FROM (\n"
                           "  SELECT iif(lag(depth) OVER walk >= depth, ',', '') || body ||\n"
                           "    substr(iif(opens, all_ends, ends), 1, depth + opens - lead(depth, "
                           "1, 0) OVER "
                           "walk) AS body\n"
                           "  FROM piece WINDOW walk AS (ORDER BY place)))");
}

static bool projection_sql(struct buffer *sql, const struct span *paths, size_t count)
{
    struct buffer ways;
    if (count == 0) {
        return buffer_add_string(sql, "data");
    }
    buffer_init(&ways, sql->limit);
    bool deep = add_ways(&ways, paths, count) > 0;
    bool ok = !ways.failed && (deep ? add_deep(sql, paths, count, buffer_span(&ways))
                                    : add_simple(sql, paths, count));
    buffer_fini(&ways);
    return ok && !sql->failed;
}

/* ---- SQL views ---- */

const char *const sql_view_standard_names[] = {"list", "state", "append"};
enum { SHOWN = SQL_VIEW_STANDARD, DERIVED };

/* A view's own comment about itself: of a standard one by its index, or SHOWN, or DERIVED. */
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

int sql_view_standard(struct span id)
{
    const char *slash = memchr(id.data, '/', id.length);
    struct span name = slash ? span_make(slash + 1, (size_t)(id.data + id.length - slash - 1)) : id;
    for (int kind = 0; kind < SQL_VIEW_STANDARD; kind++) {
        if (slash && span_equal(name, span_of(sql_view_standard_names[kind]))) {
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
