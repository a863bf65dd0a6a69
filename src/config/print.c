/*
 * The configuration as people read it: the list for --help, and the values in force.
 */
#include "config/config_internal.h"

/* ---- one value ---- */

bool setting_add(struct buffer *out, const struct config *config, const struct setting *setting)
{
    bool textual = setting_is_textual(setting), rated = setting->type == SETTING_RATE;
    const char *text = !textual ? NULL : config ? setting_text(config, setting) : setting->text;
    int64_t number = textual || rated ? 0
                     : config         ? setting_number(config, setting)
                                      : setting->number;
    if (textual && !text)
        return false;
    if (rated)
        rate_print(out, config ? *setting_rate(config, setting) : setting_standard_rate(setting));
    else if (setting->type == SETTING_NUMBER)
        buffer_printf(out, "%lld", (long long)number);
    else if (setting->type == SETTING_FLAG)
        buffer_add_string(out, number ? "true" : "false");
    else
        buffer_add_string(out, textual ? text : setting->words[number]);
    return true;
}

bool setting_add_member(struct buffer *out, const char *name, const struct config *config,
                        const struct setting *setting)
{
    bool plain = setting->type == SETTING_NUMBER || setting->type == SETTING_FLAG;
    struct buffer value;
    buffer_init(&value, SIZE_MAX);
    bool set = setting_add(&value, config, setting);
    if (set)
        buffer_printf(out, "\"%s\": ", name);
    if (set && plain)
        buffer_add_span(out, buffer_span(&value));
    else if (set)
        doc_escape(out, buffer_span(&value));
    out->failed = out->failed || value.failed;
    buffer_fini(&value);
    return set;
}

/* ---- the list ---- */

void setting_describe(struct buffer *out, const struct setting *setting)
{
    static const char *const forms[] = {[SETTING_TEXT] = "a text",
                                        [SETTING_ADDRESS] = "HOST:PORT",
                                        [SETTING_FLAG] = "true or false",
                                        [SETTING_RATE] = "MOST+BURST/TIME or off"};
    buffer_printf(out, "  %s: ", setting->name);
    if (setting->type == SETTING_NUMBER)
        buffer_printf(out, "a number from %lld to %lld", (long long)setting->least,
                      (long long)setting->most);
    else if (setting->type == SETTING_WORD)
        setting_print_words(out, setting->words);
    else
        buffer_add_string(out, forms[setting->type]);
    if (!setting_is_textual(setting) || setting->text) {
        buffer_add_string(out, ", default ");
        setting_add(out, NULL, setting);
    }
    buffer_printf(out, "%s\n      %s\n", setting->change ? "; live" : "", setting->help);
    for (int i = 0; i <= (setting->type == SETTING_RATE ? 3 : 0); i++)
        if (setting[i].environment)
            buffer_printf(out, "      environment: %s\n", setting[i].environment);
}

bool config_describe(struct buffer *out)
{
    for (size_t i = 0; i < config_setting_count; i++)
        if (setting_stands_alone(&config_settings[i]))
            setting_describe(out, &config_settings[i]);
    config_auth_describe(out);
    buffer_add_string(out,
                      "  stacks: a list of paths of arete stack files, default []; \"stack\" adds "
                      "one\n");
    buffer_add_string(
        out,
        "  exports: an object, default {}: exports appear as they are fed\n"
        "      {\"Quake\": {\"max_entities\": 1000, \"scope\": \"owner\", \"views\": {\"slim\": "
        "{\"mode\": \"list\",\n"
        "       \"fields\": [\"id\", \"geo.lat\"], \"keys\": [\"k1\"]},\n"
        "       \"top\": {\"pipeline\": [{\"max_by\": \"mag\"}]}}}}\n");
    return !out->failed;
}

/* ---- the values ---- */

static void print_stacks(struct buffer *out, const struct config *config)
{
    if (config->stack_count == 0)
        return;
    buffer_add_string(out, "  \"stacks\": [");
    for (size_t i = 0; i < config->stack_count; i++) {
        buffer_add_string(out, i > 0 ? ", " : "");
        doc_escape(out, span_of(config->stacks[i]));
    }
    buffer_add_string(out, "],\n");
}

static void print_export(struct buffer *out, const struct config_export *export)
{
    buffer_add_string(out, "    ");
    doc_escape(out, span_of(export->name));
    buffer_printf(out, ": {\"max_entities\": %lld, ", (long long)export->max_entities);
    if (export->max_array_length != CONFIG_INHERIT)
        buffer_printf(out, "\"max_array_length\": %lld, ", (long long)export->max_array_length);
    if (export->null_removes)
        buffer_add_string(out, "\"null_removes\": true, ");
    if (export->scope)
        buffer_printf(out, "\"scope\": %s, ", export->scope);
    buffer_add_string(out, "\"views\": {");
    for (size_t i = 0; i < export->view_count; i++) {
        const struct config_view *view = &export->views[i];
        buffer_add_string(out, i > 0 ? ",\n      " : "\n      ");
        doc_escape(out, span_of(view->name));
        buffer_add_string(out, ": ");
        buffer_add_string(out, view->definition);
    }
    buffer_add_string(out, "}}");
}

bool setting_print(struct buffer *out, const char *before, const struct config *config,
                   const struct setting *setting)
{
    size_t length = out->length;
    buffer_add_string(out, before);
    bool set =
        setting_add_member(out, setting->member ? setting->member : setting->name, config, setting);
    if (!set)
        out->length = length;
    return set;
}

bool config_print(const struct config *config, struct buffer *out)
{
    buffer_add_string(out, "{\n");
    for (size_t i = 0; i < config_setting_count; i++)
        if (setting_stands_alone(&config_settings[i]) &&
            setting_print(out, "  ", config, &config_settings[i]))
            buffer_add_string(out, ",\n");
    config_auth_print(out, config);
    print_stacks(out, config);
    buffer_add_string(out, "  \"exports\": {");
    for (size_t i = 0; i < config->export_count; i++) {
        buffer_add_string(out, i > 0 ? ",\n" : "\n");
        print_export(out, &config->exports[i]);
    }
    return buffer_add_string(out, config->export_count > 0 ? "\n  }\n}\n" : "}\n}\n");
}
