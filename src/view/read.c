/* Shared by the readers of definitions: naming an error, and parts of predicates. */
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

static struct view_predicate *no_memory(struct error *error)
{
    error_set(error, ERROR_MEMORY, "no memory for a predicate");
    return NULL;
}

struct view_predicate *predicate_of_path(enum predicate_kind kind, const struct tree *path,
                                         struct error *error)
{
    struct view_predicate *predicate = predicate_new(kind);
    if (!predicate)
        return no_memory(error);
    if (view_path_read(&predicate->path, path, false, error))
        return predicate;
    predicate_unref(predicate);
    return NULL;
}

bool predicate_set_literal(struct view_predicate *predicate, const struct tree *value,
                           struct error *error)
{
    struct buffer text;
    buffer_init(&text, SIZE_MAX);
    predicate->operand = OPERAND_LITERAL;
    if (tree_print_canonical(value, &text) && buffer_string(&text))
        predicate->literal.data = buffer_take(&text, &predicate->literal.length);
    buffer_fini(&text);
    return predicate->literal.data || no_memory(error) != NULL;
}

bool predicate_set_literal_text(struct view_predicate *predicate, struct span text,
                                struct error *error)
{
    predicate->operand = OPERAND_LITERAL;
    predicate->literal = span_make(memory_copy_string(text.data, text.length), text.length);
    return predicate->literal.data || no_memory(error) != NULL;
}

struct view_predicate *
predicate_of_list(enum predicate_kind kind, const struct tree *list, unsigned depth,
                  struct view_predicate *(*read)(const struct tree *, unsigned, struct error *),
                  struct error *error)
{
    if (tree_type(list) != TREE_ARRAY) {
        error_set(error, ERROR_CONFIGURATION, "must be a list of predicates");
        return NULL;
    }
    struct view_predicate *all = predicate_new(kind);
    if (!all)
        return no_memory(error);
    for (size_t i = 0; i < tree_count(list); i++) {
        struct view_predicate *child = read(tree_element(list, i), depth + 1, error);
        if (child && predicate_add(all, child))
            continue;
        if (child)
            no_memory(error);
        else
            error_prefix(error, "[%zu]", i);
        predicate_unref(child);
        predicate_unref(all);
        return NULL;
    }
    return all;
}

struct view_predicate *predicate_of_not(struct view_predicate *child, struct error *error)
{
    if (!child)
        return NULL;
    struct view_predicate *not = predicate_new(PREDICATE_NOT);
    if (not &&predicate_add(not, child))
        return not ;
    predicate_unref(not );
    predicate_unref(child);
    return no_memory(error);
}
