/* Pipelines: their life, and the steps as the configuration spells them. */
#include "view/view_internal.h"

#define LARGEST (((int64_t)1 << 53) - 1)

struct pipeline *pipeline_new(struct span source, bool source_is_view)
{
    struct pipeline *pipeline = memory_new(sizeof *pipeline);
    char *copy = pipeline ? memory_copy_string(source.data, source.length) : NULL;
    if (!copy) {
        memory_free(pipeline);
        return NULL;
    }
    pipeline->source = copy;
    pipeline->source_is_view = source_is_view;
    return pipeline;
}

void step_fini(struct view_step *step)
{
    predicate_unref(step->predicate);
    view_path_fini(&step->path);
}

void pipeline_free(struct pipeline *pipeline)
{
    if (!pipeline)
        return;
    predicate_unref(pipeline->draft.predicate);
    for (size_t i = 0; i < pipeline->count; i++)
        step_fini(&pipeline->steps[i]);
    memory_free(pipeline->steps);
    memory_free(pipeline->source);
    memory_free(pipeline);
}

bool pipeline_add(struct pipeline *pipeline, struct view_step *step, struct error *error)
{
    if (pipeline->count == pipeline->capacity) {
        size_t capacity = pipeline->capacity ? pipeline->capacity * 2 : 4;
        struct view_step *steps = memory_resize(pipeline->steps, capacity * sizeof *steps);
        if (!steps) {
            step_fini(step);
            return error_set(error, ERROR_MEMORY, "no memory for a pipeline");
        }
        pipeline->steps = steps;
        pipeline->capacity = capacity;
    }
    pipeline->steps[pipeline->count++] = *step;
    return true;
}

bool pipeline_count(const struct tree *tree, int64_t *count, struct error *error)
{
    *count = tree ? tree_integer(tree, -1) : -1;
    return (*count >= 0 && *count <= LARGEST) ||
           error_set(error, ERROR_CONFIGURATION, "must be a whole number from 0 to 2^53 - 1");
}

/* ---- the configuration's spelling ---- */

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

bool pipeline_read(struct pipeline *pipeline, const struct tree *list, struct error *error)
{
    if (tree_type(list) != TREE_ARRAY)
        return error_set(error, ERROR_CONFIGURATION, "\"pipeline\" must be a list of steps");
    for (size_t i = 0; i < tree_count(list); i++)
        if (!read_step(pipeline, tree_element(list, i), error))
            return error_prefix(error, "pipeline[%zu]", i);
    return true;
}
