/*
 * Random documents and patches against a plain implementation on jansson's values, and mutated
 * texts against jansson's parser. STELE_SEED repeats a run; a failure prints its seed.
 */
#include "json_support.h"
#include "random.h"

#include <jansson.h>

enum { ROUNDS = 100, PATCHES = 12, PATHS = 5, MUTATIONS = 8000 };

TEST_ALL(random_start_anew, NULL)

/* ---- random texts, each with the value it stands for ---- */

static json_t *random_value(struct buffer *text, int depth);

static void put_space(struct buffer *text)
{
    static const char spaces[] = " \n\t\r";
    while (random_below(8) == 0)
        buffer_add_char(text, spaces[random_below(4)]);
}

static size_t encode(uint32_t c, char bytes[4])
{
    if (c < 0x80) {
        bytes[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        bytes[0] = (char)(0xc0 | c >> 6);
        bytes[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        bytes[0] = (char)(0xe0 | c >> 12);
        bytes[1] = (char)(0x80 | (c >> 6 & 63));
        bytes[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    bytes[0] = (char)(0xf0 | c >> 18);
    bytes[1] = (char)(0x80 | (c >> 12 & 63));
    bytes[2] = (char)(0x80 | (c >> 6 & 63));
    bytes[3] = (char)(0x80 | (c & 63));
    return 4;
}

static void put_unit(struct buffer *text, uint32_t unit)
{
    buffer_printf(text, random_below(2) ? "\\u%04x" : "\\u%04X", unit);
}

/* One character as text, in any of the ways to write it. */
static void put_any_form(struct buffer *text, uint32_t c)
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const char *found = c && c < 0x80 ? strchr(meant, (int)c) : NULL;
    char bytes[4];
    if (found && random_below(2)) {
        buffer_add_char(text, '\\');
        buffer_add_char(text, letters[found - meant]);
    } else if (c >= ' ' && c != '"' && c != '\\' && random_below(4)) {
        buffer_add(text, bytes, encode(c, bytes));
    } else if (c >= 0x10000) {
        put_unit(text, 0xd800 + ((c - 0x10000) >> 10));
        put_unit(text, 0xdc00 + ((c - 0x10000) & 0x3ff));
    } else {
        put_unit(text, c);
    }
}

static uint32_t random_character(void)
{
    static const uint32_t special[] = {'"',  '\\',   '/',     0,        '\b',   '\n',   0x1f,
                                       0x7f, 0x80,   0x7ff,   0x800,    0xd7ff, 0xe000, 0xffff,
                                       '{',  0x2028, 0x10000, 0x10ffff, ']',    ',',    ':'};
    switch (random_below(6)) {
    case 0:
        return special[random_below(sizeof special / sizeof *special)];
    case 1:
        return 0x80 + random_below(0x700);
    default:
        return 'a' + random_below(26);
    }
}

static json_t *random_string(struct buffer *text)
{
    struct buffer raw;
    buffer_init(&raw, 1000);
    uint32_t length = random_below(4) ? random_below(12) : random_below(60);
    buffer_add_char(text, '"');
    for (uint32_t i = 0; i < length; i++) {
        char bytes[4];
        uint32_t c = random_character();
        buffer_add(&raw, bytes, encode(c, bytes));
        put_any_form(text, c);
    }
    buffer_add_char(text, '"');
    json_t *value = json_stringn(buffer_span(&raw).data, raw.length);
    buffer_fini(&raw);
    return value;
}

static json_t *random_number(struct buffer *text)
{
    static const char *const wide[] = {"9007199254740992", "-9007199254740992",
                                       "18446744073709551615", "-123456789012345678901234567890"};
    static const char *const real[] = {
        "0.1", "1.0", "1e2", "-0.0", "1E-7", "5e-324", "-1e308", "123.456", "9007199254740993.0"};
    uint32_t pick = random_below(8);
    char digits[32];
    if (pick == 0) {
        const char *it = wide[random_below(sizeof wide / sizeof *wide)];
        buffer_add_string(text, it);
        return json_string(it);
    }
    if (pick <= 2) {
        const char *it = real[random_below(sizeof real / sizeof *real)];
        buffer_add_string(text, it);
        return json_real(strtod(it, NULL));
    }
    int64_t value = pick == 3 ? INT64_C(9007199254740991) : (int64_t)random_below(2000) - 1000;
    value = pick == 3 && random_below(2) ? -value : value;
    snprintf(digits, sizeof digits, "%" PRId64, value);
    buffer_add_string(text, digits);
    return json_integer(value);
}

static json_t *random_array(struct buffer *text, int depth)
{
    json_t *array = json_array();
    uint32_t count = random_below(6);
    buffer_add_char(text, '[');
    for (uint32_t i = 0; i < count; i++) {
        if (i)
            buffer_add_char(text, ',');
        json_array_append_new(array, random_value(text, depth - 1));
    }
    put_space(text);
    buffer_add_char(text, ']');
    return array;
}

/* Few names, so that patches meet what is there, and names with dots, so that paths do. */
static void random_name(char name[16], bool many)
{
    static const char *const names[] = {"a",          "b",    "c",   "a.b", "",
                                        "\xc3\xa9\n", "_seq", "q\"", "b.a"};
    if (many)
        snprintf(name, 16, "name%u", random_below(60));
    else
        snprintf(name, 16, "%s", names[random_below(sizeof names / sizeof *names)]);
}

static json_t *random_object(struct buffer *text, int depth)
{
    json_t *object = json_object();
    bool many = random_below(12) == 0;
    uint32_t count = many ? 40 : random_below(7);
    buffer_add_char(text, '{');
    for (uint32_t i = 0; i < count; i++) {
        char name[16];
        random_name(name, many);
        if (json_object_get(object, name))
            continue;
        if (json_object_size(object))
            buffer_add_char(text, ',');
        put_space(text);
        buffer_add_char(text, '"');
        for (const unsigned char *at = (unsigned char *)name; *at; at++)
            /* Only the one name has another than ASCII characters, and it stays as it is. */
            if (*at < 0x80)
                put_any_form(text, *at);
            else
                buffer_add_char(text, (char)*at);
        buffer_add_char(text, '"');
        put_space(text);
        buffer_add_char(text, ':');
        json_object_set_new(object, name, random_value(text, many && depth > 2 ? 1 : depth - 1));
    }
    put_space(text);
    buffer_add_char(text, '}');
    return object;
}

static json_t *random_scalar(struct buffer *text)
{
    static const char *const words[] = {"null", "true", "false"};
    uint32_t pick = random_below(9);
    if (pick < 3) {
        buffer_add_string(text, words[pick]);
        return pick == 0 ? json_null() : json_boolean(pick == 1);
    }
    return pick < 6 ? random_string(text) : random_number(text);
}

static json_t *random_value(struct buffer *text, int depth)
{
    put_space(text);
    uint32_t pick = random_below(5);
    json_t *value = depth <= 0 || pick < 2 ? random_scalar(text)
                    : pick == 2            ? random_array(text, depth)
                                           : random_object(text, depth);
    put_space(text);
    return value;
}

/* ---- the plain implementation ---- */

struct oracle {
    const char *paths[PATHS];
    size_t lengths[PATHS];
    size_t count;
    size_t most;
};

static void cut_array(json_t *array, size_t most)
{
    while (most && json_array_size(array) > most)
        json_array_remove(array, 0);
}

static void cut_deeply(json_t *value, size_t most)
{
    const char *name;
    json_t *part;
    size_t i;
    if (json_is_array(value))
        cut_array(value, most);
    json_array_foreach(value, i, part) cut_deeply(part, most);
    json_object_foreach(value, name, part) cut_deeply(part, most);
}

static char *join(const char *path, const char *name)
{
    size_t size = strlen(path) + strlen(name) + 2;
    char *joined = malloc(size);
    snprintf(joined, size, "%s%s%s", path, *path ? "." : "", name);
    return joined;
}

static bool oracle_lists(const struct oracle *oracle, const char *path)
{
    for (size_t i = 0; i < oracle->count; i++)
        if (strcmp(oracle->paths[i], path) == 0)
            return true;
    return false;
}

static void oracle_report(struct oracle *oracle, const json_t *value, const char *path)
{
    const char *name;
    json_t *part;
    for (size_t i = 0; i < oracle->count; i++)
        if (json_is_array(value) && strcmp(oracle->paths[i], path) == 0 &&
            json_array_size(value) > oracle->lengths[i])
            oracle->lengths[i] = json_array_size(value);
    json_object_foreach((json_t *)value, name, part)
    {
        char *inner = join(path, name);
        oracle_report(oracle, part, inner);
        free(inner);
    }
}

static void oracle_merge(struct oracle *oracle, json_t *target, const json_t *patch,
                         const char *path)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)patch, name, value)
    {
        char *inner = join(path, name);
        json_t *old = json_object_get(target, name);
        if (json_is_object(old) && json_is_object(value)) {
            oracle_merge(oracle, old, value, inner);
        } else {
            json_t *new = json_deep_copy(value);
            cut_deeply(new, oracle->most);
            if (json_is_array(old) && json_is_array(value) && oracle_lists(oracle, inner)) {
                json_array_extend(old, new);
                cut_array(old, oracle->most);
                json_decref(new);
                new = json_incref(old);
            }
            oracle_report(oracle, new, inner);
            json_object_set_new(target, name, new);
        }
        free(inner);
    }
}

/* ---- comparing ---- */

#define explain(...)                                                                               \
    do {                                                                                           \
        print_error(SEED_FORMAT "\n", random_seed);                                                \
        fail_msg(__VA_ARGS__);                                                                     \
    } while (0)

static json_t *load(struct span text)
{
    json_error_t error;
    json_t *value = json_loadb(text.data, text.length,
                               JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (!value)
        explain("jansson refuses %.*s: %s", (int)text.length, text.data, error.text);
    return value;
}

/* The same values in the same order. */
static void same_value(const char *what, struct span found, const json_t *expected)
{
    json_t *value = load(found);
    char *a = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    char *b = json_dumps(expected, JSON_ENCODE_ANY | JSON_COMPACT);
    if (strcmp(a, b) != 0)
        explain("%s\nfound    %s\nexpected %s", what, a, b);
    free(a), free(b);
    json_decref(value);
}

static void is_canonical(struct span text)
{
    struct doc doc;
    doc_init(&doc, 1 << 22, 1 << 20);
    uint32_t root = parse_good(&doc, text);
    if (!span_equal(doc_text(&doc, root), text))
        explain("not canonical: %.*s", (int)text.length, text.data);
    doc_fini(&doc);
}

/* ---- the tests ---- */

/* A client's merge: what it holds, with a patch frame applied as the npm client applies it. */
static void check_client(json_t *client, struct span sent, const struct oracle *oracle,
                         const struct merge_append *appends, const json_t *server)
{
    struct oracle listed = {.count = 0};
    for (size_t i = 0; i < oracle->count; i++)
        if (!appends[i].full)
            listed.paths[listed.count++] = oracle->paths[i];
    json_t *patch = load(sent);
    oracle_merge(&listed, client, patch, "");
    char *a = json_dumps(client, JSON_COMPACT | JSON_SORT_KEYS);
    char *b = json_dumps(server, JSON_COMPACT | JSON_SORT_KEYS);
    if (strcmp(a, b) != 0)
        explain("the client has %s\nthe server   %s", a, b);
    free(a), free(b);
    json_decref(patch);
}

static bool oracle_leads(const struct oracle *oracle, const char *path)
{
    size_t length = strlen(path);
    for (size_t i = 0; i < oracle->count; i++)
        if (length == 0 ||
            (strncmp(oracle->paths[i], path, length) == 0 && oracle->paths[i][length] == '.'))
            return true;
    return false;
}

static json_t *oracle_project(const json_t *object, const char *path, const struct oracle *oracle);

/* What is on the way to a named member. */
static json_t *oracle_way(const json_t *value, const char *path, const struct oracle *oracle)
{
    if (json_is_object(value))
        return oracle_project(value, path, oracle);
    if (!json_is_array(value))
        return json_null();
    json_t *out = json_array(), *element;
    size_t i;
    json_array_foreach(value, i, element)
        json_array_append_new(out, oracle_way(element, path, oracle));
    return out;
}

/* `path` is NULL at the top. */
static json_t *oracle_project(const json_t *object, const char *path, const struct oracle *oracle)
{
    json_t *out = json_object(), *value;
    const char *name;
    json_object_foreach((json_t *)object, name, value)
    {
        char *inner = join(path ? path : "", name);
        bool named = oracle_lists(oracle, inner) || (!path && strcmp(inner, "_seq") == 0);
        if (named)
            json_object_set(out, name, value);
        else if (*inner && oracle_leads(oracle, inner))
            json_object_set_new(out, name, oracle_way(value, inner, oracle));
        free(inner);
    }
    return out;
}

static void check_projection(struct span entity, const json_t *value, const struct oracle *oracle,
                             const struct merge_append *appends)
{
    struct span paths[PATHS];
    struct buffer out;
    buffer_init(&out, 1 << 22);
    for (size_t i = 0; i < oracle->count; i++)
        paths[i] = appends[i].path;
    json_t *expected = oracle_project(value, NULL, oracle);
    assert_true(doc_project(&out, entity, paths, oracle->count));
    same_value("projection", buffer_span(&out), expected);
    is_canonical(buffer_span(&out));
    json_decref(expected);
    buffer_fini(&out);
}

static void check_appends(const struct oracle *oracle, const struct merge_append *appends)
{
    for (size_t i = 0; i < oracle->count; i++) {
        bool full = oracle->most && oracle->lengths[i] >= oracle->most;
        if (appends[i].length != oracle->lengths[i] || appends[i].full != full)
            explain("path %s: length %u, full %d; expected %zu, %d", oracle->paths[i],
                    appends[i].length, appends[i].full, oracle->lengths[i], full);
    }
}

static void pick_paths(struct oracle *oracle, struct merge_append *appends, struct buffer *escaped)
{
    static const char *const paths[] = {"a",     "b",   "a.b",   "b.a",        "c",
                                        "a.b.c", "c.a", "",      "\xc3\xa9\n", "a.\xc3\xa9\n",
                                        "name7", "a.",  "q\".b", "a.a"};
    *oracle = (struct oracle){.count = random_below(PATHS + 1), .most = random_below(4) * 3};
    for (size_t i = 0; i < oracle->count; i++) {
        oracle->paths[i] = paths[random_below(sizeof paths / sizeof *paths)];
        size_t from = escaped->length;
        doc_escape_bare(escaped, span_of(oracle->paths[i]));
        struct span path = span_make(buffer_span(escaped).data + from, escaped->length - from);
        /* What was reported before must not matter. */
        appends[i] = (struct merge_append){.path = path, .length = 1234, .full = true};
    }
}

/* One patch onto one entity; `entity` and `expected` are replaced by what it becomes. */
static void apply_one(struct buffer *entity, json_t *expected, bool present)
{
    struct oracle oracle;
    struct merge_append appends[PATHS];
    struct buffer text, out, sent, escaped;
    struct doc doc;
    struct error error;
    buffer_init(&text, 1 << 22), buffer_init(&out, 1 << 22), buffer_init(&sent, 1 << 22);
    buffer_init(&escaped, 1 << 10);
    buffer_reserve(&escaped, 1 << 10); /* so that spans into it stay */
    doc_init(&doc, 1 << 22, 1 << 20);
    pick_paths(&oracle, appends, &escaped);
    json_t *patch = random_object(&text, 4), *client = json_deep_copy(expected);
    uint32_t root = parse_good(&doc, buffer_span(&text));
    same_value("parsed", doc_text(&doc, root), patch);
    is_canonical(doc_text(&doc, root));
    struct span before = present ? buffer_span(entity) : span_make(NULL, 0), seq = span_of("1:2");
    assert_true(merge_object(&out, before, &doc, root, appends, oracle.count, (uint32_t)oracle.most,
                             seq, &error));
    json_object_del(patch, "_seq");
    oracle_merge(&oracle, expected, patch, "");
    json_object_set_new(expected, "_seq", json_string("1:2"));
    same_value("merged", buffer_span(&out), expected);
    is_canonical(buffer_span(&out));
    check_appends(&oracle, appends);
    assert_true(merge_print_patch(&sent, &doc, root, appends, oracle.count, (uint32_t)oracle.most,
                                  seq, buffer_span(&out), &error));
    is_canonical(buffer_span(&sent));
    check_client(client, buffer_span(&sent), &oracle, appends, expected);
    check_projection(buffer_span(&out), expected, &oracle, appends);
    buffer_clear(entity);
    buffer_add_span(entity, buffer_span(&out));
    json_decref(patch), json_decref(client);
    doc_fini(&doc);
    buffer_fini(&text), buffer_fini(&out), buffer_fini(&sent), buffer_fini(&escaped);
}

TEST(random_patches_merge_as_the_oracle_does)
{
    for (int round = 0; round < ROUNDS; round++) {
        struct buffer entity;
        json_t *expected = json_object();
        buffer_init(&entity, 1 << 22);
        for (int i = 0; i < PATCHES; i++)
            apply_one(&entity, expected, i > 0);
        json_decref(expected);
        buffer_fini(&entity);
    }
}

/* What a document makes of integers that are too wide, done to jansson's value. */
static json_t *widen(json_t *value)
{
    const char *name;
    json_t *part;
    size_t i;
    if (json_is_integer(value) && llabs(json_integer_value(value)) > 9007199254740991)
        return json_sprintf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    json_array_foreach(value, i, part) json_array_set_new(value, i, widen(part));
    json_object_foreach(value, name, part) json_object_set_new(value, name, widen(part));
    return json_incref(value);
}

static void mutate(struct buffer *text)
{
    static const char likely[] = "\"\\{}[],:0123456789-+.eEunl \n\x80\xc3\xa9\xed\xa0";
    for (uint32_t times = 1 + random_below(3); times && text->length; times--) {
        size_t at = random_below((uint32_t)text->length);
        char c = random_below(4) ? likely[random_below(sizeof likely)] : (char)random_below(256);
        switch (random_below(3)) {
        case 0:
            text->data[at] = c;
            break;
        case 1:
            memmove(text->data + at, text->data + at + 1, text->length - at - 1);
            text->length--;
            break;
        default:
            buffer_add_char(text, 0);
            memmove(text->data + at + 1, text->data + at, text->length - at - 1);
            text->data[at] = c;
        }
    }
}

/* Wide integers and NUL in a name are for documents only; raw NUL bytes jansson does not see. */
static bool comparable(struct span text, const json_t *value, const json_error_t *error)
{
    if (memchr(text.data, 0, text.length))
        return false;
    return value || (json_error_code(error) != json_error_numeric_overflow &&
                     json_error_code(error) != json_error_null_byte_in_key);
}

static void check_mutated(struct doc *doc, struct span text)
{
    struct error error = {0};
    json_error_t cause;
    uint32_t root;
    json_t *value = json_loadb(text.data, text.length,
                               JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &cause);
    bool good = doc_parse(doc, text, TEST_DEPTH, &root, &error);
    if (good != (value != NULL) && comparable(text, value, &cause))
        explain("%.*s\ndocument: %s\njansson: %s", (int)text.length, text.data,
                good ? "accepted" : error.message, value ? "accepted" : cause.text);
    assert_false(good && memchr(text.data, 0, text.length));
    if (good && value) {
        json_t *expected = widen(value);
        same_value("mutated", doc_text(doc, root), expected);
        json_decref(expected);
    }
    if (good)
        is_canonical(doc_text(doc, root));
    json_decref(value);
}

TEST(mutated_texts_are_accepted_as_jansson_does)
{
    struct buffer text;
    struct doc doc;
    buffer_init(&text, 1 << 20);
    doc_init(&doc, 1 << 20, 1 << 20);
    for (int i = 0; i < MUTATIONS; i++) {
        buffer_clear(&text);
        doc_clear(&doc);
        json_decref(random_value(&text, 3));
        mutate(&text);
        /* An exact copy, so that a step beyond its end is seen. */
        char *copy = memory_alloc(text.length);
        memcpy(copy, text.data, text.length);
        check_mutated(&doc, span_make(copy, text.length));
        memory_free(copy);
    }
    buffer_fini(&text);
    doc_fini(&doc);
}
