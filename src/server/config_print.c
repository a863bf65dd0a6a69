/*
 * The configuration as people and editors read it: the list for --help, the JSON Schema of the
 * file, and the values in force.
 */
#include "server/config_internal.h"

/* ---- the list ---- */

static void describe_one(struct buffer *out, const struct setting *setting)
{
    buffer_printf(out, "  %s: ", setting->name);
    switch (setting->type) {
    case SETTING_TEXT:
        buffer_add_string(out, "a text");
        break;
    case SETTING_ADDRESS:
        buffer_printf(out, "HOST:PORT, default %s", setting->text);
        break;
    case SETTING_NUMBER:
        buffer_printf(out, "a number from %lld to %lld, default %lld", (long long)setting->least,
                      (long long)setting->most, (long long)setting->number);
        break;
    case SETTING_WORD:
        setting_print_words(out, setting->words);
        buffer_printf(out, ", default %s", setting->words[setting->number]);
        break;
    }
    buffer_printf(out, "\n      %s\n", setting->help);
    if (setting->environment)
        buffer_printf(out, "      environment: %s\n", setting->environment);
}

bool config_describe(struct buffer *out)
{
    for (size_t i = 0; i < config_setting_count; i++)
        describe_one(out, &config_settings[i]);
    buffer_add_string(out, "  exports: an object, default {}: exports appear as they are fed\n"
                           "      {\"Quake\": {\"max_entities\": 1000, \"views\": {\"slim\": "
                           "{\"mode\": \"list\",\n"
                           "       \"fields\": [\"id\", \"geo.lat\"], \"keys\": [\"k1\"]}}}}\n");
    return !out->failed;
}

/* ---- the schema ---- */

static void schema_words(struct buffer *out, const char *const *words)
{
    buffer_add_string(out, "\"enum\": [");
    for (size_t i = 0; words[i]; i++)
        buffer_printf(out, "%s\"%s\"", i > 0 ? ", " : "", words[i]);
    buffer_add_string(out, "]");
}

static void schema_one(struct buffer *out, const struct setting *setting)
{
    buffer_printf(out, "    \"%s\": {\n      \"description\": ", setting->name);
    doc_escape(out, span_of(setting->help));
    buffer_add_string(out, ",\n      ");
    switch (setting->type) {
    case SETTING_TEXT:
        buffer_add_string(out, "\"type\": \"string\",\n      \"minLength\": 1");
        break;
    case SETTING_ADDRESS:
        buffer_printf(out,
                      "\"type\": \"string\",\n      \"pattern\": \"^(.+:[0-9]{1,5})?$\",\n"
                      "      \"default\": \"%s\"",
                      setting->text);
        break;
    case SETTING_NUMBER:
        buffer_printf(out,
                      "\"type\": \"integer\",\n      \"minimum\": %lld,\n      \"maximum\": "
                      "%lld,\n      \"default\": %lld",
                      (long long)setting->least, (long long)setting->most,
                      (long long)setting->number);
        break;
    case SETTING_WORD:
        schema_words(out, setting->words);
        buffer_printf(out, ",\n      \"default\": \"%s\"", setting->words[setting->number]);
        break;
    }
    buffer_add_string(out, "\n    },\n");
}

static const char schema_exports[] =
    "    \"exports\": {\n"
    "      \"description\": \"the exports that are shown, by name; when there is none, exports "
    "appear as they are fed\",\n"
    "      \"type\": \"object\",\n"
    "      \"default\": {},\n"
    "      \"propertyNames\": {\"minLength\": 1, \"maxLength\": 128, \"pattern\": "
    "\"^[^/\\\"\\\\u0000-\\\\u001f]+$\"},\n"
    "      \"additionalProperties\": {\n"
    "        \"type\": \"object\",\n"
    "        \"additionalProperties\": false,\n"
    "        \"properties\": {\n"
    "          \"max_entities\": {\n"
    "            \"description\": \"entities kept, those changed last; 0 for no limit\",\n"
    "            \"type\": \"integer\",\n"
    "            \"minimum\": 0,\n"
    "            \"default\": 0\n"
    "          },\n"
    "          \"views\": {\n"
    "            \"description\": \"views beside the list, state and append of every export\",\n"
    "            \"type\": \"object\",\n"
    "            \"additionalProperties\": {\"$ref\": \"#/$defs/view\"}\n"
    "          }\n"
    "        }\n"
    "      }\n"
    "    }\n";

static void schema_view(struct buffer *out)
{
    buffer_add_string(out, "  \"$defs\": {\n    \"view\": {\n      \"type\": \"object\",\n"
                           "      \"additionalProperties\": false,\n      \"properties\": {\n"
                           "        \"mode\": {");
    schema_words(out, config_mode_words);
    buffer_add_string(
        out, ", \"default\": \"list\"},\n"
             "        \"fields\": {\n"
             "          \"description\": \"dotted paths of what is shown; left out: everything\",\n"
             "          \"type\": \"array\", \"minItems\": 1, \"items\": {\"type\": \"string\", "
             "\"minLength\": 1}\n"
             "        },\n"
             "        \"keys\": {\n"
             "          \"description\": \"only these keys are shown; left out: every key\",\n"
             "          \"type\": \"array\", \"minItems\": 1, \"items\": {\"type\": \"string\"}\n"
             "        }\n      }\n    }\n  }\n");
}

bool config_schema(struct buffer *out)
{
    buffer_add_string(out, "{\n"
                           "  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"
                           "  \"title\": \"Configuration file of stele\",\n"
                           "  \"type\": \"object\",\n"
                           "  \"additionalProperties\": false,\n"
                           "  \"properties\": {\n"
                           "    \"$schema\": {\"type\": \"string\"},\n");
    for (size_t i = 0; i < config_setting_count; i++)
        schema_one(out, &config_settings[i]);
    buffer_add_string(out, schema_exports);
    buffer_add_string(out, "  },\n");
    schema_view(out);
    return buffer_add_string(out, "}\n");
}

/* ---- the values ---- */

static void print_texts(struct buffer *out, const char *name, const struct span *texts,
                        size_t count)
{
    if (count == 0)
        return;
    buffer_printf(out, ", \"%s\": [", name);
    for (size_t i = 0; i < count; i++) {
        buffer_add_string(out, i > 0 ? ", " : "");
        doc_escape(out, texts[i]);
    }
    buffer_add_string(out, "]");
}

static void print_export(struct buffer *out, const struct config_export *export)
{
    buffer_add_string(out, "    ");
    doc_escape(out, span_of(export->name));
    buffer_printf(out, ": {\"max_entities\": %lld, \"views\": {", (long long)export->max_entities);
    for (size_t i = 0; i < export->view_count; i++) {
        const struct config_view *view = &export->views[i];
        buffer_add_string(out, i > 0 ? ",\n      " : "\n      ");
        doc_escape(out, span_of(view->name));
        buffer_printf(out, ": {\"mode\": \"%s\"", config_mode_words[view->mode]);
        print_texts(out, "fields", view->fields, view->field_count);
        print_texts(out, "keys", view->keys, view->key_count);
        buffer_add_string(out, "}");
    }
    buffer_add_string(out, "}}");
}

static void print_one(const struct config *config, const struct setting *setting,
                      struct buffer *out)
{
    bool textual = setting->type == SETTING_TEXT || setting->type == SETTING_ADDRESS;
    const char *text = textual ? setting_text(config, setting) : NULL;
    if (textual && !text)
        return;
    buffer_printf(out, "  \"%s\": ", setting->name);
    if (textual)
        doc_escape(out, span_of(text));
    else if (setting->type == SETTING_WORD)
        buffer_printf(out, "\"%s\"", setting->words[setting_number(config, setting)]);
    else
        buffer_printf(out, "%lld", (long long)setting_number(config, setting));
    buffer_add_string(out, ",\n");
}

bool config_print(const struct config *config, struct buffer *out)
{
    buffer_add_string(out, "{\n");
    for (size_t i = 0; i < config_setting_count; i++)
        print_one(config, &config_settings[i], out);
    buffer_add_string(out, "  \"exports\": {");
    for (size_t i = 0; i < config->export_count; i++) {
        buffer_add_string(out, i > 0 ? ",\n" : "\n");
        print_export(out, &config->exports[i]);
    }
    return buffer_add_string(out, config->export_count > 0 ? "\n  }\n}\n" : "}\n}\n");
}
