/* The arguments of host programs, checked before they are used. */
#include "api/api_internal.h"

#include <unistd.h>

/* Bytes of options that any version may ever have: what is more is no size. */
enum { LARGEST_OPTIONS = 4096 };

bool api_refuse_null(struct error *error, const char *name)
{
    return error_set(error, ERROR_INVALID_PARAMETER, "'%s' is NULL and must not be", name);
}

bool api_check_store(const struct stele *store, const char *function, struct error *error)
{
    if (!store)
        return api_refuse_null(error, "store");
    if (store->owner != getpid())
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "%s: the store belongs to process %ld, which opened it; its threads are "
                         "not in this one: open the store behind fork()",
                         function, (long)store->owner);
    return true;
}

bool api_check_text(struct error *error, const char *name, const char *text, bool needed)
{
    if (!text)
        return !needed || api_refuse_null(error, name);
    return doc_valid_utf8(span_of(text)) ||
           error_set(error, ERROR_INVALID_PARAMETER, "'%s' is not UTF-8", name);
}

static bool is_zero(const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (bytes[i])
            return false;
    return true;
}

bool api_take_options(void *known, size_t size, const void *options, size_t first,
                      const char *initializer, struct error *error)
{
    size_t given;
    if (!options)
        return api_refuse_null(error, "options");
    memcpy(&given, options, sizeof given);
    if (given < first || given > LARGEST_OPTIONS)
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "the options have %zu bytes by their struct_size, which no version has; "
                         "start from %s",
                         given, initializer);
    if (given > size && !is_zero((const char *)options + size, given - size))
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "the options ask for something that this version (%s) does not know; use "
                         "the library that the program was built for",
                         STELE_VERSION);
    memcpy(known, options, given < size ? given : size);
    memcpy(known, &size, sizeof size);
    return true;
}

/* ---- queries ---- */

/* JSON from a host stands by itself: no part of a text, and nothing behind it. */
static bool add_part(struct buffer *query, const char *name, const char *text, struct error *error)
{
    enum { DEPTH = 1000 };
    struct error cause = {.code = ERROR_NONE};
    struct doc doc;
    uint32_t root;
    if (!text)
        return true;
    doc_init(&doc, UINT32_MAX, UINT32_MAX);
    bool good = doc_parse(&doc, span_of(text), DEPTH, &root, &cause);
    if (good) {
        buffer_printf(query, "%s\"%s\":", query->length ? "," : "{", name);
        buffer_add_span(query, doc_text(&doc, root));
    } else {
        error_set(error, cause.code == ERROR_MEMORY ? ERROR_MEMORY : ERROR_INVALID_PARAMETER,
                  "\"%s\": %s", name, cause.message);
    }
    doc_fini(&doc);
    return good;
}

/* Its size is held against the settings where it is asked. */
static bool check_query(const char *text, struct error *error)
{
    const struct view_query_limits limits = {.depth = 1000, .terms = SIZE_MAX};
    struct view_query *query = view_query_new(NULL, span_of(text), &limits, error);
    view_query_unref(query);
    return query != NULL;
}

bool api_print_query(const struct api_query_parts *parts, char **text, struct error *error)
{
    struct buffer query;
    *text = NULL;
    buffer_init(&query, SIZE_MAX / 2);
    bool good = add_part(&query, "filters", parts->filters, error) &&
                add_part(&query, "where", parts->where, error) &&
                add_part(&query, "sort", parts->sort, error);
    bool given = good && query.length > 0;
    if (given && buffer_add_char(&query, '}') && buffer_string(&query))
        *text = buffer_take(&query, NULL);
    if (given && !*text)
        good = error_set(error, ERROR_MEMORY, "out of memory for a query");
    buffer_fini(&query);
    if (!*text || check_query(*text, error))
        return good;
    memory_free(*text);
    *text = NULL;
    return false;
}
