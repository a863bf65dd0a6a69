/* Lists of names of hosts, as the configuration has them. */
#include "base/address.h"

#include <strings.h>

enum { LONGEST_NAME = 253 };

static bool equals(struct span a, struct span b)
{
    return a.length == b.length && strncasecmp(a.data, b.data, a.length) == 0;
}

/* The next name of a list; absent: there is none any more. */
static struct span next_name(const char **at)
{
    *at += strspn(*at, ", \t");
    size_t length = strcspn(*at, ", \t");
    struct span name = span_make(length ? *at : NULL, length);
    *at += length;
    return name;
}

bool host_names_have(const char *names, struct span name)
{
    struct span each;
    while (names && (each = next_name(&names)).data)
        if (equals(each, name))
            return true;
    return false;
}

bool host_names_check(const char *names, struct error *error)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
    struct address address;
    struct span each;
    while ((each = next_name(&names)).data) {
        bool good = each.length <= LONGEST_NAME;
        for (size_t i = 0; i < each.length; i++)
            good = good && strchr(plain, each.data[i]);
        if (!good && !address_parse(&address, each))
            return error_set(error, ERROR_CONFIGURATION,
                             "'%.*s' is not the name of a host; write it without a port, and an "
                             "IPv6 address in brackets",
                             (int)(each.length < 100 ? each.length : 100), each.data);
    }
    return true;
}
