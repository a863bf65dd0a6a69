/*
 * Arete stack files: entities[] with state_name and views[] of {id, source, pipeline, output}.
 * Their other members say how entities come about, and are passed over.
 */
#include "view/view_internal.h"

#include <stdio.h>

static bool wrong(struct error *error, const char *what)
{
    return error_set(error, ERROR_CONFIGURATION, "%s", what);
}

static const struct tree *member(const struct tree *object, const char *name)
{
    return object && tree_type(object) == TREE_OBJECT ? tree_member(object, name) : NULL;
}

/* The text of a member, absent when there is none. */
static struct span text_member(const struct tree *object, const char *name)
{
    const struct tree *text = member(object, name);
    return text ? tree_string(text) : span_make(NULL, 0);
}

/* {"segments": [names]} */
static const struct tree *segments(const struct tree *path)
{
    return member(path, "segments");
}

/* ---- predicates ---- */

static struct view_predicate *predicate_of(const struct tree *tree, unsigned depth,
                                           struct error *error);

static struct view_predicate *no_memory(struct error *error)
{
    error_set(error, ERROR_MEMORY, "no memory for a predicate");
    return NULL;
}

/* A comparison or an existence test of the field at `path`. NULL with an error. */
static struct view_predicate *test_of(enum predicate_kind kind, const struct tree *path,
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

static bool set_literal(struct view_predicate *predicate, const struct tree *value,
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

/* A combination of the predicates in `list`. */
static struct view_predicate *list_of(enum predicate_kind kind, const struct tree *list,
                                      unsigned depth, struct error *error)
{
    if (tree_type(list) != TREE_ARRAY) {
        error_set(error, ERROR_CONFIGURATION, "must be a list of predicates");
        return NULL;
    }
    struct view_predicate *all = predicate_new(kind);
    if (!all)
        return no_memory(error);
    for (size_t i = 0; i < tree_count(list); i++) {
        struct view_predicate *child = predicate_of(tree_element(list, i), depth + 1, error);
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

static struct view_predicate *not_of(struct view_predicate *child, struct error *error)
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

static bool read_value(struct view_predicate *predicate, const struct tree *value,
                       struct error *error)
{
    static const char *const kinds[] = {"Literal", "Field", "Dynamic", NULL};
    const char *name;
    const struct tree *content;
    if (!value || !view_only_member(value, &name, &content))
        return wrong(error, "\"value\" must be an object with Literal, Field or Dynamic");
    switch (view_word(kinds, span_of(name))) {
    case 0:
        return set_literal(predicate, content, error);
    case 1:
        predicate->operand = OPERAND_FIELD;
        return view_path_read(&predicate->field, segments(content), false, error);
    case 2:
        predicate->operand = OPERAND_NOW;
        predicate->timed = true;
        if (span_equal(tree_string(content), span_of("now()")))
            return true;
        return error_set(error, ERROR_CONFIGURATION,
                         "there is no function '%.*s' for Dynamic; allowed: now()",
                         (int)tree_string(content).length,
                         tree_string(content).data ? tree_string(content).data : "");
    default:
        return view_unknown(error, "\"value\"", name, kinds);
    }
}

static struct view_predicate *read_compare(const struct tree *compare, struct error *error)
{
    static const char *const relations[] = {[RELATION_EQ] = "Eq",
                                            [RELATION_NE] = "Ne",
                                            [RELATION_GT] = "Gt",
                                            [RELATION_GTE] = "Gte",
                                            [RELATION_LT] = "Lt",
                                            [RELATION_LTE] = "Lte",
                                            NULL};
    struct view_predicate *predicate =
        test_of(PREDICATE_COMPARE, segments(member(compare, "field")), error);
    if (!predicate)
        return NULL;
    int relation = view_word(relations, text_member(compare, "op"));
    predicate->relation = relation < 0 ? RELATION_EQ : (enum predicate_relation)relation;
    bool good = relation >= 0 ? read_value(predicate, member(compare, "value"), error)
                              : wrong(error, "\"op\" must be Eq, Ne, Gt, Gte, Lt or Lte");
    if (good)
        return predicate;
    predicate_unref(predicate);
    return NULL;
}

static struct view_predicate *read_kind(const char *name, const struct tree *value, unsigned depth,
                                        struct error *error)
{
    static const char *const kinds[] = {"Compare", "And", "Or", "Not", "Exists", NULL};
    switch (view_word(kinds, span_of(name))) {
    case 0:
        return read_compare(value, error);
    case 1:
        return list_of(PREDICATE_ALL, value, depth, error);
    case 2:
        return list_of(PREDICATE_ANY, value, depth, error);
    case 3:
        return not_of(predicate_of(value, depth + 1, error), error);
    case 4:
        return test_of(PREDICATE_EXISTS, segments(member(value, "field")), error);
    default:
        view_unknown(error, "a predicate", name, kinds);
        return NULL;
    }
}

static struct view_predicate *predicate_of(const struct tree *tree, unsigned depth,
                                           struct error *error)
{
    const char *name;
    const struct tree *value;
    if (depth > VIEW_PREDICATE_DEPTH) {
        error_set(error, ERROR_CONFIGURATION, "is nested deeper than %d", VIEW_PREDICATE_DEPTH);
        return NULL;
    }
    if (!view_only_member(tree, &name, &value)) {
        wrong(error, "a predicate is an object with Compare, And, Or, Not or Exists");
        return NULL;
    }
    struct view_predicate *predicate = read_kind(name, value, depth, error);
    if (!predicate)
        error_prefix(error, "\"%.60s\"", name);
    return predicate;
}

/* ---- steps ---- */

enum word { FILTER, SORT, TAKE, SKIP, MAX_BY, MIN_BY };
static const char *const words[] = {"Filter", "Sort",  "Take", "Skip", "MaxBy",
                                    "MinBy",  "First", "Last", NULL};

static bool read_sort(struct view_step *step, const struct tree *sort, struct error *error)
{
    const struct tree *order = member(sort, "order");
    step->kind = STEP_SORT;
    step->descending = order && span_equal(tree_string(order), span_of("desc"));
    if (order && tree_type(order) != TREE_NULL && !step->descending &&
        !span_equal(tree_string(order), span_of("asc")))
        return wrong(error, "\"order\" must be asc or desc");
    return view_path_read(&step->path, segments(member(sort, "key")), false, error);
}

static bool fill_step(struct view_step *step, enum word word, const struct tree *value,
                      struct error *error)
{
    switch (word) {
    case FILTER:
        step->kind = STEP_FILTER;
        step->predicate = predicate_of(member(value, "predicate"), 0, error);
        return step->predicate != NULL;
    case SORT:
        return read_sort(step, value, error);
    case TAKE:
    case SKIP:
        step->kind = word == TAKE ? STEP_TAKE : STEP_SKIP;
        return pipeline_count(member(value, "count"), &step->count, error);
    case MAX_BY:
    case MIN_BY:
        step->kind = STEP_SORT;
        step->descending = word == MAX_BY;
        return view_path_read(&step->path, segments(member(value, "key")), false, error);
    }
    return false;
}

static bool read_step(struct pipeline *pipeline, const struct tree *tree, struct error *error)
{
    static const char *const bare[] = {"First", "Last", NULL};
    struct view_step step = {.kind = STEP_LAST}, one = {.kind = STEP_TAKE, .count = 1};
    const char *name;
    const struct tree *value;
    int word = view_word(bare, tree_string(tree));
    if (word >= 0)
        return pipeline_add(pipeline, word == 0 ? &one : &step, error);
    if (!view_only_member(tree, &name, &value))
        return wrong(error, "a step is \"First\", \"Last\" or an object with Filter, Sort, Take, "
                            "Skip, MaxBy or MinBy");
    word = view_word(words, span_of(name));
    if (word < 0 || word > MIN_BY)
        return view_unknown(error, "a step", name, words);
    if (!fill_step(&step, (enum word)word, value, error)) {
        step_fini(&step);
        return error_prefix(error, "\"%s\"", name);
    }
    return pipeline_add(pipeline, &step, error) &&
           (word < MAX_BY || pipeline_add(pipeline, &one, error));
}

static bool read_steps(struct pipeline *pipeline, const struct tree *steps, struct error *error)
{
    if (!steps)
        return true;
    if (tree_type(steps) != TREE_ARRAY)
        return wrong(error, "\"pipeline\" must be a list of steps");
    for (size_t i = 0; i < tree_count(steps); i++)
        if (!read_step(pipeline, tree_element(steps, i), error))
            return error_prefix(error, "pipeline[%zu]", i);
    return true;
}

/* ---- views ---- */

static struct pipeline *read_source(const struct tree *source, struct error *error)
{
    static const char *const kinds[] = {"Entity", "View", NULL};
    const char *name;
    const struct tree *value;
    int kind = view_only_member(source, &name, &value) ? view_word(kinds, span_of(name)) : -1;
    struct span text =
        kind < 0 ? span_make(NULL, 0) : text_member(value, kind == 0 ? "name" : "id");
    if (!text.data) {
        wrong(error, "\"source\" must be {\"Entity\": {\"name\": …}} or {\"View\": {\"id\": …}}");
        return NULL;
    }
    struct pipeline *pipeline = pipeline_new(text, kind == 1);
    if (!pipeline)
        error_set(error, ERROR_MEMORY, "no memory for a view");
    return pipeline;
}

/* "Collection", which it is without, "Single" or {"Keyed": {"key_field": path}}. */
static bool read_output(const struct tree *tree, enum view_output *output,
                        struct view_path *key_field, struct error *error)
{
    static const char *const outputs[] = {
        [VIEW_COLLECTION] = "Collection", [VIEW_SINGLE] = "Single", NULL};
    const char *name;
    const struct tree *value;
    bool given = tree && tree_type(tree) != TREE_NULL;
    int word = given ? view_word(outputs, tree_string(tree)) : VIEW_COLLECTION;
    if (word >= 0) {
        *output = (enum view_output)word;
        return true;
    }
    *output = VIEW_KEYED;
    if (view_only_member(tree, &name, &value) && strcmp(name, "Keyed") == 0)
        return view_path_read(key_field, segments(member(value, "key_field")), false, error);
    return wrong(error, "\"output\" must be Collection, Single or {\"Keyed\": {\"key_field\": …}}");
}

/* Pipeline and output; NULL with an error. */
static struct pipeline *read_body(const struct tree *tree, enum view_output *output,
                                  struct view_path *key_field, struct error *error)
{
    struct pipeline *pipeline = read_source(member(tree, "source"), error);
    if (!pipeline)
        return NULL;
    struct view_step one = {.kind = STEP_TAKE, .count = 1};
    if (read_steps(pipeline, member(tree, "pipeline"), error) &&
        read_output(member(tree, "output"), output, key_field, error) &&
        (*output != VIEW_SINGLE || pipeline_add(pipeline, &one, error)))
        return pipeline;
    pipeline_free(pipeline);
    return NULL;
}

/* An id has its export before the slash; one without is the entity's own. */
static struct view_source name_view(struct span id, struct span entity)
{
    const char *slash = memchr(id.data, '/', id.length);
    size_t length = slash ? (size_t)(slash - id.data) : 0;
    return (struct view_source){
        .export_name = slash ? span_make(id.data, length) : entity,
        .name = slash ? span_make(slash + 1, id.length - length - 1) : id,
    };
}

static bool read_view(struct view_set *set, struct span entity, const struct tree *tree,
                      struct error *error)
{
    struct span id = text_member(tree, "id");
    if (!id.data)
        return wrong(error, "a view needs an \"id\", as in \"Export/view\"");
    struct view_source source = name_view(id, entity);
    enum view_output output = VIEW_COLLECTION;
    struct view_path key_field = {0};
    struct pipeline *pipeline = read_body(tree, &output, &key_field, error);
    if (!pipeline) {
        view_path_fini(&key_field);
        return error_prefix(error, "view '%.*s'", (int)id.length, id.data);
    }
    source.mode = output == VIEW_COLLECTION ? VIEW_LIST : VIEW_STATE;
    struct view *view = view_new(&source, error);
    if (!view) {
        view_path_fini(&key_field);
        pipeline_free(pipeline);
        return false;
    }
    view_set_output(view, output, &key_field);
    struct view_entry *known = map_get(&set->by_id, span_of(view->id));
    if (known && known->pipeline) {
        error_set(error, ERROR_CONFIGURATION, "view '%s' is defined twice", view->id);
        view_free(view);
        pipeline_free(pipeline);
        return false;
    }
    return view_set_insert(set, view, pipeline, error);
}

static bool read_entity(struct view_set *set, const struct tree *entity, struct error *error)
{
    struct span name = text_member(entity, "state_name");
    const struct tree *views = member(entity, "views");
    if (!name.data)
        return wrong(error, "an entity needs a \"state_name\"");
    if (!view_set_add_export(set, name, error)) {
        if (error && error->code == ERROR_INVALID_PARAMETER)
            error->code = ERROR_CONFIGURATION;
        return false;
    }
    if (!views || tree_type(views) == TREE_NULL)
        return true;
    if (tree_type(views) != TREE_ARRAY)
        return error_set(error, ERROR_CONFIGURATION, "\"views\" of entity '%.*s' must be a list",
                         (int)name.length, name.data);
    for (size_t i = 0; i < tree_count(views); i++)
        if (!read_view(set, name, tree_element(views, i), error))
            return error_prefix(error, "entity '%.*s'", (int)name.length, name.data);
    return true;
}

/* Of a later version it is not known whether what it says means the same. */
static bool check_version(const struct tree *object, struct error *error)
{
    static const char known[] = "0.0.1";
    const struct tree *version = member(object, "ast_version");
    struct span text = text_member(object, "ast_version");
    if (!version || span_equal(text, span_of(known)))
        return true;
    if (!text.data)
        return error_set(error, ERROR_CONFIGURATION, "\"ast_version\" must be a text; known: %s",
                         known);
    return error_set(error, ERROR_CONFIGURATION,
                     "\"ast_version\" is '%.*s'; this stele knows %s: export the stack with a "
                     "compiler of that version",
                     text.length > 40 ? 40 : (int)text.length, text.data, known);
}

/* Note the entity of a stack file; *twice: it was noted before. False when out of memory. */
static bool note_entity(struct view_set *set, struct span name, bool *twice)
{
    *twice = map_get(&set->entities, name) != NULL;
    if (*twice)
        return true;
    char *copy = memory_copy_string(name.data, name.length);
    if (copy && map_add(&set->entities, copy))
        return true;
    memory_free(copy);
    return false;
}

static bool add_entity(struct view_set *set, const struct tree *entity, struct error *error)
{
    struct span name = text_member(entity, "state_name");
    bool twice = false;
    if (!check_version(entity, error))
        return false;
    if (name.data && !note_entity(set, name, &twice))
        return error_set(error, ERROR_MEMORY, "no memory for a stack file");
    if (twice)
        return error_set(error, ERROR_CONFIGURATION,
                         "entity '%.*s' was read before, from this stack file or from another; "
                         "leave one of them",
                         name.length > VIEW_NAME_LONGEST ? VIEW_NAME_LONGEST : (int)name.length,
                         name.data);
    return read_entity(set, entity, error);
}

bool view_set_add_stack(struct view_set *set, const struct tree *stack, struct error *error)
{
    const struct tree *entities = member(stack, "entities");
    if (!check_version(stack, error))
        return false;
    if (!entities || tree_type(entities) != TREE_ARRAY)
        return wrong(error, "a stack file is a JSON object with a list \"entities\"");
    for (size_t i = 0; i < tree_count(entities); i++)
        if (!add_entity(set, tree_element(entities, i), error))
            return error_prefix(error, "entities[%zu]", i);
    return true;
}
