/*
 * libFuzzer entry for definitions of views, places and filters. The input is a definition (of the
 * configuration, or a stack file when it is an object with "entities") and two entities, parted by
 * bytes 0xff, which no JSON text holds. Whatever comes: an error that names something, or stages
 * whose places agree with the order of values.
 */
#include "view/view.h"

#include <stdlib.h>

enum { LIMIT = 1 << 20, DEPTH = 64, NOW = 1700000000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static struct span take_part(struct span *rest)
{
    const char *end = rest->length ? memchr(rest->data, 0xff, rest->length) : NULL;
    struct span part = end ? span_make(rest->data, (size_t)(end - rest->data)) : *rest;
    size_t used = part.length + (end != NULL);
    *rest = span_make(rest->data + used, rest->length - used);
    return part;
}

static int sign_of(int order)
{
    return (order > 0) - (order < 0);
}

/* ---- places ---- */

/* Order of two values by the rules, without a look at places; containers are left out. */
static int order_of(struct span left, struct span right, bool descending, bool *known)
{
    enum doc_kind kind = doc_order_kind(left), other = doc_order_kind(right);
    bool nothing = kind <= DOC_KIND_NULL, other_nothing = other <= DOC_KIND_NULL;
    bool containers = kind == DOC_KIND_CONTAINER && other == DOC_KIND_CONTAINER;
    *known = !containers;
    if (nothing || other_nothing)
        return nothing - other_nothing;
    if (containers)
        return 0;
    int order = kind != other ? (int)kind - (int)other : doc_kind_compare(kind, left, right);
    return descending ? -order : order;
}

static void check_places(const struct view_stage *stage, struct span first, struct span second,
                         struct span left, struct span right)
{
    struct buffer a, b;
    bool known;
    buffer_init(&a, LIMIT);
    buffer_init(&b, LIMIT);
    require(view_stage_sort_key(stage, span_of("k"), first, (struct seq){1, 2}, &a));
    require(view_stage_sort_key(stage, span_of("l"), second, (struct seq){1, 2}, &b));
    int order = sign_of(span_compare(buffer_span(&a), buffer_span(&b)));
    int wanted = order_of(left, right, stage->descending, &known);
    require(order != 0);
    if (stage->sort_path_count == 0 || wanted == 0)
        require(!known || order < 0);
    else
        require(!known || order == sign_of(wanted));
    buffer_fini(&a);
    buffer_fini(&b);
}

/* ---- stages ---- */

/* Names as documents spell them. */
static struct span escaped(struct buffer *text, struct span raw)
{
    buffer_init(text, LIMIT);
    doc_escape_bare(text, raw);
    return buffer_span(text);
}

static struct span value_of(const struct view_stage *stage, struct span entity)
{
    struct span value = entity;
    for (size_t i = 0; i < stage->sort_path_count && value.data; i++) {
        struct buffer text;
        struct span name = escaped(&text, stage->sort_path[i]);
        value = doc_value_at(value, &name, 1);
        buffer_fini(&text);
    }
    return value;
}

static void check_entity(const struct view_stage *stage, struct span entity)
{
    int64_t turns = view_stage_rechecks(stage, entity, NOW);
    require(turns > NOW && (stage->timed || turns == INT64_MAX));
    bool now = view_stage_holds(stage, entity, NOW);
    int64_t before = turns == INT64_MAX ? (int64_t)NOW + 1000000 : turns - 1;
    require(view_stage_holds(stage, entity, before) == now);
    view_stage_holds(stage, span_make(entity.data, entity.length / 2), NOW);
}

static void check_stage(const struct view_stage *stage, struct span first, struct span second)
{
    require(stage->definition[0] == '{' && doc_valid_utf8(span_of(stage->definition)));
    require(stage->cut.skip >= 0 && stage->cut.take >= VIEW_ALL);
    require(!stage->cut.last || (stage->cut.skip == 0 && stage->cut.take == 1));
    require(!stage->source || stage->source->has_cut);
    check_entity(stage, first);
    check_entity(stage, second);
    check_places(stage, first, second, value_of(stage, first), value_of(stage, second));
}

/* ---- filters ---- */

static void check_filter(struct span object, struct span entity)
{
    const struct view_query_limits limits = {.depth = DEPTH, .terms = LIMIT};
    struct error error = {0};
    struct buffer text;
    buffer_init(&text, SIZE_MAX);
    buffer_add_string(&text, "{\"filters\":");
    buffer_add_span(&text, object);
    buffer_add_char(&text, '}');
    struct view_query *query = view_query_new(NULL, buffer_span(&text), &limits, &error);
    if (query) {
        view_query_holds(query, entity, NOW);
        require(view_query_traits(query).text.length >= 2);
        require(view_query_rechecks(query, entity, NOW) == INT64_MAX);
    } else {
        require(error.code != ERROR_NONE);
    }
    view_query_unref(query);
    buffer_fini(&text);
}

static bool define(struct view_set *set, struct span text, struct error *error)
{
    struct tree *tree = tree_parse(text, error);
    bool stack = tree && tree_type(tree) == TREE_OBJECT && tree_member(tree, "entities");
    bool good = tree && (stack ? view_set_add_stack(set, tree, error)
                               : view_set_derive(set, span_of("Q"), span_of("v"), tree, error));
    tree_free(tree);
    return good && view_set_resolve(set, error);
}

static void check_all(struct span definition, struct span first, struct span second)
{
    struct error error = {0};
    struct view_set *set = view_set_new(false);
    if (!set)
        return;
    if (define(set, definition, &error)) {
        const struct view_stage *stage;
        for (size_t i = 0; (stage = view_set_stage_at(set, i)); i++)
            check_stage(stage, first, second);
    } else {
        require(error.code != ERROR_NONE && doc_valid_utf8(span_of(error.message)));
    }
    view_set_free(set);
    check_filter(second, first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = span_make((const char *)data, size);
    struct span definition = take_part(&rest), left = take_part(&rest), right = take_part(&rest);
    struct doc doc;
    uint32_t first, second;
    doc_init(&doc, LIMIT, LIMIT);
    if (doc_parse(&doc, left, DEPTH, &first, NULL) && doc_parse(&doc, right, DEPTH, &second, NULL))
        check_all(definition, doc_text(&doc, first), doc_text(&doc, second));
    doc_fini(&doc);
    return 0;
}
