#include "server/client_address.h"

#include "net/net.h"

#include <strings.h>

enum { HEADER_VALUE = 8 * 1024 };

/* All lines of a header, with commas between; its length, or 0. What is too long counts as absent:
 * then the proxy itself is the client. */
static size_t join_header(const struct http_head *head, const char *name, char value[HEADER_VALUE])
{
    size_t length = 0;
    for (size_t i = 0; i < head->count; i++) {
        const struct http_header *line = &head->headers[i];
        if (line->name.length != strlen(name) ||
            strncasecmp(line->name.data, name, line->name.length) != 0)
            continue;
        if (length + line->value.length + 1 > HEADER_VALUE)
            return 0;
        if (length)
            value[length++] = ',';
        memcpy(value + length, line->value.data, line->value.length);
        length += line->value.length;
    }
    return length;
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
        size_t length = join_header(net_request(connection), rules->proxy_header, value);
        peer =
            forwarded_client(&rules->trusted, &peer, rules->proxy_form, span_make(value, length));
    }
    address_print(&peer, text);
}
