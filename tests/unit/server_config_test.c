/*
 * The configuration: defaults, the order of its sources, and that what is wrong is named along
 * with what is allowed. The published schema must be what the table says.
 */
#include "server/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/stele-config-XXXXXX";

static const char *write_file(const char *text)
{
    static char path[64];
    snprintf(path, sizeof(path), "%s/config.json", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    fclose(file);
    return path;
}

static void expect_refused(const char *text, const char *first, const char *second)
{
    struct config config;
    struct error error = {0};
    assert_true(config_init(&config, &error));
    assert_false(config_read_file(&config, write_file(text), &error));
    assert_int_equal(error.code, ERROR_CONFIGURATION);
    if (!strstr(error.message, first) || !strstr(error.message, second))
        fail_msg("%s\ngives: %s\nwanted: %s, %s", text, error.message, first, second);
    config_fini(&config);
}

static void defaults_are_as_documented(void **state)
{
    (void)state;
    struct config config;
    struct error error = {0};
    assert_true(config_init(&config, &error));
    assert_null(config.database);
    assert_string_equal(config.listen, "127.0.0.1:8877");
    assert_string_equal(config.health, "127.0.0.1:8081");
    assert_int_equal(config.synchronous, STORE_SYNCHRONOUS_FULL);
    assert_int_equal(config.log_level, LOG_LEVEL_INFO);
    assert_int_equal(config.retention_rows, 1000000);
    assert_int_equal(config.retention_seconds, 86400);
    assert_int_equal(config.retention_bytes, 1 << 30);
    assert_int_equal(config.max_array_length, 100);
    assert_int_equal(config.max_connections, 10000);
    assert_int_equal(config.client_timeout_seconds, 300);
    assert_int_equal(config.readers, 2);
    assert_int_equal(config.export_count, 0);
    assert_true(config_check_exposure(&config, &error));
    config_fini(&config);
}

static void a_file_sets_what_it_names(void **state)
{
    (void)state;
    struct config config;
    struct error error = {0};
    assert_true(config_init(&config, &error));
    const char *path = write_file(
        "{\"$schema\":\"config.schema.json\",\"database\":\"a.db\",\"listen\":\"[::1]:0\","
        "\"health\":\"\",\"synchronous\":\"off\",\"log_level\":\"debug\",\"readers\":4,"
        "\"exports\":{\"Quake\":{\"max_entities\":1000,\"scope\":[\"a.b\",\"c\"],\"views\":{"
        "\"slim\":{\"mode\":\"append\","
        "\"fields\":[\"id\",\"geo.lat\"],\"keys\":[\"k1\"]}}},\"Network\":{}}}");
    assert_true(config_read_file(&config, path, &error));
    assert_string_equal(config.database, "a.db");
    assert_string_equal(config.listen, "[::1]:0");
    assert_string_equal(config.health, "");
    assert_int_equal(config.synchronous, STORE_SYNCHRONOUS_OFF);
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
static void what_is_printed_can_be_read(void **state)
{
    (void)state;
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
    assert_true(config_print(&config, &first));
    assert_true(config_read_file(&copy, write_file(buffer_string(&first)), &error));
    assert_true(config_print(&copy, &second));
    assert_string_equal(buffer_string(&first), buffer_string(&second));
    config_fini(&config);
    config_fini(&copy);
    buffer_fini(&first);
    buffer_fini(&second);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    expect_refused("{\"reader\":2}", "unknown setting \"reader\"", "did you mean \"readers\"");
    expect_refused("{\"zzz\":2}", "unknown setting \"zzz\"", "--help");
    expect_refused("{\"readers\":99}", "\"readers\" cannot be 99", "from 1 to 16");
    expect_refused("{\"readers\":\"2\"}", "\"readers\" cannot be \"2\"", "a whole number");
    expect_refused("{\"readers\":2.5}", "cannot be 2.5", "a whole number");
    expect_refused("{\"synchronous\":\"ful\"}", "cannot be ful", "full, normal or off");
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

static void stack_files_and_exports_make_one_set(void **state)
{
    (void)state;
    struct config config;
    struct error error = {0};
    char path[64];
    assert_true(config_init(&config, &error));
    snprintf(
        path, sizeof(path), "%s",
        write_file("{\"entities\":[{\"state_name\":\"Round\",\"views\":[{\"id\":"
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
    assert_true(view_set_has_export(views, span_of("Miner")));
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

static void a_missing_file_is_named(void **state)
{
    (void)state;
    struct config config;
    struct error error = {0};
    assert_true(config_init(&config, &error));
    assert_false(config_read_file(&config, "/nowhere/config.json", &error));
    assert_non_null(strstr(error.message, "/nowhere/config.json"));
    config_fini(&config);
}

static void one_setting_by_name(void **state)
{
    (void)state;
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

static void the_environment_is_read_or_refused(void **state)
{
    (void)state;
    struct config config;
    struct error error = {0};
    assert_true(config_init(&config, &error));
    setenv("ARETE_WS_CLIENT_TIMEOUT_SECS", "17", 1);
    setenv("ARETE_WS_DEFAULT_MAX_SUBSCRIPTIONS", "18", 1);
    setenv("ARETE_WS_MESSAGE_QUEUE_SIZE", "anything", 1);
    setenv("ARETE_RATE_LIMITING_ENABLED", "true", 1);
    assert_true(config_read_environment(&config, &error));
    assert_int_equal(config.client_timeout_seconds, 17);
    assert_int_equal(config.max_subscriptions, 18);
    assert_true(config_read_file(&config, write_file("{\"max_subscriptions\":19}"), &error));
    assert_int_equal(config.max_subscriptions, 19);
    setenv("ARETE_WS_CLIENT_TIMEOUT_SECS", "5m", 1);
    assert_false(config_read_environment(&config, &error));
    assert_non_null(strstr(error.message, "ARETE_WS_CLIENT_TIMEOUT_SECS"));
    assert_non_null(strstr(error.message, "5m"));
    unsetenv("ARETE_WS_CLIENT_TIMEOUT_SECS");
    unsetenv("ARETE_WS_DEFAULT_MAX_SUBSCRIPTIONS");
    config_fini(&config);
}

static void exposure_takes_an_explicit_word(void **state)
{
    (void)state;
    const char *const good[] = {"127.0.0.1:1", "127.8.8.8:0", "localhost:1", "[::1]:1", ""};
    const char *const bad[] = {"0.0.0.0:1", "192.0.2.1:1", "[::]:1", "localhost.example:1",
                               "example.org:1"};
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

static void the_published_schema_is_the_table(void **state)
{
    (void)state;
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
static void running_out_of_memory_is_an_error(void **state)
{
    (void)state;
    const char *path = write_file("{\"database\":\"a.db\",\"exports\":{\"Q\":{\"views\":{\"v\":"
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

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof(path), "%s/config.json", folder);
    unlink(path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_as_documented),
        cmocka_unit_test(a_file_sets_what_it_names),
        cmocka_unit_test(what_is_printed_can_be_read),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(stack_files_and_exports_make_one_set),
        cmocka_unit_test(a_missing_file_is_named),
        cmocka_unit_test(one_setting_by_name),
        cmocka_unit_test(the_environment_is_read_or_refused),
        cmocka_unit_test(exposure_takes_an_explicit_word),
        cmocka_unit_test(the_published_schema_is_the_table),
        cmocka_unit_test(running_out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
