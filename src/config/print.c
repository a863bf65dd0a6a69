/*
 * The configuration as people read it: the list for --help, and the values in force.
 */
#include "config/config_internal.h"

/* ---- the list ---- */

static void describe_variable(struct buffer *out, const struct setting *setting)
{
    if (setting->environment)
        buffer_printf(out, "      environment: %s\n", setting->environment);
}

void setting_describe(struct buffer *out, const struct setting *setting)
{
    struct config_rate standard;
    buffer_printf(out, "  %s: ", setting->name);
    switch (setting->type) {
    case SETTING_TEXT:
        buffer_add_string(out, "a text");
        if (setting->text)
            buffer_printf(out, ", default %s", setting->text);
        break;
    case SETTING_ADDRESS:
        buffer_printf(out, "HOST:PORT, default %s", setting->text);
        break;
    case SETTING_NUMBER:
        buffer_printf(out, "a number from %lld to %lld, default %lld", (long long)setting->least,
                      (long long)setting->most, (long long)setting->number);
        break;
    case SETTING_FLAG:
        buffer_printf(out, "true or false, default %s", setting->number ? "true" : "false");
        break;
    case SETTING_RATE:
        standard = setting_standard_rate(setting);
        buffer_add_string(out, "MOST+BURST/TIME or off, default ");
        rate_print(out, &standard);
        break;
    case SETTING_WORD:
        setting_print_words(out, setting->words);
        buffer_printf(out, ", default %s", setting->words[setting->number]);
        break;
    }
    buffer_printf(out, "%s\n      %s\n", setting->change ? "; live" : "", setting->help);
    describe_variable(out, setting);
    for (int i = 1; setting->type == SETTING_RATE && i <= 3; i++)
        describe_variable(out, setting + i);
}

bool config_describe(struct buffer *out)
{
    for (size_t i = 0; i < config_setting_count; i++)
        if (!config_settings[i].member && !config_settings[i].older)
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

bool setting_print(struct buffer *out, const struct config *config, const struct setting *setting)
{
    bool textual = setting_is_textual(setting);
    const char *text = textual ? setting_text(config, setting) : NULL;
    if (textual && !text)
        return false;
    buffer_printf(out, "\"%s\": ", setting->member ? setting->member : setting->name);
    if (textual)
        doc_escape(out, span_of(text));
    else if (setting->type == SETTING_WORD)
        buffer_printf(out, "\"%s\"", setting->words[setting_number(config, setting)]);
    else if (setting->type == SETTING_RATE) {
        buffer_add_char(out, '"');
        rate_print(out, setting_rate(config, setting));
        buffer_add_char(out, '"');
    } else if (setting->type == SETTING_FLAG)
        buffer_add_string(out, setting_number(config, setting) ? "true" : "false");
    else
        buffer_printf(out, "%lld", (long long)setting_number(config, setting));
    return true;
}

static void print_one(const struct config *config, const struct setting *setting,
                      struct buffer *out)
{
    size_t before = out->length;
    buffer_add_string(out, "  ");
    if (!setting->member && !setting->older && setting_print(out, config, setting))
        buffer_add_string(out, ",\n");
    else
        out->length = before;
}

bool config_print(const struct config *config, struct buffer *out)
{
    buffer_add_string(out, "{\n");
    for (size_t i = 0; i < config_setting_count; i++)
        print_one(config, &config_settings[i], out);
    config_auth_print(out, config);
    print_stacks(out, config);
    buffer_add_string(out, "  \"exports\": {");
    for (size_t i = 0; i < config->export_count; i++) {
        buffer_add_string(out, i > 0 ? ",\n" : "\n");
        print_export(out, &config->exports[i]);
    }
    return buffer_add_string(out, config->export_count > 0 ? "\n  }\n}\n" : "}\n}\n");
}
