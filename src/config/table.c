/*
 * The table of settings, and what is done by it alone.
 */
#include "base/address.h"
#include "config/config_internal.h"

#include <ctype.h>

#define KIB ((int64_t)1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
/* The largest whole number that every JSON reader takes for what it is. */
#define LARGEST (((int64_t)1 << 53) - 1)
#define CENTURY ((int64_t)3155760000)

#define DAY 86400
#define MOST_IN_RATE 1000000000

/* By the name of the enum, and placed by its values. */
#define WORDS(type, ...)                                                                           \
    _Static_assert(sizeof(enum type) == sizeof(unsigned), "put_number");                           \
    static const char *const type##_words[] = {__VA_ARGS__, NULL}
WORDS(store_synchronous, [STORE_SYNCHRONOUS_FULL] = "full", [STORE_SYNCHRONOUS_NORMAL] = "normal",
      [STORE_SYNCHRONOUS_OFF] = "off");
WORDS(store_erase, [STORE_ERASE_FAST] = "fast", [STORE_ERASE_FULL] = "full",
      [STORE_ERASE_OFF] = "off");
WORDS(log_level, [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARNING] = "warning",
      [LOG_LEVEL_INFO] = "info", [LOG_LEVEL_DEBUG] = "debug");
WORDS(log_format, [LOG_FORMAT_TEXT] = "text", [LOG_FORMAT_JSON] = "json");
WORDS(
    config_unknown_exports, [CONFIG_UNKNOWN_IGNORE] = "ignore", [CONFIG_UNKNOWN_REFUSE] = "refuse");
WORDS(config_rate_limiting, [CONFIG_RATES_AUTO] = "auto", [CONFIG_RATES_ON] = "on",
      [CONFIG_RATES_OFF] = "off");
WORDS(config_auth_mode, [CONFIG_AUTH_NONE] = "none", [CONFIG_AUTH_STATIC] = "static",
      [CONFIG_AUTH_SIGNED] = "signed");
WORDS(config_audience, [CONFIG_FOR_ADMIN] = "admin", [CONFIG_FOR_ALL] = "all");

/* The name of a header, as it stands in a request. */
static bool check_header(const char *name, struct error *error)
{
    for (const char *at = name; *at; at++)
        if (!isalnum((unsigned char)*at) && *at != '-' && *at != '_')
            return error_set(error, ERROR_CONFIGURATION, "'%.60s' is not the name of a header",
                             name);
    return strlen(name) < 64 ||
           error_set(error, ERROR_CONFIGURATION, "a name of more than 63 bytes");
}

/* As it stands in a request: absolute, without an end, nothing that must be escaped. */
static bool check_base_path(const char *path, struct error *error)
{
    size_t length = strlen(path);
    bool good = path[0] == '/' && length > 1 && path[length - 1] != '/' && !strstr(path, "//");
    for (const char *at = path; *at; at++)
        good = good && (isalnum((unsigned char)*at) || strchr("/-._~", *at));
    return good || error_set(error, ERROR_CONFIGURATION,
                             "'%.100s' is no such path; write it as \"/stele\", with '/' at its "
                             "beginning alone",
                             path);
}

/* ---- the table ---- */

#define ROW(field, kind, does, ...)                                                                \
    AT(field), .type = SETTING_##kind, .change = CONFIG_##does, .help = __VA_ARGS__
#define TEXT(field, standard, does, ...) {ROW(field, TEXT, does, __VA_ARGS__), .text = (standard)},
#define ADDRESS(field, standard, does, ...)                                                        \
    {ROW(field, ADDRESS, does, __VA_ARGS__), .text = (standard)},
#define NUMBER(field, standard, low, high, does, ...)                                              \
    {ROW(field, NUMBER, does, __VA_ARGS__), .number = (standard), .least = (low), .most = (high)},
#define FLAG(field, standard, does, ...)                                                           \
    {ROW(field, FLAG, does, __VA_ARGS__), .number = (standard)},
#define WORD(field, kind, standard, does, ...)                                                     \
    {ROW(field, WORD, does, __VA_ARGS__), .words = kind##_words, .number = (standard)},
/* NOLINTBEGIN(bugprone-macro-parentheses): members of a struct */
/* clang-format off */
#define OLDER(field, part, standard, low, high, ...)                                               \
    {.name = #field, .offset = offsetof(struct config, part), .type = SETTING_NUMBER,              \
     .older = true, .number = (standard), .least = (low), .most = (high), .help = __VA_ARGS__},
#define RATE(field, standard, extra, variable, does, what)                                         \
    {ROW(field, RATE, does, what)},                                                                \
    OLDER(field, field.most, standard, 0, MOST_IN_RATE, what,                                      \
          .environment = "ARETE_RATE_LIMIT_" variable "_MAX")                                      \
    OLDER(field##_burst, field.burst, extra, 0, MOST_IN_RATE,                                      \
          what ": how many more a burst may have")                                                 \
    OLDER(field##_seconds, field.seconds, 60, 1, DAY, what ": length of the window",               \
          .environment = "ARETE_RATE_LIMIT_" variable "_WINDOW_SECS")
/* clang-format on */
/* NOLINTEND(bugprone-macro-parentheses) */

const struct setting config_settings[] = {
#define AT(field) .name = #field, .offset = offsetof(struct config, field)
#include "config/settings.h"
#undef AT
#define AT(field)                                                                                  \
    .name = "auth." #field, .member = #field, .offset = offsetof(struct config, auth.field)
#include "config/settings_auth.h"
};
const size_t config_setting_count = sizeof(config_settings) / sizeof(config_settings[0]);

static const struct {
    const char *name;
    config_setter set;
} structures[] = {{"auth", config_set_auth},
                  {"allowed_origins", config_set_origins},
                  {"exports", config_set_exports},
                  {"stacks", config_set_stacks}};

config_setter config_structure(const char *name)
{
    for (size_t i = 0; i < sizeof(structures) / sizeof(structures[0]); i++)
        if (strcmp(structures[i].name, name) == 0)
            return structures[i].set;
    return NULL;
}

const struct setting *setting_find(const char *name)
{
    for (size_t i = 0; i < config_setting_count; i++)
        if (strcmp(config_settings[i].name, name) == 0)
            return &config_settings[i];
    return NULL;
}

bool setting_unknown(const char *name, struct error *error)
{
    struct nearest nearest = {.given = name};
    for (size_t i = 0; i < config_setting_count; i++)
        nearest_offer(&nearest, config_settings[i].name);
    for (size_t i = 0; i < sizeof(structures) / sizeof(structures[0]); i++)
        nearest_offer(&nearest, structures[i].name);
    if (nearest.name)
        return error_set(error, ERROR_CONFIGURATION,
                         "unknown setting \"%.100s\"; did you mean \"%s\"?", name, nearest.name);
    return error_set(error, ERROR_CONFIGURATION,
                     "unknown setting \"%.100s\"; `stele serve --help` lists all", name);
}

void setting_print_words(struct buffer *out, const char *const *words)
{
    for (size_t i = 0; words[i]; i++) {
        if (i > 0)
            buffer_add_string(out, words[i + 1] ? ", " : " or ");
        buffer_add_string(out, words[i]);
    }
}

bool setting_refuse(const struct setting *setting, struct span value, struct error *error)
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
    int shown = value.length < 100 ? (int)value.length : 100;
    error_set(error, ERROR_CONFIGURATION, "setting \"%s\" cannot be %.*s; allowed: %s",
              setting->name, shown, value.data, text ? text : "");
    buffer_fini(&allowed);
    return false;
}

int setting_word(const char *const *words, struct span word)
{
    for (int i = 0; words[i]; i++)
        if (span_equal(span_of(words[i]), word))
            return i;
    return -1;
}
