/*
 * Command lines: what is parsed, and that what is wrong is named.
 */
#include "cli/ingest.h"
#include "cli/serve.h"
#include "cli/subscribe.h"
#include "test.h"

enum { ARGUMENTS = 32 };

/* Split a command line at its spaces; the result points into `text`. */
static int split(char *text, char *arguments[ARGUMENTS])
{
    int count = 0;
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) {
        assert_true(count < ARGUMENTS);
        arguments[count++] = word;
    }
    return count;
}

static enum command_parse parse(const struct command *command, const char *line, void *options,
                                struct error *error)
{
    static char text[256];
    char *arguments[ARGUMENTS];
    snprintf(text, sizeof(text), "%s", line);
    int count = split(text, arguments);
    return command_parse(command, count, arguments, options, error);
}

TEST(serve_options_are_parsed)
{
    struct serve_options options = {0};
    struct error error = {0};
    assert_int_equal(parse(&serve_command,
                           "serve --db a.db --listen=[::1]:0 --set a=1 --set b=c=d "
                           "--stack one.json --stack=two=2.json "
                           "--synchronous off --memory 1000 --check-config --insecure",
                           &options, &error),
                     PARSE_DONE);
    assert_string_equal(options.database, "a.db");
    assert_string_equal(options.listen, "[::1]:0");
    assert_null(options.health);
    assert_int_equal(options.settings.count, 2);
    assert_string_equal(options.settings.items[1], "b=c=d");
    assert_true(options.check_config && options.insecure && !options.print_schema);

    const char *settings[6];
    char *made[4];
    stele_options library;
    assert_true(serve_to_library(&options, settings, made, &library));
    assert_int_equal(library.setting_count, 6);
    assert_string_equal(library.settings[2], "stack=one.json");
    assert_string_equal(library.settings[3], "stack=two=2.json");
    assert_string_equal(library.settings[4], "synchronous=off");
    assert_string_equal(library.settings[5], "memory=1000");
    assert_true(library.serve && library.use_environment && library.insecure);
    for (size_t i = 0; i < 4; i++)
        memory_free(made[i]);
    memory_free(options.settings.items);
    memory_free(options.stacks.items);
}

TEST(ingest_options_are_parsed)
{
    struct ingest_options options = INGEST_OPTIONS_INIT;
    struct error error = {0};
    assert_int_equal(
        parse(&ingest_command, "ingest --batch 7 --producer me -- --odd.ndjson", &options, &error),
        PARSE_DONE);
    assert_string_equal(options.url, "ws://127.0.0.1:8877");
    assert_string_equal(options.producer, "me");
    assert_int_equal(options.batch, 7);
    assert_int_equal(options.rate, 0);
    assert_string_equal(options.operands.items[0], "--odd.ndjson");
    memory_free(options.operands.items);
    options = (struct ingest_options)INGEST_OPTIONS_INIT;
    assert_int_equal(parse(&ingest_command, "ingest -", &options, &error), PARSE_DONE);
    assert_string_equal(options.operands.items[0], "-");
    memory_free(options.operands.items);
}

TEST(subscribe_options_are_parsed)
{
    struct subscribe_options options = SUBSCRIBE_OPTIONS_INIT;
    struct error error = {0};
    assert_int_equal(parse(&subscribe_command,
                           "subscribe Q/list --key k --after 1:2 --epoch e --limit 0 "
                           "--no-snapshot --count 3 --follow",
                           &options, &error),
                     PARSE_DONE);
    assert_string_equal(options.operands.items[0], "Q/list");
    assert_string_equal(options.key, "k");
    assert_int_equal(options.limit, 0);
    assert_int_equal(options.count, 3);
    assert_true(options.no_snapshot && options.follow);
    memory_free(options.operands.items);
}

static void expect_wrong(const struct command *command, const char *line, const char *says)
{
    /* Large enough for the options of any command. */
    struct {
        struct serve_options serve;
        struct ingest_options ingest;
        struct subscribe_options subscribe;
    } options = {0};
    struct error error = {0};
    assert_int_equal(parse(command, line, &options, &error), PARSE_WRONG);
    if (!strstr(error.message, says))
        fail_msg("%s\ngives: %s\nwanted: %s", line, error.message, says);
}

TEST(what_is_wrong_is_named)
{
    expect_wrong(&serve_command, "serve --lisen x", "did you mean --listen?");
    expect_wrong(&serve_command, "serve --zzzzzz x", "--zzzzzz");
    expect_wrong(&serve_command, "serve --db", "--db needs a value: FILE");
    expect_wrong(&serve_command, "serve --insecure=yes", "--insecure takes no value");
    expect_wrong(&serve_command, "serve -x", "-x");
    expect_wrong(&serve_command, "serve extra", "\"extra\" is one argument too many");
    expect_wrong(&ingest_command, "ingest --batch 0", "from 1 to 100000");
    expect_wrong(&ingest_command, "ingest --batch 1e3", "\"1e3\"");
    expect_wrong(&ingest_command, "ingest --batch 99999999999999999999", "--batch cannot be");
    expect_wrong(&subscribe_command, "subscribe", "VIEW");
    expect_wrong(&subscribe_command, "subscribe --count many v", "--count");
    expect_wrong(&version_command, "version more", "\"more\"");
}

TEST(help_is_asked_for_anywhere)
{
    struct serve_options options = {0};
    struct error error = {0};
    assert_int_equal(parse(&serve_command, "serve --db a --help", &options, &error), PARSE_HELP);
    assert_int_equal(parse(&version_command, "version -h", NULL, &error), PARSE_HELP);
}

/* ---- what subscribe asks for, and how it goes on ---- */

static void expect_request(const struct subscribe_options *options,
                           const struct subscribe_cursor *cursor, const char *expected)
{
    struct buffer text;
    buffer_init(&text, 4096);
    assert_true(subscribe_print(&text, options, cursor));
    assert_string_equal(buffer_string(&text), expected);
    buffer_fini(&text);
}

static void note(struct subscribe_cursor *cursor, const char *frame)
{
    struct subscribe_error problem;
    assert_true(subscribe_note(cursor, span_of(frame), &problem));
}

TEST(a_subscription_resumes_behind_its_last_frame)
{
    const char *view = "Q/list";
    struct subscribe_options options = SUBSCRIBE_OPTIONS_INIT;
    options.operands = (struct option_texts){&view, 1};
    options.no_snapshot = true;
    options.limit = 5;
    struct subscribe_cursor cursor = {{0}, {0}};
    const char *fresh = "{\"type\":\"subscribe\",\"view\":\"Q/list\",\"withSnapshot\":false,"
                        "\"snapshotLimit\":5}";
    expect_request(&options, &cursor, fresh);
    note(&cursor, "{\"op\":\"subscribed\",\"view\":\"Q/list\",\"mode\":\"list\",\"epoch\":\"e1\"}");
    expect_request(&options, &cursor, fresh);
    note(&cursor, "{\"mode\":\"list\",\"op\":\"snapshot\",\"data\":[],\"complete\":false}");
    expect_request(&options, &cursor, fresh);
    note(&cursor, "{\"mode\":\"list\",\"op\":\"patch\",\"key\":\"seq\",\"data\":{\"seq\":\"9:9\"},"
                  "\"seq\":\"1:000000000002\"}");
    expect_request(&options, &cursor,
                   "{\"type\":\"subscribe\",\"view\":\"Q/list\",\"after\":\"1:000000000002\","
                   "\"epoch\":\"e1\"}");
    note(&cursor, "{\"op\":\"subscribed\",\"epoch\":\"e1\",\"resumed\":true}");
    assert_string_equal(cursor.seq, "1:000000000002");
    /* A fresh snapshot replaces what we had, so the old place is worth nothing any more. */
    note(&cursor, "{\"op\":\"subscribed\",\"epoch\":\"e2\",\"resumed\":false}");
    assert_string_equal(cursor.seq, "");
    assert_string_equal(cursor.epoch, "e2");
}

TEST(error_messages_are_told_apart)
{
    struct subscribe_cursor cursor = {{0}, {0}};
    struct subscribe_error problem = {{0}, false, false};
    assert_false(subscribe_note(&cursor,
                                span_of("{\"type\":\"error\",\"message\":\"no\",\"fatal\":true,"
                                        "\"retryable\":false}"),
                                &problem));
    assert_string_equal(problem.message, "no");
    assert_true(problem.fatal && !problem.retryable);
}
