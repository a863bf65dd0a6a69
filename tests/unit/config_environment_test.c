/*
 * The environment: each setting has a variable, arete-server's names count below ours, the file is
 * above both, and what is wrong is named.
 */
#include "config/config_internal.h"
#include "folder.h"
#include "stderr_capture.h"
#include "test.h"

TEST_ALL(test_folder_make, test_folder_remove)

/* Of a rate, how many it lets through. */
static int64_t number_of(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config_setting_count; i++)
        if (config_settings[i].type == SETTING_NUMBER && strcmp(config_settings[i].name, name) == 0)
            return setting_number(config, &config_settings[i]);
    fail_msg("no setting %s", name);
    return 0;
}

/* Every name that operators of arete-server use, what it sets, and that setting's default. */
static const struct {
    const char *name, *setting;
    int64_t standard;
} variables[] = {
    {"ARETE_WS_MAX_CONNECTIONS_PER_IP", "max_connections_per_ip", 0},
    {"ARETE_WS_MAX_CONNECTIONS_PER_METERING_KEY", "max_connections_per_metering_key", 0},
    {"ARETE_WS_MAX_CONNECTIONS_PER_ORIGIN", "max_connections_per_origin", 0},
    {"ARETE_WS_CLIENT_TIMEOUT_SECS", "client_timeout_seconds", 300},
    {"ARETE_WS_RATE_LIMIT_WINDOW_SECS", "limit_window_seconds", 60},
    {"ARETE_WS_DEFAULT_MAX_CONNECTIONS", "max_connections_per_subject", 0},
    {"ARETE_WS_DEFAULT_MAX_SUBSCRIPTIONS", "max_subscriptions", 1000},
    {"ARETE_WS_DEFAULT_MAX_SNAPSHOT_ROWS", "max_snapshot_rows", 0},
    {"ARETE_WS_DEFAULT_MAX_MESSAGES_PER_MINUTE", "max_messages_per_minute", 0},
    {"ARETE_WS_DEFAULT_MAX_BYTES_PER_MINUTE", "max_bytes_per_minute", 0},
#define RATE(word, setting, standard)                                                              \
    {"ARETE_RATE_LIMIT_" word "_MAX", setting, standard},                                          \
    {                                                                                              \
        "ARETE_RATE_LIMIT_" word "_WINDOW_SECS", setting "_seconds", 60                            \
    }
    RATE("HANDSHAKE_PER_IP", "rate_handshakes_per_ip", 60),
    RATE("CONNECTIONS_PER_SUBJECT", "rate_connections_per_subject", 30),
    RATE("CONNECTIONS_PER_METERING_KEY", "rate_connections_per_metering_key", 100),
    RATE("SUBSCRIPTIONS_PER_CONNECTION", "rate_subscriptions_per_connection", 120),
    RATE("MESSAGES_PER_CONNECTION", "rate_messages_per_connection", 1000),
    RATE("SNAPSHOTS_PER_CONNECTION", "rate_snapshots_per_connection", 30),
};

static void expect_variable(const char *name, const char *setting, int64_t standard)
{
    struct config config;
    struct error error = {0};
    char text[128];
    assert_true(config_init(&config, &error));
    assert_int_equal(number_of(&config, setting), standard);
    setenv(name, "17", 1);
    assert_true(config_read_environment(&config, &error));
    assert_int_equal(number_of(&config, setting), 17);
    /* The file wins, and an option over the file. */
    snprintf(text, sizeof(text), "{\"%s\":18}", setting);
    assert_true(config_read_file(&config, test_file("config.json", text), &error));
    assert_int_equal(number_of(&config, setting), 18);
    assert_true(config_set(&config, setting, "19", &error));
    assert_int_equal(number_of(&config, setting), 19);
    const char *const wrong[] = {"", "5m", "-1", "1.5", " 7", "99999999999999999999"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        setenv(name, wrong[i], 1);
        assert_false(config_read_environment(&config, &error));
        assert_int_equal(error.code, ERROR_CONFIGURATION);
        assert_non_null(strstr(error.message, name));
        assert_non_null(strstr(error.message, wrong[i]));
    }
    unsetenv(name);
    config_fini(&config);
}

TEST(the_environment_is_read_or_refused)
{
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
        expect_variable(variables[i].name, variables[i].setting, variables[i].standard);
}

TEST(the_switch_of_rate_limits_is_theirs)
{
    static const char name[] = "ARETE_RATE_LIMITING_ENABLED";
    struct config config;
    struct error error = {0};
    assert_true(config_init(&config, &error));
    assert_int_equal(config.rate_limiting, CONFIG_RATES_AUTO);
    setenv(name, "true", 1);
    assert_true(config_read_environment(&config, &error));
    assert_int_equal(config.rate_limiting, CONFIG_RATES_ON);
    setenv(name, "false", 1);
    setenv("ARETE_WS_MESSAGE_QUEUE_SIZE", "anything", 1);
    assert_true(config_read_environment(&config, &error));
    assert_int_equal(config.rate_limiting, CONFIG_RATES_OFF);
    assert_true(config_read_file(&config, test_file("config.json", "{\"rate_limiting\":\"auto\"}"),
                                 &error));
    assert_int_equal(config.rate_limiting, CONFIG_RATES_AUTO);
    setenv(name, "yes", 1);
    assert_false(config_read_environment(&config, &error));
    assert_non_null(strstr(error.message, name));
    unsetenv(name);
    unsetenv("ARETE_WS_MESSAGE_QUEUE_SIZE");
    config_fini(&config);
}

/* A value that differs from the default, as text. */
static const char *other_value(const struct setting *setting, char room[32])
{
    switch (setting->type) {
    case SETTING_NUMBER:
        snprintf(room, 32, "%lld",
                 (long long)(setting->number > setting->least ? setting->number - 1
                                                              : setting->number + 1));
        return room;
    case SETTING_WORD:
        return setting->words[setting->number ? 0 : 1];
    case SETTING_FLAG:
        return setting->number ? "false" : "true";
    case SETTING_RATE:
        return "7+3/5s";
    case SETTING_ADDRESS:
        return "127.0.0.1:7";
    case SETTING_TEXT:
        break;
    }
    static const char *const texts[][2] = {{"log_levels", "hub=debug"},
                                           {"log.nats", "nats://a:4222, nats://b:4222"},
                                           {"log.from", "http://a:8877"},
                                           {"base_path", "/stele"},
                                           {"allowed_hosts", "a.example, b.example"},
                                           {"trusted_proxies", "10.0.0.0/8, ::1"},
                                           {"otlp_headers", "a=b,c=d%20e"},
                                           {"otlp_resource", "deployment.environment=test"},
                                           {"otlp_sample", "0.25"}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcmp(texts[i][0], setting->name) == 0)
            return texts[i][1];
    return "some-text";
}

static bool has_value(const struct config *config, const struct setting *setting, const char *value)
{
    struct buffer text;
    buffer_init(&text, 1 << 16);
    bool same =
        setting_add(&text, config, setting) && span_equal(buffer_span(&text), span_of(value));
    buffer_fini(&text);
    return same;
}

TEST(every_setting_has_a_variable)
{
    char variable[SETTING_VARIABLE], room[32];
    struct error error = {0};
    for (size_t i = 0; i < config_setting_count; i++) {
        const struct setting *setting = &config_settings[i];
        const char *value = other_value(setting, room);
        struct config config;
        if (setting->older)
            continue;
        assert_true(config_init(&config, &error));
        assert_false(has_value(&config, setting, value));
        setenv(setting_variable(setting, variable), value, 1);
        if (!config_read_environment(&config, &error))
            fail_msg("%s=%s: %s", variable, value, error.message);
        unsetenv(variable);
        if (!has_value(&config, setting, value))
            fail_msg("%s=%s sets nothing", variable, value);
        config_fini(&config);
    }
}

TEST(a_wrong_variable_is_named)
{
    static const char *const wrong[][2] = {
        {"STELE_READERS", "many"},    {"STELE_READERS", ""},       {"STELE_ERASE", "perhaps"},
        {"STELE_HEALTH_TLS", "yes"},  {"STELE_LISTEN", "nowhere"}, {"STELE_DATABASE", ""},
        {"STELE_AUTH_MODE", "signd"}, {"STELE_BASE_PATH", "x"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct config config;
        struct error error = {0};
        assert_true(config_init(&config, &error));
        setenv(wrong[i][0], wrong[i][1], 1);
        assert_false(config_read_environment(&config, &error));
        assert_int_equal(error.code, ERROR_CONFIGURATION);
        assert_non_null(strstr(error.message, wrong[i][0]));
        unsetenv(wrong[i][0]);
        config_fini(&config);
    }
}

TEST(our_name_wins_over_theirs)
{
    struct config config;
    struct error error = {0};
    assert_true(config_init(&config, &error));
    setenv("STELE_MAX_SUBSCRIPTIONS", "5", 1);
    setenv("ARETE_WS_DEFAULT_MAX_SUBSCRIPTIONS", "6", 1);
    setenv("STELE_RATE_HANDSHAKES_PER_IP", "7+3/5s", 1);
    setenv("ARETE_RATE_LIMIT_HANDSHAKE_PER_IP_MAX", "8", 1);
    setenv("STELE_SERVICE_HOST", "10.0.0.1", 1); /* as container systems do */
    setenv("STELE_MAX_EXPORT", "3", 1);
    assert_true(config_read_environment(&config, &error));
    assert_int_equal(config.max_subscriptions, 5);
    assert_int_equal(config.rate_handshakes_per_ip.most, 7);
    assert_int_equal(config.rate_handshakes_per_ip.burst, 3);
    assert_int_equal(config.max_exports, 1000);
    unsetenv("STELE_MAX_SUBSCRIPTIONS");
    unsetenv("ARETE_WS_DEFAULT_MAX_SUBSCRIPTIONS");
    unsetenv("STELE_RATE_HANDSHAKES_PER_IP");
    unsetenv("ARETE_RATE_LIMIT_HANDSHAKE_PER_IP_MAX");
    unsetenv("STELE_SERVICE_HOST");
    unsetenv("STELE_MAX_EXPORT");
    config_fini(&config);
}

/* A file names some members of "auth", the environment others. */
TEST(auth_in_a_file_leaves_the_rest_to_the_environment)
{
    static const char file[] = "{\"auth\":{\"mode\":\"signed\",\"issuer\":\"of the file\"}}";
    struct config config;
    struct error error = {0};
    setenv("STELE_AUTH_ISSUER", "of the environment", 1);
    setenv("STELE_AUTH_AUDIENCE", "stele", 1);
    assert_true(config_init(&config, &error));
    assert_true(config_read_environment(&config, &error));
    assert_true(config_read_file(&config, test_file("config.json", file), &error));
    assert_string_equal(config.auth.issuer, "of the file");
    assert_string_equal(config.auth.audience, "stele");
    assert_true(config_set(&config, "auth", "{}", &error));
    assert_string_equal(config.auth.issuer, "of the environment");
    config_fini(&config);
    /* A program that does not ask for the environment has nothing of it. */
    assert_true(config_init(&config, &error));
    assert_true(config_read_file(&config, test_file("config.json", file), &error));
    assert_null(config.auth.audience);
    config_fini(&config);
    unsetenv("STELE_AUTH_ISSUER");
    unsetenv("STELE_AUTH_AUDIENCE");
}

/* ---- OpenTelemetry ---- */

enum { MOST_PAIRS = 4 };
#define BASE "OTEL_EXPORTER_OTLP_ENDPOINT"
#define IGNORED(name) "otel-variable-ignored name=" name

static void set_all(const char *const pairs[][2], bool set)
{
    for (size_t i = 0; i < MOST_PAIRS && pairs[i][0]; i++)
        if (set)
            setenv(pairs[i][0], pairs[i][1], 1);
        else
            unsetenv(pairs[i][0]);
}

static const struct {
    const char *given[MOST_PAIRS + 1][2];
    const char *expected; /* endpoint, endpoints of traces and metrics, sampler, share, off */
    const char *told;     /* in the log; NULL: nothing is */
} otel[] = {
    {{{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"}}, "http://c:4318 - - 5 1 0", NULL},
    {{{"OTEL_EXPORTER_OTLP_ENDPOINT", ""}}, "- - - 5 1 0", NULL},
    {{{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/x/"},
      {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://d/m"}},
     "http://c:4318/x/ - http://d/m 5 1 0",
     NULL},
    {{{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"},
      {"OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"}},
     "http://c - - 5 1 0",
     NULL},
    {{{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"}, {"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"}},
     "- - - 5 1 0",
     "otel-protocol name=OTEL_EXPORTER_OTLP_PROTOCOL value=\"grpc\""},
    {{{"STELE_OTLP_ENDPOINT", "http://ours"},
      {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"},
      {"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"}},
     "http://ours - - 5 1 0",
     "otel-protocol"},
    {{{"OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"}},
     "- - - 5 1 0",
     "otel-variable-ignored name=OTEL_EXPORTER_OTLP_ENDPOINT"},
    {{{"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"}}, "- - - 5 1 0", NULL},
    {{{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c/"}, {"OTEL_METRICS_EXPORTER", "none"}},
     "- http://c/v1/traces - 5 1 0",
     NULL},
    {{{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"},
      {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t"},
      {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"}},
     "- - http://c/v1/metrics 5 1 0",
     "otel-protocol name=OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"},
    {{{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"}, {"OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"}},
     "http://c - - 5 1 0",
     "otel-variable-ignored name=OTEL_EXPORTER_OTLP_COMPRESSION"},
    {{{"OTEL_TRACES_SAMPLER", "always_off"}, {"OTEL_TRACES_SAMPLER_ARG", "0.5"}},
     "- - - 1 0.5 0",
     NULL},
    {{{"OTEL_TRACES_SAMPLER", "jaeger_remote"}, {"OTEL_TRACES_SAMPLER_ARG", "endpoint=x"}},
     "- - - 5 1 0",
     "otel-variable-ignored name=OTEL_TRACES_SAMPLER"},
    {{{BASE, "http://[::1]:4318"}}, "http://[::1]:4318 - - 5 1 0", NULL},
    {{{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://h/?x=1"}}, "- http://h/?x=1 - 5 1 0", NULL},
    {{{BASE, "http://env"},
      {"OTEL_METRICS_EXPORTER", "none"},
      {"STELE_OTLP_ENDPOINT", "http://me"}},
     "http://me - - 5 1 0",
     NULL},
    {{{BASE, "http://env"},
      {"OTEL_METRICS_EXPORTER", "none"},
      {"STELE_OTLP_TRACES_ENDPOINT", "http://mine"},
      {"STELE_OTLP_ENDPOINT", "http://me"}},
     "http://me http://mine - 5 1 0",
     NULL},
    {{{BASE, "http://env"}, {"OTEL_TRACES_EXPORTER", "console, otlp"}},
     "http://env - - 5 1 0",
     NULL},
    {{{BASE, "http://env"}, {"OTEL_TRACES_EXPORTER", "zipkin"}},
     "- - http://env/v1/metrics 5 1 0",
     "reason=\"the only exporter is otlp\""},
    {{{BASE, "http://env"}, {"OTEL_TRACES_SAMPLER_ARG", "0.5"}},
     "http://env - - 5 1 0",
     IGNORED("OTEL_TRACES_SAMPLER_ARG")},
    {{{"OTEL_TRACES_SAMPLER", "traceidratio"}, {"OTEL_TRACES_SAMPLER_ARG", "1e-3"}},
     "- - - 2 1e-3 0",
     NULL},
    {{{BASE, "http://env"}, {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta"}},
     "http://env - - 5 1 0",
     IGNORED("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE")},
    {{{BASE, "http://env"}, {"OTEL_BSP_SCHEDULE_DELAY", "1"}},
     "http://env - - 5 1 0",
     IGNORED("OTEL_BSP_SCHEDULE_DELAY")},
    {{{"OTEL_SERVICE_NAME", "\xff"}}, "- - - 5 1 0", IGNORED("OTEL_SERVICE_NAME")},
    {{{"OTEL_RESOURCE_ATTRIBUTES", "a=%ff"}}, "- - - 5 1 0", IGNORED("OTEL_RESOURCE_ATTRIBUTES")},
    {{{"OTEL_SDK_DISABLED", "TRUE"}}, "- - - 5 1 1", NULL},
    {{{"OTEL_SDK_DISABLED", "perhaps"}}, "- - - 5 1 0", NULL},
    {{{"OTEL_SDK_DISABLED", "true"}, {"STELE_OTLP_DISABLED", "false"}}, "- - - 5 1 0", NULL},
    {{{"OTEL_METRIC_EXPORT_INTERVAL", "soon"}},
     "- - - 5 1 0",
     "otel-variable-ignored name=OTEL_METRIC_EXPORT_INTERVAL"},
    /* From here on the log may hold back what it has said often. */
    {{{BASE, "http://user:pw@h:4318"}}, "- - - 5 1 0", ""},
    {{{BASE, "http://h:4318/?x=1"}}, "- - - 5 1 0", ""},
    {{{BASE, "http://h/#x"}}, "- - - 5 1 0", ""},
    {{{BASE, "http://[bad"}}, "- - - 5 1 0", ""},
    {{{BASE, "http://[::g]"}}, "- - - 5 1 0", ""},
    {{{BASE, "http://"}}, "- - - 5 1 0", ""},
    {{{BASE, "http://:4318"}}, "- - - 5 1 0", ""},
    {{{BASE, "http://h:port"}}, "- - - 5 1 0", ""},
    {{{BASE, "http://h:65536"}}, "- - - 5 1 0", ""},
    {{{BASE, "http://env "}}, "- - - 5 1 0", ""},
};

static const char *shown(const char *text)
{
    return text ? text : "-";
}

TEST_WITH(variables_of_opentelemetry_go_by_its_rules, stderr_capture, stderr_release)
{
    for (size_t i = 0; i < sizeof otel / sizeof *otel; i++) {
        struct config config;
        struct error error = {0};
        char text[256];
        assert_true(config_init(&config, &error));
        set_all(otel[i].given, true);
        bool read = config_read_environment(&config, &error);
        const char *told = stderr_captured();
        set_all(otel[i].given, false);
        if (!read)
            fail_msg("case %zu: %s", i, error.message);
        snprintf(text, sizeof text, "%s %s %s %d %s %d", shown(config.otlp_endpoint),
                 shown(config.otlp_traces_endpoint), shown(config.otlp_metrics_endpoint),
                 (int)config.otlp_sampler, config.otlp_sample, config.otlp_disabled);
        assert_string_equal(text, otel[i].expected);
        if (otel[i].told ? !strstr(told, otel[i].told) : *told)
            fail_msg("case %zu: the log has: %s", i, told);
        config_fini(&config);
    }
}

TEST(headers_are_a_secret_whatever_is_wrong)
{
    static const char *const wrong[] = {"Authorization: Bearer s3cret",
                                        "a=s3cret%0d%0aX: y",
                                        "a b=s3cret",
                                        "a=s3cret%zz",
                                        "=s3cret",
                                        "a=b,content-Type=s3cret",
                                        "Host=s3cret",
                                        "transfer-encoding=s3cret",
                                        "Content-Length=s3cret",
                                        "(hidden)"};
    struct config config;
    struct error error = {0};
    struct buffer text;
    buffer_init(&text, 1 << 16);
    assert_true(config_init(&config, &error));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (config_set(&config, "otlp_headers", wrong[i], &error))
            fail_msg("%s is taken", wrong[i]);
        assert_non_null(strstr(error.message, "otlp_headers"));
        assert_null(strstr(error.message, "s3cret"));
    }
    char longest[5000];
    snprintf(longest, sizeof longest, "a=s3cret%04900d", 0);
    assert_false(config_set(&config, "otlp_headers", longest, &error));
    assert_null(strstr(error.message, "s3cret"));
    assert_true(config_set(&config, "otlp_headers", "api-key=s3cret,x=", &error));
    assert_true(config_set(&config, "otlp_endpoint", "http://c/?token=s3cret", &error));
    assert_true(config_print(&config, CONFIG_FOR_OTHERS, &text));
    assert_non_null(strstr(buffer_string(&text), "\"otlp_headers\": \"(hidden)\""));
    assert_null(strstr(buffer_string(&text), "s3cret"));
    buffer_fini(&text);
    config_fini(&config);
}

TEST(a_share_is_digits_and_a_point)
{
    static const char *const good[] = {"0",      "1",  "0.25", "1.0",    ".5",
                                       "0.0001", "1.", "1e-3", "2.5E-1", "10e-1"};
    static const char *const wrong[] = {"",    ".",   "1.1",   "2",    "-0.1", "0,5",   "1e3",
                                        "1e-", "e-3", "20e-1", "half", "0.5 ", "1e-3 ", "1e-x"};
    struct config config;
    struct error error = {0};
    double share;
    assert_true(config_init(&config, &error));
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(config_set(&config, "otlp_sample", good[i], &error));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (config_set(&config, "otlp_sample", wrong[i], &error))
            fail_msg("%s is taken", wrong[i]);
    assert_true(config_read_share("0.25", &share) && share == 0.25);
    assert_true(config_read_share("25e-2", &share) && share == 0.25);
    assert_true(config_read_share("1e-99999999999999999999", &share) && share == 0);
    config_fini(&config);
}
