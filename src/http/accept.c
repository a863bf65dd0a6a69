#include "http/accept.h"

#include <string.h>
#include <strings.h>

/* Take what stands before the sign off a text, without the space around it. */
static struct span take_until(struct span *rest, char sign)
{
    const char *found = rest->length ? memchr(rest->data, sign, rest->length) : NULL;
    struct span part = span_make(rest->data, found ? (size_t)(found - rest->data) : rest->length);
    size_t passed = part.length + (found != NULL);
    *rest = span_make(rest->data + passed, rest->length - passed);
    while (part.length && strchr(" \t", part.data[0]))
        part = span_make(part.data + 1, part.length - 1);
    while (part.length && strchr(" \t", part.data[part.length - 1]))
        part.length--;
    return part;
}

static bool is_name(struct span text, const char *name)
{
    return text.length == strlen(name) && strncasecmp(text.data, name, text.length) == 0;
}

/* "0", "1" and up to three digits behind a point; 0 of any other text. */
static int read_weight(struct span text)
{
    static const int places[] = {1000, 0, 100, 10, 1};
    int weight = 0;
    for (size_t i = 0; i < text.length; i++) {
        bool is_point = i == 1 && text.data[i] == '.',
             is_digit = strchr("0123456789", text.data[i]);
        if (i >= sizeof places / sizeof *places || !text.data[i] || is_point == is_digit)
            return 0;
        weight += is_digit ? (text.data[i] - '0') * places[i] : 0;
    }
    return weight <= 1000 ? weight : 0;
}

/* Of the parameters behind a name. The weight may stand behind others, e.g. "charset". */
static int weight_of(struct span parameters)
{
    while (parameters.length) {
        struct span value = take_until(&parameters, ';');
        if (is_name(take_until(&value, '='), "q"))
            return read_weight(take_until(&value, ';'));
    }
    return 1000;
}

int http_accepts(const struct net_connection *connection, const char *header, const char *name)
{
    const struct http_head *head = net_state(connection).request;
    for (size_t i = 0; i < head->count; i++) {
        struct span list = head->headers[i].value;
        while (span_equal(head->headers[i].name, span_of(header)) && list.length) {
            struct span entry = take_until(&list, ',');
            if (is_name(take_until(&entry, ';'), name))
                return weight_of(entry);
        }
    }
    return -1;
}
