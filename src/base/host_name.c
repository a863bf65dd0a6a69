/* Names of hosts, as requests and the configuration have them. */
#include "base/address.h"

#include <strings.h>

enum { LONGEST_NAME = 253 };

/* Whether it is this machine's own, 127.0.0.0/8 or ::1. */
static bool address_is_loopback(const struct address *address)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff}, one[16] = {[15] = 1};
    return memcmp(address->bytes, one, sizeof one) == 0 ||
           (memcmp(address->bytes, mapped, sizeof mapped) == 0 && address->bytes[12] == 127);
}

struct span host_name(struct span host)
{
    const char *bracket = host.length ? memrchr(host.data, ']', host.length) : NULL;
    const char *colon = host.length ? memrchr(host.data, ':', host.length) : NULL;
    if (colon && (!bracket || colon > bracket))
        host.length = (size_t)(colon - host.data);
    if (host.length > 1 && host.data[host.length - 1] == '.')
        host.length--;
    return host;
}

static bool equals(struct span a, struct span b)
{
    return a.length == b.length && strncasecmp(a.data, b.data, a.length) == 0;
}

bool host_is_loopback(struct span name)
{
    struct span local = span_of("localhost");
    struct address address;
    if (name.length > local.length && name.data[name.length - local.length - 1] == '.')
        name = span_make(name.data + name.length - local.length, local.length);
    return equals(name, local) || (address_parse(&address, name) && address_is_loopback(&address));
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
