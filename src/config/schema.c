/* The JSON Schema of the configuration file, for editors. */
#include "config/config_internal.h"

/* One more member of what is said of a setting. */
#define MEMBER(...) (buffer_printf(out, ",\n%*s  ", indent, ""), buffer_printf(out, __VA_ARGS__))

static void schema_form(struct buffer *out, const struct setting *setting, int indent)
{
    switch (setting->type) {
    case SETTING_TEXT:
        MEMBER("\"type\": %s", setting->list ? "[\"string\", \"array\"]" : "\"string\"");
        if (setting->list)
            MEMBER("\"items\": {\"type\": \"string\"}");
        MEMBER("\"minLength\": 1");
        break;
    case SETTING_ADDRESS:
        MEMBER("\"type\": \"string\"");
        MEMBER("\"pattern\": \"^(.+:[0-9]{1,5})?$\"");
        break;
    case SETTING_NUMBER:
        MEMBER("\"type\": \"integer\"");
        MEMBER("\"minimum\": %lld", (long long)setting->least);
        MEMBER("\"maximum\": %lld", (long long)setting->most);
        break;
    case SETTING_RATE:
        MEMBER("\"anyOf\": [");
        buffer_printf(out,
                      "\n%*s    {\"type\": \"string\", \"pattern\": "
                      "\"^(off|[0-9]+|[0-9]+([+][0-9]+)?/[0-9]+[smh])$\"},\n%*s    {\"type\": "
                      "\"integer\", \"minimum\": %lld, \"maximum\": %lld}\n%*s  ]",
                      indent, "", indent, "", (long long)setting[1].least,
                      (long long)setting[1].most, indent, "");
        break;
    case SETTING_FLAG:
        MEMBER("\"type\": \"boolean\"");
        break;
    case SETTING_WORD:
        MEMBER("\"enum\": [");
        for (size_t i = 0; setting->words[i]; i++)
            buffer_printf(out, "%s\"%s\"", i > 0 ? ", " : "", setting->words[i]);
        buffer_add_char(out, ']');
        break;
    }
}

static void add_schema(struct buffer *out, const struct setting *setting, int indent)
{
    const char *name = setting->member ? setting->member : setting->name;
    buffer_printf(out, "%*s\"%s\": {\n%*s  \"description\": ", indent, "", name, indent, "");
    doc_escape(out, span_of(setting->help));
    schema_form(out, setting, indent);
    if (!setting_is_textual(setting) || setting->text) {
        MEMBER("%s", "");
        setting_add_member(out, "default", NULL, setting);
    }
    if (setting->older)
        MEMBER("\"deprecated\": true");
    buffer_printf(out, "\n%*s},\n", indent, "");
    for (int i = 2; setting->type == SETTING_RATE && i <= 3; i++)
        add_schema(out, setting + i, indent);
}

static const char schema_lists[] =
    "        \"tokens\": {\n"
    "          \"description\": \"static tokens\",\n"
    "          \"type\": \"array\",\n"
    "          \"items\": {\"anyOf\": [\n"
    "            {\"$ref\": \"#/$defs/token\"},\n"
    "            {\"type\": \"object\", \"additionalProperties\": false,\n"
    "             \"oneOf\": [{\"required\": [\"token\"]}, {\"required\": [\"file\"]}],\n"
    "             \"properties\": {\n"
    "               \"token\": {\"$ref\": \"#/$defs/token\"},\n"
    "               \"file\": {\"description\": \"where the token stands\", \"type\": "
    "\"string\", \"minLength\": 1},\n"
    "               \"scope\": {\"type\": \"string\", \"default\": \"read\"},\n"
    "               \"subject\": {\"type\": \"string\", \"minLength\": 1},\n"
    "               \"views\": {\"type\": \"array\", \"items\": {\"type\": \"string\"}},\n"
    "               \"row_scopes\": {\"type\": \"array\", \"items\": {\"type\": \"string\"}},\n"
    "               \"metering_key\": {\"type\": \"string\"},\n"
    "               \"key_class\": {\"enum\": [\"secret\", \"publishable\"]},\n"
    "               \"deployment_id\": {\"type\": \"string\"},\n"
    "               \"plan\": {\"type\": \"string\"},\n"
    "               \"limits\": {\"type\": \"object\", \"additionalProperties\": {\"type\": "
    "\"integer\", \"minimum\": 0}},\n"
    "               \"expires_at\": {\"description\": \"unix seconds\", \"type\": "
    "\"integer\", \"minimum\": 1}\n"
    "             }}\n"
    "          ]}\n"
    "        },\n"
    "        \"scopes\": {\n"
    "          \"description\": \"what values of the scope claim allow, in words of read, write "
    "and "
    "admin; left out: these words are the values\",\n"
    "          \"type\": \"object\",\n"
    "          \"maxProperties\": 256,\n"
    "          \"additionalProperties\": {\"type\": \"string\"}\n"
    "        },\n"
    "        \"keys\": {\n"
    "          \"description\": \"public keys (Ed25519, P-256, RSA) of signed tokens\",\n"
    "          \"type\": \"array\",\n"
    "          \"items\": {\"anyOf\": [\n"
    "            {\"type\": \"string\", \"minLength\": 43},\n"
    "            {\"type\": \"object\", \"additionalProperties\": false,\n"
    "             \"oneOf\": [{\"required\": [\"key\"]}, {\"required\": [\"file\"]}],\n"
    "             \"properties\": {\n"
    "               \"key\": {\"type\": \"string\", \"minLength\": 43},\n"
    "               \"file\": {\"description\": \"where the key stands\", \"type\": "
    "\"string\", \"minLength\": 1},\n"
    "               \"kid\": {\"type\": \"string\", \"minLength\": 1, \"maxLength\": 128},\n"
    "               \"ends_at\": {\"description\": \"unix seconds\", \"type\": \"integer\", "
    "\"minimum\": 1}\n"
    "             }}\n"
    "          ]}\n"
    "        }\n";

static const char schema_origins[] =
    "    \"allowed_origins\": {\n"
    "      \"description\": \"the origins from which browsers may connect; when there is none, "
    "all\",\n"
    "      \"type\": \"array\",\n"
    "      \"items\": {\"type\": \"string\", \"pattern\": "
    "\"^([a-z0-9+.-]+://([*][.])?[a-z0-9._~:\\\\[\\\\]-]+|null)$\"},\n"
    "      \"default\": []\n"
    "    },\n";

static void add_group(struct buffer *out, const char *group)
{
    for (size_t i = 0; i < config_setting_count; i++)
        if (setting_is_of(&config_settings[i], group))
            add_schema(out, &config_settings[i], 8);
}

static void add_log(struct buffer *out)
{
    buffer_add_string(out, "    \"log\": {\n"
                           "      \"description\": \"the log that the server follows as a node; "
                           "left out: none\",\n"
                           "      \"type\": \"object\",\n"
                           "      \"default\": {},\n"
                           "      \"additionalProperties\": false,\n"
                           "      \"properties\": {\n");
    add_group(out, "log");
    out->length -= !out->failed * 2; /* the last comma */
    buffer_add_string(out, "\n      }\n    },\n");
}

static void add_auth(struct buffer *out)
{
    buffer_add_string(out, "    \"auth\": {\n"
                           "      \"description\": \"who may connect\",\n"
                           "      \"type\": \"object\",\n"
                           "      \"default\": {},\n"
                           "      \"additionalProperties\": false,\n"
                           "      \"properties\": {\n");
    add_group(out, "auth");
    buffer_add_string(out, schema_lists);
    buffer_add_string(out, "      }\n    },\n");
    buffer_add_string(out, schema_origins);
}

static const char schema_exports[] =
    "    \"exports\": {\n"
    "      \"description\": \"the exports that are shown, by name; when there is none, and no "
    "stacks, exports appear as they are fed\",\n"
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
    "          \"max_array_length\": {\n"
    "            \"description\": \"elements that an array in an entity keeps, the newest; 0 for "
    "no limit; left out: the setting max_array_length\",\n"
    "            \"type\": \"integer\",\n"
    "            \"minimum\": 0,\n"
    "            \"maximum\": 1000000000\n"
    "          },\n"
    "          \"null_removes\": {\n"
    "            \"description\": \"a member that is null in a patch is removed, as RFC 7396 has "
    "it; else it becomes null\",\n"
    "            \"type\": \"boolean\",\n"
    "            \"default\": false\n"
    "          },\n"
    "          \"scope\": {\n"
    "            \"description\": \"the field that says whom a row is for: those whose token lists "
    "its text in row_scopes; left out: all rows are public\",\n"
    "            \"$ref\": \"#/$defs/path\"\n"
    "          },\n"
    "          \"views\": {\n"
    "            \"description\": \"views beside the list, state and append of every export\",\n"
    "            \"type\": \"object\",\n"
    "            \"additionalProperties\": {\"$ref\": \"#/$defs/view\"}\n"
    "          }\n"
    "        }\n"
    "      }\n"
    "    }\n";

static const char schema_stacks[] = "    \"stacks\": {\n"
                                    "      \"description\": \"arete stack files, whose entities "
                                    "become exports and whose views are kept\",\n"
                                    "      \"type\": \"array\",\n"
                                    "      \"items\": {\"type\": \"string\", \"minLength\": 1},\n"
                                    "      \"default\": []\n"
                                    "    },\n";

static const char schema_views[] =
    "  \"$defs\": {\n"
    "    \"token\": {\"type\": \"string\", \"minLength\": 16, \"maxLength\": 1024},\n"
    "    \"path\": {\n"
    "      \"description\": \"member names joined with dots; or, for names with dots, a list of "
    "them\",\n"
    "      \"anyOf\": [\n"
    "        {\"type\": \"string\", \"minLength\": 1},\n"
    "        {\"type\": \"array\", \"minItems\": 1, \"items\": {\"type\": \"string\", "
    "\"minLength\": 1}}\n"
    "      ]\n"
    "    },\n"
    "    \"count\": {\"type\": \"integer\", \"minimum\": 0, \"maximum\": 9007199254740991},\n"
    "    \"operand\": {\n"
    "      \"description\": \"a value, another field, or now: the time in unix seconds\",\n"
    "      \"anyOf\": [\n"
    "        {\"type\": [\"null\", \"boolean\", \"number\", \"string\", \"array\"]},\n"
    "        {\"type\": \"object\", \"additionalProperties\": false, \"required\": [\"field\"],\n"
    "         \"properties\": {\"field\": {\"$ref\": \"#/$defs/path\"}}},\n"
    "        {\"type\": \"object\", \"additionalProperties\": false, \"required\": [\"now\"],\n"
    "         \"properties\": {\"now\": {\"const\": true}}},\n"
    "        {\"type\": \"object\", \"additionalProperties\": false, \"required\": [\"literal\"],\n"
    "         \"properties\": {\"literal\": true}}\n"
    "      ]\n"
    "    },\n"
    "    \"predicate\": {\n"
    "      \"type\": \"object\",\n"
    "      \"minProperties\": 1,\n"
    "      \"additionalProperties\": false,\n"
    "      \"properties\": {\n"
    "        \"field\": {\"$ref\": \"#/$defs/path\"},\n"
    "        \"eq\": {\"$ref\": \"#/$defs/operand\"},\n"
    "        \"ne\": {\"$ref\": \"#/$defs/operand\"},\n"
    "        \"gt\": {\"$ref\": \"#/$defs/operand\"},\n"
    "        \"gte\": {\"$ref\": \"#/$defs/operand\"},\n"
    "        \"lt\": {\"$ref\": \"#/$defs/operand\"},\n"
    "        \"lte\": {\"$ref\": \"#/$defs/operand\"},\n"
    "        \"all\": {\"type\": \"array\", \"items\": {\"$ref\": \"#/$defs/predicate\"}},\n"
    "        \"any\": {\"type\": \"array\", \"items\": {\"$ref\": \"#/$defs/predicate\"}},\n"
    "        \"not\": {\"$ref\": \"#/$defs/predicate\"},\n"
    "        \"exists\": {\"$ref\": \"#/$defs/path\"}\n"
    "      }\n"
    "    },\n"
    "    \"step\": {\n"
    "      \"anyOf\": [\n"
    "        {\"enum\": [\"first\", \"last\"]},\n"
    "        {\"type\": \"object\", \"minProperties\": 1, \"maxProperties\": 1, "
    "\"additionalProperties\": false,\n"
    "         \"properties\": {\n"
    "           \"filter\": {\"$ref\": \"#/$defs/predicate\"},\n"
    "           \"sort\": {\"anyOf\": [\n"
    "             {\"$ref\": \"#/$defs/path\"},\n"
    "             {\"type\": \"object\", \"additionalProperties\": false, \"required\": [\"by\"],\n"
    "              \"properties\": {\"by\": {\"$ref\": \"#/$defs/path\"}, \"order\": {\"enum\": "
    "[\"asc\", \"desc\"]}}}\n"
    "           ]},\n"
    "           \"skip\": {\"$ref\": \"#/$defs/count\"},\n"
    "           \"take\": {\"$ref\": \"#/$defs/count\"},\n"
    "           \"max_by\": {\"$ref\": \"#/$defs/path\"},\n"
    "           \"min_by\": {\"$ref\": \"#/$defs/path\"}\n"
    "         }}\n"
    "      ]\n"
    "    },\n"
    "    \"view\": {\n"
    "      \"type\": \"object\",\n"
    "      \"additionalProperties\": false,\n"
    "      \"properties\": {\n"
    "        \"mode\": {\"enum\": [\"state\", \"list\", \"append\"]},\n"
    "        \"fields\": {\n"
    "          \"description\": \"dotted paths of what is shown; left out: everything\",\n"
    "          \"type\": \"array\", \"minItems\": 1, \"items\": {\"type\": \"string\", "
    "\"minLength\": 1}\n"
    "        },\n"
    "        \"keys\": {\n"
    "          \"description\": \"only these keys are shown; left out: every key\",\n"
    "          \"type\": \"array\", \"minItems\": 1, \"items\": {\"type\": \"string\"}\n"
    "        },\n"
    "        \"source\": {\n"
    "          \"description\": \"what a derived view is over: an export, or another view as "
    "export/view; left out: its export\",\n"
    "          \"type\": \"string\", \"minLength\": 1\n"
    "        },\n"
    "        \"pipeline\": {\n"
    "          \"description\": \"the steps from the source to the view\",\n"
    "          \"type\": \"array\", \"items\": {\"$ref\": \"#/$defs/step\"}\n"
    "        },\n"
    "        \"output\": {\n"
    "          \"description\": \"the rows as a list, the first alone, or each by a field of "
    "it\",\n"
    "          \"anyOf\": [\n"
    "            {\"enum\": [\"collection\", \"single\"]},\n"
    "            {\"type\": \"object\", \"additionalProperties\": false, \"required\": "
    "[\"keyed_by\"],\n"
    "             \"properties\": {\"keyed_by\": {\"$ref\": \"#/$defs/path\"}}}\n"
    "          ],\n"
    "          \"default\": \"collection\"\n"
    "        },\n"
    "        \"coalesce_ms\": {\n"
    "          \"description\": \"changes of so long are sent as their net effect; 0: of every "
    "commit\",\n"
    "          \"type\": \"integer\", \"minimum\": 0, \"maximum\": 3600000, \"default\": 0\n"
    "        }\n"
    "      }\n"
    "    }\n"
    "  }\n";

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
        if (setting_stands_alone(&config_settings[i]))
            add_schema(out, &config_settings[i], 4);
    add_auth(out);
    add_log(out);
    buffer_add_string(out, schema_stacks);
    buffer_add_string(out, schema_exports);
    buffer_add_string(out, "  },\n");
    buffer_add_string(out, schema_views);
    return buffer_add_string(out, "}\n");
}
