/*
 * The options of a store, kept for reading the configuration again: those of stele_open are the
 * host's, and gone.
 */
#include "api/api_internal.h"

static bool copy_text(const char **copy, const char *text)
{
    *copy = text ? memory_copy_string(text, strlen(text)) : NULL;
    return *copy || !text;
}

static bool copy_settings(stele_options *copy, const stele_options *options)
{
    const char **settings = memory_new((options->setting_count + 1) * sizeof *settings);
    copy->settings = settings;
    for (size_t i = 0; settings && i < options->setting_count; i++) {
        if (!copy_text(&settings[i], options->settings[i]))
            return false;
        copy->setting_count++;
    }
    return settings != NULL;
}

bool api_copy_options(stele_options *copy, const stele_options *options, struct error *error)
{
    *copy = *options;
    copy->database = copy->config_file = copy->listen = copy->health = NULL;
    copy->settings = NULL;
    copy->setting_count = 0;
    return (copy_text(&copy->database, options->database) &&
            copy_text(&copy->config_file, options->config_file) &&
            copy_text(&copy->listen, options->listen) &&
            copy_text(&copy->health, options->health) && copy_settings(copy, options)) ||
           error_set(error, ERROR_MEMORY, "out of memory");
}

void api_free_options(stele_options *copy)
{
    const char **settings = (const char **)(uintptr_t)copy->settings;
    for (size_t i = 0; i < copy->setting_count; i++)
        memory_free((void *)(uintptr_t)settings[i]);
    memory_free(settings);
    memory_free((void *)(uintptr_t)copy->database);
    memory_free((void *)(uintptr_t)copy->config_file);
    memory_free((void *)(uintptr_t)copy->listen);
    memory_free((void *)(uintptr_t)copy->health);
    *copy = (stele_options){.struct_size = 0};
}
