/* Shared by the readers of definitions: words, and errors that name them. */
#include "view/view_internal.h"

#include <stdio.h>

int view_word(const char *const *words, struct span word)
{
    for (int i = 0; words[i]; i++)
        if (span_equal(span_of(words[i]), word))
            return i;
    return -1;
}

bool view_unknown(struct error *error, const char *what, const char *name,
                  const char *const *allowed)
{
    struct nearest nearest = {.given = name};
    struct buffer text;
    buffer_init(&text, 256);
    for (size_t i = 0; allowed[i]; i++) {
        nearest_offer(&nearest, allowed[i]);
        if (i > 0)
            buffer_add_string(&text, allowed[i + 1] ? ", " : " or ");
        buffer_add_string(&text, allowed[i]);
    }
    const char *list = buffer_string(&text);
    if (nearest.name)
        error_set(error, ERROR_CONFIGURATION, "%s has no \"%.60s\"; did you mean \"%s\"?", what,
                  name, nearest.name);
    else
        error_set(error, ERROR_CONFIGURATION, "%s has no \"%.60s\"; allowed: %s", what, name,
                  list ? list : "");
    buffer_fini(&text);
    return false;
}

bool view_only_member(const struct tree *object, const char **name, const struct tree **value)
{
    void *position = NULL;
    return object && tree_type(object) == TREE_OBJECT && tree_count(object) == 1 &&
           tree_next(object, &position, name, value);
}
