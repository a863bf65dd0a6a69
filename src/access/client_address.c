#include "access/client_address.h"

#include "net/net.h"

#include <strings.h>

enum { HEADER_VALUE = 8 * 1024 };

/* Puts the end of `part` before what begins at `at`; the new beginning. */
static size_t put_before(char value[HEADER_VALUE], size_t at, struct span part)
{
    size_t length = part.length < at ? part.length : at;
    if (length)
        memcpy(value + at - length, part.data + part.length - length, length);
    return at - length;
}

/* The end of a header's lines joined with commas, as much of it as there is room for, in whole
 * elements: what trusted proxies wrote stands last, and nothing before that is asked for. */
static struct span header_end(const struct http_head *head, const char *name,
                              char value[HEADER_VALUE])
{
    size_t at = HEADER_VALUE;
    for (size_t i = head->count; i > 0 && at; i--) {
        const struct http_header *line = &head->headers[i - 1];
        if (line->name.length != strlen(name) ||
            strncasecmp(line->name.data, name, line->name.length) != 0)
            continue;
        if (at < HEADER_VALUE)
            at = put_before(value, at, span_of(","));
        at = put_before(value, at, line->value);
    }
    if (!at) {
        const char *comma = memchr(value, ',', HEADER_VALUE);
        at = comma ? (size_t)(comma + 1 - value) : HEADER_VALUE;
    }
    return span_make(value + at, HEADER_VALUE - at);
}

void client_address(const struct limit_rules *rules, const struct net_connection *connection,
                    char text[ADDRESS_TEXT])
{
    struct address peer;
    char value[HEADER_VALUE];
    net_peer(connection, text, ADDRESS_TEXT);
    if (!address_parse(&peer, span_of(text))) {
        text[0] = '\0';
        return;
    }
    if (networks_have(&rules->trusted, &peer)) {
        struct span list = header_end(net_state(connection).request, rules->proxy_header, value);
        peer = forwarded_client(&rules->trusted, &peer, rules->proxy_form, list);
    }
    address_print(&peer, text);
}
