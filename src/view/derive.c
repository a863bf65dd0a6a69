/*
 * A view as the configuration spells it: {"mode", "fields", "keys", "source", "pipeline", "output",
 * "coalesce_ms"}. It is a derived view when it has a source, a pipeline or an output.
 */
#include "view/view_internal.h"

#include <stdio.h>

enum { COALESCE_MOST = 3600000 }; /* an hour */

/* The parts that were read; owned. */
struct reading {
    struct span *fields, *keys;
    size_t field_count, key_count;
    int mode; /* -1: not given */
    struct pipeline *pipeline;
    enum view_output output;
    struct view_path key_field;
    int64_t coalesce_ms;
};

static void reading_fini(struct reading *reading)
{
    memory_free(reading->fields);
    memory_free(reading->keys);
    pipeline_free(reading->pipeline);
    view_path_fini(&reading->key_field);
}

/* ---- the steps of a pipeline ---- */

enum word { WORD_FILTER, WORD_SORT, WORD_SKIP, WORD_TAKE, WORD_MAX_BY, WORD_MIN_BY };
static const char *const words[] = {"filter", "sort",  "skip", "take", "max_by",
                                    "min_by", "first", "last", NULL};

/* "a.b", ["a", "b"] or {"by": path, "order": "asc" or "desc"}. */
static bool read_sort(struct view_step *step, const struct tree *value, struct error *error)
{
    static const char *const members[] = {"by", "order", NULL};
    static const char *const orders[] = {"asc", "desc", NULL};
    void *position = NULL;
    const char *name;
    const struct tree *content;
    if (tree_type(value) != TREE_OBJECT)
        return view_path_read(&step->path, value, true, error);
    while (tree_next(value, &position, &name, &content)) {
        int order;
        switch (view_word(members, span_of(name))) {
        case 0:
            break;
        case 1:
            order = view_word(orders, tree_string(content));
            if (order < 0)
                return error_set(error, ERROR_CONFIGURATION, "\"order\" must be asc or desc");
            step->descending = order == 1;
            break;
        default:
            return view_unknown(error, "a sort", name, members);
        }
    }
    return view_path_read(&step->path, tree_member(value, "by"), true, error);
}

static bool fill_step(struct view_step *step, enum word word, const struct tree *value,
                      struct error *error)
{
    switch (word) {
    case WORD_FILTER:
        step->kind = STEP_FILTER;
        step->predicate = predicate_read(value, error);
        return step->predicate != NULL;
    case WORD_SORT:
        step->kind = STEP_SORT;
        return read_sort(step, value, error);
    case WORD_SKIP:
    case WORD_TAKE:
        step->kind = word == WORD_SKIP ? STEP_SKIP : STEP_TAKE;
        return pipeline_count(value, &step->count, error);
    case WORD_MAX_BY:
    case WORD_MIN_BY:
        step->kind = STEP_SORT;
        step->descending = word == WORD_MAX_BY;
        return view_path_read(&step->path, value, true, error);
    }
    return false;
}

static bool read_step(struct pipeline *pipeline, const struct tree *tree, struct error *error)
{
    static const char *const bare[] = {"first", "last", NULL};
    struct view_step step = {0}, one = {.kind = STEP_TAKE, .count = 1};
    const char *name;
    const struct tree *value;
    if (tree_type(tree) == TREE_STRING && view_word(bare, tree_string(tree)) >= 0) {
        step.kind = STEP_LAST;
        bool first = span_equal(tree_string(tree), span_of("first"));
        return pipeline_add(pipeline, first ? &one : &step, error);
    }
    if (!view_only_member(tree, &name, &value))
        return error_set(error, ERROR_CONFIGURATION,
                         "a step is \"first\", \"last\" or an object with one of filter, sort, "
                         "skip, take, max_by or min_by");
    int word = view_word(words, span_of(name));
    if (word < 0 || word > WORD_MIN_BY)
        return view_unknown(error, "a step", name, words);
    if (!fill_step(&step, (enum word)word, value, error)) {
        step_fini(&step);
        return error_prefix(error, "\"%s\"", name);
    }
    if (!pipeline_add(pipeline, &step, error))
        return false;
    return word < WORD_MAX_BY || pipeline_add(pipeline, &one, error);
}

static bool read_steps(struct pipeline *pipeline, const struct tree *list, struct error *error)
{
    if (tree_type(list) != TREE_ARRAY)
        return error_set(error, ERROR_CONFIGURATION, "\"pipeline\" must be a list of steps");
    for (size_t i = 0; i < tree_count(list); i++)
        if (!read_step(pipeline, tree_element(list, i), error))
            return error_prefix(error, "pipeline[%zu]", i);
    return true;
}

/* ---- the members of a view ---- */

/* A list of texts, borrowed from the tree. An empty one is refused, because it could be taken for
 * "none" as well as for "all". */
static bool read_texts(const struct tree *list, struct span **texts, size_t *count,
                       struct error *error)
{
    size_t wanted = tree_type(list) == TREE_ARRAY ? tree_count(list) : 0;
    if (wanted == 0)
        return error_set(error, ERROR_CONFIGURATION,
                         "must be a list of at least one text; leave it out for all");
    *texts = memory_new(wanted * sizeof **texts);
    if (!*texts)
        return error_set(error, ERROR_MEMORY, "no memory for a view");
    for (*count = 0; *count < wanted; (*count)++) {
        const struct tree *element = tree_element(list, *count);
        if (tree_type(element) != TREE_STRING)
            return error_set(error, ERROR_CONFIGURATION, "must hold texts only");
        (*texts)[*count] = tree_string(element);
    }
    return true;
}

static bool read_mode(struct reading *reading, const struct tree *value, struct error *error)
{
    static const char *const modes[] = {
        [VIEW_STATE] = "state", [VIEW_LIST] = "list", [VIEW_APPEND] = "append", NULL};
    reading->mode = view_word(modes, tree_string(value));
    return reading->mode >= 0 ||
           error_set(error, ERROR_CONFIGURATION, "must be state, list or append");
}

static bool read_output(struct reading *reading, const struct tree *value, struct error *error)
{
    static const char *const outputs[] = {
        [VIEW_COLLECTION] = "collection", [VIEW_SINGLE] = "single", NULL};
    const char *name;
    const struct tree *path;
    int output = view_word(outputs, tree_string(value));
    if (output >= 0) {
        reading->output = (enum view_output)output;
        return true;
    }
    reading->output = VIEW_KEYED;
    if (view_only_member(value, &name, &path) && strcmp(name, "keyed_by") == 0)
        return view_path_read(&reading->key_field, path, true, error);
    return error_set(error, ERROR_CONFIGURATION,
                     "must be collection, single or {\"keyed_by\": path}");
}

static bool read_coalesce(struct reading *reading, const struct tree *value, struct error *error)
{
    reading->coalesce_ms = tree_integer(value, -1);
    return (reading->coalesce_ms >= 0 && reading->coalesce_ms <= COALESCE_MOST) ||
           error_set(error, ERROR_CONFIGURATION, "must be a whole number from 0 (off) to %d",
                     COALESCE_MOST);
}

enum member { FIELDS, KEYS, MODE, SOURCE, PIPELINE, OUTPUT, COALESCE };
static const char *const members[] = {"fields",   "keys",   "mode",        "source",
                                      "pipeline", "output", "coalesce_ms", NULL};

static bool read_member(struct reading *reading, enum member member, const struct tree *value,
                        struct error *error)
{
    switch (member) {
    case FIELDS:
        return read_texts(value, &reading->fields, &reading->field_count, error);
    case KEYS:
        return read_texts(value, &reading->keys, &reading->key_count, error);
    case MODE:
        return read_mode(reading, value, error);
    case OUTPUT:
        return read_output(reading, value, error);
    case COALESCE:
        return read_coalesce(reading, value, error);
    case SOURCE:
    case PIPELINE:
        break; /* read before, because they decide whether there is a pipeline */
    }
    return true;
}

static bool read_pipeline(struct reading *reading, struct span export_name,
                          const struct tree *definition, struct error *error)
{
    const struct tree *source = tree_member(definition, "source");
    const struct tree *steps = tree_member(definition, "pipeline");
    if (!source && !steps && !tree_member(definition, "output"))
        return true;
    if (source && (tree_type(source) != TREE_STRING || tree_string(source).length == 0))
        return error_set(error, ERROR_CONFIGURATION,
                         "\"source\" must be a text: the name of an export, or \"export/view\"");
    struct span name = source ? tree_string(source) : export_name;
    bool is_view = source && memchr(name.data, '/', name.length) != NULL;
    reading->pipeline = pipeline_new(name, is_view);
    if (!reading->pipeline)
        return error_set(error, ERROR_MEMORY, "no memory for a view");
    return !steps || read_steps(reading->pipeline, steps, error);
}

/* The mode of a derived view follows from its output. A single one shows its first row. */
static bool settle(struct reading *reading, struct error *error)
{
    if (reading->pipeline) {
        int mode = reading->output == VIEW_COLLECTION ? VIEW_LIST : VIEW_STATE;
        if (reading->mode >= 0 && reading->mode != mode)
            return error_set(error, ERROR_CONFIGURATION,
                             "\"mode\" of a derived view is list for the output collection, else "
                             "state; leave it out");
        reading->mode = mode;
        struct view_step one = {.kind = STEP_TAKE, .count = 1};
        if (reading->output == VIEW_SINGLE && !pipeline_add(reading->pipeline, &one, error))
            return false;
    }
    reading->mode = reading->mode < 0 ? VIEW_LIST : reading->mode;
    return reading->mode != VIEW_APPEND || reading->coalesce_ms == 0 ||
           error_set(error, ERROR_CONFIGURATION,
                     "\"coalesce_ms\" cannot be set on an append view: every change of it is sent");
}

static bool read_definition(struct reading *reading, struct span export_name,
                            const struct tree *definition, struct error *error)
{
    if (tree_type(definition) != TREE_OBJECT)
        return error_set(error, ERROR_CONFIGURATION,
                         "must be an object with mode, fields, keys, source, pipeline or output");
    void *position = NULL;
    const char *name;
    const struct tree *value;
    while (tree_next(definition, &position, &name, &value)) {
        int member = view_word(members, span_of(name));
        if (member < 0)
            return view_unknown(error, "a view", name, members);
        if (!read_member(reading, (enum member)member, value, error))
            return error_prefix(error, "\"%s\"", name);
    }
    return read_pipeline(reading, export_name, definition, error) && settle(reading, error);
}

static bool insert(struct view_set *set, const struct view_source *source, struct reading *reading,
                   struct error *error)
{
    struct view *view = view_new(source, error);
    if (!view)
        return false;
    view->coalesce_ms = reading->coalesce_ms;
    view_set_output(view, reading->output, &reading->key_field);
    struct pipeline *pipeline = reading->pipeline;
    reading->pipeline = NULL;
    return view_set_put(set, source, view, pipeline, error);
}

bool view_set_derive(struct view_set *set, struct span export_name, struct span name,
                     const struct tree *definition, struct error *error)
{
    struct reading reading = {.mode = -1};
    bool good = read_definition(&reading, export_name, definition, error);
    if (!good) {
        error_prefix(error, "view '%.*s/%.*s'", (int)export_name.length, export_name.data,
                     (int)name.length, name.data);
    } else {
        struct view_source source = {export_name,
                                     name,
                                     (enum view_mode)reading.mode,
                                     reading.fields,
                                     reading.field_count,
                                     reading.keys,
                                     reading.key_count};
        good = insert(set, &source, &reading, error);
    }
    reading_fini(&reading);
    return good;
}
