#include "http/checksum.h"
#include "http/parts.h"

enum { SHOWN = 64, KEYS_BYTES = 256 * 3 /* every part */ };

struct own {
    bool has_parts, has_subscribed, has_keys; /* they were given */
    bool parts, subscribed;
    size_t keys_length;
    char keys[KEYS_BYTES];
};
_Static_assert(sizeof(struct own) <= HTTP_ABOUT_OWN, "it fits");

/* An argument of that name, once: what is behind the sign. */
static bool find(struct span argument, const char *name, bool *seen, struct span *value,
                 bool *taken, struct error *error)
{
    size_t length = strlen(name);
    *taken = span_starts_with(argument, name);
    if (!*taken)
        return true;
    if (*seen)
        return error_set(error, ERROR_INVALID_PARAMETER, "'%.*s' is given twice", (int)length - 1,
                         name);
    *seen = true;
    *value = span_make(argument.data + length, argument.length - length);
    return true;
}

static bool take_flag(struct span argument, const char *name, bool *seen, bool *flag, bool *taken,
                      struct error *error)
{
    struct span value;
    if (!find(argument, name, seen, &value, taken, error) || !*taken)
        return !*taken;
    *flag = span_equal(value, span_of("1"));
    return *flag || span_equal(value, span_of("0")) ||
           error_set(error, ERROR_INVALID_PARAMETER, "'%.*s' is '%.*s'; give 1 or 0",
                     (int)strlen(name) - 1, name, value.length < SHOWN ? (int)value.length : SHOWN,
                     value.data);
}

static bool take_keys(struct own *own, struct span argument, bool *taken, struct error *error)
{
    struct span value;
    if (!find(argument, "keys=", &own->has_keys, &value, taken, error) || !*taken)
        return !*taken;
    if (value.length > sizeof own->keys)
        return error_set(error, ERROR_INVALID_PARAMETER, "'keys' names more parts than there are");
    memcpy(own->keys, value.data, value.length);
    own->keys_length = value.length;
    return true;
}

static bool take(void *room, struct span argument, bool *taken, struct error *error)
{
    struct own *own = room;
    return take_flag(argument, "parts=", &own->has_parts, &own->parts, taken, error) &&
           (*taken || take_flag(argument, "subscribed=", &own->has_subscribed, &own->subscribed,
                                taken, error)) &&
           (*taken || take_keys(own, argument, taken, error));
}

static bool ask(struct hub *hub, const struct hub_read *read, void *room, struct error *error)
{
    const struct own *own = room;
    const struct hub_sums sums = {.parts = own->parts,
                                  .keys =
                                      span_make(own->has_keys ? own->keys : NULL, own->keys_length),
                                  .as_subscribed = own->subscribed};
    return hub_sum(hub, read, &sums, error);
}

const struct http_about http_checksum = {.path = "/v1/checksum",
                                         .what = "a checksum",
                                         .missing = "the view whose rows are to be summed",
                                         .uses = "view, key, take, skip, filter, where, sort, "
                                                 "parts, keys or subscribed",
                                         .take = take,
                                         .ask = ask};
