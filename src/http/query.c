#include "http/query.h"

enum {
    ARGUMENT_BYTES = 8 * 1024,
    QUERY_BYTES = 64 * 1024,
    JSON_DEPTH = 100,
    SHOWN = 64 /* bytes of a value that an error repeats */
};

/* By name: how the value is written into the message. */
static const struct {
    const char *name;
    enum { FORM_TEXT, /* a string whatever it looks like */ FORM_TYPED, FORM_JSON } form;
} parameters[] = {{"key", FORM_TEXT},   {"after", FORM_TEXT}, {"epoch", FORM_TEXT},
                  {"take", FORM_TYPED}, {"skip", FORM_TYPED}, {"where", FORM_JSON},
                  {"sort", FORM_JSON}};
enum { PARAMETERS = sizeof parameters / sizeof *parameters };

void http_query_init(struct http_query *query, struct span view)
{
    *query = (struct http_query){.uses = "key, take, skip, filter, where, sort, after or epoch"};
    buffer_init(&query->message, QUERY_BYTES);
    buffer_init(&query->filters, QUERY_BYTES);
    buffer_init(&query->query, QUERY_BYTES);
    buffer_add_string(&query->message, "{\"type\":\"subscribe\",\"view\":");
    doc_escape(&query->message, doc_valid_utf8(view) ? view : span_of("?"));
}

void http_query_fini(struct http_query *query)
{
    buffer_fini(&query->message);
    buffer_fini(&query->filters);
    buffer_fini(&query->query);
}

static int shown(struct span text)
{
    return (int)(text.length < SHOWN ? text.length : SHOWN);
}

static bool no_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "out of memory while reading a query");
}

static bool unknown(const struct http_query *query, struct span name, struct error *error)
{
    return error_set(error, ERROR_INVALID_PARAMETER, "there is no parameter '%.*s'; use %s",
                     shown(name), name.data, query->uses);
}

/* "path:value"; the path ends at the first colon. */
static bool add_filter(struct http_query *query, struct span value, struct error *error)
{
    const char *colon = value.length ? memchr(value.data, ':', value.length) : NULL;
    if (!colon)
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "'filter' is '%.*s'; write path:value, such as status:reviewed",
                         shown(value), value.data);
    size_t length = (size_t)(colon - value.data);
    struct span text = span_make(colon + 1, value.length - length - 1);
    return doc_typed_member(&query->filters, span_make(value.data, length), text) ||
           no_memory(error);
}

/* A member as JSON, which is read by itself, so that it is one member. */
static bool add_json(struct http_query *query, const char *name, struct span value,
                     struct error *error)
{
    struct doc doc;
    struct error cause;
    uint32_t root;
    doc_init(&doc, UINT32_MAX, UINT32_MAX);
    bool good = doc_parse(&doc, value, JSON_DEPTH, &root, &cause);
    if (good) {
        buffer_printf(&query->query, ",\"%s\":", name);
        good = buffer_add_span(&query->query, doc_text(&doc, root)) || no_memory(error);
    } else {
        enum error_code code = cause.code == ERROR_MEMORY ? ERROR_MEMORY : ERROR_INVALID_PARAMETER;
        error_set(error, code, "'%s' is not usable JSON: %s", name, cause.message);
    }
    doc_fini(&doc);
    return good;
}

/* A value's own form of an integer beyond 2^53 is a string; a count is none. */
static bool add_typed(struct buffer *message, struct span value)
{
    static const int64_t wide = (int64_t)1 << 53;
    int64_t number;
    return typed_number(value, &number) && number >= wide
               ? buffer_printf(message, "%lld", (long long)number)
               : doc_typed_value(message, value);
}

static bool add_parameter(struct http_query *query, size_t index, struct span value,
                          struct error *error)
{
    const char *name = parameters[index].name;
    uint32_t bit = (uint32_t)1 << index;
    if (query->seen & bit)
        return error_set(error, ERROR_INVALID_PARAMETER, "'%s' is given twice", name);
    query->seen |= bit;
    if (parameters[index].form == FORM_JSON)
        return add_json(query, name, value, error);
    buffer_printf(&query->message, ",\"%s\":", name);
    return (parameters[index].form == FORM_TEXT ? doc_escape(&query->message, value)
                                                : add_typed(&query->message, value)) ||
           no_memory(error);
}

bool http_query_fits(struct span argument, struct error *error)
{
    return argument.length < ARGUMENT_BYTES ||
           error_set(error, ERROR_INVALID_PARAMETER,
                     "a parameter of the query has %zu bytes with its name; at most %d are "
                     "allowed",
                     argument.length, ARGUMENT_BYTES - 1);
}

bool http_query_add(struct http_query *query, struct span argument, struct error *error)
{
    const char *equals = argument.length ? memchr(argument.data, '=', argument.length) : NULL;
    size_t length = equals ? (size_t)(equals - argument.data) : argument.length;
    struct span name = span_make(argument.data, length);
    struct span value = equals ? span_make(equals + 1, argument.length - length - 1) : span_of("");
    if (!doc_valid_utf8(argument))
        return error_set(error, ERROR_INVALID_PARAMETER, "the query is not valid UTF-8");
    if (span_equal(name, span_of("filter")))
        return add_filter(query, value, error);
    for (size_t i = 0; i < PARAMETERS; i++)
        if (span_equal(name, span_of(parameters[i].name)))
            return add_parameter(query, i, value, error);
    return unknown(query, name, error);
}

/* By itself, so that what is wrong with the filters is said of them. */
static bool check_filters(struct span filters, struct error *error)
{
    struct doc doc;
    struct error cause;
    uint32_t root;
    doc_init(&doc, UINT32_MAX, UINT32_MAX);
    bool good = doc_parse(&doc, filters, 1, &root, &cause);
    doc_fini(&doc);
    if (good)
        return true;
    enum error_code code = cause.code == ERROR_MEMORY ? ERROR_MEMORY : ERROR_INVALID_PARAMETER;
    return error_set(error, code, "'filter': %s", cause.message);
}

bool http_query_end(struct http_query *query, struct wire_message *message, struct error *error)
{
    if (query->filters.length) {
        buffer_add_char(&query->filters, '}');
        if (query->filters.failed)
            return no_memory(error);
        if (!check_filters(buffer_span(&query->filters), error))
            return false;
        buffer_add_string(&query->message, ",\"filters\":");
        buffer_add_span(&query->message, buffer_span(&query->filters));
    }
    if (query->query.failed)
        return no_memory(error);
    buffer_add_span(&query->message, buffer_span(&query->query));
    if (!buffer_add_char(&query->message, '}'))
        return no_memory(error);
    return wire_message_parse(buffer_span(&query->message), message, error);
}
