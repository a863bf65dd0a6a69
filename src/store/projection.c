/*
 * A projection as a SQL expression over the column data of entity: the same as subscribers get.
 *
 * It is joined from pieces of text, because SQLite's own json_object would have to read a missing
 * member and a null alike. The operator -> gives each value exactly as it is stored. For the paths
 * a and o.x the expression is, in essence,
 *
 *   '{' || substr(
 *     coalesce(',"a":' || (data -> '$."a"'), '') ||
 *     coalesce(',"o":' || CASE substr(data -> '$."o"', 1, 1)
 *       WHEN '{' THEN '{' || substr(coalesce(',"x":' || (data -> '$."o"."x"'), ''), 2) || '}'
 *       ELSE (data -> '$."o"') END, ''), 2) || '}'
 *
 * where a missing member makes its piece NULL, hence ''; substr takes the first comma away. An
 * object on the way to a named member stays, if need be empty; anything else in its place is shown
 * as it is. Unlike there, a name that has a dot in it is not found by a dotted path.
 */
#include "store/store_internal.h"

/* The paths first … last - 1 of `paths` that go through the same members down to `depth`. */
struct level {
    struct buffer *sql;
    const struct store_path *paths;
    const size_t *members; /* path numbers, one per member at this depth */
    size_t depth;
};

static const struct span seq_name = {"_seq", 4};

static bool has_prefix(const struct store_path *path, const struct store_path *other, size_t depth)
{
    if (path->count < depth || other->count < depth) {
        return false;
    }
    for (size_t i = 0; i < depth; i++) {
        if (!span_equal(path->segments[i], other->segments[i])) {
            return false;
        }
    }
    return true;
}

/* A name as it stands in canonical JSON, inside a SQL string: ' is doubled. */
static void add_name(struct buffer *sql, struct span name)
{
    static const char short_escapes[] = "b\bf\fn\nr\rt\t";
    for (size_t i = 0; i < name.length; i++) {
        unsigned char c = (unsigned char)name.data[i];
        const char *escape = c ? strchr(short_escapes, c) : NULL;
        if (c == '"' || c == '\\') {
            buffer_add_char(sql, '\\');
            buffer_add_char(sql, (char)c);
        } else if (c == '\'') {
            buffer_add_string(sql, "''");
        } else if (c < 0x20 && escape) {
            buffer_add_char(sql, '\\');
            buffer_add_char(sql, escape[-1]);
        } else if (c < 0x20) {
            buffer_printf(sql, "\\u%04x", c);
        } else {
            buffer_add_char(sql, (char)c);
        }
    }
}

static bool has_quote(struct span name)
{
    return name.length && memchr(name.data, '"', name.length);
}

static void add_lookup(struct buffer *sql, const struct store_path *path, size_t depth, bool bare)
{
    buffer_add_string(sql, "data -> '$");
    for (size_t i = 0; i < depth; i++) {
        const char *quote = bare && has_quote(path->segments[i]) ? "" : "\"";
        buffer_add_char(sql, '.');
        buffer_add_string(sql, quote);
        add_name(sql, path->segments[i]);
        buffer_add_string(sql, quote);
    }
    buffer_add_char(sql, '\'');
}

/*
 * A name with a double quote in it: SQLite before 3.45 ends a quoted name at the first one, so
 * there it must stand bare; later ones understand only the quoted form. The file may be read by
 * either. (A name with " and [ both cannot be written for the older ones: it is left out there.)
 */
static void add_value(struct buffer *sql, const struct store_path *path, size_t depth)
{
    bool quote = false;
    for (size_t i = 0; i < depth; i++) {
        quote = quote || has_quote(path->segments[i]);
    }
    buffer_add_string(sql, quote ? "coalesce(" : "(");
    add_lookup(sql, path, depth, false);
    if (quote) {
        buffer_add_string(sql, ", ");
        add_lookup(sql, path, depth, true);
    }
    buffer_add_char(sql, ')');
}

static bool add_members(struct buffer *sql, const struct store_path *paths, size_t count,
                        const struct store_path *parent, size_t depth);

/* One member: whole where some path ends here, else an object of what the paths name below. */
static bool add_member(struct buffer *sql, const struct store_path *paths, size_t count,
                       const struct store_path *path, size_t depth)
{
    bool whole = false;
    for (size_t i = 0; i < count; i++) {
        whole = whole || (paths[i].count == depth && has_prefix(&paths[i], path, depth));
    }
    buffer_add_string(sql, "coalesce(',\"");
    add_name(sql, path->segments[depth - 1]);
    if (whole) {
        buffer_add_string(sql, "\":' || ");
        add_value(sql, path, depth);
        return buffer_add_string(sql, ", '')");
    }
    buffer_add_string(sql, "\":' || CASE json_type(");
    add_value(sql, path, depth);
    buffer_add_string(sql, ") WHEN 'object' THEN '{' || substr(");
    if (!add_members(sql, paths, count, path, depth)) {
        return false;
    }
    buffer_add_string(sql, ", 2) || '}' ELSE ");
    add_value(sql, path, depth);
    return buffer_add_string(sql, " END, '')");
}

/* Joined in pairs of pairs: SQLite refuses expressions that are nested too deeply, which a plain
 * chain of a thousand || would be. */
static bool join_members(const struct level *level, size_t first, size_t last, size_t count)
{
    if (last - first == 1) {
        const struct store_path *path = &level->paths[level->members[first]];
        return add_member(level->sql, level->paths, count, path, level->depth);
    }
    size_t middle = first + (last - first) / 2;
    buffer_add_char(level->sql, '(');
    return join_members(level, first, middle, count) && buffer_add_string(level->sql, " || ") &&
           join_members(level, middle, last, count) && buffer_add_char(level->sql, ')');
}

/* The members below `parent`, of which the first `depth` segments lead there. */
static bool add_members(struct buffer *sql, const struct store_path *paths, size_t count,
                        const struct store_path *parent, size_t depth)
{
    size_t *members = memory_alloc(count * sizeof *members);
    size_t found = 0;
    if (!members) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        bool known = paths[i].count <= depth || !has_prefix(&paths[i], parent, depth);
        for (size_t j = 0; j < found && !known; j++) {
            known = has_prefix(&paths[i], &paths[members[j]], depth + 1);
        }
        if (!known) {
            members[found++] = i;
        }
    }
    struct level level = {sql, paths, members, depth + 1};
    bool ok = found ? join_members(&level, 0, found, count) : buffer_add_string(sql, "''");
    memory_free(members);
    return ok;
}

bool projection_sql(struct buffer *sql, const struct store_path *paths, size_t count)
{
    if (count == 0) {
        return buffer_add_string(sql, "data");
    }
    struct store_path *all = memory_alloc((count + 1) * sizeof *all);
    if (!all) {
        return false;
    }
    memcpy(all, paths, count * sizeof *all);
    all[count] = (struct store_path){&seq_name, 1};
    buffer_add_string(sql, "'{' || substr(");
    bool ok = add_members(sql, all, count + 1, &all[0], 0) && buffer_add_string(sql, ", 2) || '}'");
    memory_free(all);
    return ok;
}
