#include "server/client_address.h"

#include <ctype.h>
#include <libwebsockets.h>

enum { HEADER_NAME = 64, HEADER_VALUE = 8 * 1024 };

/* Headers that the library knows have a number, those that it does not are found by their name. */
static bool find_token(const char *name, enum lws_token_indexes *token)
{
    for (int i = 0; i < WSI_TOKEN_COUNT; i++) {
        const unsigned char *known = lws_token_to_string((enum lws_token_indexes)i);
        if (known && strcmp((const char *)known, name) == 0) {
            *token = (enum lws_token_indexes)i;
            return true;
        }
    }
    return false;
}

/* The value, all lines of it with commas between; its length, or 0. What is too long counts as
 * absent: then the proxy itself is the client. */
static size_t copy_header(struct lws *wsi, const char *header, char value[HEADER_VALUE])
{
    char name[HEADER_NAME + 2];
    enum lws_token_indexes token;
    size_t length = strlen(header);
    if (length > HEADER_NAME)
        return 0;
    for (size_t i = 0; i < length; i++)
        name[i] = (char)tolower((unsigned char)header[i]);
    name[length] = ':';
    name[length + 1] = '\0';
    int got = find_token(name, &token)
                  ? lws_hdr_copy(wsi, value, HEADER_VALUE, token)
                  : lws_hdr_custom_copy(wsi, value, HEADER_VALUE, name, (int)length + 1);
    return got > 0 ? (size_t)got : 0;
}

void client_address(const struct limit_rules *rules, struct lws *wsi, char text[ADDRESS_TEXT])
{
    struct address peer;
    char value[HEADER_VALUE];
    lws_get_peer_simple(wsi, text, ADDRESS_TEXT);
    if (!address_parse(&peer, span_of(text))) {
        text[0] = '\0';
        return;
    }
    if (networks_have(&rules->trusted, &peer)) {
        size_t length = copy_header(wsi, rules->proxy_header, value);
        peer =
            forwarded_client(&rules->trusted, &peer, rules->proxy_form, span_make(value, length));
    }
    address_print(&peer, text);
}
