/*
 * The configuration as people read it: the list for --help, and the values in force.
 */
#include "config/config_internal.h"

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

static void describe(struct buffer *out, const struct setting *setting)
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

static void describe_group(struct buffer *out, const char *group)
{
    for (size_t i = 0; i < config_setting_count; i++)
        if (setting_is_of(&config_settings[i], group))
            describe(out, &config_settings[i]);
}

static void describe_auth(struct buffer *out)
{
    buffer_add_string(out, "  auth: an object, default {\"mode\": \"none\"}; its members, which "
                           "--set takes by these names:\n");
    describe_group(out, "auth");
    buffer_add_string(out,
                      "  auth.tokens, auth.keys, auth.scopes: lists and an object, in a file only\n"
                      "  allowed_origins: a list of origins from which browsers may connect, "
                      "default []: all\n");
}

bool config_describe(struct buffer *out)
{
    for (size_t i = 0; i < config_setting_count; i++)
        if (setting_stands_alone(&config_settings[i]))
            describe(out, &config_settings[i]);
    describe_auth(out);
    buffer_add_string(out, "  log: an object, default {}: no log; its members:\n");
    describe_group(out, "log");
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

static bool ends_with(const char *name, const char *ending)
{
    size_t length = strlen(name), end = strlen(ending);
    return length > end && strcmp(name + length - end, ending) == 0;
}

/* The URL that the setting is, if it is one and is set. */
static const char *url_of(const struct config *config, const struct setting *setting)
{
    bool is_url = setting->type == SETTING_TEXT &&
                  (ends_with(setting->name, "_url") || ends_with(setting->name, "_endpoint"));
    return is_url ? setting_text(config, setting) : NULL;
}

/* What stands behind its '?' may be a secret. */
static void print_url(struct buffer *out, const char *name, const char *url)
{
    size_t length = strcspn(url, "?#");
    buffer_printf(out, "\"%s\": ", name);
    doc_escape(out, span_make(url, length));
    if (url[length]) {
        out->length -= !out->failed; /* the quote */
        buffer_add_string(out, "?(hidden)\"");
    }
}

static bool print_setting(struct buffer *out, const char *before, const struct config *config,
                          const struct setting *setting, enum config_print_for whom)
{
    size_t length = out->length;
    const char *name = setting->member ? setting->member : setting->name;
    const char *url = whom == CONFIG_FOR_OTHERS ? url_of(config, setting) : NULL;
    bool set = url != NULL;
    buffer_add_string(out, before);
    if (set)
        print_url(out, name, url);
    else if (setting->secret && setting_text(config, setting))
        set = buffer_printf(out, "\"%s\": \"(hidden)\"", name);
    else
        set = setting_add_member(out, name, config, setting);
    if (!set)
        out->length = length;
    return set;
}

/* The shortened text is too short for a token. So a printed configuration is refused where it is
 * used as one. */
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

static void print_group(struct buffer *out, const char *group, const char **between,
                        const struct config *config, enum config_print_for whom)
{
    for (size_t i = 0; i < config_setting_count; i++)
        if (setting_is_of(&config_settings[i], group) &&
            print_setting(out, *between, config, &config_settings[i], whom))
            *between = ",\n    ";
}

static void print_log(struct buffer *out, const struct config *config, enum config_print_for whom)
{
    const char *between = "\n    ";
    if (!config->log.nats && !config->log.stream && !config->log.from)
        return;
    buffer_add_string(out, "  \"log\": {");
    print_group(out, "log", &between, config, whom);
    buffer_add_string(out, "\n  },\n");
}

static void print_auth(struct buffer *out, const struct config *config, enum config_print_for whom)
{
    const struct config_auth *auth = &config->auth;
    const char *between = "\n    ";
    buffer_add_string(out, "  \"auth\": {");
    print_group(out, "auth", &between, config, whom);
    if (auth->tokens) {
        buffer_add_string(out, between);
        print_tokens(out, auth->tokens);
    }
    if (auth->keys) {
        buffer_add_string(out, between);
        buffer_add_string(out, "\"keys\": ");
        buffer_add_string(out, auth->keys);
    }
    if (auth->scopes) {
        buffer_add_string(out, between);
        buffer_add_string(out, "\"scopes\": ");
        buffer_add_string(out, auth->scopes);
    }
    buffer_add_string(out, "\n  },\n");
    if (config->origin_count)
        print_origins(out, config);
}

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

bool config_print(const struct config *config, enum config_print_for whom, struct buffer *out)
{
    buffer_add_string(out, "{\n");
    for (size_t i = 0; i < config_setting_count; i++)
        if (setting_stands_alone(&config_settings[i]) &&
            print_setting(out, "  ", config, &config_settings[i], whom))
            buffer_add_string(out, ",\n");
    print_auth(out, config, whom);
    print_log(out, config, whom);
    print_stacks(out, config);
    buffer_add_string(out, "  \"exports\": {");
    for (size_t i = 0; i < config->export_count; i++) {
        buffer_add_string(out, i > 0 ? ",\n" : "\n");
        print_export(out, &config->exports[i]);
    }
    return buffer_add_string(out, config->export_count > 0 ? "\n  }\n}\n" : "}\n}\n");
}
