#include "cli/query.h"

#include "json/json.h"

static bool add_filters(struct buffer *out, const struct option_texts *filters)
{
    struct buffer object;
    buffer_init(&object, UINT32_MAX);
    for (size_t i = 0; i < filters->count; i++) {
        const char *text = filters->items[i];
        size_t length = strcspn(text, "=");
        doc_typed_member(&object, span_make(text, length), span_of(text + length + 1));
    }
    buffer_add_string(out, ",\"filters\":");
    buffer_add_span(out, buffer_span(&object));
    buffer_add_char(out, '}');
    bool done = !object.failed;
    buffer_fini(&object);
    return done;
}

/* A path; with a minus in front, descending. */
static void add_sort(struct buffer *out, const struct option_texts *sorts)
{
    for (size_t i = 0; i < sorts->count; i++) {
        const char *path = sorts->items[i];
        bool descending = path[0] == '-';
        buffer_add_string(out, i ? ",{\"by\":" : ",\"sort\":[{\"by\":");
        doc_escape(out, span_of(path + descending));
        buffer_add_string(out, descending ? ",\"order\":\"desc\"}" : "}");
    }
    buffer_add_string(out, sorts->count ? "]" : "");
}

/* By itself, so that it is no more than one member of the message. */
static bool check_where(const char *where, struct error *error)
{
    enum { DEPTH = 100 };
    struct error cause = {.code = ERROR_NONE};
    struct doc doc;
    uint32_t root;
    doc_init(&doc, UINT32_MAX, UINT32_MAX);
    bool good = doc_parse(&doc, span_of(where), DEPTH, &root, &cause);
    doc_fini(&doc);
    return good || error_set(error, ERROR_INVALID_PARAMETER,
                             "--where is not usable JSON: %s; write a predicate, such as "
                             "{\"field\":\"mag\",\"gte\":5}",
                             cause.message);
}

bool query_check(const struct query_options *options, struct error *error)
{
    if (options->where && !check_where(options->where, error))
        return false;
    for (size_t i = 0; i < options->sorts.count; i++)
        if (!doc_valid_utf8(span_of(options->sorts.items[i])))
            return error_set(error, ERROR_INVALID_PARAMETER, "--sort is not valid UTF-8");
    for (size_t i = 0; i < options->filters.count; i++) {
        struct span text = span_of(options->filters.items[i]);
        if (!text.length || *text.data == '=' || !memchr(text.data, '=', text.length))
            return error_set(error, ERROR_INVALID_PARAMETER,
                             "--filter cannot be \"%.60s\"; write PATH=VALUE, such as "
                             "status=reviewed",
                             text.data);
        if (!doc_valid_utf8(text))
            return error_set(error, ERROR_INVALID_PARAMETER, "--filter is not valid UTF-8");
    }
    return true;
}

bool query_print(struct buffer *out, const struct query_options *options)
{
    if (options->filters.count && !add_filters(out, &options->filters))
        return false;
    if (options->where)
        buffer_printf(out, ",\"where\":%s", options->where);
    add_sort(out, &options->sorts);
    return !out->failed;
}
