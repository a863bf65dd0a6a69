#include "auth/auth_internal.h"

#include <math.h>

/* Beyond this a double no longer tells seconds apart. */
#define MOST_SECONDS 9007199254740992.0

/* ---- finding ---- */

/* One object down: the longest beginning of the name, up to a dot, that is an object there. NULL:
 * there is none; else *rest is what is behind the dot. */
static const struct tree *step_down(const struct tree *object, const char *name, const char **rest)
{
    char front[AUTH_MAX_CLAIM_NAME];
    for (size_t length = strlen(name); length > 0; length--) {
        if (name[length - 1] != '.' || length > sizeof front)
            continue;
        memcpy(front, name, length - 1);
        front[length - 1] = '\0';
        const struct tree *inner = tree_member(object, front);
        if (inner && tree_type(inner) == TREE_OBJECT) {
            *rest = name + length;
            return inner;
        }
    }
    return NULL;
}

static const struct tree *find_path(const struct tree *object, const char *name)
{
    const struct tree *value = NULL;
    while (object && !(value = tree_member(object, name)))
        object = step_down(object, name, &name);
    return value;
}

const struct tree *member_find(const struct members *members, const char *name)
{
    const struct tree *value =
        members->foreign ? find_path(members->object, name) : tree_member(members->object, name);
    return value && tree_type(value) != TREE_NULL ? value : NULL;
}

bool member_wrong(const struct members *members, const char *name, const char *expected)
{
    return error_set(members->error, members->code, "`%.100s` must be %s", name, expected);
}

static bool out_of_memory(const struct members *members)
{
    return error_set(members->error, ERROR_MEMORY, "out of memory while reading a token");
}

/* ---- texts ---- */

static bool has_control(struct span text)
{
    for (size_t i = 0; i < text.length; i++)
        if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f)
            return true;
    return false;
}

bool member_text(const struct members *members, const char *name, char **text)
{
    const struct tree *value = member_find(members, name);
    if (!value)
        return true;
    struct span raw = tree_string(value);
    if (tree_type(value) != TREE_STRING || raw.length == 0 || has_control(raw))
        return member_wrong(members, name, "a text that is not empty, without control characters");
    *text = memory_copy_string(raw.data, raw.length);
    return *text || out_of_memory(members);
}

static bool add_text(const struct members *members, const char *name, const struct tree *item,
                     struct auth_texts *texts)
{
    struct span raw = tree_string(item);
    if (tree_type(item) != TREE_STRING || memchr(raw.data, 0, raw.length))
        return member_wrong(members, name, "an array of texts without NUL");
    texts->items[texts->count] = memory_copy_string(raw.data, raw.length);
    if (!texts->items[texts->count])
        return out_of_memory(members);
    texts->count++;
    return true;
}

bool member_texts(const struct members *members, const char *name, bool *is_there,
                  struct auth_texts *texts)
{
    const struct tree *value = member_find(members, name);
    *is_there = value != NULL;
    if (!value)
        return true;
    bool single = members->foreign && tree_type(value) == TREE_STRING && tree_string(value).length;
    if (!single && tree_type(value) != TREE_ARRAY)
        return member_wrong(members, name, "an array of texts without NUL");
    size_t count = single ? 1 : tree_count(value);
    texts->items = memory_new((count + 1) * sizeof *texts->items);
    if (!texts->items)
        return out_of_memory(members);
    for (size_t i = 0; i < count; i++)
        if (!add_text(members, name, single ? value : tree_element(value, i), texts))
            return false;
    return true;
}

/* ---- numbers ---- */

bool member_time(const struct members *members, const char *name, bool round_up, bool *is_there,
                 int64_t *time)
{
    const struct tree *value = member_find(members, name);
    *is_there = value != NULL;
    if (!value)
        return true;
    double real = tree_real(value, NAN);
    if (isnan(real) || real < 0 || real > MOST_SECONDS)
        return member_wrong(members, name, "a time in seconds since 1970");
    if (tree_type(value) == TREE_INTEGER)
        *time = tree_integer(value, 0);
    else
        *time = (int64_t)(round_up ? ceil(real) : floor(real));
    return true;
}

bool member_end(const struct members *members, const char *name, int64_t *end)
{
    bool is_there;
    if (!member_time(members, name, false, &is_there, end))
        return false;
    if (is_there && *end > AUTH_LATEST_SECONDS)
        return member_wrong(members, name, "a time in seconds since 1970, not in milliseconds");
    return !is_there || *end > 0 ||
           member_wrong(members, name, "a time in seconds since 1970; leave it out for no end");
}

static const struct {
    const char *name;
    size_t offset;
} limit_table[] = {
    {"max_connections", offsetof(struct auth_limits, max_connections)},
    {"max_subscriptions", offsetof(struct auth_limits, max_subscriptions)},
    {"max_snapshot_rows", offsetof(struct auth_limits, max_snapshot_rows)},
    {"max_messages_per_minute", offsetof(struct auth_limits, max_messages_per_minute)},
    {"max_bytes_per_minute", offsetof(struct auth_limits, max_bytes_per_minute)},
};

static bool read_limits(const struct members *members, const char *name, struct auth_limits *limits)
{
    const struct tree *object = member_find(members, name);
    struct members inner = {object, members->code, members->error, false};
    if (!object)
        return true;
    if (tree_type(object) != TREE_OBJECT)
        return member_wrong(members, name, "an object");
    for (size_t i = 0; i < sizeof limit_table / sizeof *limit_table; i++) {
        const struct tree *value = member_find(&inner, limit_table[i].name);
        int64_t limit = value ? tree_integer(value, -1) : AUTH_NOT_SET;
        if (value && limit < 0)
            return member_wrong(&inner, limit_table[i].name, "a whole number from 0 on");
        if (value)
            memcpy((char *)limits + limit_table[i].offset, &limit, sizeof limit);
    }
    return true;
}

/* ---- what tokens say ---- */

static bool read_key_class(const struct members *members, enum auth_key_class *class)
{
    const struct tree *value = member_find(members, "key_class");
    struct span text = value ? tree_string(value) : span_of("");
    if (!value)
        return true;
    if (span_equal(text, span_of("secret")))
        *class = AUTH_KEY_SECRET;
    else if (span_equal(text, span_of("publishable")))
        *class = AUTH_KEY_PUBLISHABLE;
    else
        return member_wrong(members, "key_class", "\"secret\" or \"publishable\"");
    return true;
}

bool member_identity(const struct members *members, const struct auth_claim_names *names,
                     struct auth_identity *identity)
{
    bool has_row_scopes;
    return member_text(members, names->metering_key, &identity->metering_key) &&
           read_key_class(members, &identity->key_class) &&
           member_text(members, names->deployment_id, &identity->deployment_id) &&
           member_text(members, names->plan, &identity->plan) &&
           member_texts(members, names->views, &identity->has_views, &identity->views) &&
           member_texts(members, names->row_scopes, &has_row_scopes, &identity->row_scopes) &&
           read_limits(members, names->limits, &identity->limits);
}

/* ---- names ---- */

bool member_only(const struct members *members, const char *const *known)
{
    void *position = NULL;
    const char *name;
    const struct tree *value;
    while (tree_next(members->object, &position, &name, &value)) {
        struct nearest nearest = {.given = name};
        bool found = false;
        for (size_t i = 0; known[i] && !found; i++) {
            found = strcmp(known[i], name) == 0;
            nearest_offer(&nearest, known[i]);
        }
        if (!found)
            return error_set(members->error, members->code, "there is no `%.60s` here%s%s%s", name,
                             nearest.name ? "; did you mean `" : "",
                             nearest.name ? nearest.name : "", nearest.name ? "`?" : "");
    }
    return true;
}
