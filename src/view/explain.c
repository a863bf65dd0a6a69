/* Telling why an entity is in a view, or not: what may be told of it, and the values that decide.
 */
#include "view/view_internal.h"

/* ---- what may be told ---- */

/* A view may show less at a path than there is: then the value must be the one that it shows. */
static bool shows_value(const struct view *view, const struct view_path *path, struct span entity)
{
    struct view_path held = *path;
    return view && view_path_hold(&held, view) &&
           view_path_value(&held, entity).data == view_path_value(path, entity).data;
}

static bool is_told(const struct view_path *path, struct span entity,
                    const struct view_sight *sight)
{
    return sight->all || shows_value(sight->views[0], path, entity) ||
           shows_value(sight->views[1], path, entity);
}

bool view_value_is_told(const struct view_path *path, struct span entity,
                        const struct view_sight *sight, struct span *value)
{
    *value = view_path_value(path, entity);
    return is_told(path, entity, sight);
}

bool view_predicate_is_told(const struct view_predicate *predicate, struct span entity,
                            const struct view_sight *sight)
{
    bool leaf = predicate->kind == PREDICATE_COMPARE || predicate->kind == PREDICATE_EXISTS;
    if (leaf &&
        (!is_told(&predicate->path, entity, sight) ||
         (predicate->operand == OPERAND_FIELD && !is_told(&predicate->field, entity, sight))))
        return false;
    for (size_t i = 0; i < predicate->child_count; i++)
        if (!view_predicate_is_told(predicate->children[i], entity, sight))
            return false;
    return true;
}

bool view_scope_is_told(const struct view_scope *scope, struct span entity,
                        const struct view_sight *sight)
{
    return is_told(&scope->path, entity, sight);
}

bool view_key_value_is_told(const struct view *view, struct span entity,
                            const struct view_sight *sight)
{
    struct view_path path = {
        .names = view->key_field, .count = view->key_field_count, .dotted = view->key_dotted};
    return is_told(&path, entity, sight);
}

/* ---- what a view hides ---- */

/* Whether the view shows something of a top member: a path of its "fields" begins with the name. */
static bool shows_some(const struct view *view, struct span name)
{
    for (size_t i = 0; i < view->path_count; i++) {
        struct span path = view->paths[i];
        if (path.length >= name.length && memcmp(path.data, name.data, name.length) == 0 &&
            (path.length == name.length || path.data[name.length] == '.'))
            return true;
    }
    return view->path_count == 0 || span_equal(name, span_of("_seq"));
}

/* All of the member, for its name alone is not a path if it has a dot. */
static bool name_is_told(struct span name, const struct view_sight *sight)
{
    if (sight->all)
        return true;
    for (size_t i = 0; i < 2; i++)
        if (sight->views[i] && shows_some(sight->views[i], name))
            return true;
    return false;
}

bool view_tell_hidden(const struct view *view, struct span entity, const struct view_sight *sight,
                      struct buffer *out)
{
    enum { DEPTH = 1100 };
    struct doc doc;
    struct error error;
    uint32_t root;
    size_t told = 0;
    doc_init(&doc, UINT32_MAX, UINT32_MAX);
    bool done = doc_parse(&doc, entity, DEPTH, &root, &error);
    for (uint32_t at = done ? doc_first(&doc, root) : DOC_NONE;
         at != DOC_NONE && at < doc.nodes[root].end; at = doc.nodes[at].end) {
        struct span name = doc_key(&doc, at);
        if (shows_some(view, name) || !name_is_told(name, sight))
            continue;
        buffer_add_string(out, told++ ? ",\"" : "\"");
        buffer_add_span(out, name);
        buffer_add_char(out, '"');
    }
    doc_fini(&doc);
    return done && !out->failed;
}
