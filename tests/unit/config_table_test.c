/*
 * The configuration: the order of its sources, and that what is wrong is named along
 * with what is allowed. The published schema must be what the table says.
 */
#include "config/config_internal.h"
#include "folder.h"
#include "memory_fault.h"
#include "test.h"

TEST_ALL(test_folder_make, test_folder_remove)

static void expect_refused(const char *text, const char *first, const char *second)
{
    struct config config;
    struct error error = {0};
    assert_true(config_init(&config, &error));
    assert_false(config_read_file(&config, test_file("config.json", text), &error));
    assert_int_equal(error.code, ERROR_CONFIGURATION);
    if (!strstr(error.message, first) || !strstr(error.message, second))
        fail_msg("%s\ngives: %s\nwanted: %s, %s", text, error.message, first, second);
    config_fini(&config);
}

static void expect_caches(int64_t memory, int64_t readers, const struct config_caches *expected)
{
    struct config config;
    struct error error = {0};
    assert_true(config_init(&config, &error));
    config.memory = memory;
    config.readers = readers;
    struct config_caches caches = config_caches(&config);
    assert_memory_equal(&caches, expected, sizeof caches);
    config_fini(&config);
}

/* A share never gives a cache more than its own setting, nor less than it can work with. */
TEST(memory_is_shared_by_the_caches)
{
    enum { MIB = 1 << 20 };
    struct config_caches own = {.pages = 256 * MIB,
                                .reader_pages = 16 * MIB,
                                .entities = 64 * MIB,
                                .changes = 64 * MIB,
                                .frames = 64 * MIB,
                                .snapshots = 64 * MIB};
    expect_caches(0, 2, &own);
    expect_caches((int64_t)64 * 1024 * MIB, 2, &own);
    struct config_caches shares = {.pages = 40 * MIB,
                                   .reader_pages = 7 * MIB + MIB / 2,
                                   .entities = 15 * MIB,
                                   .changes = 10 * MIB,
                                   .frames = 10 * MIB,
                                   .snapshots = 10 * MIB};
    expect_caches(100 * MIB, 2, &shares);
    shares.reader_pages = MIB;
    expect_caches(100 * MIB, 16, &shares);
    struct config_caches least = {.pages = MIB, .reader_pages = MIB, .frames = 64 * 1024};
    expect_caches(1, 2, &least);
}

TEST(a_file_sets_what_it_names)
{
    struct config config;
    struct error error = {0};
    assert_true(config_init(&config, &error));
    const char *path = test_file(
        "config.json",
        "{\"$schema\":\"config.schema.json\",\"database\":\"a.db\",\"listen\":\"[::1]:0\","
        "\"health\":\"\",\"synchronous\":\"off\",\"log_level\":\"debug\",\"readers\":4,"
        "\"exports\":{\"Quake\":{\"max_entities\":1000,\"scope\":[\"a.b\",\"c\"],\"views\":{"
        "\"slim\":{\"mode\":\"append\","
        "\"fields\":[\"id\",\"geo.lat\"],\"keys\":[\"k1\"]}}},\"Network\":{}}}");
    assert_true(config_read_file(&config, path, &error));
    assert_string_equal(config.database, "a.db");
    assert_string_equal(config.listen, "[::1]:0");
    assert_string_equal(config.health, "");
    assert_int_equal(config.synchronous, DATABASE_SYNCHRONOUS_OFF);
    assert_int_equal(config.log_level, LOG_LEVEL_DEBUG);
    assert_int_equal(config.readers, 4);
    assert_int_equal(config.export_count, 2);
    assert_string_equal(config.exports[0].name, "Quake");
    assert_int_equal(config.exports[0].max_entities, 1000);
    assert_string_equal(config.exports[0].scope, "[\"a.b\",\"c\"]");
    assert_int_equal(config.exports[0].view_count, 1);
    const struct config_view *view = &config.exports[0].views[0];
    assert_string_equal(view->name, "slim");
    assert_string_equal(config.exports[1].name, "Network");
    struct view_set *views = config_views(&config, &error);
    assert_non_null(views);
    assert_false(view_set_is_open(views));
    const struct view *slim = view_set_find(views, span_of("Quake/slim"));
    assert_non_null(slim);
    assert_int_equal(slim->mode, VIEW_APPEND);
    assert_int_equal(slim->path_count, 2);
    assert_true(span_equal(slim->paths[1], span_of("geo.lat")));
    assert_int_equal(slim->key_count, 1);
    assert_non_null(view_set_find(views, span_of("Network/state")));
    view_set_free(views);
    config_fini(&config);
}

/* What is printed as in force, read back, prints the same. */
TEST(what_is_printed_can_be_read)
{
    struct config config, copy;
    struct error error = {0};
    struct buffer first, second;
    buffer_init(&first, 65536);
    buffer_init(&second, 65536);
    assert_true(config_init(&config, &error));
    assert_true(config_init(&copy, &error));
    assert_true(config_set(&config, "database", "with \"quotes\".db", &error));
    assert_true(config_set(&config, "synchronous", "normal", &error));
    assert_true(config_set(
        &config, "exports",
        "{\"Q\":{\"views\":{\"a\":{},\"b\":{\"keys\":[\"1\",\"2\"]},\"c\":{\"pipeline\":[{"
        "\"filter\":{\"field\":\"m\",\"gt\":0.1}},{\"take\":3}]}}},\"R\":{}}",
        &error));
    assert_true(config_set(&config, "stack", "a \"b\".json", &error));
    assert_true(config_print(&config, CONFIG_FOR_OPERATOR, &first));
    assert_true(config_read_file(&copy, test_file("config.json", buffer_string(&first)), &error));
    assert_true(config_print(&copy, CONFIG_FOR_OPERATOR, &second));
    assert_string_equal(buffer_string(&first), buffer_string(&second));
    config_fini(&config);
    config_fini(&copy);
    buffer_fini(&first);
    buffer_fini(&second);
}

TEST(what_is_wrong_is_named)
{
    expect_refused("{\"reader\":2}", "unknown setting \"reader\"", "did you mean \"readers\"");
    expect_refused("{\"zzz\":2}", "unknown setting \"zzz\"", "--help");
    expect_refused("{\"readers\":99}", "\"readers\" cannot be 99", "from 1 to 16");
    expect_refused("{\"readers\":\"2\"}", "\"readers\" cannot be \"2\"", "a whole number");
    expect_refused("{\"readers\":99999999999999999999}", "cannot be \"99999999999999999999\"",
                   "1 to 16");
    expect_refused("{\"health_tls\":\"true\"}", "cannot be \"true\"", "true or false");
    expect_refused("{\"readers\":2.5}", "cannot be 2.5", "a whole number");
    expect_refused("{\"synchronous\":\"ful\"}", "cannot be ful", "full, normal or off");
    expect_refused("{\"erase\":\"all\"}", "cannot be all", "fast, full or off");
    expect_refused("{\"synchronous\":0}", "cannot be 0", "full, normal or off");
    expect_refused("{\"listen\":\"8877\"}", "cannot be 8877", "HOST:PORT");
    expect_refused("{\"listen\":\"::1:8877\"}", "cannot be ::1:8877", "HOST:PORT");
    expect_refused("{\"listen\":\"a:65536\"}", "cannot be a:65536", "0 to 65535");
    expect_refused("{\"database\":\"\"}", "\"database\" cannot be", "a text");
    expect_refused("[]", "config.json", "not a JSON object");
    expect_refused("{\"readers\":2", "config.json", "line 1");
    expect_refused("{\"exports\":[]}", "\"exports\"", "object");
    expect_refused("{\"exports\":{\"Q\":{\"max_entity\":1}}}", "\"exports.Q\" has no",
                   "did you mean \"max_entities\"");
    expect_refused("{\"exports\":{\"Q\":{\"scope\":\"a..b\"}}}", "exports.Q.scope", "empty");
    expect_refused("{\"exports\":{\"Q\":{\"scope\":7}}}", "exports.Q.scope", "owner.address");
    expect_refused("{\"exports\":{\"Q\":{\"max_entities\":-1}}}", "exports.Q.max_entities",
                   "from 0");
    expect_refused("{\"exports\":{\"Q\":{\"views\":{\"v\":{\"mode\":\"all\"}}}}}",
                   "view 'Q/v': \"mode\"", "state, list or append");
    expect_refused("{\"exports\":{\"Q\":{\"views\":{\"v\":{\"keys\":[]}}}}}",
                   "view 'Q/v': \"keys\"", "at least one");
    expect_refused("{\"exports\":{\"Q\":{\"views\":{\"v\":{\"fields\":[1]}}}}}",
                   "view 'Q/v': \"fields\"", "texts only");
    expect_refused("{\"exports\":{\"Q\":{\"views\":{\"v\":{\"pipeline\":[{\"take\":\"2\"}]}}}}}",
                   "view 'Q/v': pipeline[0]", "whole number");
    expect_refused("{\"stacks\":\"a\"}", "\"stacks\"", "list of paths");
    expect_refused("{\"stacks\":[\"\"]}", "\"stacks\"", "path of a file");
    expect_refused("{\"max_window_rows\":0}", "\"max_window_rows\" cannot be 0", "from 1");
    expect_refused("{\"exports\":{\"a/b\":{}}}", "config.json", "a/b");
    expect_refused("{\"exports\":{\"Q\":{\"views\":{\"v\":{\"fields\":[\"a..b\"]}}}}}",
                   "config.json", "a..b");
}

TEST(stack_files_and_exports_make_one_set)
{
    struct config config;
    struct error error = {0};
    char path[64];
    assert_true(config_init(&config, &error));
    snprintf(
        path, sizeof(path), "%s",
        test_file("config.json",
                  "{\"entities\":[{\"state_name\":\"Round\",\"views\":[{\"id\":"
                  "\"Round/latest\",\"source\":{\"Entity\":{\"name\":\"Round\"}},\"pipeline\":["
                  "{\"Sort\":{\"key\":{\"segments\":[\"id\"]},\"order\":\"desc\"}}],\"output\":"
                  "\"Collection\"}]},{\"state_name\":\"Miner\"}]}"));
    assert_true(config_set(&config, "exports",
                           "{\"Q\":{\"views\":{\"v\":{\"source\":\"Round/latest\",\"pipeline\":["
                           "\"first\"],\"coalesce_ms\":5}}}}",
                           &error));
    assert_null(config_views(&config, &error));
    assert_non_null(strstr(error.message, "'Q/v'"));
    assert_true(config_set(&config, "stack", path, &error));
    struct view_set *views = config_views(&config, &error);
    assert_non_null(views);
    assert_false(view_set_is_open(views));
    assert_non_null(view_set_export(views, span_of("Miner")));
    const struct view *view = view_set_find(views, span_of("Q/v"));
    assert_string_equal(view->export_name, "Round");
    assert_int_equal(view->coalesce_ms, 5);
    view_set_free(views);
    assert_true(config_set(&config, "stacks", "[\"/nowhere/a.json\"]", &error));
    assert_null(config_views(&config, &error));
    assert_int_equal(error.code, ERROR_CONFIGURATION);
    assert_non_null(strstr(error.message, "/nowhere/a.json"));
    config_fini(&config);
}

TEST(a_missing_file_is_named)
{
    struct config config;
    struct error error = {0};
    assert_true(config_init(&config, &error));
    assert_false(config_read_file(&config, "/nowhere/config.json", &error));
    assert_non_null(strstr(error.message, "/nowhere/config.json"));
    config_fini(&config);
}

TEST(one_setting_by_name)
{
    struct config config;
    struct error error = {0};
    assert_true(config_init(&config, &error));
    assert_true(config_set(&config, "queue_bytes", "65536", &error));
    assert_int_equal(config.queue_bytes, 65536);
    const char *const bad[] = {"", " 1", "1 ", "1e9", "0x10", "-1", "99999999999999999999", "4095"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(config_set(&config, "queue_bytes", bad[i], &error));
    assert_int_equal(config.queue_bytes, 65536);
    assert_false(config_set(&config, "queue_byte", "65536", &error));
    assert_non_null(strstr(error.message, "did you mean \"queue_bytes\""));
    assert_false(config_set(&config, "exports", "{", &error));
    assert_non_null(strstr(error.message, "exports"));
    config_fini(&config);
}

/* ---- rates ---- */

static void expect_rate(const struct config *config, int64_t most, int64_t burst, int64_t seconds,
                        const char *printed)
{
    const struct config_rate *rate = &config->rate_snapshots_per_connection;
    struct buffer text;
    assert_true(rate->most == most && rate->burst == burst && rate->seconds == seconds);
    buffer_init(&text, 1 << 20);
    assert_true(config_print(config, CONFIG_FOR_OPERATOR, &text));
    const char *line = strstr(buffer_string(&text), "\n  \"rate_snapshots_per_connection\": \"");
    assert_non_null(line);
    assert_memory_equal(strchr(line, ':') + 3, printed, strlen(printed));
    assert_memory_equal(strchr(line, ':') + 3 + strlen(printed), "\",\n", 3);
    assert_null(strstr(text.data, "rate_snapshots_per_connection_"));
    buffer_fini(&text);
}

TEST(a_rate_is_one_text)
{
    static const char name[] = "rate_snapshots_per_connection";
    static const struct {
        const char *text;
        int64_t most, burst, seconds;
        const char *printed;
    } good[] = {{"60+10/60s", 60, 10, 60, "60+10/60s"},
                {"60/90s", 60, 0, 90, "60/90s"},
                {"7+0/2m", 7, 0, 120, "7/120s"},
                {"1+1/24h", 1, 1, 86400, "1+1/86400s"},
                {"1000000000+1000000000/1s", 1000000000, 1000000000, 1, "1000000000+1000000000/1s"},
                {"0+3/5s", 0, 3, 5, "off"},
                {"60", 60, 3, 5, "60+3/5s"}, /* the older form: the others stay */
                {"off", 0, 3, 5, "off"},
                {"0", 0, 3, 5, "off"}};
    static const char *const bad[] = {
        "",        "60/",         "60+/60s",    "60+10",   "60+10/",           "60+10/60",
        "/60s",    "60+10/s",     "60+10/0s",   "60/25h",  "60/86401s",        "60+10/60d",
        "-1/60s",  "60+-1/60s",   "60+1+1/60s", "60/-1s",  "1000000001",       "1000000001/1s",
        " 60/60s", "60 + 10/60s", "6e1/60s",    "OFF",     "1+1000000001/60s", "60+10/60s ",
        "-1",      "60/60ss",     "60/1h1m",    "60//60s", "60/60s/60s",       "10+60s"};
    struct config config;
    struct error error = {0};
    char file[128];
    assert_true(config_init(&config, &error));
    expect_rate(&config, 30, 5, 60, "30+5/60s");
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(config_set(&config, name, good[i].text, &error));
        expect_rate(&config, good[i].most, good[i].burst, good[i].seconds, good[i].printed);
        assert_true(config_set(&config, name, i < 5 ? "8+9/10m" : "8+3/5s", &error));
        snprintf(file, sizeof file, "{\"%s\": \"%s\"}", name, good[i].text);
        assert_true(config_read_file(&config, test_file("config.json", file), &error));
        expect_rate(&config, good[i].most, good[i].burst, good[i].seconds, good[i].printed);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char first[96];
        if (config_set(&config, name, bad[i], &error))
            fail_msg("taken: %s", bad[i]);
        snprintf(first, sizeof first, "setting \"%s\" cannot be %s; allowed: ", name, bad[i]);
        assert_non_null(strstr(error.message, first));
        assert_non_null(strstr(error.message, "60+10/60s"));
        expect_rate(&config, 0, 3, 5, "off");
        snprintf(file, sizeof file, "{\"%s\": \"%s\"}", name, bad[i]);
        expect_refused(file, first, "60+10/60s");
    }
    expect_refused("{\"rate_snapshots_per_connection\": 1.5}", "cannot be 1.5", "60+10/60s");
    expect_refused("{\"rate_snapshots_per_connection\": -1}", "cannot be -1", "60+10/60s");
    expect_refused("{\"rate_snapshots_per_connection\": true}", "cannot be true", "60+10/60s");
    config_fini(&config);
}

/* One by one and mixed with the text: whatever comes last holds. */
TEST(the_older_names_of_rates_hold)
{
    struct config config;
    struct error error = {0};
    assert_true(config_init(&config, &error));
    assert_true(config_rates_untouched(&config));
    assert_true(
        config_read_file(&config,
                         test_file("config.json", "{\"rate_snapshots_per_connection_burst\": 0, "
                                                  "\"rate_snapshots_per_connection\": 7}"),
                         &error));
    expect_rate(&config, 7, 0, 60, "7/60s");
    assert_false(config_rates_untouched(&config));
    assert_true(config_set(&config, "rate_snapshots_per_connection_seconds", "3600", &error));
    expect_rate(&config, 7, 0, 3600, "7/3600s");
    assert_true(config_set(&config, "rate_snapshots_per_connection", "2+1/1m", &error));
    assert_true(config_set(&config, "rate_snapshots_per_connection_burst", "9", &error));
    expect_rate(&config, 2, 9, 60, "2+9/60s");
    expect_refused("{\"rate_snapshots_per_connection_burst\": \"1/1m\"}",
                   "\"rate_snapshots_per_connection_burst\" cannot be", "from 0 to 1000000000");
    expect_refused("{\"rate_snapshots_per_connection_seconds\": 0}",
                   "\"rate_snapshots_per_connection_seconds\" cannot be 0", "from 1 to 86400");
    config_fini(&config);
}

TEST(proxies_are_checked)
{
    struct config config;
    struct error error = {0};
    assert_true(config_init(&config, &error));
    assert_null(config.trusted_proxies);
    assert_string_equal(config.proxy_header, "X-Forwarded-For");
    assert_true(config_set(&config, "trusted_proxies", "10.0.0.0/8, ::1", &error));
    assert_false(config_set(&config, "trusted_proxies", "10.0.0.0/8, proxy", &error));
    assert_non_null(strstr(error.message, "trusted_proxies"));
    assert_non_null(strstr(error.message, "'proxy'"));
    assert_true(config_set(&config, "proxy_header", "CF-Connecting-IP", &error));
    assert_false(config_set(&config, "proxy_header", "X-Real-IP:", &error));
    assert_string_equal(config.proxy_header, "CF-Connecting-IP");
    config_fini(&config);
}

TEST(exposure_takes_an_explicit_word)
{
    const char *const good[] = {"127.0.0.1:1", "127.8.8.8:0", "localhost:1", "[::1]:1", ""};
    const char *const bad[] = {"0.0.0.0:1",           "192.0.2.1:1",   "[::]:1",
                               "localhost.example:1", "example.org:1", "127.0.0.1.example.org:1",
                               "127.example:1"};
    struct config config;
    struct error error = {0};
    assert_true(config_init(&config, &error));
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(config_set(&config, "listen", good[i], &error));
        assert_true(config_check_exposure(&config, &error));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_true(config_set(&config, "health", bad[i], &error));
        assert_false(config_check_exposure(&config, &error));
        assert_non_null(strstr(error.message, bad[i]));
    }
    config_fini(&config);
}

TEST(the_published_schema_is_the_table)
{
    struct buffer schema, published;
    struct error error = {0};
    buffer_init(&schema, 1 << 20);
    buffer_init(&published, 1 << 20);
    assert_true(config_schema(&schema));
    FILE *file = fopen(STELE_SOURCE_DIR "/docs/config.schema.json", "r");
    assert_non_null(file);
    char *room = buffer_reserve(&published, 1 << 19);
    published.length = fread(room, 1, 1 << 19, file);
    fclose(file);
    assert_string_equal(buffer_string(&schema), buffer_string(&published));
    struct tree *tree = tree_parse(buffer_span(&schema), &error);
    assert_non_null(tree);
    tree_free(tree);
    buffer_fini(&schema);
    buffer_fini(&published);
}

/* With the Nth allocation failing, each call succeeds or says so, and nothing leaks. */
TEST(running_out_of_memory_is_an_error)
{
    const char *path =
        test_file("config.json", "{\"database\":\"a.db\",\"exports\":{\"Q\":{\"views\":{\"v\":"
                                 "{\"fields\":[\"a.b\"],\"keys\":[\"k\"]}}}}}");
    bool hit = true;
    for (uint64_t nth = 1; hit; nth++) {
        struct config config;
        struct error error = {0};
        memory_fail_at(nth, 0);
        bool good = config_init(&config, &error);
        if (good) {
            good = config_read_file(&config, path, &error);
            config_fini(&config);
        }
        hit = memory_fault_hit();
        memory_fail_at(0, 0);
        assert_true(good || error.code != ERROR_NONE);
        assert_true(hit || good);
    }
}

/* ---- "log" ---- */

TEST(the_log_is_an_object_that_prints_itself)
{
    struct config config, again;
    struct error error;
    struct buffer text, second;
    const char *file = "{\"log\": {\"nats\": [\"nats://a:1\", \"nats://b:2\"], \"stream\": \"s\","
                       " \"subject\": \"s.in\", \"max_lag_seconds\": 5, \"max_write_seconds\": 3}}";
    assert_true(config_init(&config, &error) && config_init(&again, &error));
    assert_true(config_check_log(&config, &error)); /* none is fine */
    assert_true(config_read_file(&config, test_file("config.json", file), &error));
    assert_string_equal(config.log.nats, "nats://a:1, nats://b:2");
    assert_int_equal(config.log.max_lag_seconds, 5);
    assert_int_equal(config.log.max_write_seconds, 3);
    assert_true(config_check_log(&config, &error));
    buffer_init(&text, 1 << 16);
    buffer_init(&second, 1 << 16);
    assert_true(config_print(&config, CONFIG_FOR_OPERATOR, &text));
    assert_true(config_read_file(&again, test_file("config.json", buffer_string(&text)), &error));
    assert_true(config_print(&again, CONFIG_FOR_OPERATOR, &second));
    assert_string_equal(buffer_string(&text), buffer_string(&second));
    assert_true(config_set(&again, "log", "{\"stream\": \"s\"}", &error)); /* replaces all of it */
    assert_null(again.log.nats);
    assert_int_equal(again.log.max_lag_seconds, 30);
    assert_false(config_check_log(&again, &error));
    buffer_fini(&second);
    buffer_fini(&text);
    config_fini(&config);
    config_fini(&again);
}

TEST(a_server_follows_a_stream_or_another_server)
{
    static const struct {
        const char *log;
        bool good;
    } cases[] = {
        {"{\"from\":\"https://a\",\"token_file\":\"t\",\"ca_file\":\"c\"}", true},
        {"{\"from\":\"http://a:1/b\",\"max_lag_seconds\":5}", true},
        {"{\"from\":\"http://a\",\"stream\":\"s\"}", false},
        {"{\"from\":\"http://a\",\"nats\":\"nats://a:1\",\"stream\":\"s\"}", false},
        {"{\"from\":\"http://a\",\"credentials_file\":\"c\"}", false},
        {"{\"token_file\":\"t\"}", false},
        {"{\"nats\":\"tls://a:1\",\"stream\":\"s\",\"ca_file\":\"c\"}", true},
    };
    struct config config;
    struct error error;
    assert_true(config_init(&config, &error));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(config_set(&config, "log", cases[i].log, &error));
        if (config_check_log(&config, &error) != cases[i].good)
            fail_msg("%s: %s", cases[i].log, error.message);
    }
    config_fini(&config);
}

TEST(members_of_the_log_are_checked)
{
    static const char *const bad[][2] = {
        {"log.nats", "a:4222"},        {"log.nats", "nats://"},      {"log.nats", "nats://u:p@a:1"},
        {"log.nats", "tls://"},        {"log.nats", ", "},           {"log.stream", "a.b"},
        {"log.stream", "a b"},         {"log.stream", "a*"},         {"log.subject", "a.>"},
        {"log.subject", "a b"},        {"log.max_lag_seconds", "0"}, {"log", "[]"},
        {"log", "{\"streem\":\"s\"}"}, {"log", "{\"nats\":7}"},      {"log.from", "ws://a"},
        {"log.from", "http://"},       {"log.from", "http://u@a"},   {"log.from", "http://a?b"},
    };
    struct config config;
    struct error error;
    assert_true(config_init(&config, &error));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (config_set(&config, bad[i][0], bad[i][1], &error))
            fail_msg("%s=%s", bad[i][0], bad[i][1]);
        assert_non_null(strstr(error.message, "log"));
    }
    config_fini(&config);
}
