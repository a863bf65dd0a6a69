/*
 * The difference between the configuration in force and another, and the part of it that can change
 * while the server runs: the table says it of each setting.
 */
#include "config/config_internal.h"

/* ---- the value of a setting ---- */

static size_t size_of(const struct setting *setting)
{
    static const size_t sizes[] = {sizeof(char *),   sizeof(char *), sizeof(int64_t),
                                   sizeof(unsigned), sizeof(bool),   sizeof(struct config_rate)};
    _Static_assert(SETTING_TEXT == 0 && SETTING_NUMBER == 2 && SETTING_RATE == 5, "sizes");
    return sizes[setting->type];
}

static void swap(struct config *a, struct config *b, const struct setting *setting)
{
    char held[sizeof(struct config_rate)];
    char *of_a = (char *)a + setting->offset, *of_b = (char *)b + setting->offset;
    memcpy(held, of_a, size_of(setting));
    memcpy(of_a, of_b, size_of(setting));
    memcpy(of_b, held, size_of(setting));
}

static bool is_same(const struct config *a, const struct config *b, const struct setting *setting)
{
    if (setting_is_textual(setting))
        return same_text(setting_text(a, setting), setting_text(b, setting));
    return memcmp((const char *)a + setting->offset, (const char *)b + setting->offset,
                  size_of(setting)) == 0;
}

/* ---- what has a structure of its own ---- */

/* But for what can change live. */
static bool same_export(const struct config_export *a, const struct config_export *b)
{
    bool same = strcmp(a->name, b->name) == 0 && same_text(a->scope, b->scope) &&
                a->max_array_length == b->max_array_length && a->null_removes == b->null_removes &&
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

static bool same_limits(const struct config *a, const struct config *b)
{
    bool same = true;
    for (size_t i = 0; same && i < a->export_count; i++)
        same = a->exports[i].max_entities == b->exports[i].max_entities;
    return same;
}

static bool same_texts(char *const *a, size_t a_count, char *const *b, size_t b_count)
{
    bool same = a_count == b_count;
    for (size_t i = 0; same && i < a_count; i++)
        same = strcmp(a[i], b[i]) == 0;
    return same;
}

struct taking {
    struct config *config, *from;
    config_judge judge;
    void *argument;
};

static bool wants(const struct taking *taking, const char *name, enum config_change change,
                  const char *restart)
{
    return taking->judge(taking->argument, name, change,
                         restart ? restart : "this setting is read at start only");
}

static void take_setting(const struct taking *taking, const struct setting *setting)
{
    enum config_change change = setting->change;
    if (setting->older || is_same(taking->config, taking->from, setting))
        return;
    if (change == CONFIG_LIVE_WHILE_SET)
        change = setting_text(taking->config, setting) && setting_text(taking->from, setting)
                     ? CONFIG_LIVE
                     : CONFIG_RESTART;
    if (wants(taking, setting->name, change, setting->restart))
        swap(taking->config, taking->from, setting);
}

static void take_text(const struct taking *taking, const char *name, char **text, char **from)
{
    if (same_text(*text, *from) || !wants(taking, name, CONFIG_LIVE, NULL))
        return;
    char *before = *text;
    *text = *from;
    *from = before;
}

static void take_origins(const struct taking *taking)
{
    struct config *config = taking->config, *from = taking->from;
    if (same_texts(config->origins, config->origin_count, from->origins, from->origin_count) ||
        !wants(taking, "allowed_origins", CONFIG_LIVE, NULL))
        return;
    char **origins = config->origins;
    size_t count = config->origin_count;
    config->origins = from->origins;
    config->origin_count = from->origin_count;
    from->origins = origins;
    from->origin_count = count;
}

/* Their limits alone, if nothing else of them differs. */
static void take_exports(const struct taking *taking)
{
    struct config *config = taking->config, *from = taking->from;
    bool same = same_exports(config, from);
    bool live = same && !config->log.stream &&
                !config->log.from; /* nodes of a log merge alike, from its beginning */
    if ((same && same_limits(config, from)) ||
        !wants(taking, "exports", live ? CONFIG_LIVE : CONFIG_RESTART, NULL))
        return;
    for (size_t i = 0; i < config->export_count; i++)
        config->exports[i].max_entities = from->exports[i].max_entities;
}

void config_take_live(struct config *config, struct config *from, config_judge judge,
                      void *argument)
{
    const struct taking taking = {config, from, judge, argument};
    for (size_t i = 0; i < config_setting_count; i++)
        take_setting(&taking, &config_settings[i]);
    take_text(&taking, "auth.tokens", &config->auth.tokens, &from->auth.tokens);
    take_text(&taking, "auth.keys", &config->auth.keys, &from->auth.keys);
    take_text(&taking, "auth.scopes", &config->auth.scopes, &from->auth.scopes);
    take_origins(&taking);
    if (!same_texts(config->stacks, config->stack_count, from->stacks, from->stack_count))
        wants(&taking, "stacks", CONFIG_RESTART, NULL);
    take_exports(&taking);
}
