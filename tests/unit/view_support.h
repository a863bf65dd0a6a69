/* Sets of derived views out of JSON text, for the tests of view. */
#ifndef VIEW_SUPPORT_H
#define VIEW_SUPPORT_H

#include "test.h"
#include "view/view.h"

/* {"name": definition, …}, all of export Q. False with the error. */
static inline bool support_derive(struct view_set *set, const char *views, struct error *error)
{
    struct tree *tree = tree_parse(span_of(views), error);
    if (!tree)
        return false;
    void *position = NULL;
    const char *name;
    const struct tree *definition;
    bool good = true;
    while (good && tree_next(tree, &position, &name, &definition))
        good = view_set_derive(set, span_of("Q"), span_of(name), definition, error);
    tree_free(tree);
    return good;
}

static inline bool support_add_stack(struct view_set *set, const char *stack, struct error *error)
{
    struct tree *tree = tree_parse(span_of(stack), error);
    bool good = tree && view_set_add_stack(set, tree, error);
    tree_free(tree);
    return good;
}

static inline struct view_set *support_set(const char *views)
{
    struct error error = {0};
    struct view_set *set = view_set_new(false);
    if (!support_derive(set, views, &error) || !view_set_resolve(set, &error))
        fail_msg("%s: %s", views, error.message);
    return set;
}

static inline const struct view_stage *support_stage(const struct view_set *set, const char *id)
{
    const struct view *view = view_set_find(set, span_of(id));
    if (!view || !view->stage)
        fail_msg("there is no derived view %s", id);
    return view->stage;
}

#endif
