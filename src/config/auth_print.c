/* "auth" and "allowed_origins" as people and editors read them. */
#include "config/config_internal.h"

void config_auth_describe(struct buffer *out)
{
    buffer_add_string(out, "  auth: an object, default {\"mode\": \"none\"}; its members, which "
                           "--set takes by these names:\n");
    for (size_t i = 0; i < config_setting_count; i++)
        if (config_settings[i].member)
            setting_describe(out, &config_settings[i]);
    buffer_add_string(out, "  auth.tokens, auth.keys: lists, in a configuration file only\n"
                           "  allowed_origins: a list of origins from which browsers may connect, "
                           "default []: all\n");
}

/* ---- the values ---- */

/* What was left out is too short for a token, so that what is printed is refused where it is used
 * as a configuration. */
static void print_token(struct buffer *out, const struct tree *entry)
{
    static const char hidden[] = "\"(hidden)\"";
    void *position = NULL;
    const char *name;
    const struct tree *value;
    if (tree_type(entry) != TREE_OBJECT) {
        buffer_add_string(out, hidden);
        return;
    }
    buffer_add_char(out, '{');
    for (size_t i = 0; tree_next(entry, &position, &name, &value); i++) {
        buffer_add_string(out, i ? ", " : "");
        doc_escape(out, span_of(name));
        buffer_add_string(out, ": ");
        if (strcmp(name, "token") == 0)
            buffer_add_string(out, hidden);
        else
            tree_print_canonical(value, out);
    }
    buffer_add_char(out, '}');
}

static void print_tokens(struct buffer *out, const char *tokens)
{
    struct error error;
    struct tree *list = tree_parse(span_of(tokens), &error);
    if (!list) { /* it was parsed before, so this is for lack of memory */
        out->failed = true;
        return;
    }
    buffer_add_string(out, "\"tokens\": [");
    for (size_t i = 0; i < tree_count(list); i++) {
        buffer_add_string(out, i ? ",\n      " : "\n      ");
        print_token(out, tree_element(list, i));
    }
    buffer_add_string(out, "]");
    tree_free(list);
}

static void print_origins(struct buffer *out, const struct config *config)
{
    buffer_add_string(out, "  \"allowed_origins\": [");
    for (size_t i = 0; i < config->origin_count; i++) {
        buffer_add_string(out, i ? ", " : "");
        doc_escape(out, span_of(config->origins[i]));
    }
    buffer_add_string(out, "],\n");
}

void config_auth_print(struct buffer *out, const struct config *config)
{
    const struct config_auth *auth = &config->auth;
    const char *between = "\n    ";
    buffer_add_string(out, "  \"auth\": {");
    for (size_t i = 0; i < config_setting_count; i++)
        if (config_settings[i].member && setting_print(out, between, config, &config_settings[i]))
            between = ",\n    ";
    if (auth->tokens) {
        buffer_add_string(out, between);
        print_tokens(out, auth->tokens);
    }
    if (auth->keys) {
        buffer_add_string(out, between);
        buffer_add_string(out, "\"keys\": ");
        buffer_add_string(out, auth->keys);
    }
    buffer_add_string(out, "\n  },\n");
    if (config->origin_count)
        print_origins(out, config);
}

/* ---- the schema ---- */

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

void config_auth_schema(struct buffer *out)
{
    buffer_add_string(out, "    \"auth\": {\n"
                           "      \"description\": \"who may connect\",\n"
                           "      \"type\": \"object\",\n"
                           "      \"default\": {},\n"
                           "      \"additionalProperties\": false,\n"
                           "      \"properties\": {\n");
    for (size_t i = 0; i < config_setting_count; i++)
        if (config_settings[i].member)
            setting_schema(out, &config_settings[i], 8);
    buffer_add_string(out, schema_lists);
    buffer_add_string(out, "      }\n    },\n");
    buffer_add_string(out, schema_origins);
}
