/*
 * Predicates as the configuration spells them: {"field": "mag", "gt": 5}, {"all": […]},
 * {"any": […]}, {"not": P}, {"exists": "a.b"}.
 */
#include "view/view_internal.h"

/* What a field is held against: a plain value, {"field": path}, {"now": true} or {"literal": v}. */
static bool read_operand(struct view_predicate *predicate, const struct tree *value,
                         struct error *error)
{
    static const char *const forms[] = {"field", "now", "literal", NULL};
    const char *name;
    const struct tree *content;
    if (tree_type(value) != TREE_OBJECT)
        return predicate_set_literal(predicate, value, error);
    if (!view_only_member(value, &name, &content))
        return error_set(error, ERROR_CONFIGURATION,
                         "must be a value, {\"field\": path}, {\"now\": true} or {\"literal\": "
                         "value}");
    switch (view_word(forms, span_of(name))) {
    case 0:
        predicate->operand = OPERAND_FIELD;
        return view_path_read(&predicate->field, content, true, error);
    case 1:
        predicate->operand = OPERAND_NOW;
        predicate->timed = true;
        return tree_boolean(content, false) ||
               error_set(error, ERROR_CONFIGURATION, "\"now\" must be true");
    case 2:
        return predicate_set_literal(predicate, content, error);
    default:
        return view_unknown(error, "the right side", name, forms);
    }
}

static bool read_relation(struct view_predicate *predicate, const struct tree *tree,
                          struct error *error)
{
    static const char *const members[] = {"field", "eq", "ne", "gt", "gte", "lt", "lte", NULL};
    void *position = NULL;
    const char *name, *given = NULL;
    const struct tree *value;
    while (tree_next(tree, &position, &name, &value)) {
        int relation = view_word(predicate_relations, span_of(name));
        if (strcmp(name, "field") == 0)
            continue;
        if (relation < 0)
            return view_unknown(error, "a comparison", name, members);
        if (given)
            return error_set(error, ERROR_CONFIGURATION,
                             "has both \"%s\" and \"%s\"; write two predicates in an \"all\"",
                             given, name);
        given = name;
        predicate->relation = (enum predicate_relation)relation;
        if (!read_operand(predicate, value, error))
            return error_prefix(error, "\"%s\"", name);
    }
    return given || error_set(error, ERROR_CONFIGURATION,
                              "a comparison needs one of eq, ne, gt, gte, lt or lte");
}

static struct view_predicate *read_compare(const struct tree *tree, struct error *error)
{
    struct view_predicate *predicate =
        predicate_of_path(PREDICATE_COMPARE, tree_member(tree, "field"), true, error);
    if (predicate && read_relation(predicate, tree, error))
        return predicate;
    predicate_unref(predicate);
    return NULL;
}

static struct view_predicate *read_member(const char *name, const struct tree *value,
                                          unsigned depth, struct error *error)
{
    static const char *const kinds[] = {"all", "any", "not", "exists", "field", NULL};
    switch (view_word(kinds, span_of(name))) {
    case 0:
        return predicate_of_list(PREDICATE_ALL, value, depth, predicate_read, error);
    case 1:
        return predicate_of_list(PREDICATE_ANY, value, depth, predicate_read, error);
    case 2:
        return predicate_of_not(predicate_read(value, depth + 1, error), error);
    case 3:
        return predicate_of_path(PREDICATE_EXISTS, value, true, error);
    default:
        view_unknown(error, "a predicate", name, kinds);
        return NULL;
    }
}

struct view_predicate *predicate_read(const struct tree *tree, unsigned depth, struct error *error)
{
    const char *name;
    const struct tree *value;
    if (depth > VIEW_PREDICATE_DEPTH) {
        error_set(error, ERROR_CONFIGURATION, "is nested deeper than %d", VIEW_PREDICATE_DEPTH);
        return NULL;
    }
    if (tree && tree_type(tree) == TREE_OBJECT && tree_member(tree, "field"))
        return read_compare(tree, error);
    if (view_only_member(tree, &name, &value)) {
        struct view_predicate *predicate = read_member(name, value, depth, error);
        if (!predicate)
            error_prefix(error, "\"%.60s\"", name);
        return predicate;
    }
    error_set(
        error, ERROR_CONFIGURATION,
        "a predicate is an object: {\"field\": path, \"gt\": value}, {\"all\": […]}, {\"any\": "
        "[…]}, {\"not\": …} or {\"exists\": path}");
    return NULL;
}
