#include "base/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

enum { MAPPED = 12 /* bytes before the IPv4 address */, SITE_BYTES = 8 };

static const unsigned char mapped_prefix[MAPPED] = {[10] = 0xff, [11] = 0xff};

/* ---- one address ---- */

static bool is_ipv4(const struct address *address)
{
    return memcmp(address->bytes, mapped_prefix, MAPPED) == 0;
}

/* Without a port and without brackets. */
static bool parse_bare(struct address *address, struct span text)
{
    char copy[ADDRESS_TEXT];
    if (!text.length || text.length >= sizeof copy || memchr(text.data, '\0', text.length))
        return false;
    memcpy(copy, text.data, text.length);
    copy[text.length] = '\0';
    if (inet_pton(AF_INET6, copy, address->bytes) == 1)
        return true;
    memcpy(address->bytes, mapped_prefix, MAPPED);
    return inet_pton(AF_INET, copy, address->bytes + MAPPED) == 1;
}

static bool is_port(struct span text)
{
    int64_t port;
    return typed_number(text, &port) && port >= 0 && port <= 65535;
}

static struct span from(struct span text, size_t start)
{
    return span_make(text.data + start, text.length - start);
}

bool address_parse(struct address *address, struct span text)
{
    const char *end;
    if (text.length && text.data[0] == '[') {
        end = memchr(text.data, ']', text.length);
        if (!end)
            return false;
        size_t length = (size_t)(end - text.data) - 1;
        struct span rest = from(text, length + 2);
        return (!rest.length || (rest.data[0] == ':' && is_port(from(rest, 1)))) &&
               memchr(text.data, ':', length + 1) && /* no brackets around IPv4 */
               parse_bare(address, span_make(text.data + 1, length));
    }
    end = text.length ? memchr(text.data, ':', text.length) : NULL;
    if (!end || memchr(end + 1, ':', text.length - (size_t)(end - text.data) - 1))
        return parse_bare(address, text);
    size_t length = (size_t)(end - text.data);
    return is_port(from(text, length + 1)) && parse_bare(address, span_make(text.data, length));
}

void address_print(const struct address *address, char text[ADDRESS_TEXT])
{
    text[0] = '\0';
    if (is_ipv4(address))
        inet_ntop(AF_INET, address->bytes + MAPPED, text, ADDRESS_TEXT);
    else
        inet_ntop(AF_INET6, address->bytes, text, ADDRESS_TEXT);
}

struct span address_site(const struct address *address)
{
    return span_make((const char *)address->bytes,
                     is_ipv4(address) ? sizeof address->bytes : SITE_BYTES);
}

/* ---- networks ---- */

static bool parse_network(struct network *network, struct span text)
{
    const char *slash = memchr(text.data, '/', text.length);
    struct span base = slash ? span_make(text.data, (size_t)(slash - text.data)) : text;
    int64_t bits;
    if (!parse_bare(&network->base, base))
        return false;
    bool written_as_ipv4 = !memchr(base.data, ':', base.length);
    unsigned first = written_as_ipv4 ? 8 * MAPPED : 0;
    network->bits = 128;
    if (!slash)
        return true;
    if (!typed_number(from(text, base.length + 1), &bits) || bits < 0 || bits > 128 - first)
        return false;
    network->bits = first + (unsigned)bits;
    return true;
}

static bool add_network(struct networks *networks, struct span text, struct error *error)
{
    struct network *list =
        memory_resize(networks->list, (networks->count + 1) * sizeof *networks->list);
    if (!list)
        return error_set(error, ERROR_MEMORY, "out of memory while reading addresses");
    networks->list = list;
    if (!parse_network(&list[networks->count], text))
        return error_set(error, ERROR_CONFIGURATION,
                         "'%.*s' is neither an address nor a network such as 10.0.0.0/8 or "
                         "2001:db8::/32",
                         text.length < 60 ? (int)text.length : 60, text.data);
    networks->count++;
    return true;
}

bool networks_parse(struct networks *networks, const char *text, struct error *error)
{
    static const char between[] = ", \t";
    *networks = (struct networks){.list = NULL};
    if (!text)
        return true;
    for (text += strspn(text, between); *text; text += strspn(text, between)) {
        size_t length = strcspn(text, between);
        if (!add_network(networks, span_make(text, length), error)) {
            networks_fini(networks);
            return false;
        }
        text += length;
    }
    return true;
}

void networks_fini(struct networks *networks)
{
    memory_free(networks->list);
    *networks = (struct networks){.list = NULL};
}

static bool network_has(const struct network *network, const struct address *address)
{
    unsigned whole = network->bits / 8, rest = network->bits % 8;
    if (memcmp(network->base.bytes, address->bytes, whole) != 0)
        return false;
    unsigned mask = rest ? 0xffu << (8 - rest) & 0xffu : 0;
    return !mask || ((network->base.bytes[whole] ^ address->bytes[whole]) & mask) == 0;
}

bool networks_have(const struct networks *networks, const struct address *address)
{
    for (size_t i = 0; i < networks->count; i++)
        if (network_has(&networks->list[i], address))
            return true;
    return false;
}

/* ---- proxies ---- */

static struct span trim(struct span text)
{
    while (text.length && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = from(text, 1);
    while (text.length && (text.data[text.length - 1] == ' ' || text.data[text.length - 1] == '\t'))
        text.length--;
    return text;
}

static struct span unquote(struct span text)
{
    bool quoted = text.length >= 2 && text.data[0] == '"' && text.data[text.length - 1] == '"';
    return quoted ? span_make(text.data + 1, text.length - 2) : text;
}

/* The last element is taken off the list; an empty one where there is none. */
static struct span take_last(struct span *list)
{
    size_t start = list->length;
    while (start && list->data[start - 1] != ',')
        start--;
    struct span last = from(*list, start);
    list->length = start ? start - 1 : 0;
    return trim(last);
}

/* The value of for= in an element of Forwarded; empty without it. */
static struct span take_for(struct span element)
{
    while (element.length) {
        const char *semicolon = memchr(element.data, ';', element.length);
        size_t length = semicolon ? (size_t)(semicolon - element.data) : element.length;
        struct span pair = trim(span_make(element.data, length));
        if (pair.length >= 4 && strncasecmp(pair.data, "for=", 4) == 0)
            return unquote(trim(from(pair, 4)));
        element = from(element, semicolon ? length + 1 : length);
    }
    return element;
}

struct address forwarded_client(const struct networks *trusted, const struct address *peer,
                                enum forwarded_form form, struct span list)
{
    struct address client = *peer, before;
    while (list.length && networks_have(trusted, &client)) {
        struct span last = take_last(&list);
        if (form == FORWARDED_ELEMENTS)
            last = take_for(last);
        if (!address_parse(&before, last))
            break;
        client = before;
    }
    return client;
}
