/* The scopes of a claim's values: the values themselves, or their meaning in the configuration. */
#include "auth/auth_internal.h"

enum { MOST_VALUES = 256 };

struct auth_scopes {
    size_t count;
    struct scope_value {
        char *value;
        unsigned scopes;
    } values[];
};

static unsigned bit_of(struct span word)
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

static unsigned scopes_of(const struct auth_scopes *map, struct span value)
{
    if (!map)
        return bit_of(value);
    for (size_t i = 0; i < map->count; i++)
        if (span_equal(span_of(map->values[i].value), value))
            return map->values[i].scopes;
    return 0;
}

static unsigned scopes_of_words(const struct auth_scopes *map, struct span text,
                                struct span *unknown)
{
    unsigned scopes = 0;
    for (size_t at = 0; at < text.length;) {
        const char *space = memchr(text.data + at, ' ', text.length - at);
        size_t end = space ? (size_t)(space - text.data) : text.length;
        struct span word = span_make(text.data + at, end - at);
        unsigned allowed = word.length ? scopes_of(map, word) : 0;
        scopes |= allowed;
        if (!allowed && word.length && !unknown->data)
            *unknown = word;
        at = end + 1;
    }
    return scopes;
}

bool auth_scope_words(struct span text, unsigned *scopes, struct error *error)
{
    struct span unknown = {NULL, 0};
    *scopes = scopes_of_words(NULL, text, &unknown);
    if (!unknown.data)
        return true;
    return error_set(error, ERROR_CONFIGURATION,
                     "there is no scope \"%.*s\"; there are read, write and admin",
                     (int)(unknown.length < 60 ? unknown.length : 60), unknown.data);
}

/* ---- the configuration's map ---- */

static bool add_value(struct auth_scopes *scopes, const char *value, const struct tree *words,
                      struct error *error)
{
    struct scope_value *entry = &scopes->values[scopes->count];
    if (tree_type(words) != TREE_STRING)
        return error_set(error, ERROR_CONFIGURATION, "\"%.100s\" must be a text of words", value);
    if (!auth_scope_words(tree_string(words), &entry->scopes, error))
        return error_prefix(error, "\"%.100s\"", value);
    entry->value = memory_copy_string(value, strlen(value));
    if (!entry->value)
        return error_set(error, ERROR_MEMORY, "out of memory while reading scopes");
    scopes->count++;
    return true;
}

static bool add_all(struct auth_scopes *scopes, const struct tree *object, struct error *error)
{
    void *position = NULL;
    const char *value;
    const struct tree *words;
    while (tree_next(object, &position, &value, &words))
        if (!add_value(scopes, value, words, error))
            return false;
    return true;
}

struct auth_scopes *auth_scopes_new(const struct tree *object, struct error *error)
{
    if (tree_type(object) != TREE_OBJECT || tree_count(object) > MOST_VALUES) {
        error_set(error, ERROR_CONFIGURATION,
                  "must be an object of at most %d values of the scope claim and what they allow",
                  MOST_VALUES);
        return NULL;
    }
    struct auth_scopes *scopes =
        memory_new(sizeof *scopes + tree_count(object) * sizeof *scopes->values);
    if (!scopes)
        error_set(error, ERROR_MEMORY, "out of memory while reading scopes");
    else if (add_all(scopes, object, error))
        return scopes;
    auth_scopes_free(scopes);
    return NULL;
}

void auth_scopes_free(struct auth_scopes *scopes)
{
    for (size_t i = 0; scopes && i < scopes->count; i++)
        memory_free(scopes->values[i].value);
    memory_free(scopes);
}

/* ---- the claim ---- */

bool member_scope(const struct members *members, const char *name, const struct auth_scopes *map,
                  bool *is_there, unsigned *scopes, struct span *unknown)
{
    const struct tree *value = member_find(members, name);
    *is_there = value != NULL;
    if (!value)
        return true;
    bool words = tree_type(value) == TREE_STRING;
    if (!words && !(members->foreign && tree_type(value) == TREE_ARRAY))
        return member_wrong(members, name,
                            members->foreign ? "a text of words, or a list of texts"
                                             : "a text of words with spaces between them");
    *scopes = words ? scopes_of_words(map, tree_string(value), unknown) : 0;
    for (size_t i = 0; !words && i < tree_count(value); i++) {
        const struct tree *item = tree_element(value, i);
        if (tree_type(item) != TREE_STRING)
            return member_wrong(members, name, "a text of words, or a list of texts");
        *scopes |= scopes_of(map, tree_string(item));
    }
    return true;
}
