/*
 * jansson behind the tree functions. The only file that includes it: a struct tree is a json_t
 * that is never changed, so that handing out borrowed parts is safe.
 */
#include "json/json.h"

#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* jansson calls some failures of an allocation an invalid token, and after others it goes on with a
 * text that lacks a byte, so this remembers. */
static _Thread_local bool ran_out;

static void *allocate(size_t size)
{
    void *memory = memory_alloc(size);
    ran_out |= !memory;
    return memory;
}

static void set_up(void)
{
    json_set_alloc_funcs(allocate, memory_free);
    json_object_seed(
        0); /* 0: take one from the system, so that names cannot be chosen to collide */
}

static const json_t *json_of(const struct tree *tree)
{
    return (const json_t *)tree;
}

static const struct tree *tree_of(const json_t *json)
{
    return (const struct tree *)json;
}

/* ---- integers that jansson cannot hold ---- */

static const char *skip_string(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++)
        at += *at == '\\';
    return at < end ? at + 1 : end;
}

/* Whether the token is an integer beyond int64_t. */
static bool is_too_big(struct span token)
{
    static const char most[] = "9223372036854775807", least[] = "9223372036854775808";
    bool negative = token.length && token.data[0] == '-';
    struct span digits = span_make(token.data + negative, token.length - negative);
    for (size_t i = 0; i < digits.length; i++)
        if (digits.data[i] < '0' || digits.data[i] > '9')
            return false;
    if (digits.length != sizeof most - 1)
        return digits.length > sizeof most - 1 && digits.data[0] != '0';
    return memcmp(digits.data, negative ? least : most, digits.length) > 0;
}

/* Append the text with these integers as strings, which is what they are in documents, too. */
static bool quote_big(struct buffer *out, struct span text)
{
    static const char number[] = "+-.0123456789eE";
    const char *at = text.data, *end = at + text.length;
    while (at < end) {
        const char *start = at;
        if (*at == '"') {
            at = skip_string(at, end);
        } else if (*at == '-' || (*at >= '0' && *at <= '9')) {
            while (at < end && memchr(number, *at, sizeof number - 1))
                at++;
        } else {
            at++;
        }
        struct span token = span_make(start, (size_t)(at - start));
        bool quote = *start != '"' && is_too_big(token);
        buffer_add_string(out, quote ? "\"" : "");
        buffer_add_span(out, token);
        buffer_add_string(out, quote ? "\"" : "");
    }
    return !out->failed;
}

static json_t *load(struct span text, json_error_t *cause)
{
    /* An escaped NUL is allowed, since an entity's key may hold one. jansson itself bounds the
     * nesting. */
    return json_loadb(text.data, text.length,
                      JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, cause);
}

/* Only where there is such an integer is the text changed: then columns in errors are the changed
 * text's. */
static json_t *load_any(struct span text, json_error_t *cause)
{
    json_t *json = load(text, cause);
    if (json || ran_out || json_error_code(cause) != json_error_numeric_overflow)
        return json;
    struct buffer changed;
    buffer_init(&changed, SIZE_MAX / 2);
    if (quote_big(&changed, text))
        json = load(buffer_span(&changed), cause);
    else
        ran_out = true;
    buffer_fini(&changed);
    return json;
}

struct tree *tree_parse(struct span text, struct error *error)
{
    json_error_t cause;
    const char *data = text.data ? text.data : "";
    const char *nul = memchr(data, 0, text.length);
    /* jansson passes over such bytes in silence. */
    if (nul) {
        error_set(error, ERROR_INVALID_MESSAGE, "byte %zu is NUL, which no JSON text may hold",
                  (size_t)(nul - data) + 1);
        return NULL;
    }
    pthread_once(&once, set_up);
    ran_out = false;
    json_t *json = load_any(span_make(data, text.length), &cause);
    if (json && !ran_out)
        return (struct tree *)json;
    json_decref(json);
    if (ran_out)
        error_set(error, ERROR_MEMORY, "out of memory while parsing JSON");
    else
        error_set(error, ERROR_INVALID_MESSAGE, "line %d, column %d: %s", cause.line, cause.column,
                  cause.text);
    return NULL;
}

void tree_free(struct tree *root)
{
    json_decref((json_t *)root);
}

enum tree_type tree_type(const struct tree *tree)
{
    switch (json_typeof(json_of(tree))) {
    case JSON_OBJECT:
        return TREE_OBJECT;
    case JSON_ARRAY:
        return TREE_ARRAY;
    case JSON_STRING:
        return TREE_STRING;
    case JSON_INTEGER:
        return TREE_INTEGER;
    case JSON_REAL:
        return TREE_REAL;
    case JSON_TRUE:
    case JSON_FALSE:
        return TREE_BOOLEAN;
    case JSON_NULL:
        break;
    }
    return TREE_NULL;
}

const struct tree *tree_member(const struct tree *object, const char *name)
{
    return tree_of(json_object_get(json_of(object), name));
}

const struct tree *tree_element(const struct tree *array, size_t index)
{
    return tree_of(json_array_get(json_of(array), index));
}

size_t tree_count(const struct tree *container)
{
    const json_t *json = json_of(container);
    return json_is_array(json) ? json_array_size(json) : json_object_size(json);
}

bool tree_next(const struct tree *object, void **position, const char **name,
               const struct tree **value)
{
    /* jansson's iterators take an object that may change; this one is only read. */
    json_t *json = (json_t *)object;
    *position = *position ? json_object_iter_next(json, *position) : json_object_iter(json);
    if (!*position)
        return false;
    *name = json_object_iter_key(*position);
    *value = tree_of(json_object_iter_value(*position));
    return true;
}

struct span tree_string(const struct tree *tree)
{
    const json_t *json = json_of(tree);
    return span_make(json_string_value(json), json_string_length(json));
}

int64_t tree_integer(const struct tree *tree, int64_t otherwise)
{
    return json_is_integer(json_of(tree)) ? json_integer_value(json_of(tree)) : otherwise;
}

double tree_real(const struct tree *tree, double otherwise)
{
    return json_is_number(json_of(tree)) ? json_number_value(json_of(tree)) : otherwise;
}

bool tree_boolean(const struct tree *tree, bool otherwise)
{
    return json_is_boolean(json_of(tree)) ? json_is_true(json_of(tree)) : otherwise;
}

static int add_to_buffer(const char *data, size_t length, void *out)
{
    return buffer_add(out, data, length) ? 0 : -1;
}

bool tree_print(const struct tree *tree, struct buffer *out)
{
    return json_dump_callback(json_of(tree), add_to_buffer, out, JSON_COMPACT | JSON_ENCODE_ANY) ==
           0;
}

/* ---- canonical text ---- */

/* The shortest that strtod reads back as the same; 17 digits always do. */
static void print_real(double real, struct buffer *out)
{
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, real);
        if (strtod(text, NULL) == real)
            break;
    }
    /* The locale's point, if some host set one. */
    for (char *at = text; *at; at++)
        if (*at == ',')
            *at = '.';
    buffer_add_string(out, text);
}

static void print_integer(int64_t integer, struct buffer *out)
{
    char text[24];
    int length = snprintf(text, sizeof text, "%" PRId64, integer);
    bool wide = doc_is_wide(span_make(text, (size_t)length));
    buffer_printf(out, wide ? "\"%s\"" : "%s", text);
}

static void print_object(const struct tree *object, struct buffer *out)
{
    void *position = NULL;
    const char *name;
    const struct tree *value;
    char before = '{';
    while (tree_next(object, &position, &name, &value)) {
        buffer_add_char(out, before);
        before = ',';
        doc_escape(out, span_of(name));
        buffer_add_char(out, ':');
        tree_print_canonical(value, out);
    }
    buffer_add_string(out, before == '{' ? "{}" : "}");
}

static void print_array(const struct tree *array, struct buffer *out)
{
    buffer_add_char(out, '[');
    for (size_t i = 0; i < tree_count(array); i++) {
        buffer_add_string(out, i > 0 ? "," : "");
        tree_print_canonical(tree_element(array, i), out);
    }
    buffer_add_char(out, ']');
}

bool tree_print_canonical(const struct tree *tree, struct buffer *out)
{
    switch (tree_type(tree)) {
    case TREE_NULL:
        buffer_add_string(out, "null");
        break;
    case TREE_BOOLEAN:
        buffer_add_string(out, tree_boolean(tree, false) ? "true" : "false");
        break;
    case TREE_INTEGER:
        print_integer(tree_integer(tree, 0), out);
        break;
    case TREE_REAL:
        print_real(tree_real(tree, 0), out);
        break;
    case TREE_STRING:
        doc_escape(out, tree_string(tree));
        break;
    case TREE_ARRAY:
        print_array(tree, out);
        break;
    case TREE_OBJECT:
        print_object(tree, out);
        break;
    }
    return !out->failed;
}
