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
#include "sqlview/sqlview_internal.h"

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

bool projection_sql(struct buffer *sql, const struct span *paths, size_t count)
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
