/*
 * Another configuration for a server that runs: each setting of the table is either in force
 * afterwards, as its probe here sees, or named as one that takes a restart. A live setting without
 * a probe fails.
 */
#include "access/access_internal.h"
#include "config/config_internal.h"
#include "memory_fault.h"
#include "server/server_internal.h"
#include "server_fixture.h"
#include "stderr_capture.h"

#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <unistd.h>

/* ---- what is logged ---- */

/* What was logged since; ends the capture. */
static void captured(struct buffer *out)
{
    buffer_clear(out);
    buffer_add_string(out, stderr_captured());
    buffer_string(out);
    stderr_release();
}

/* ---- on the loop ---- */

struct errand {
    struct server_work work;
    struct server_reload *reload;
    struct config *in_force;
    bool (*holds)(const struct server *server);
    bool answer;
    sem_t done;
};

static void run_errand(struct server *server, struct server_work *work)
{
    struct errand *errand = (struct errand *)work;
    if (errand->reload)
        server_reload_apply(server, errand->reload, errand->in_force);
    errand->answer = !errand->holds || errand->holds(server);
    sem_post(&errand->done);
}

/* Make it read this configuration, and look with the probe. */
static bool reload(struct live *live, struct config *fresh,
                   bool (*holds)(const struct server *server))
{
    struct error error;
    struct errand errand = {.work.run = run_errand, .in_force = &live->config, .holds = holds};
    errand.reload = server_reload_new(fresh, &error);
    if (!errand.reload)
        fail_msg("%s", error.message);
    sem_init(&errand.done, 0, 0);
    assert_true(server_post(live->server, &errand.work));
    while (sem_wait(&errand.done) != 0)
        ;
    sem_destroy(&errand.done);
    server_reload_free(errand.reload);
    return errand.answer;
}

static void copy_config(struct config *copy, const struct config *config)
{
    struct buffer text;
    struct error error;
    buffer_init(&text, 1 << 20);
    assert_true(config_init(copy, &error));
    for (size_t i = 0; i < config_setting_count; i++) {
        buffer_clear(&text);
        if (setting_stands_alone(&config_settings[i]) &&
            setting_add(&text, config, &config_settings[i]))
            assert_true(setting_set_text(copy, &config_settings[i], buffer_span(&text), &error));
    }
    buffer_fini(&text);
}

/* ---- probes ---- */

static bool has_max_message_bytes(const struct server *server)
{
    return server->frontend.max_message_bytes == 2048;
}

static bool has_incoming_bytes(const struct server *server)
{
    return server->frontend.incoming.limit == 4096;
}

static bool has_incoming_seconds(const struct server *server)
{
    return server->frontend.incoming.patience_ms == 5000;
}

static bool has_client_timeout(const struct server *server)
{
    return server->frontend.client_timeout_ms == 7000;
}

static bool logs_debug(const struct server *server)
{
    uint64_t before = log_counts().lines[LOG_LEVEL_DEBUG];
    (void)server;
    log_debug("engine", "probe");
    return log_counts().lines[LOG_LEVEL_DEBUG] > before;
}

static bool logs_in_json(const struct server *server)
{
    (void)server;
    log_error("test", "json-now");
    return true; /* the line is looked at */
}

static bool trusts_a_proxy(const struct server *server)
{
    return server->frontend.access->shown.limits->rules.trusted.count == 2;
}

static bool allows_a_host(const struct server *server)
{
    return strcmp(server->frontend.access->rules->hosts, "a.example, [::1]") == 0;
}

static bool reads_another_header(const struct server *server)
{
    return strcmp(server->frontend.access->shown.limits->rules.proxy_header, "X-Real-IP") == 0;
}

static bool has_rate_windows(const struct server *server)
{
    return server->frontend.access->shown.limits->rules.windows_on;
}

/* Values for settings that are live, and for texts that must name something. */
static const struct probe {
    const char *setting, *value;
    bool (*holds)(const struct server *server);
    const char *line; /* that must be logged */
    size_t offset;    /* or: of the number in the rules of limits, */
    int64_t number;   /* ... which must be this */
} probes[] = {
#define RULE(name, to, field, expected)                                                            \
    {                                                                                              \
        .setting = (name), .value = (to), .offset = offsetof(struct limit_rules, field),           \
        .number = (expected)                                                                       \
    }
    RULE("rate_handshakes_per_ip", "7+2/11s", handshakes.most, 7),
    RULE("rate_connections_per_subject", "7+2/11s", subject_connections.most, 7),
    RULE("rate_connections_per_metering_key", "7+2/11s", metering_connections.most, 7),
    RULE("rate_subscriptions_per_connection", "7+2/11s", subscribes.most, 7),
    RULE("rate_messages_per_connection", "7+2/11s", messages.most, 7),
    RULE("rate_snapshots_per_connection", "7+2/11s", snapshots.most, 7),
    RULE("max_connections", "9000", connections, 9000),
    RULE("max_connections_per_ip", "5", connections_per_ip, 5),
    RULE("max_connections_per_origin", "5", connections_per_origin, 5),
    RULE("max_connections_per_metering_key", "5", connections_per_metering_key, 5),
    RULE("max_connections_per_subject", "5", standard.max_connections, 5),
    RULE("max_subscriptions", "3", standard.max_subscriptions, 3),
    RULE("max_snapshot_rows", "5", standard.max_snapshot_rows, 5),
    RULE("max_messages_per_minute", "5", standard.max_messages_per_minute, 5),
    RULE("max_bytes_per_minute", "5", standard.max_bytes_per_minute, 5),
    RULE("limit_window_seconds", "5", minute_ms, 5000),
    {.setting = "rate_limiting", .value = "on", .holds = has_rate_windows},
    {.setting = "allowed_hosts", .value = "a.example, [::1]", .holds = allows_a_host},
    {.setting = "base_path", .value = "/a"},
    {.setting = "static_files", .value = "/tmp"},
    {.setting = "otlp_endpoint", .value = "http://127.0.0.1:1"},
    {.setting = "otlp_traces_endpoint", .value = "http://127.0.0.1:1/t"},
    {.setting = "otlp_metrics_endpoint", .value = "http://127.0.0.1:1/m"},
    {.setting = "otlp_headers", .value = "a=b"},
    {.setting = "otlp_resource", .value = "a=b"},
    {.setting = "otlp_sample", .value = "0.5"},
    {.setting = "trusted_proxies", .value = "10.0.0.0/8, ::1", .holds = trusts_a_proxy},
    {.setting = "proxy_header", .value = "X-Real-IP", .holds = reads_another_header},
    {.setting = "max_message_bytes", .value = "2048", .holds = has_max_message_bytes},
    {.setting = "incoming_bytes", .value = "4096", .holds = has_incoming_bytes},
    {.setting = "incoming_seconds", .value = "5", .holds = has_incoming_seconds},
    {.setting = "client_timeout_seconds", .value = "7", .holds = has_client_timeout},
    {.setting = "log_level", .value = "debug", .holds = logs_debug},
    {.setting = "log_levels", .value = "engine=debug", .holds = logs_debug},
    {.setting = "log_format",
     .value = "json",
     .holds = logs_in_json,
     .line = "\"event\":\"json-now\""},
#undef RULE
};

/* The probe that is tried, and what it saw. */
static const struct probe *tried;

static bool rule_holds(const struct server *server)
{
    int64_t number;
    memcpy(&number, (const char *)&server->frontend.access->shown.limits->rules + tried->offset,
           sizeof number);
    return number == tried->number;
}

/* With files that are no ordinary texts: tests/clients/tls.test.js; with an endpoint:
 * usage.test.js; of a node alone: node_behind.test.js. */
static const char *const elsewhere[] = {"tls_certificate",   "tls_key",          "health_tls",
                                        "usage_url",         "usage_token_file", "usage_spool_rows",
                                        "usage_spool_bytes", "cursor_wait_ms"};

static const struct probe *find_probe(const char *name)
{
    for (size_t i = 0; i < sizeof probes / sizeof *probes; i++)
        if (strcmp(probes[i].setting, name) == 0)
            return &probes[i];
    return NULL;
}

static bool is_elsewhere(const char *name)
{
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
        if (strcmp(elsewhere[i], name) == 0)
            return true;
    return false;
}

static void set_another(struct config *config, const struct setting *setting,
                        const struct probe *probe)
{
    struct error error = {0};
    char text[32];
    const char *value = probe ? probe->value : text;
    int64_t number = probe ? 0 : setting_number(config, setting);
    if (probe)
        ;
    else if (setting->type == SETTING_NUMBER)
        snprintf(text, sizeof text, "%lld",
                 (long long)(number < setting->most ? number + 1 : number - 1));
    else if (setting->type == SETTING_FLAG)
        value = number ? "false" : "true";
    else if (setting->type == SETTING_WORD)
        value = setting->words[setting->words[number + 1] ? number + 1 : 0];
    else
        value = setting->type == SETTING_ADDRESS ? "127.0.0.1:1" : "another";
    if (!config_set(config, setting->name, value, &error))
        fail_msg("%s: %s", setting->name, error.message);
}

/* ---- tests ---- */

static void try_setting(struct live *live, const struct setting *setting)
{
    const struct probe *probe = find_probe(setting->name);
    struct config fresh, before;
    struct buffer said;
    char warning[160];
    if (setting->change && !probe)
        fail_msg("%s is live: say in `probes` how to see that it is in force", setting->name);
    buffer_init(&said, 1 << 20);
    copy_config(&before, &live->config);
    copy_config(&fresh, &live->config);
    set_another(&fresh, setting, probe);
    stderr_capture();
    tried = probe;
    bool holds = reload(live, &fresh,
                        !setting->change ? NULL
                        : probe->holds   ? probe->holds
                                         : rule_holds);
    captured(&said);
    snprintf(warning, sizeof warning, "config %s effect=\"needs a restart\"", setting->name);
    bool told = strstr(said.data, warning) != NULL;
    if (!holds || told == (setting->change != CONFIG_RESTART) ||
        (setting->change && probe->line && !strstr(said.data, probe->line)))
        fail_msg("%s: live %d, holds %d, told %d: %s", setting->name, setting->change, holds, told,
                 said.data);
    assert_true(reload(live, &before, NULL));
    buffer_fini(&said);
}

TEST(every_setting_is_taken_or_told)
{
    struct live live;
    live_start(&live, NULL);
    for (size_t i = 0; i < config_setting_count; i++)
        if (setting_stands_alone(&config_settings[i]) && !is_elsewhere(config_settings[i].name))
            try_setting(&live, &config_settings[i]);
    live_stop(&live);
}

/* The configuration in force, but for one setting (NULL: none). What was logged is left in `said`.
 */
static bool reload_with(struct live *live, const char *name, const char *value,
                        bool (*holds)(const struct server *server), struct buffer *said)
{
    struct config fresh;
    struct error error;
    copy_config(&fresh, &live->config);
    if (name)
        assert_true(config_set(&fresh, name, value, &error));
    buffer_init(said, 1 << 20);
    stderr_capture();
    bool held = reload(live, &fresh, holds);
    captured(said);
    return held;
}

TEST(the_same_again_says_nothing)
{
    struct live live;
    struct buffer said;
    live_start(&live, NULL);
    reload_with(&live, NULL, NULL, NULL, &said);
    assert_non_null(strstr(said.data, "configuration-reloaded changed=\"\""));
    assert_null(strstr(said.data, "needs a restart"));
    live_stop(&live);
    buffer_fini(&said);
}

/* ---- who may come in ---- */

static const char first_auth[] = "{\"mode\":\"static\",\"tokens\":[\"0123456789abcdef0\"]}";
static const char other_auth[] =
    "{\"mode\":\"signed\",\"keys\":[\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"],"
    "\"tokens\":[\"fedcba9876543210f\"],\"issuer\":\"i\",\"audience\":\"a\",\"jwks_file\":\"%s\","
    "\"jwks_seconds\":5,\"jwks_refetch_seconds\":6,\"jwks_stale_seconds\":7,\"require_origin\":"
    "true,\"scope_claim\":\"role\",\"subject_claim\":\"user.id\",\"base_scope\":\"read\","
    "\"scopes\":{"
    "\"editor\":\"write\"},"
    "\"require_client_ip\":true,\"status\":\"all\",\"metrics\":\"all\"}";

static struct config_auth rules_in_force;
static size_t origins_in_force;

/* The texts of the rules are copies, and live as long as they are in force: to the end here. */
static bool copy_rules(const struct server *server)
{
    rules_in_force = server->frontend.access->rules->auth;
    origins_in_force = server->frontend.access->rules->origin_count;
    return server->frontend.access->rules->credentials.tokens &&
           server->frontend.access->rules->credentials.keys &&
           server->frontend.access->rules->credentials.scopes &&
           server->frontend.access->rules->credentials.base_scopes == AUTH_READ;
}

static void expect_same(const struct config *has, const struct config *wanted,
                        const struct setting *setting)
{
    bool textual = setting->type == SETTING_TEXT;
    if (textual && setting_text(wanted, setting))
        assert_string_equal(setting_text(has, setting), setting_text(wanted, setting));
    else if (textual)
        assert_null(setting_text(has, setting));
    else
        assert_int_equal(setting_number(has, setting), setting_number(wanted, setting));
}

TEST(all_of_auth_is_taken)
{
    const char *settings[] = {"auth", first_auth, NULL};
    struct live live;
    struct config fresh, wanted;
    struct error error;
    char jwks[96], auth[1024];
    live_start(&live, settings);
    snprintf(jwks, sizeof jwks, "%s/jwks.json", live.folder);
    FILE *file = fopen(jwks, "w");
    fputs("{\"keys\":[]}", file);
    fclose(file);
    snprintf(auth, sizeof auth, other_auth, jwks);
    copy_config(&fresh, &live.config);
    copy_config(&wanted, &live.config);
    for (int i = 0; i < 2; i++) {
        struct config *config = i ? &wanted : &fresh;
        assert_true(config_set(config, "auth", auth, &error));
        assert_true(config_set(config, "allowed_origins", "[\"https://a.example\"]", &error));
    }
    assert_true(reload(&live, &fresh, copy_rules));
    assert_int_equal(origins_in_force, 1);
    struct config seen = {.auth = rules_in_force};
    for (size_t i = 0; i < config_setting_count; i++) {
        const struct setting *setting = &config_settings[i];
        if (!setting_is_of(setting, "auth"))
            continue;
        assert_true(setting->change);
        expect_same(&live.config, &wanted, setting);
        /* These are read, and then of no use. */
        if (strcmp(setting->name, "auth.jwks_file") != 0 &&
            strcmp(setting->name, "auth.base_scope") != 0)
            expect_same(&seen, &wanted, setting);
    }
    assert_string_equal(live.config.auth.tokens, wanted.auth.tokens);
    assert_string_equal(live.config.auth.keys, wanted.auth.keys);
    assert_string_equal(live.config.auth.scopes, wanted.auth.scopes);
    assert_int_equal(live.config.origin_count, 1);
    config_fini(&wanted);
    live_stop(&live);
}

static bool has_no_url(const struct server *server)
{
    return !server->frontend.access->rules->auth.jwks_url || !server->outbound;
}

TEST(the_first_url_of_keys_takes_a_restart)
{
    struct live live;
    struct buffer said;
    live_start(&live, NULL);
    assert_true(reload_with(&live, "auth",
                            "{\"mode\":\"signed\",\"jwks_url\":\"http://127.0.0.1:1/\"}",
                            has_no_url, &said));
    assert_non_null(strstr(said.data, "config auth.jwks_url effect=\"needs a restart\" "
                                      "reason=\"outgoing requests"));
    assert_null(live.config.auth.jwks_url);
    live_stop(&live);
    buffer_fini(&said);
}

static bool has_as_many_as_at_the_start(const struct server *server)
{
    return server->frontend.access->shown.limits->rules.connections == 100;
}

TEST(more_connections_than_at_the_start_take_a_restart)
{
    const char *settings[] = {"max_connections", "100", NULL};
    struct live live;
    struct buffer said;
    live_start(&live, settings);
    assert_true(reload_with(&live, "max_connections", "101", has_as_many_as_at_the_start, &said));
    assert_non_null(strstr(said.data, "reason=\"more than at the start takes a restart\""));
    assert_int_equal(live.config.max_connections, 100);
    live_stop(&live);
    buffer_fini(&said);
}

TEST(views_and_stacks_are_told)
{
    struct live live;
    struct buffer said;
    live_start(&live, NULL);
    reload_with(&live, "exports", "{\"E\":{\"views\":{\"v\":{}}}}", NULL, &said);
    assert_non_null(strstr(said.data, "config exports effect=\"needs a restart\""));
    live_stop(&live);
    buffer_fini(&said);
}

TEST(what_is_wrong_is_refused_wholly)
{
    struct live live;
    struct config fresh;
    struct error error = {0};
    live_start(&live, NULL);
    copy_config(&fresh, &live.config);
    assert_true(config_set(&fresh, "max_subscriptions", "3", &error));
    assert_true(config_set(&fresh, "stack", "/nowhere/at/all.json", &error));
    assert_null(server_reload_new(&fresh, &error));
    assert_int_equal(error.code, ERROR_CONFIGURATION);
    assert_non_null(strstr(error.message, "/nowhere/at/all.json"));
    live_stop(&live);
}

/* Whatever allocation fails, the configuration is taken over and freed, and the error says so. */
TEST(survives_want_of_memory)
{
    struct live live;
    struct error error = {0};
    live_start(&live, NULL);
    for (uint64_t nth = 1;; nth++) {
        struct config fresh;
        copy_config(&fresh, &live.config);
        memory_fail_at(nth, 0);
        struct server_reload *made = server_reload_new(&fresh, &error);
        bool hit = memory_fault_hit();
        memory_fail_at(0, 0);
        assert_true(made ? true : error.code == ERROR_MEMORY);
        server_reload_free(made);
        if (!hit)
            break;
    }
    live_stop(&live);
}
