/*
 * Fields on every JSON shape: for random entities and random paths, the SQL view of a projection
 * gives the same text as subscribers get, and a client that merges projected patches ends with the
 * projection of the merged entity. STELE_SEED repeats a run; a failure prints its seed.
 */
#include "random.h"
#include "sqlview/sqlview.h"
#include "store_fixture.h"
#include "json/json.h"

#include <sqlite3.h>

TEST_ALL(random_start_anew, NULL)

TEST_EACH(set_up, tear_down)

enum { ROUNDS = 60, ENTITIES = 8, PATCHES = 6, PATHS = 4, ARRAY = 5, TEXT = 1 << 16 };

/* Few names, so that paths meet them; as documents spell them. */
static const char *const names[] = {"a",    "b",     "c",        "a.b",      "b.c",
                                    "",     "q\\\"", "\\u0000",  "a\\u0000", "q\\\".b",
                                    "x[0]", "it's",  "\\\\back", "é"};
enum { NAMES = sizeof names / sizeof *names };

static void put_value(struct buffer *out, unsigned depth);

static void put_object(struct buffer *out, unsigned depth)
{
    uint32_t used = 0;
    buffer_add_char(out, '{');
    for (uint32_t i = random_below(5); i > 0; i--) {
        uint32_t name = random_below(random_below(3) ? 4 : NAMES);
        if (used >> name & 1)
            continue;
        buffer_printf(out, "%s\"%s\":", used ? "," : "", names[name]);
        used |= UINT32_C(1) << name;
        put_value(out, depth);
    }
    buffer_add_char(out, '}');
}

static void put_value(struct buffer *out, unsigned depth)
{
    static const char *const scalars[] = {
        "1.50", "-0",    "1e2",        "0",       "null",    "true", "false",
        "\"\"", "\"x\"", "\"q\\\"}\"", "\"\\n\"", "\"é,]\"", "7",    "\"18446744073709551615\""};
    uint32_t kind = depth ? random_below(3) : 2;
    if (kind == 0) {
        put_object(out, depth - 1);
    } else if (kind == 1) {
        buffer_add_char(out, '[');
        for (uint32_t i = 0, count = random_below(4); i < count; i++) {
            buffer_add_string(out, i ? "," : "");
            put_value(out, depth - 1);
        }
        buffer_add_char(out, ']');
    } else {
        buffer_add_string(out, scalars[random_below(sizeof scalars / sizeof *scalars)]);
    }
}

/* Up to three names, none of them empty. */
static void put_path(struct buffer *out)
{
    for (uint32_t i = 0, count = 1 + random_below(3); i < count; i++) {
        const char *name;
        do
            name = names[random_below(random_below(3) ? 3 : NAMES)];
        while (!*name);
        buffer_printf(out, "%s%s", i ? "." : "", name);
    }
}

struct fields {
    struct buffer texts[PATHS];
    struct span paths[PATHS];
    size_t count;
};

static void pick_fields(struct fields *fields)
{
    fields->count = 1 + random_below(PATHS);
    for (size_t i = 0; i < fields->count; i++) {
        buffer_clear(&fields->texts[i]);
        put_path(&fields->texts[i]);
        fields->paths[i] = buffer_span(&fields->texts[i]);
    }
}

static void project(struct buffer *out, struct span object, const struct fields *fields)
{
    buffer_clear(out);
    if (!doc_project(out, object, fields->paths, fields->count))
        fail_msg(SEED_FORMAT ": no projection of %.*s", random_seed, (int)object.length,
                 object.data);
}

static void same(const char *what, struct span found, struct span expected, struct span of,
                 const struct fields *fields)
{
    if (span_equal(found, expected))
        return;
    for (size_t i = 0; i < fields->count; i++)
        print_message("field %.*s\n", (int)fields->paths[i].length, fields->paths[i].data);
    fail_msg(SEED_FORMAT ", %s of\n%.*s\nis\n%.*s\nnot\n%.*s", random_seed, what, (int)of.length,
             of.data, (int)found.length, found.data, (int)expected.length, expected.data);
}

/* ---- commuting with the merge ---- */

static void merge_into(struct buffer *entity, struct span patch, struct merge_append *append,
                       struct span seq)
{
    struct buffer out;
    struct doc doc;
    uint32_t root;
    struct error error = {0};
    buffer_init(&out, TEXT);
    doc_init(&doc, TEXT, TEXT);
    if (!doc_parse(&doc, patch, 64, &root, &error) ||
        !merge_object(&out, entity->length ? buffer_span(entity) : span_make(NULL, 0), &doc, root,
                      append, append ? 1 : 0, ARRAY, seq, &error))
        fail_msg(SEED_FORMAT ": %s", random_seed, error.message);
    buffer_clear(entity);
    buffer_add_span(entity, buffer_span(&out));
    doc_fini(&doc);
    buffer_fini(&out);
}

/* A client that gets projected patches and cuts arrays as the server does. */
TEST_WITH(merging_and_projecting_commute, NULL, NULL)
{
    struct buffer entity, client, patch, shown, path;
    struct fields fields;
    for (size_t i = 0; i < PATHS; i++)
        buffer_init(&fields.texts[i], TEXT);
    buffer_init(&entity, TEXT), buffer_init(&client, TEXT), buffer_init(&patch, TEXT);
    buffer_init(&shown, TEXT), buffer_init(&path, TEXT);
    for (int round = 0; round < ROUNDS * ENTITIES; round++) {
        pick_fields(&fields);
        buffer_clear(&entity), buffer_clear(&client);
        for (int i = 0; i < PATCHES; i++) {
            buffer_clear(&patch), buffer_clear(&path);
            put_object(&patch, 4);
            put_path(&path);
            struct merge_append append = {.path = buffer_span(&path)};
            struct merge_append *given = random_below(2) ? &append : NULL;
            project(&shown, buffer_span(&patch), &fields);
            merge_into(&client, buffer_span(&shown), given, span_of("1:2"));
            merge_into(&entity, buffer_span(&patch), given, span_of("1:2"));
            project(&shown, buffer_span(&entity), &fields);
            /* The order of members may differ: "_seq" comes in by each merge. */
            if (!doc_value_equal(buffer_span(&client), buffer_span(&shown)))
                same("the client's row", buffer_span(&client), buffer_span(&shown),
                     buffer_span(&entity), &fields);
        }
    }
    for (size_t i = 0; i < PATHS; i++)
        buffer_fini(&fields.texts[i]);
    buffer_fini(&entity), buffer_fini(&client), buffer_fini(&patch);
    buffer_fini(&shown), buffer_fini(&path);
}

/* ---- SQL ---- */

static void compare_rows(const struct fields *fields)
{
    static const char sql[] = "SELECT some.data, list.data FROM \"Quake/some\" AS some "
                              "JOIN \"Quake/list\" AS list USING (key)";
    sqlite3 *database = NULL;
    sqlite3_stmt *statement = NULL;
    struct buffer expected;
    int rows = 0, result;
    buffer_init(&expected, TEXT);
    assert_int_equal(sqlite3_open_v2(fixture.path, &database, SQLITE_OPEN_READONLY, NULL), 0);
    if (sqlite3_prepare_v2(database, sql, -1, &statement, NULL) != SQLITE_OK)
        fail_msg(SEED_FORMAT ": %s", random_seed, sqlite3_errmsg(database));
    while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
        const char *shown = (const char *)sqlite3_column_text(statement, 0);
        struct span whole = span_of((const char *)sqlite3_column_text(statement, 1));
        project(&expected, whole, fields);
        same("the SQL row", span_of(shown ? shown : "NULL"), buffer_span(&expected), whole, fields);
        rows++;
    }
    if (result != SQLITE_DONE)
        fail_msg(SEED_FORMAT ": %s", random_seed, sqlite3_errmsg(database));
    assert_int_equal(rows, ENTITIES);
    sqlite3_finalize(statement);
    sqlite3_close(database);
    buffer_fini(&expected);
}

static void put_entities(void)
{
    struct buffer data;
    buffer_init(&data, TEXT);
    for (int i = 0; i < ENTITIES; i++) {
        char key[16];
        struct store_entity entity = {.key = span_make(key, (size_t)sprintf(key, "k%d", i)),
                                      .seq = {1, i}};
        buffer_clear(&data);
        put_object(&data, 5);
        data.length--; /* the brace */
        buffer_printf(&data, "%s\"_seq\":\"1:%012d\"}", data.length > 1 ? "," : "", i);
        entity.data = buffer_span(&data);
        OK(store_entity_insert(fixture.writer, fixture.quake, &entity, &fixture.error));
    }
    buffer_fini(&data);
}

static bool delete_entity(const char *key)
{
    struct store_entity entity;
    bool found;
    return store_read_entity(store_writer_reader(fixture.writer), fixture.quake, span_of(key),
                             &entity, &found, &fixture.error) &&
           (!found ||
            store_entity_delete(fixture.writer, fixture.quake, entity.id, &fixture.error));
}

TEST(sql_shows_what_subscribers_get)
{
    struct fields fields;
    for (size_t i = 0; i < PATHS; i++)
        buffer_init(&fields.texts[i], TEXT);
    for (int round = 0; round < ROUNDS; round++) {
        pick_fields(&fields);
        begin();
        for (int i = 0; i < ENTITIES; i++) {
            char key[16];
            snprintf(key, sizeof key, "k%d", i);
            OK(delete_entity(key));
        }
        put_entities();
        OK(sql_view_define(store_writer_state(fixture.writer).sql_views, SPAN("Quake/some"),
                           fixture.quake, fields.paths, fields.count, NULL, 0, &fixture.error));
        commit();
        compare_rows(&fields);
    }
    for (size_t i = 0; i < PATHS; i++)
        buffer_fini(&fields.texts[i]);
}
