/*
 * What differs between the configuration in force and another, and what of it can change while the
 * server runs: the column `live` of the table.
 */
#include "server/config_internal.h"

static bool is_textual(const struct setting *setting)
{
    return setting->type == SETTING_TEXT || setting->type == SETTING_ADDRESS;
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_setting(const struct config *a, const struct config *b,
                         const struct setting *setting)
{
    return is_textual(setting) ? same_text(setting_text(a, setting), setting_text(b, setting))
                               : setting_number(a, setting) == setting_number(b, setting);
}

static bool same_export(const struct config_export *a, const struct config_export *b)
{
    bool same = strcmp(a->name, b->name) == 0 && a->max_entities == b->max_entities &&
                a->view_count == b->view_count;
    for (size_t i = 0; same && i < a->view_count; i++)
        same = strcmp(a->views[i].name, b->views[i].name) == 0 &&
               strcmp(a->views[i].definition, b->views[i].definition) == 0;
    return same;
}

static bool same_exports(const struct config *a, const struct config *b)
{
    bool same = a->export_count == b->export_count;
    for (size_t i = 0; same && i < a->export_count; i++)
        same = same_export(&a->exports[i], &b->exports[i]);
    return same;
}

static bool same_stacks(const struct config *a, const struct config *b)
{
    bool same = a->stack_count == b->stack_count;
    for (size_t i = 0; same && i < a->stack_count; i++)
        same = strcmp(a->stacks[i], b->stacks[i]) == 0;
    return same;
}

void config_take_live(struct config *config, struct config *from, config_judge judge,
                      void *argument)
{
    for (size_t i = 0; i < config_setting_count; i++) {
        const struct setting *setting = &config_settings[i];
        if (!same_setting(config, from, setting) && judge(argument, setting->name, setting->live))
            setting_swap(config, from, setting);
    }
    if (!same_stacks(config, from))
        judge(argument, "stacks", false);
    if (!same_exports(config, from))
        judge(argument, "exports", false);
}
