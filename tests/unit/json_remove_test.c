/* What a mutation takes out of an entity: by paths, by nulls of a patch; text that is damaged; and
 * every allocation failing once. */
#include "json_support.h"
#include "random.h"
#include "test.h"

#include <jansson.h>

static const struct {
    const char *entity;
    const char *paths[4];
    const char *patch; /* NULL: none */
    const char *expected;
} cases[] = {
    {"{}", {"a"}, NULL, NULL},
    {"{\"a\":1}", {"a"}, NULL, "{}"},
    {"{\"a\":1,\"b\":2,\"c\":3}", {"a"}, NULL, "{\"b\":2,\"c\":3}"},
    {"{\"a\":1,\"b\":2,\"c\":3}", {"b"}, NULL, "{\"a\":1,\"c\":3}"},
    {"{\"a\":1,\"b\":2,\"c\":3}", {"c"}, NULL, "{\"a\":1,\"b\":2}"},
    {"{\"a\":1,\"b\":2,\"c\":3}", {"a", "b"}, NULL, "{\"c\":3}"},
    {"{\"a\":1,\"b\":2,\"c\":3}", {"c", "b", "a"}, NULL, "{}"},
    {"{\"a\":{\"b\":1,\"c\":[2]},\"d\":3}", {"a.b"}, NULL, "{\"a\":{\"c\":[2]},\"d\":3}"},
    {"{\"a\":{\"b\":1},\"d\":3}", {"a.b", "d"}, NULL, "{\"a\":{}}"},
    {"{\"x\":0,\"a\":{\"b\":1},\"d\":3}", {"x", "a.b"}, NULL, "{\"a\":{},\"d\":3}"},
    {"{\"a.b\":1,\"a\":{\"b\":2,\"c\":3}}", {"a.b"}, NULL, "{\"a\":{\"c\":3}}"},
    {"{\"a\":[{\"b\":1}],\"c\":\"{,}\"}", {"a.b", "c.d"}, NULL, NULL},
    {"{\"_seq\":\"1:2\",\"a\":{\"_seq\":1}}",
     {"_seq", "a._seq"},
     NULL,
     "{\"_seq\":\"1:2\",\"a\":{}}"},
    {"{\"\":1,\"a\":{\"\":2}}", {"", "a."}, NULL, NULL},
    {"{\"\":{\"b\":1},\"b\":2}", {"b", ".b"}, NULL, "{\"\":{\"b\":1}}"},
    {"{\"a\":{\"\":{\"b\":1},\"b\":2}}", {"a..b", "a.b"}, NULL, "{\"a\":{\"\":{\"b\":1}}}"},
    {"{\"a\\\"b\":1,\"c\":2}", {"a\\\"b"}, NULL, "{\"c\":2}"},
    {"{\"a\":1,\"b\":2}", {NULL}, "{\"a\":null,\"x\":null}", "{\"b\":2}"},
    {"{\"a\":{\"b\":1,\"c\":2}}", {NULL}, "{\"a\":{\"b\":null,\"d\":4}}", "{\"a\":{\"c\":2}}"},
    {"{\"a.b\":1,\"a\":{\"b\":2}}", {NULL}, "{\"a\":{\"b\":null}}", "{\"a.b\":1,\"a\":{}}"},
    {"{\"a\":5,\"b\":[{\"c\":1}]}", {NULL}, "{\"a\":{\"b\":null},\"b\":[{\"c\":null}]}", NULL},
    {"{\"_seq\":\"1:2\",\"a\":1}", {NULL}, "{\"_seq\":null}", NULL},
    {"{\"a\":1,\"b\":{\"c\":2,\"d\":3}}", {"b.c"}, "{\"b\":{\"d\":null}}", "{\"a\":1,\"b\":{}}"},
};

static int by_text(const void *a, const void *b)
{
    return span_compare(*(const struct span *)a, *(const struct span *)b);
}

TEST(takes_out_what_it_is_told)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error error = {.code = ERROR_NONE};
        struct span paths[4];
        struct merge_removal removal = {.paths = paths, .nulls = DOC_NONE};
        struct doc doc;
        struct buffer out;
        bool removed;
        doc_init(&doc, 1 << 16, 1000);
        buffer_init(&out, 1 << 16);
        while (removal.count < 4 && cases[i].paths[removal.count]) {
            paths[removal.count] = span_of(cases[i].paths[removal.count]);
            removal.count++;
        }
        qsort(paths, removal.count, sizeof *paths, by_text);
        removal.doc = &doc;
        if (cases[i].patch)
            assert_true(doc_parse(&doc, span_of(cases[i].patch), 20, &removal.nulls, &error));
        if (!merge_remove(&out, span_of(cases[i].entity), &removal, &removed, &error))
            fail_msg("%s: %s", cases[i].entity, error.message);
        assert_int_equal(removed, cases[i].expected != NULL);
        assert_string_equal(buffer_string(&out),
                            cases[i].expected ? cases[i].expected : cases[i].entity);
        buffer_fini(&out);
        doc_fini(&doc);
    }
}

/* ---- any paths, against the rule itself: names joined with dots are the text ---- */

enum { MANY = 256, PATH_SIZE = 64 };

static const char *const names[] = {"", ".", "a", "b", "a.b", "a.", "ab", "a-"};

static const char *random_name(void)
{
    return names[random_below(sizeof names / sizeof *names)];
}

static json_t *random_object(int depth)
{
    json_t *object = json_object();
    for (size_t i = random_below(6); i > 0; i--) {
        bool deeper = depth < 4 && random_below(2);
        json_object_set_new(object, random_name(), deeper ? random_object(depth + 1) : json_true());
    }
    return object;
}

static void random_path(char path[PATH_SIZE])
{
    size_t length = (size_t)snprintf(path, PATH_SIZE, "%s", random_name());
    for (size_t i = random_below(4); i > 0; i--)
        length += (size_t)snprintf(path + length, PATH_SIZE - length, "%s%s", length ? "." : "",
                                   random_name());
}

/* Whether something went. A member without a name has no path, nor has anything in it. */
static bool take_out(json_t *object, const char *above, char (*paths)[PATH_SIZE], size_t count)
{
    const char *name;
    json_t *value;
    void *next;
    bool some = false;
    json_object_foreach_safe(object, next, name, value)
    {
        char path[PATH_SIZE * 2];
        size_t i = 0;
        if (!*name)
            continue;
        snprintf(path, sizeof path, "%s%s%s", above, *above ? "." : "", name);
        while (i < count && strcmp(paths[i], path) != 0)
            i++;
        if (i < count)
            json_object_del(object, name);
        else if (json_is_object(value))
            some |= take_out(value, path, paths, count);
        some |= i < count;
    }
    return some;
}

TEST(takes_out_any_paths)
{
    static char texts[MANY][PATH_SIZE];
    struct span paths[MANY];
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        struct merge_removal removal = {.paths = paths, .nulls = DOC_NONE};
        struct error error;
        struct buffer out;
        bool removed;
        random_start(seed);
        json_t *object = random_object(0);
        char *text = json_dumps(object, JSON_COMPACT);
        removal.count = random_below(seed % 10 ? 6 : MANY);
        for (size_t i = 0; i < removal.count; i++) {
            random_path(texts[i]);
            paths[i] = span_of(texts[i]);
        }
        qsort(paths, removal.count, sizeof *paths, by_text);
        buffer_init(&out, 1 << 16);
        assert_true(merge_remove(&out, span_of(text), &removal, &removed, &error));
        json_t *rest = json_loads(buffer_string(&out), 0, NULL);
        if (removed != take_out(object, "", texts, removal.count) || !json_equal(rest, object))
            fail_msg("seed %llu: %s became %s", (unsigned long long)seed, text,
                     buffer_string(&out));
        json_decref(rest);
        json_decref(object);
        free(text);
        buffer_fini(&out);
    }
}

TEST(strips_nulls)
{
    static const char *const texts[][2] = {
        {"{}", NULL},
        {"{\"a\":[null,{\"b\":null}]}", NULL},
        {"{\"a\":null}", "{}"},
        {"{\"a\":null,\"b\":1,\"c\":null,\"d\":{\"e\":null}}", "{\"b\":1,\"d\":{}}"},
        {"{\"a\":{\"b\":{\"c\":null,\"d\":[null]}}}", "{\"a\":{\"b\":{\"d\":[null]}}}"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct error error;
        struct doc doc;
        struct buffer out;
        uint32_t root;
        doc_init(&doc, 1 << 16, 1000);
        buffer_init(&out, 1 << 16);
        assert_true(doc_parse(&doc, span_of(texts[i][0]), 20, &root, &error));
        assert_int_equal(doc_has_null(&doc, root), texts[i][1] != NULL);
        assert_true(doc_print_without_nulls(&out, &doc, root));
        assert_string_equal(buffer_string(&out), texts[i][texts[i][1] != NULL]);
        buffer_fini(&out);
        doc_fini(&doc);
    }
}

TEST(finds_long_arrays)
{
    static const char *const texts[][2] = {
        {"{\"a\":[1,2],\"b\":{\"c\":[1,2]}}", NULL},
        {"{\"a\":[1,2],\"b\":{\"c\":[1,2,3]}}", "b.c"},
        {"{\"a\":[[1,2,3]],\"b\":[1,2,3]}", "a"},
        {"{\"a\":[{\"x\":{\"y\":[1,2,3]}}]}", "a"},
        {"{\"a.b\":{\"\":{\"c\":[1,2,3]}}}", "a.b..c"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct error error;
        struct doc doc;
        struct buffer path;
        uint32_t root;
        doc_init(&doc, 1 << 16, 1000);
        buffer_init(&path, 1 << 16);
        assert_true(doc_parse(&doc, span_of(texts[i][0]), 20, &root, &error));
        assert_int_equal(doc_find_long_array(&doc, root, 2, &path), texts[i][1] != NULL);
        if (texts[i][1])
            assert_string_equal(buffer_string(&path), texts[i][1]);
        assert_false(doc_find_long_array(&doc, root, 0, &path));
        buffer_fini(&path);
        doc_fini(&doc);
    }
}

TEST(names_damage)
{
    static const char *const texts[] = {"",           "{",   "{\"a\"", "{\"a\":1",
                                        "{\"a\":1}x", "[1]", "{a:1}"};
    struct span path = span_of("a");
    const struct merge_removal removal = {.paths = &path, .count = 1, .nulls = DOC_NONE};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct error error = {.code = ERROR_NONE};
        struct buffer out;
        bool removed;
        /* Of its own, so that a step beyond its end is seen. */
        char *copy = memory_copy_string(texts[i], strlen(texts[i]));
        buffer_init(&out, 1 << 16);
        assert_false(
            merge_remove(&out, span_make(copy, strlen(texts[i])), &removal, &removed, &error));
        assert_int_equal(error.code, ERROR_DATABASE);
        buffer_fini(&out);
        memory_free(copy);
    }
}
