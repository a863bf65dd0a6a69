/*
 * How a configuration holds one setting, how it is set from a text, and its value as a text. A
 * setting that was never touched holds its default, so there is no "unset" for one that has one.
 */
#include "config/config_internal.h"

enum { TEXT_LIMIT = 4096, VALUE_LIMIT = 64 * 1024 };

/* ---- how it is held ---- */

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

/* ---- what is refused ---- */

/* Names the setting, the value as it was given and what is allowed. */
static bool refuse(const struct setting *setting, struct span value, struct error *error)
{
    struct buffer allowed;
    buffer_init(&allowed, 512);
    if (setting->type == SETTING_NUMBER)
        buffer_printf(&allowed, "a whole number from %lld to %lld", (long long)setting->least,
                      (long long)setting->most);
    else if (setting->type == SETTING_WORD)
        setting_print_words(&allowed, setting->words);
    else if (setting->type == SETTING_FLAG)
        buffer_add_string(&allowed, "true or false");
    else if (setting->type == SETTING_RATE)
        buffer_add_string(&allowed, "MOST+BURST/TIME such as 60+10/60s, which is 60 and a burst of "
                                    "10 in 60 seconds (s, m or h, up to 24h); or off");
    else if (setting->type == SETTING_ADDRESS)
        buffer_add_string(&allowed, "HOST:PORT with a port from 0 to 65535, or \"\" for none");
    else
        buffer_add_string(&allowed, "a text of 1 to 4096 bytes");
    const char *text = buffer_string(&allowed);
    value = setting->secret ? span_of("what was given") : value;
    int shown = value.length < 100 ? (int)value.length : 100;
    error_set(error, ERROR_CONFIGURATION, "setting \"%s\" cannot be %.*s; allowed: %s",
              setting->name, shown, value.data, text ? text : "");
    buffer_fini(&allowed);
    return false;
}

/* ---- a rate: MOST+BURST/TIME, or "off" ---- */

/* The rows of its numbers follow its own. */
enum { ROW_MOST = 1, ROW_BURST, ROW_SECONDS };

static const struct config_rate *rate_of(const struct config *config, const struct setting *setting)
{
    return (const struct config_rate *)((const char *)config + setting->offset);
}

static bool read_part(const struct setting *row, struct span text, int64_t unit, int64_t *part)
{
    if (!typed_number(text, part) || *part < 0 || *part > row->most)
        return false;
    *part *= unit;
    return *part >= row->least && *part <= row->most;
}

static int64_t unit_of(char letter)
{
    return letter == 's' ? 1 : letter == 'm' ? 60 : letter == 'h' ? 3600 : 0;
}

/* The text before the first `mark`, and what is behind it; false: there is none. */
static bool split(struct span text, char mark, struct span *before, struct span *behind)
{
    const char *at = text.length ? memchr(text.data, mark, text.length) : NULL;
    *before = at ? span_make(text.data, (size_t)(at - text.data)) : text;
    *behind = at ? span_make(at + 1, text.length - before->length - 1) : span_make("", 0);
    return at;
}

static bool read_rate(const struct setting *setting, struct span text, struct config_rate *rate)
{
    struct span count, time, most, burst;
    if (span_equal(text, span_of("off")))
        text = span_of("0");
    if (!split(text, '/', &count, &time))
        return read_part(setting + ROW_MOST, text, 1, &rate->most);
    rate->burst = 0;
    int64_t unit = time.length ? unit_of(time.data[time.length - 1]) : 0;
    bool has_burst = split(count, '+', &most, &burst);
    return unit && read_part(setting + ROW_MOST, most, 1, &rate->most) &&
           (!has_burst || read_part(setting + ROW_BURST, burst, 1, &rate->burst)) &&
           read_part(setting + ROW_SECONDS, span_make(time.data, time.length - 1), unit,
                     &rate->seconds);
}

static bool set_rate(struct config *config, const struct setting *setting, struct span text,
                     struct error *error)
{
    struct config_rate rate = *rate_of(config, setting);
    if (!read_rate(setting, text, &rate))
        return refuse(setting, text, error);
    memcpy((char *)config + setting->offset, &rate, sizeof rate);
    return true;
}

static void add_rate(struct buffer *out, struct config_rate rate)
{
    if (rate.most == 0) {
        buffer_add_string(out, "off");
        return;
    }
    buffer_printf(out, "%lld", (long long)rate.most);
    if (rate.burst)
        buffer_printf(out, "+%lld", (long long)rate.burst);
    buffer_printf(out, "/%llds", (long long)rate.seconds);
}

static struct config_rate standard_rate(const struct setting *setting)
{
    return (struct config_rate){.most = setting[ROW_MOST].number,
                                .burst = setting[ROW_BURST].number,
                                .seconds = setting[ROW_SECONDS].number};
}

/* ---- from a text ---- */

static int place_of(const char *const *words, struct span word)
{
    for (int i = 0; words[i]; i++)
        if (span_equal(span_of(words[i]), word))
            return i;
    return -1;
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

/* A text was set: an URL that the base URL of the environment gave one signal yields to one that is
 * set. */
static void note_set(struct config *config, const struct setting *setting)
{
    bool is_traces = config->otel_below == 1;
    char **url = is_traces ? &config->otlp_traces_endpoint : &config->otlp_metrics_endpoint;
    if (!config->otel_below || !setting->environment)
        return;
    bool is_base = strcmp(setting->environment, OTEL_ENDPOINT) == 0;
    if (is_base) {
        memory_free(*url);
        *url = NULL;
    }
    if (is_base ||
        strcmp(setting->environment, is_traces ? OTEL_TRACES_ENDPOINT : OTEL_METRICS_ENDPOINT) == 0)
        config->otel_below = 0;
}

bool setting_set_text(struct config *config, const struct setting *setting, struct span text,
                      struct error *error)
{
    int64_t number;
    bool good = false;
    switch (setting->type) {
    case SETTING_NUMBER:
        if (!typed_number(text, &number) || number < setting->least || number > setting->most)
            return refuse(setting, text, error);
        put_number(config, setting, number);
        return true;
    case SETTING_WORD:
        number = place_of(setting->words, text);
        if (number < 0)
            return refuse(setting, text, error);
        put_number(config, setting, number);
        return true;
    case SETTING_FLAG:
        if (!span_equal(text, span_of("true")) && !span_equal(text, span_of("false")))
            return refuse(setting, text, error);
        put_number(config, setting, text.length == 4);
        return true;
    case SETTING_RATE:
        return set_rate(config, setting, text, error);
    case SETTING_ADDRESS:
        good = is_address(text);
        break;
    case SETTING_TEXT:
        good = text.length > 0;
        break;
    }
    if (!good || text.length > TEXT_LIMIT || memchr(text.data, '\0', text.length))
        return refuse(setting, text, error);
    if (!put_text(config, setting, text, error))
        return false;
    note_set(config, setting);
    return true;
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
                              : refuse(setting, buffer_span(&text), error);
    buffer_fini(&text);
    return good;
}

/* ---- as a text ---- */

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
        add_rate(out, config ? *rate_of(config, setting) : standard_rate(setting));
    else if (setting->type == SETTING_NUMBER)
        buffer_printf(out, "%lld", (long long)number);
    else if (setting->type == SETTING_FLAG)
        buffer_add_string(out, number ? "true" : "false");
    else
        buffer_add_string(out, textual ? text : setting->words[number]);
    return true;
}

/* ---- lists of texts ---- */

bool config_add_text(char ***texts, size_t *count, struct span text, struct error *error)
{
    char *copy = memory_copy_string(text.data, text.length);
    char **list = copy ? memory_resize(*texts, (*count + 1) * sizeof *list) : NULL;
    if (!list) {
        memory_free(copy);
        return error_set(error, ERROR_MEMORY, "out of memory");
    }
    *texts = list;
    list[(*count)++] = copy;
    return true;
}

void config_free_texts(char ***texts, size_t *count)
{
    for (size_t i = 0; i < *count; i++)
        memory_free((*texts)[i]);
    memory_free(*texts);
    *texts = NULL;
    *count = 0;
}
