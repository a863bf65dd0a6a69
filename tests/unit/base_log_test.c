#include "base/base.h"
#include "stderr_capture.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>

/* The linker takes these instead of the library's, so that the test decides what time it is. */
static uint64_t now_us = 1;

uint64_t clock_monotonic_us(void)
{
    return now_us;
}

int64_t clock_wall_ms(void)
{
    return INT64_C(1709210096007); /* in a leap year, and with a leading zero in the ms */
}

#define TIME "2024-02-29T12:34:56.007Z"

/* Each test starts late enough for all held-back lines of the one before to be forgotten. */
static void capture(void)
{
    now_us += 100 * 1000 * 1000;
    log_configure(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT, NULL);
    stderr_capture();
}

TEST_EACH(capture, stderr_release)

static size_t lines_in(const char *text)
{
    size_t lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

TEST(text_lines)
{
    log_warning("store", "slow-write", log_text("file", "a b"), log_number("ms", 12));
    assert_string_equal(stderr_captured(), TIME " warning store slow-write file=\"a b\" ms=12\n");
    log_info("server", "started");
    assert_string_equal(stderr_captured(), TIME " info server started\n");
    log_error("server", "gone", log_word("a", ""), log_word("b", NULL), log_text("c", NULL));
    assert_string_equal(stderr_captured(), TIME " error server gone a=\"\" b=\"\" c=\"\"\n");
    /* A text is quoted always, a word when it needs it. */
    log_info("server", "quoted", log_word("a", "plain"), log_word("b", "two words"),
             log_text("c", "plain"), log_text("d", "plain text"), log_word("e", "x=y"));
    assert_string_equal(stderr_captured(),
                        TIME " info server quoted a=plain b=\"two words\" c=\"plain\" "
                             "d=\"plain text\" e=\"x=y\"\n");
    log_info("server", "borrowed", log_span("a", span_make("abcdef", 3)),
             log_span("b", (struct span){0}), log_beside("c", "/x/y.db", "-lock"),
             log_text(NULL, "left out"), log_word("d", "e"));
    assert_string_equal(stderr_captured(),
                        TIME " info server borrowed a=\"abc\" b=\"\" c=\"/x/y.db-lock\" d=e\n");
}

TEST(numbers_of_every_type)
{
    for (int json = 0; json < 2; json++) {
        log_configure(LOG_LEVEL_DEBUG, json ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT, NULL);
        log_info("a", "numbers", log_number("d", -3), log_number("u", 4000000000U),
                 log_number("h", (uint16_t)65535), log_number("z", (size_t)7),
                 log_number("l", INT64_C(-9000000000)), log_number("t", true),
                 log_number("least", INT64_MIN), log_number("ul", UINT64_MAX),
                 log_number("plain", (INT64_C(1) << 53) - 1), log_number("not", INT64_C(1) << 53));
        assert_non_null(strstr(stderr_captured(),
                               json
                                   ? ",\"d\":-3,\"u\":4000000000,\"h\":65535,\"z\":7,"
                                     "\"l\":-9000000000,\"t\":1,\"least\":\"-9223372036854775808\","
                                     "\"ul\":\"18446744073709551615\",\"plain\":9007199254740991,"
                                     "\"not\":\"9007199254740992\"}\n"
                                   : " d=-3 u=4000000000 h=65535 z=7 l=-9000000000 t=1 "
                                     "least=-9223372036854775808 ul=18446744073709551615 "
                                     "plain=9007199254740991 not=9007199254740992\n"));
    }
}

TEST(json_lines)
{
    log_configure(LOG_LEVEL_DEBUG, LOG_FORMAT_JSON, NULL);
    log_debug("wire", "odd", log_text("text", "a\\b\"\n\x01\xFF\xC3\xA9"), log_number("n", -5),
              log_number("big", 9007199254740993ULL), log_word("digits", "7"),
              log_word("bare", "word"));
    assert_string_equal(stderr_captured(),
                        "{\"time\":\"" TIME
                        "\",\"level\":\"debug\",\"component\":\"wire\",\"event\":\"odd\","
                        "\"text\":\"a\\\\b\\\"\\n\\u0001\xEF\xBF\xBD\xC3\xA9\",\"n\":-5,"
                        "\"big\":\"9007199254740993\",\"digits\":\"7\","
                        "\"bare\":\"word\"}\n");
    log_info("wire", "plain");
    assert_string_equal(stderr_captured(),
                        "{\"time\":\"" TIME "\",\"level\":\"info\",\"component\":\"wire\","
                        "\"event\":\"plain\"}\n");
}

TEST(nothing_can_be_forged)
{
    /* Control characters, invalid UTF-8, line separators, text that turns around. */
    log_info("wire", "odd-text",
             log_word("name", "a\nb\x1B[0m\xFF\r\x7F\xC2\x85\xE2\x80\xA8\xE2\x80\xAE"));
    assert_string_equal(stderr_captured(),
                        TIME " info wire odd-text name=\"a\\nb\\u001b[0m\xEF\xBF\xBD\\r"
                             "\\u007f\\u0085\\u2028\\u202e\"\n");
    /* A value that would end its quotes and begin a field of its own. */
    log_info("wire", "forged-field", log_text("name", "x\" code=fine y=\""),
             log_word("code", "refused"));
    assert_string_equal(stderr_captured(),
                        TIME " info wire forged-field name=\"x\\\" code=fine y=\\\"\" "
                             "code=refused\n");
    log_info("wire", "forged-bare", log_word("name", "x code=fine"));
    assert_string_equal(stderr_captured(), TIME " info wire forged-bare name=\"x code=fine\"\n");
    log_configure(LOG_LEVEL_DEBUG, LOG_FORMAT_JSON, NULL);
    log_info("wire", "forged-json", log_text("name", "x\",\"code\":\"fine"),
             log_word("code", "refused"));
    assert_non_null(strstr(stderr_captured(),
                           "\"name\":\"x\\\",\\\"code\\\":\\\"fine\",\"code\":\"refused\"}\n"));
}

TEST(what_looks_like_a_token_is_left_out)
{
#define TOKEN "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJlLXNpZ25hdHVyZQ-_x"
    log_info("server", "leak", log_text("view", "a/" TOKEN "?b"), log_number("after", 1));
    assert_string_equal(stderr_captured(), TIME " info server leak view=\"a/[token]?b\" after=1\n");
    log_info("server", "leak-two", log_word("a", TOKEN ",eyJshort"));
    assert_string_equal(stderr_captured(), TIME " info server leak-two a=[token],eyJshort\n");
}

/* Lines are counted when they are written, or held back. */
static bool is_logged(const char *component, enum log_level level)
{
    uint64_t before = log_counts().lines[level];
    log_at(level, component, "probe");
    stderr_captured();
    return log_counts().lines[level] > before;
}

TEST(levels_are_respected_and_errno_kept)
{
    log_configure(LOG_LEVEL_WARNING, LOG_FORMAT_TEXT, NULL);
    assert_true(is_logged("hub", LOG_LEVEL_ERROR));
    assert_true(is_logged("hub", LOG_LEVEL_WARNING));
    assert_false(is_logged("hub", LOG_LEVEL_INFO));
    log_info("a", "level");
    assert_string_equal(stderr_captured(), "");
    int kept = dup(STDERR_FILENO);
    errno = ENOSPC;
    close(STDERR_FILENO);
    log_error("a", "level");
    assert_int_equal(errno, ENOSPC);
    dup2(kept, STDERR_FILENO);
    close(kept);
}

TEST(components_have_levels_of_their_own)
{
    struct error error;
    assert_true(log_configure(LOG_LEVEL_WARNING, LOG_FORMAT_TEXT, "server=debug,hub=error"));
    assert_true(is_logged("server", LOG_LEVEL_DEBUG));
    assert_false(is_logged("hub", LOG_LEVEL_WARNING));
    assert_true(is_logged("store", LOG_LEVEL_WARNING));
    assert_false(is_logged("store", LOG_LEVEL_INFO));
    assert_true(is_logged("of-no-list", LOG_LEVEL_WARNING));
    log_debug("server", "components");
    assert_string_equal(stderr_captured(), TIME " debug server components\n");
    /* What is wrong changes nothing. */
    assert_false(log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON, "store=info,hub=loud"));
    assert_false(log_check_levels("store=info,hub=loud", &error));
    assert_int_equal(error.code, ERROR_CONFIGURATION);
    assert_non_null(strstr(error.message, "hub=loud"));
    assert_non_null(strstr(error.message, "error, warning, info, debug"));
    assert_false(is_logged("store", LOG_LEVEL_INFO));
    assert_true(is_logged("server", LOG_LEVEL_DEBUG));
    assert_false(log_check_levels("sever=debug", &error));
    assert_non_null(strstr(error.message, "\"sever\""));
    assert_non_null(strstr(error.message, "server"));
    assert_false(log_check_levels("server", &error));
    assert_false(log_check_levels("server=", &error));
    assert_false(log_check_levels(",", &error));
    assert_true(log_check_levels("audit=error", &error));
    assert_true(log_configure(LOG_LEVEL_WARNING, LOG_FORMAT_TEXT, ""));
    assert_false(is_logged("server", LOG_LEVEL_INFO));
    assert_true(is_logged("hub", LOG_LEVEL_WARNING));
}

TEST(long_lines_are_cut)
{
    static char text[20000];
    memset(text, '"', sizeof text - 1);
    /* A value is cut by itself, so that the fields behind it are there. */
    log_info("a", "long", log_word("text", text), log_number("code", 7));
    const char *line = stderr_captured();
    assert_in_range(strlen(line), 1200, 1400);
    assert_non_null(strstr(line, "\\\"\xE2\x80\xA6\" code=7\n"));
    memset(text, 1, sizeof text - 1);
    for (int json = 0; json < 2; json++) {
        log_configure(LOG_LEVEL_INFO, json ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT, NULL);
        log_info("a", "longer", log_word("one", text), log_word("two", text),
                 log_number("code", 7));
        line = stderr_captured();
        assert_in_range(strlen(line), 3900, 4096);
        const char *end = json ? "\xE2\x80\xA6\",\"cut\":true}\n" : "\xE2\x80\xA6\" cut=true\n";
        assert_string_equal(line + strlen(line) - strlen(end), end);
        log_info(text, "long", log_number("code", 7));
        line = stderr_captured();
        assert_in_range(strlen(line), 3900, 4096);
        assert_non_null(strstr(line, json ? ",\"cut\":true}\n" : " cut=true\n"));
    }
    /* A character of several bytes is not cut in two. */
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, NULL);
    for (size_t i = 0; i + 3 < sizeof text; i += 2)
        memcpy(text + i, "\xC3\xA9", 3);
    log_info("a", "characters", log_beside("text", "x", text));
    line = stderr_captured();
    assert_null(strstr(line, "\xEF\xBF\xBD"));
    assert_non_null(strstr(line, "\xC3\xA9\xE2\x80\xA6\"\n"));
}

TEST(repeats_are_held_back_and_counted)
{
    for (int i = 0; i < 35; i++)
        log_info("source", "refused", log_number("n", i));
    const char *text = stderr_captured();
    assert_int_equal(lines_in(text), 10);
    assert_non_null(strstr(text, "n=9\n"));
    log_info("source", "other"); /* another event is not held back */
    assert_string_equal(stderr_captured(), TIME " info source other\n");
    now_us += 10 * 1000 * 1000 - 1;
    log_info("source", "refused", log_word("n", "late"));
    assert_string_equal(stderr_captured(), "");
    now_us += 1;
    log_info("source", "refused", log_number("n", 99));
    assert_string_equal(stderr_captured(), TIME " info source refused n=99 held_back=26\n");
    log_info("source", "refused");
    assert_string_equal(stderr_captured(), TIME " info source refused\n");
}

TEST(held_count_without_fields_and_in_json)
{
    for (int i = 0; i < 12; i++)
        log_info("source", "bare");
    stderr_captured();
    now_us += 10 * 1000 * 1000;
    for (int i = 0; i < 11; i++)
        log_info("source", "bare");
    assert_int_equal(strncmp(stderr_captured(), TIME " info source bare held_back=2\n", 50), 0);
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON, NULL);
    now_us += 10 * 1000 * 1000;
    log_info("source", "bare");
    assert_non_null(strstr(stderr_captured(), "\"event\":\"bare\",\"held_back\":1}\n"));
}

TEST(what_was_held_is_told_in_the_end)
{
    for (int i = 0; i < 15; i++)
        log_warning("source", "burst", log_number("n", i));
    stderr_captured();
    log_tick();
    assert_string_equal(stderr_captured(), "");
    now_us += 10 * 1000 * 1000;
    log_tick();
    assert_string_equal(stderr_captured(), TIME " warning source burst held_back=5\n");
    log_tick();
    assert_string_equal(stderr_captured(), "");
}

TEST(audit_lines_are_held_back_much_later)
{
    for (int i = 0; i < 1500; i++)
        log_info("audit", "flood", log_number("n", i));
    assert_int_equal(lines_in(stderr_captured()), 1000);
    now_us += 10 * 1000 * 1000;
    log_tick();
    assert_string_equal(stderr_captured(), TIME " info audit flood held_back=500\n");
}

TEST(many_events_do_not_disturb)
{
    for (int i = 0; i < 3000; i++) {
        char event[20];
        snprintf(event, sizeof event, "event-%d", i);
        log_info("many", event);
    }
    assert_int_equal(lines_in(stderr_captured()), 3000);
}

static void *log_often(void *argument)
{
    char event[20];
    for (int i = 0; i < 200; i++) {
        snprintf(event, sizeof event, "thread-%d", i / 5);
        log_info(argument, event, log_number("n", i));
    }
    return NULL;
}

TEST(threads_do_not_mix_lines)
{
    char names[4][2] = {"a", "b", "c", "d"};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, log_often, names[i]);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    const char *text = stderr_captured();
    assert_int_equal(lines_in(text), 800);
    for (const char *line = text; *line; line = strchr(line, '\n') + 1)
        assert_int_equal(strncmp(line, TIME " info ", 30), 0);
}

static char captured[200000];

static size_t drain(int descriptor)
{
    ssize_t length = 0, total = 0;
    while (total < (ssize_t)sizeof captured - 1 &&
           (length = read(descriptor, captured + total, sizeof captured - 1 - (size_t)total)) > 0)
        total += length;
    captured[total] = '\0';
    return (size_t)total;
}

TEST(nobody_hangs_for_a_reader_that_hangs)
{
    int ends[2];
    uint64_t before = log_counts().lost;
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    /* The end that is written to blocks, as a pipe does that a shell made. */
    assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    char text[601];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < 1000; i++)
        log_info("audit", "unread", log_number("n", i), log_word("text", text));
    uint64_t lost = log_counts().lost - before;
    assert_in_range(lost, 800, 950); /* 64 KiB went in */
    drain(ends[0]);
    assert_int_equal(lines_in(captured), 1000 - lost);
    assert_int_equal(captured[strlen(captured) - 1], '\n');
    log_info("server", "read");
    char told[120];
    snprintf(told, sizeof told,
             TIME " warning server log-lines-lost lines=%llu\n" TIME " info server read\n",
             (unsigned long long)lost);
    drain(ends[0]);
    assert_string_equal(captured, told);
    log_info("server", "read");
    drain(ends[0]);
    assert_string_equal(captured, TIME " info server read\n");
    close(ends[0]);
}
