/* What host programs hand over, looked at before it is used. */
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
