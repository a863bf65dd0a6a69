#include "auth/auth_internal.h"

#include <math.h>

/* Beyond this a double no longer tells seconds apart. */
#define MOST_SECONDS 9007199254740992.0

const struct tree *member_find(const struct members *members, const char *name)
{
    const struct tree *value = tree_member(members->object, name);
    return value && tree_type(value) != TREE_NULL ? value : NULL;
}

bool member_wrong(const struct members *members, const char *name, const char *expected)
{
    return error_set(members->error, members->code, "`%s` must be %s", name, expected);
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

bool member_texts(const struct members *members, const char *name, bool *is_there,
                  struct auth_texts *texts)
{
    static const char expected[] = "an array of texts without NUL";
    const struct tree *array = member_find(members, name);
    *is_there = array != NULL;
    if (!array)
        return true;
    if (tree_type(array) != TREE_ARRAY)
        return member_wrong(members, name, expected);
    size_t count = tree_count(array);
    texts->items = memory_new((count + 1) * sizeof *texts->items);
    if (!texts->items)
        return out_of_memory(members);
    for (; texts->count < count; texts->count++) {
        const struct tree *item = tree_element(array, texts->count);
        struct span raw = tree_string(item);
        if (tree_type(item) != TREE_STRING || memchr(raw.data, 0, raw.length))
            return member_wrong(members, name, expected);
        char *copy = memory_copy_string(raw.data, raw.length);
        if (!copy)
            return out_of_memory(members);
        texts->items[texts->count] = copy;
    }
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

static bool read_limits(const struct members *members, struct auth_limits *limits)
{
    const struct tree *object = member_find(members, "limits");
    struct members inner = {object, members->code, members->error};
    if (!object)
        return true;
    if (tree_type(object) != TREE_OBJECT)
        return member_wrong(members, "limits", "an object");
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

static unsigned scope_bit(struct span word)
{
    static const struct {
        const char *word;
        enum auth_scope scope;
    } words[] = {{"read", AUTH_READ}, {"write", AUTH_WRITE}, {"admin", AUTH_ADMIN}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (span_equal(span_of(words[i].word), word))
            return words[i].scope;
    return 0;
}

bool member_scope(const struct members *members, const char *name, bool *is_there, unsigned *scopes,
                  struct span *unknown)
{
    const struct tree *value = member_find(members, name);
    *is_there = value != NULL;
    if (!value)
        return true;
    if (tree_type(value) != TREE_STRING)
        return member_wrong(members, name, "a text of words with spaces between them");
    struct span text = tree_string(value);
    *scopes = 0;
    for (size_t at = 0; at < text.length;) {
        const char *space = memchr(text.data + at, ' ', text.length - at);
        size_t end = space ? (size_t)(space - text.data) : text.length;
        struct span word = span_make(text.data + at, end - at);
        unsigned bit = scope_bit(word);
        *scopes |= bit;
        if (!bit && word.length && !unknown->data)
            *unknown = word;
        at = end + 1;
    }
    return true;
}

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

bool member_identity(const struct members *members, struct auth_identity *identity)
{
    bool has_row_scopes;
    return member_text(members, "metering_key", &identity->metering_key) &&
           read_key_class(members, &identity->key_class) &&
           member_text(members, "deployment_id", &identity->deployment_id) &&
           member_text(members, "plan", &identity->plan) &&
           member_texts(members, "views", &identity->has_views, &identity->views) &&
           member_texts(members, "row_scopes", &has_row_scopes, &identity->row_scopes) &&
           read_limits(members, &identity->limits);
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
