#include "http/reading.h"

#include "http/wait.h"
#include "net/net.h"
#include "json/json.h"

#include <ctype.h>

enum { SHOWN = 64 /* bytes of a value that an error repeats */ };

static bool read_wait(struct http_reading *reading, struct span value, struct error *error)
{
    for (size_t i = 0; i < value.length && reading->wait <= HTTP_WAIT_SECONDS; i++)
        reading->wait = isdigit((unsigned char)value.data[i])
                            ? reading->wait * 10 + (value.data[i] - '0')
                            : HTTP_WAIT_SECONDS + 1;
    return (value.length && reading->wait <= HTTP_WAIT_SECONDS) ||
           error_set(error, ERROR_INVALID_PARAMETER, "'wait' is '%.*s'; give seconds, from 0 to %d",
                     value.length < SHOWN ? (int)value.length : SHOWN, value.data,
                     HTTP_WAIT_SECONDS);
}

static bool read_events(struct http_reading *reading, struct span value, struct error *error)
{
    reading->events = span_equal(value, span_of("1"));
    return reading->events || span_equal(value, span_of("0")) ||
           error_set(error, ERROR_INVALID_PARAMETER,
                     "'events' is '%.*s'; give 1 for the history of an append view, or 0",
                     value.length < SHOWN ? (int)value.length : SHOWN, value.data);
}

static bool read_until(struct http_reading *reading, struct span value, struct error *error)
{
    if (!value.length || value.length >= sizeof reading->until ||
        memchr(value.data, '\0', value.length) || !doc_valid_utf8(value))
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "'until' is no cursor of events; send the 'cursor' of an answer");
    memcpy(reading->until, value.data, value.length);
    return true;
}

static bool read_as_of(struct http_reading *reading, struct span value, struct error *error)
{
    if (!value.length || value.length >= sizeof reading->as_of ||
        memchr(value.data, '\0', value.length) || !doc_valid_utf8(value))
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "'as_of' is no position: give a seq, an offset (@17) or a time");
    memcpy(reading->as_of, value.data, value.length);
    return true;
}

static bool read_behind(struct http_reading *reading, struct span value, struct error *error)
{
    if (!value.length || value.length >= sizeof reading->behind ||
        memchr(value.data, '\0', value.length) || !doc_valid_utf8(value))
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "'behind' is no key: give that of the last row of a page");
    memcpy(reading->behind, value.data, value.length);
    return true;
}

static const struct {
    const char *name; /* with its sign */
    bool (*read)(struct http_reading *reading, struct span value, struct error *error);
} parameters[] = {{"wait=", read_wait},
                  {"events=", read_events},
                  {"until=", read_until},
                  {"as_of=", read_as_of},
                  {"behind=", read_behind}};
enum { PARAMETERS = sizeof parameters / sizeof *parameters };

/* Which of these it is; PARAMETERS: none. */
static size_t find(struct span argument)
{
    size_t i = 0;
    while (i < PARAMETERS && !span_starts_with(argument, parameters[i].name))
        i++;
    return i;
}

const char *http_reading_name(struct span argument)
{
    size_t i = find(argument);
    return i < PARAMETERS ? parameters[i].name : NULL;
}

bool http_reading_read(struct http_reading *reading, struct span query, bool by_row,
                       struct error *error)
{
    char room[HTTP_TARGET_LIMIT];
    bool seen[PARAMETERS] = {false};
    struct span argument;
    size_t at = 0;
    *reading = (struct http_reading){.wait = 0};
    while ((argument = http_next_argument(query, &at, room)).data) {
        size_t i = find(argument);
        if (i == PARAMETERS)
            continue;
        size_t name = strlen(parameters[i].name);
        if (seen[i])
            return error_set(error, ERROR_INVALID_PARAMETER, "'%.*s' is given twice", (int)name - 1,
                             parameters[i].name);
        seen[i] = true;
        if (!parameters[i].read(reading, span_make(argument.data + name, argument.length - name),
                                error))
            return false;
    }
    bool events = reading->events || by_row;
    if (reading->as_of[0] && (events || reading->wait))
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "'as_of' is for rows, not for events, and there is nothing to wait for");
    if (reading->behind[0] && !reading->as_of[0])
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "'behind' is for pages of one state: give its 'as_of', too");
    return !reading->until[0] || (events && !reading->wait) ||
           error_set(error, ERROR_INVALID_PARAMETER,
                     "'until' is for events=1, and not together with 'wait'");
}
