/*
 * The life of a configuration, and how one setting gets into it. A setting that was never touched
 * holds its default, so there is no "unset" for anything that has one.
 */
#include "config/config_internal.h"

#include <fcntl.h>

enum { TEXT_LIMIT = 4096, VALUE_LIMIT = 64 * 1024 };

static char **text_field(struct config *config, const struct setting *setting)
{
    return (char **)((char *)config + setting->offset);
}

/* Enums of different types share this path, so they are moved as bytes, never through a pointer of
 * another type. */
static void put_number(struct config *config, const struct setting *setting, int64_t number)
{
    char *field = (char *)config + setting->offset;
    if (setting->type == SETTING_WORD) {
        unsigned place = (unsigned)number;
        memcpy(field, &place, sizeof(place));
    } else if (setting->type == SETTING_FLAG) {
        *(bool *)field = number != 0;
    } else {
        memcpy(field, &number, sizeof(number));
    }
}

int64_t setting_number(const struct config *config, const struct setting *setting)
{
    const char *field = (const char *)config + setting->offset;
    if (setting->type == SETTING_WORD) {
        unsigned place;
        memcpy(&place, field, sizeof(place));
        return place;
    }
    if (setting->type == SETTING_FLAG)
        return *(const bool *)field;
    int64_t number;
    memcpy(&number, field, sizeof(number));
    return number;
}

const char *setting_text(const struct config *config, const struct setting *setting)
{
    return *(char *const *)((const char *)config + setting->offset);
}

static size_t size_of(const struct setting *setting)
{
    static const size_t sizes[] = {sizeof(char *),   sizeof(char *), sizeof(int64_t),
                                   sizeof(unsigned), sizeof(bool),   sizeof(struct config_rate)};
    _Static_assert(SETTING_TEXT == 0 && SETTING_NUMBER == 2 && SETTING_RATE == 5, "sizes");
    return sizes[setting->type];
}

void setting_swap(struct config *a, struct config *b, const struct setting *setting)
{
    char held[sizeof(struct config_rate)];
    char *of_a = (char *)a + setting->offset, *of_b = (char *)b + setting->offset;
    memcpy(held, of_a, size_of(setting));
    memcpy(of_a, of_b, size_of(setting));
    memcpy(of_b, held, size_of(setting));
}

bool setting_same(const struct config *a, const struct config *b, const struct setting *setting)
{
    if (setting_is_textual(setting))
        return same_text(setting_text(a, setting), setting_text(b, setting));
    return memcmp((const char *)a + setting->offset, (const char *)b + setting->offset,
                  size_of(setting)) == 0;
}

static bool put_text(struct config *config, const struct setting *setting, struct span text,
                     struct error *error)
{
    char *copy = memory_copy_string(text.data, text.length);
    if (!copy)
        return error_set(error, ERROR_MEMORY, "out of memory");
    if (setting->check && !setting->check(copy, error)) {
        memory_free(copy);
        return error_prefix(error, "setting \"%s\"", setting->name);
    }
    char **field = text_field(config, setting);
    memory_free(*field);
    *field = copy;
    return true;
}

bool setting_set_default(struct config *config, const struct setting *setting, struct error *error)
{
    if (setting->type == SETTING_RATE) /* by the rows behind it */
        return true;
    if (!setting_is_textual(setting)) {
        put_number(config, setting, setting->number);
        return true;
    }
    if (setting->text)
        return put_text(config, setting, span_of(setting->text), error);
    memory_free(*text_field(config, setting));
    *text_field(config, setting) = NULL;
    return true;
}

bool config_init(struct config *config, struct error *error)
{
    *config = (struct config){.folder = AT_FDCWD};
    bool good = true;
    for (size_t i = 0; good && i < config_setting_count; i++)
        good = setting_set_default(config, &config_settings[i], error);
    if (!good)
        config_fini(config);
    return good;
}

void config_fini(struct config *config)
{
    for (size_t i = 0; i < config_setting_count; i++)
        if (setting_is_textual(&config_settings[i]))
            memory_free(*text_field(config, &config_settings[i]));
    config_free_auth(config);
    config_free_exports(config);
    config_free_stacks(config);
}

/* HOST:PORT, where a host with colons stands in brackets; or nothing at all. */
static bool is_address(struct span text)
{
    if (text.length == 0)
        return true;
    size_t colon = text.length;
    while (colon > 0 && text.data[colon - 1] != ':')
        colon--;
    if (colon < 2)
        return false;
    struct span host = span_make(text.data, colon - 1);
    bool bracketed = host.length > 2 && host.data[0] == '[' && host.data[host.length - 1] == ']';
    int64_t port;
    return (bracketed || !memchr(host.data, ':', host.length)) &&
           typed_number(span_make(text.data + colon, text.length - colon), &port) && port >= 0 &&
           port <= 65535;
}

bool setting_set_text(struct config *config, const struct setting *setting, struct span text,
                      struct error *error)
{
    int64_t number;
    bool good = false;
    switch (setting->type) {
    case SETTING_NUMBER:
        if (!typed_number(text, &number) || number < setting->least || number > setting->most)
            return setting_refuse(setting, text, error);
        put_number(config, setting, number);
        return true;
    case SETTING_WORD:
        number = setting_word(setting->words, text);
        if (number < 0)
            return setting_refuse(setting, text, error);
        put_number(config, setting, number);
        return true;
    case SETTING_FLAG:
        if (!span_equal(text, span_of("true")) && !span_equal(text, span_of("false")))
            return setting_refuse(setting, text, error);
        put_number(config, setting, text.length == 4);
        return true;
    case SETTING_RATE:
        return setting_set_rate(config, setting, text, error);
    case SETTING_ADDRESS:
        good = is_address(text);
        break;
    case SETTING_TEXT:
        good = text.length > 0;
        break;
    }
    if (!good || text.length > TEXT_LIMIT || memchr(text.data, '\0', text.length))
        return setting_refuse(setting, text, error);
    return put_text(config, setting, text, error);
}

/* The texts of a list, with commas between; false: it is no such list. */
static bool join_texts(const struct tree *list, struct buffer *out)
{
    bool good = tree_type(list) == TREE_ARRAY && tree_count(list) > 0;
    for (size_t i = 0; good && i < tree_count(list); i++) {
        const struct tree *element = tree_element(list, i);
        good = tree_type(element) == TREE_STRING;
        if (good && i)
            buffer_add_string(out, ", ");
        if (good)
            buffer_add_span(out, tree_string(element));
    }
    return good && !out->failed;
}

/* Whether the file may have such a value for it; lists are another matter. */
static bool takes(const struct setting *setting, const struct tree *value)
{
    bool counts = setting->type == SETTING_NUMBER, decides = setting->type == SETTING_FLAG;
    if (tree_type(value) == TREE_INTEGER)
        return counts || setting->type == SETTING_RATE;
    return tree_type(value) == TREE_BOOLEAN
               ? decides
               : tree_type(value) == TREE_STRING && !counts && !decides;
}

bool setting_set_tree(struct config *config, const struct setting *setting,
                      const struct tree *value, struct error *error)
{
    bool good = takes(setting, value);
    if (good && tree_type(value) == TREE_STRING)
        return setting_set_text(config, setting, tree_string(value), error);
    struct buffer text;
    buffer_init(&text, VALUE_LIMIT);
    bool listed = setting->list && join_texts(value, &text);
    if (!listed) {
        buffer_clear(&text);
        tree_print(value, &text);
    }
    if (good && text.failed)
        good = error_set(error, ERROR_MEMORY, "out of memory");
    else
        good = good || listed ? setting_set_text(config, setting, buffer_span(&text), error)
                              : setting_refuse(setting, buffer_span(&text), error);
    buffer_fini(&text);
    return good;
}

static bool set_parsed(struct config *config, const char *name, const char *value,
                       config_setter set, struct error *error)
{
    struct tree *tree = tree_parse(span_of(value), error);
    bool done = tree && set(config, tree, error);
    if (!tree)
        error_prefix(error, "setting \"%s\"", name);
    tree_free(tree);
    return done;
}

bool config_set(struct config *config, const char *name, const char *value, struct error *error)
{
    config_setter set = config_structure(name);
    if (set)
        return set_parsed(config, name, value, set, error);
    if (strcmp(name, "stack") == 0)
        return config_add_stack(config, span_of(value), error);
    const struct setting *setting = setting_find(name);
    return setting ? setting_set_text(config, setting, span_of(value), error)
                   : setting_unknown(name, error);
}

/* Whether only this machine can reach the address. A name other than localhost may resolve to
 * anything, so it does not count. */
static bool is_loopback(const char *address)
{
    bool is_numeric = address[strspn(address, "0123456789.")] == ':';
    return address[0] == '\0' || (is_numeric && strncmp(address, "127.", 4) == 0) ||
           strncmp(address, "localhost:", 10) == 0 || strncmp(address, "[::1]:", 6) == 0;
}

bool config_check_exposure(const struct config *config, struct error *error)
{
    const char *const names[] = {"listen", "health"};
    const char *const addresses[] = {config->listen, config->health};
    for (size_t i = 0; i < 2 && config->auth.mode == CONFIG_AUTH_NONE; i++)
        if (!is_loopback(addresses[i]))
            return error_set(error, ERROR_CONFIGURATION,
                             "setting \"%s\": %.100s can be reached from other machines, and there "
                             "is no authentication; set \"auth\", or listen on 127.x.x.x, [::1] "
                             "or localhost (--insecure lifts this)",
                             names[i], addresses[i]);
    return true;
}
