/*
 * Predicates as the configuration and clients spell them: {"field": "mag", "gt": 5}, {"all": […]},
 * {"any": […]}, {"not": P}, {"exists": "a.b"}. Predicates of clients are bounded, and ask only
 * about members that the view shows.
 */
#include "view/view_internal.h"

static const struct doc_node *node_of(const struct predicate_reading *reading, uint32_t value)
{
    return &reading->doc->nodes[value];
}

static bool wrong(struct error *error, const char *what)
{
    return error_set(error, ERROR_CONFIGURATION, "%s", what);
}

/* A word of the language. An unknown one is refused by its name, as far as it is one. */
static int read_word(const struct predicate_reading *reading, uint32_t member,
                     const char *const *words, const char *what, struct error *error)
{
    enum { SHOWN = 60 };
    char shown[SHOWN + 1];
    struct span name = doc_key(reading->doc, member);
    int word = view_word(words, name);
    if (word >= 0)
        return word;
    size_t length = name.length < SHOWN ? name.length : SHOWN;
    memcpy(shown, name.data, length);
    shown[length] = '\0';
    view_unknown(error, what, shown, words);
    return -1;
}

/* ---- paths ---- */

static bool read_path(struct predicate_reading *reading, struct view_path *path, uint32_t value,
                      struct error *error)
{
    return view_path_read_doc(path, reading->doc, value, error) &&
           (view_path_hold(path, reading->view) || view_path_refuse(path, reading->view, error));
}

/* ---- comparisons ---- */

static bool read_literal(struct predicate_reading *reading, struct view_predicate *predicate,
                         uint32_t value, struct error *error)
{
    const struct doc_node *node = node_of(reading, value);
    if (predicate->relation == RELATION_IN) {
        if (node->type != DOC_ARRAY)
            return wrong(error, "must be a list of values, or {\"field\": path}");
        reading->terms += node->count;
    }
    if (predicate->relation == RELATION_PREFIX && node->type != DOC_STRING &&
        node->type != DOC_WIDE)
        return wrong(error, "must be a text, or {\"field\": path}");
    return predicate_set_literal_text(predicate, doc_text(reading->doc, value), error);
}

static bool read_now(const struct predicate_reading *reading, struct view_predicate *predicate,
                     uint32_t value, struct error *error)
{
    predicate->operand = OPERAND_NOW;
    predicate->timed = true;
    if (predicate->relation > RELATION_LTE)
        return wrong(error, "\"now\" is for eq, ne, gt, gte, lt and lte");
    return node_of(reading, value)->type == DOC_TRUE || wrong(error, "\"now\" must be true");
}

/* The operand of a comparison: a plain value, {"field": path}, {"now": true} or {"literal": v}. */
static bool read_operand(struct predicate_reading *reading, struct view_predicate *predicate,
                         uint32_t value, struct error *error)
{
    static const char *const forms[] = {"field", "now", "literal", NULL};
    const struct doc_node *node = node_of(reading, value);
    if (node->type != DOC_OBJECT)
        return read_literal(reading, predicate, value, error);
    if (node->count != 1)
        return wrong(error, "must be a value, {\"field\": path}, {\"now\": true} or "
                            "{\"literal\": value}");
    uint32_t content = value + 1;
    switch (read_word(reading, content, forms, "the right side", error)) {
    case 0:
        predicate->operand = OPERAND_FIELD;
        return read_path(reading, &predicate->field, content, error);
    case 1:
        return read_now(reading, predicate, content, error);
    case 2:
        return read_literal(reading, predicate, content, error);
    default:
        return false;
    }
}

static bool read_relation(struct predicate_reading *reading, struct view_predicate *predicate,
                          uint32_t object, struct error *error)
{
    static const char *const members[] = {"eq", "ne",     "gt",       "gte",   "lt", "lte",
                                          "in", "prefix", "contains", "field", NULL};
    const char *given = NULL;
    const struct doc_node *nodes = reading->doc->nodes;
    for (uint32_t member = object + 1; member < nodes[object].end; member = nodes[member].end) {
        int word = read_word(reading, member, members, "a comparison", error);
        if (word < 0)
            return false;
        const char *name = members[word];
        if (!predicate_relations[word])
            continue;
        if (given)
            return error_set(error, ERROR_CONFIGURATION,
                             "has both \"%s\" and \"%s\"; write two predicates in an \"all\"",
                             given, name);
        given = name;
        predicate->relation = (enum predicate_relation)word;
        if (!read_operand(reading, predicate, member, error))
            return error_prefix(error, "\"%s\"", name);
    }
    return given || wrong(error, "a comparison needs one of eq, ne, gt, gte, lt, lte, in, prefix "
                                 "or contains");
}

/* ---- predicates ---- */

static bool read_children(struct predicate_reading *reading, struct view_predicate *predicate,
                          uint32_t list, unsigned depth, struct error *error)
{
    const struct doc_node *nodes = reading->doc->nodes;
    size_t index = 0;
    if (nodes[list].type != DOC_ARRAY)
        return wrong(error, "must be a list of predicates");
    for (uint32_t part = list + 1; part < nodes[list].end; part = nodes[part].end, index++) {
        struct view_predicate *child = predicate_read_doc(reading, part, depth + 1, error);
        if (!child)
            return error_prefix(error, "[%zu]", index);
        if (!predicate_add(predicate, child)) {
            predicate_unref(child);
            return error_set(error, ERROR_MEMORY, "no memory for a predicate");
        }
    }
    return true;
}

static bool read_child(struct predicate_reading *reading, struct view_predicate *predicate,
                       uint32_t value, unsigned depth, struct error *error)
{
    struct view_predicate *child = predicate_read_doc(reading, value, depth + 1, error);
    if (!child || predicate_add(predicate, child))
        return child != NULL;
    predicate_unref(child);
    return error_set(error, ERROR_MEMORY, "no memory for a predicate");
}

static bool fill(struct predicate_reading *reading, struct view_predicate *predicate,
                 uint32_t object, unsigned depth, struct error *error)
{
    uint32_t value = object + 1;
    switch (predicate->kind) {
    case PREDICATE_COMPARE:
        return read_path(reading, &predicate->path, doc_member(reading->doc, object, "field"),
                         error) &&
               read_relation(reading, predicate, object, error);
    case PREDICATE_EXISTS:
        return read_path(reading, &predicate->path, value, error);
    case PREDICATE_NOT:
        return read_child(reading, predicate, value, depth, error);
    case PREDICATE_ALL:
    case PREDICATE_ANY:
        break;
    }
    return read_children(reading, predicate, value, depth, error);
}

/* The kind of a predicate, by the names of its members; -1 with an error. */
static int kind_of(const struct predicate_reading *reading, uint32_t value, struct error *error)
{
    static const char *const words[] = {
        [PREDICATE_COMPARE] = "field", [PREDICATE_EXISTS] = "exists", [PREDICATE_ALL] = "all",
        [PREDICATE_ANY] = "any",       [PREDICATE_NOT] = "not",       NULL};
    const struct doc_node *node = node_of(reading, value);
    if (node->type == DOC_OBJECT && doc_member(reading->doc, value, "field") != DOC_NONE)
        return PREDICATE_COMPARE;
    if (node->type == DOC_OBJECT && node->count == 1)
        return read_word(reading, value + 1, words, "a predicate", error);
    wrong(error, "a predicate is an object: {\"field\": path, \"gt\": value}, {\"all\": […]}, "
                 "{\"any\": […]}, {\"not\": …} or {\"exists\": path}");
    return -1;
}

bool predicate_refuse_terms(size_t max_terms, struct error *error)
{
    return error_set(error, ERROR_CONFIGURATION,
                     "has more than %zu predicates and values to choose from", max_terms);
}

static bool is_small(struct predicate_reading *reading, unsigned depth, struct error *error)
{
    if (depth > reading->max_depth)
        return error_set(error, ERROR_CONFIGURATION, "is nested deeper than %u",
                         reading->max_depth);
    return reading->terms <= reading->max_terms ||
           predicate_refuse_terms(reading->max_terms, error);
}

struct view_predicate *predicate_read_doc(struct predicate_reading *reading, uint32_t value,
                                          unsigned depth, struct error *error)
{
    static const char *const names[] = {[PREDICATE_EXISTS] = "exists",
                                        [PREDICATE_ALL] = "all",
                                        [PREDICATE_ANY] = "any",
                                        [PREDICATE_NOT] = "not"};
    reading->terms++;
    int kind = is_small(reading, depth, error) ? kind_of(reading, value, error) : -1;
    if (kind < 0)
        return NULL;
    struct view_predicate *predicate = predicate_new((enum predicate_kind)kind);
    if (!predicate) {
        error_set(error, ERROR_MEMORY, "no memory for a predicate");
        return NULL;
    }
    bool good = fill(reading, predicate, value, depth, error);
    if (!good && kind != PREDICATE_COMPARE)
        error_prefix(error, "\"%s\"", names[kind]);
    if (good && is_small(reading, depth, error))
        return predicate;
    predicate_unref(predicate);
    return NULL;
}

struct view_predicate *predicate_read(const struct tree *tree, struct error *error)
{
    enum { DEPTH = 4096 }; /* more than the parser of trees takes */
    struct view_predicate *predicate = NULL;
    struct buffer text;
    struct doc doc;
    uint32_t root;
    buffer_init(&text, SIZE_MAX);
    doc_init(&doc, UINT32_MAX, UINT32_MAX);
    struct predicate_reading reading = {
        .doc = &doc, .max_depth = VIEW_PREDICATE_DEPTH, .max_terms = SIZE_MAX};
    if (!tree)
        wrong(error, "a predicate is missing");
    else if (!tree_print_canonical(tree, &text))
        error_set(error, ERROR_MEMORY, "no memory for a predicate");
    else if (doc_parse(&doc, buffer_span(&text), DEPTH, &root, error))
        predicate = predicate_read_doc(&reading, root, 0, error);
    doc_fini(&doc);
    buffer_fini(&text);
    return predicate;
}
