/*
 * The table of settings, and the words for what is wrong in a configuration.
 */
#include "base/address.h"
#include "base/pairs.h"
#include "base/utf8.h"
#include "config/config_internal.h"

#include <ctype.h>
#include <strings.h>

#define KIB ((int64_t)1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
/* The largest whole number that every JSON reader takes for what it is. */
#define LARGEST (((int64_t)1 << 53) - 1)
#define CENTURY ((int64_t)3155760000)

#define DAY 86400
#define MOST_IN_RATE 1000000000
#define MOST_IN_CLAIM 255
#define MOST_POWER 1000 /* of ten, behind which a share is 0 */

/* By the name of the enum, and placed by its values. */
#define WORDS(type, ...)                                                                           \
    _Static_assert(sizeof(enum type) == sizeof(unsigned), "put_number");                           \
    static const char *const type##_words[] = {__VA_ARGS__, NULL}
WORDS(database_synchronous, [DATABASE_SYNCHRONOUS_FULL] = "full",
      [DATABASE_SYNCHRONOUS_NORMAL] = "normal", [DATABASE_SYNCHRONOUS_OFF] = "off");
WORDS(database_erase, [DATABASE_ERASE_FAST] = "fast", [DATABASE_ERASE_FULL] = "full",
      [DATABASE_ERASE_OFF] = "off");
WORDS(log_level, [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARNING] = "warning",
      [LOG_LEVEL_INFO] = "info", [LOG_LEVEL_DEBUG] = "debug");
WORDS(log_format, [LOG_FORMAT_TEXT] = "text", [LOG_FORMAT_JSON] = "json");
WORDS(
    config_unknown_exports, [CONFIG_UNKNOWN_IGNORE] = "ignore", [CONFIG_UNKNOWN_REFUSE] = "refuse");
WORDS(config_rate_limiting, [CONFIG_RATES_AUTO] = "auto", [CONFIG_RATES_ON] = "on",
      [CONFIG_RATES_OFF] = "off");
WORDS(config_auth_mode, [CONFIG_AUTH_NONE] = "none", [CONFIG_AUTH_STATIC] = "static",
      [CONFIG_AUTH_SIGNED] = "signed");
WORDS(config_sampler, [CONFIG_SAMPLER_ON] = "always_on", [CONFIG_SAMPLER_OFF] = "always_off",
      [CONFIG_SAMPLER_RATIO] = "traceidratio", [CONFIG_SAMPLER_PARENT_ON] = "parentbased_always_on",
      [CONFIG_SAMPLER_PARENT_OFF] = "parentbased_always_off",
      [CONFIG_SAMPLER_PARENT_RATIO] = "parentbased_traceidratio");
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

static bool check_networks(const char *text, struct error *error)
{
    struct networks networks;
    bool good = networks_parse(&networks, text, error);
    networks_fini(&networks);
    return good;
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

/* "nats://HOST:PORT", "tls://HOST:PORT" or more of them, with commas between them. */
static bool check_brokers(const char *text, struct error *error)
{
    for (const char *at = text; *at; at += strspn(at, ", ")) {
        size_t length = strcspn(at, ", ");
        size_t head = strncmp(at, "nats://", 7) == 0 ? 7 : strncmp(at, "tls://", 6) == 0 ? 6 : 0;
        if (!head || length <= head || memchr(at, '@', length))
            return error_set(error, ERROR_CONFIGURATION,
                             "'%.*s' is no broker; write nats://HOST:PORT or tls://HOST:PORT, "
                             "several with commas between them, and credentials in "
                             "credentials_file",
                             length < 100 ? (int)length : 100, at);
        at += length;
    }
    return text[strspn(text, ", ")] || error_set(error, ERROR_CONFIGURATION, "no broker is named");
}

/* As JetStream has it. */
static bool check_stream(const char *name, struct error *error)
{
    return !name[strcspn(name, " .*>/\\\t\r\n")] ||
           error_set(error, ERROR_CONFIGURATION,
                     "'%.100s' is not the name of a stream, which has no blank and none of . * > "
                     "/ and \\",
                     name);
}

/* What libcurl makes of it is found out at the start. */
static bool check_source(const char *url, struct error *error)
{
    size_t head = strncmp(url, "https://", 8) == 0 ? 8 : strncmp(url, "http://", 7) == 0 ? 7 : 0;
    return (head && url[head] && !strpbrk(url, "@?# \t\r\n")) ||
           error_set(error, ERROR_CONFIGURATION,
                     "'%.100s' is no URL of a server; write http://HOST:PORT or https://HOST, and "
                     "the token in token_file",
                     url);
}

static bool check_subject(const char *subject, struct error *error)
{
    return !subject[strcspn(subject, " *>\t\r\n")] ||
           error_set(error, ERROR_CONFIGURATION,
                     "'%.100s' is not a subject to publish to, which has no blank, * or >",
                     subject);
}

/* The name of a claim, or a path to it. */
static bool check_claim(const char *name, struct error *error)
{
    size_t length = strlen(name);
    return (length <= MOST_IN_CLAIM && name[0] != '.' && name[length - 1] != '.') ||
           error_set(error, ERROR_CONFIGURATION,
                     "the name of a claim has at most %d bytes, and no dot at an end",
                     MOST_IN_CLAIM);
}

/* ---- OpenTelemetry ---- */

static bool is_utf8(struct span text)
{
    size_t at = 0, length;
    while (at < text.length && (length = utf8_character(text.data + at, text.length - at)))
        at += length;
    return at == text.length;
}

static bool take_pair(void *argument, struct span name, struct span value, struct error *error)
{
    (void)argument;
    return (is_utf8(name) && is_utf8(value)) ||
           error_set(error, ERROR_CONFIGURATION, "one is not UTF-8");
}

static bool check_pairs(const char *text, struct error *error)
{
    return pairs_each(span_of(text), take_pair, NULL, error);
}

/* The server gives these itself; a second one, or another, would make a request that is none. */
static bool is_own_header(struct span name)
{
    static const char *const own[] = {"content-type", "content-length", "host",
                                      "transfer-encoding"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (name.length == strlen(own[i]) && strncasecmp(name.data, own[i], name.length) == 0)
            return true;
    return false;
}

/* Nothing of them is told, whatever is wrong. */
static bool take_header(void *argument, struct span name, struct span value, struct error *error)
{
    bool good = name.length < 256;
    (void)argument;
    for (size_t i = 0; i < name.length; i++)
        good = good &&
               (isalnum((unsigned char)name.data[i]) || strchr("!#$&'*+-.^_`|~", name.data[i]));
    for (size_t i = 0; i < value.length; i++)
        good = good && value.data[i] >= ' ' && value.data[i] <= '~';
    if (!good)
        return error_set(error, ERROR_CONFIGURATION,
                         "one is not the name of a header with a value of visible ASCII");
    return !is_own_header(name) ||
           error_set(error, ERROR_CONFIGURATION,
                     "Content-Type, Content-Length, Host and Transfer-Encoding are the server's");
}

static bool check_headers(const char *text, struct error *error)
{
    return pairs_each(span_of(text), take_header, NULL, error);
}

static bool check_service(const char *text, struct error *error)
{
    for (const char *at = text; *at; at++)
        if ((unsigned char)*at < ' ')
            return error_set(error, ERROR_CONFIGURATION, "a name without control characters");
    return is_utf8(span_of(text)) || error_set(error, ERROR_CONFIGURATION, "a name in UTF-8");
}

/* strtod goes by the locale of the program that stele is a part of. */
bool config_read_share(const char *text, double *share)
{
    size_t whole = strspn(text, "0123456789"), length = whole + (text[whole] == '.');
    size_t digits = whole + strspn(text + length, "0123456789");
    double value = 0, part = 1;
    for (size_t i = 0; i < whole; i++)
        value = 10 * value + (text[i] - '0');
    for (size_t i = length; i < length + digits - whole; i++)
        value += (text[i] - '0') * (part /= 10);
    length += digits - whole;
    if (tolower((unsigned char)text[length]) == 'e' && text[length + 1] == '-' &&
        text[length + 2]) {
        size_t power = 0;
        for (length += 2; isdigit((unsigned char)text[length]); length++)
            power = power < MOST_POWER ? 10 * power + (size_t)(text[length] - '0') : power;
        for (; power; power--)
            value /= 10;
    }
    *share = value;
    return digits > 0 && !text[length] && value <= 1;
}

static bool check_share(const char *text, struct error *error)
{
    double share;
    return config_read_share(text, &share) ||
           error_set(error, ERROR_CONFIGURATION,
                     "'%.40s' is not a share from 0 to 1, such as \"0.01\"", text);
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
    .name = "auth." #field, .group = "auth", .member = #field,                                     \
    .offset = offsetof(struct config, auth.field)
#include "config/settings_auth.h"
#undef AT
#define AT(field)                                                                                  \
    .name = "log." #field, .group = "log", .member = #field,                                       \
    .offset = offsetof(struct config, log.field)
#include "config/settings_log.h"
};
const size_t config_setting_count = sizeof(config_settings) / sizeof(config_settings[0]);

void setting_print_words(struct buffer *out, const char *const *words)
{
    for (size_t i = 0; words[i]; i++) {
        if (i > 0)
            buffer_add_string(out, words[i + 1] ? ", " : " or ");
        buffer_add_string(out, words[i]);
    }
}

bool config_wrong(struct error *error, const char *path, const char *what)
{
    return error_set(error, ERROR_CONFIGURATION, "setting \"%.300s\": %s", path, what);
}

bool config_unknown_member(struct error *error, const char *path, const char *name,
                           const char *const *known)
{
    struct nearest nearest = {.given = name};
    for (size_t i = 0; known[i]; i++)
        nearest_offer(&nearest, known[i]);
    struct buffer text;
    buffer_init(&text, 256);
    setting_print_words(&text, known);
    const char *allowed = buffer_string(&text);
    if (nearest.name)
        error_set(error, ERROR_CONFIGURATION,
                  "setting \"%.200s\" has no \"%.60s\"; did you mean \"%s\"?", path, name,
                  nearest.name);
    else
        error_set(error, ERROR_CONFIGURATION, "setting \"%.200s\" has no \"%.60s\"; allowed: %s",
                  path, name, allowed ? allowed : "");
    buffer_fini(&text);
    return false;
}
