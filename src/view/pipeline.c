/* Pipelines: their life, whoever spells them. */
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
