#include "cli/definitions.h"

#include "config/config.h"

static bool add_stacks(struct config *config, const struct option_texts *stacks,
                       struct error *error)
{
    for (size_t i = 0; i < stacks->count; i++)
        if (!config_set(config, "stack", stacks->items[i], error))
            return false;
    return true;
}

struct view_set *definitions_read(const char *config_file, const struct option_texts *stacks,
                                  struct error *error)
{
    struct config config;
    struct view_set *set = NULL;
    if (!config_init(&config, error))
        return NULL;
    if ((!config_file || config_read_file(&config, config_file, error)) &&
        add_stacks(&config, stacks, error))
        set = config_views(&config, error);
    config_fini(&config);
    return set;
}

const struct view *definitions_find(const struct view_set *set, const char *id, struct error *error)
{
    const struct view *view = view_set_find(set, span_of(id));
    if (view)
        return view_ref(view);
    if (view_is_plain(span_of(id)))
        return view_plain_new(span_of(id), error);
    error_set(
        error, ERROR_VIEW_NOT_FOUND,
        "there is no view '%.200s' in the configuration that was named, if one was; a file does "
        "not have the definitions, those of its server do (--config FILE, --stack FILE)",
        id);
    return NULL;
}
