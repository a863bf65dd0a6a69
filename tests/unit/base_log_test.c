#include "base/base.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

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

static FILE *file;
static int real_stderr;
static char captured[200000];

/* Each test starts late enough for all held-back lines of the one before to be forgotten. */
static int capture(void **state)
{
    (void)state;
    now_us += 100 * 1000 * 1000;
    log_configure(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
    file = tmpfile();
    real_stderr = dup(STDERR_FILENO);
    return file && real_stderr >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0 ? 0 : -1;
}

static int release(void **state)
{
    (void)state;
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    fclose(file);
    return 0;
}

/* What was written since the last call. */
static const char *written(void)
{
    fflush(file);
    ssize_t length = pread(fileno(file), captured, sizeof captured - 1, 0);
    captured[length < 0 ? 0 : length] = '\0';
    assert_int_equal(ftruncate(fileno(file), 0), 0);
    lseek(fileno(file), 0, SEEK_SET);
    return captured;
}

static size_t lines_in(const char *text)
{
    size_t lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

static void text_lines(void **state)
{
    (void)state;
    log_warning("store", "slow-write", "file=%s ms=%d", "\"a b\"", 12);
    assert_string_equal(written(), TIME " warning store slow-write file=\"a b\" ms=12\n");
    log_info("server", "started", NULL);
    assert_string_equal(written(), TIME " info server started\n");
    log_error("server", "gone", "%s", "");
    assert_string_equal(written(), TIME " error server gone\n");
}

static void json_lines(void **state)
{
    (void)state;
    log_configure(LOG_LEVEL_DEBUG, LOG_FORMAT_JSON);
    log_debug("wire", "odd", "text=\"%s\"", "a\\b\n\x01\xFF\xC3\xA9");
    assert_string_equal(written(),
                        "{\"time\":\"" TIME "\",\"level\":\"debug\",\"component\":\"wire\","
                        "\"event\":\"odd\",\"fields\":\"text=\\\"a\\\\b\\n\\u0001"
                        "\xEF\xBF\xBD\xC3\xA9\\\"\"}\n");
    log_info("wire", "plain", NULL);
    assert_non_null(strstr(written(), "\"fields\":\"\"}\n"));
}

static void text_lines_cannot_be_forged(void **state)
{
    (void)state;
    log_info("wire", "odd-text", "name=%s", "a\nb\x1B[0m\xFF\r\x7F");
    assert_string_equal(written(),
                        TIME " info wire odd-text name=a\\nb\\x1b[0m\xEF\xBF\xBD\\r\\x7f\n");
}

static void level_is_respected_and_errno_kept(void **state)
{
    (void)state;
    log_configure(LOG_LEVEL_WARNING, LOG_FORMAT_TEXT);
    assert_true(log_enabled(LOG_LEVEL_ERROR));
    assert_true(log_enabled(LOG_LEVEL_WARNING));
    assert_false(log_enabled(LOG_LEVEL_INFO));
    log_info("a", "level", NULL);
    assert_string_equal(written(), "");
    errno = ENOSPC;
    close(STDERR_FILENO);
    log_error("a", "level", NULL);
    assert_int_equal(errno, ENOSPC);
    dup2(fileno(file), STDERR_FILENO);
}

static void long_lines_are_cut(void **state)
{
    (void)state;
    static char text[20000];
    memset(text, '"', sizeof text - 1);
    log_info("a", "long", "%s", text);
    const char *line = written();
    assert_in_range(strlen(line), 3000, 4096);
    assert_string_equal(line + strlen(line) - 4, "…\n");
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_info(text, "long", "%s", text);
    line = written();
    assert_in_range(strlen(line), 3000, 4096);
    assert_string_equal(line + strlen(line) - 3, "\"}\n");
    log_info("a", "long", "%s", text);
    line = written();
    assert_in_range(strlen(line), 3000, 4096);
    assert_string_equal(line + strlen(line) - 4, "\"\"}\n");
}

static void repeats_are_held_back_and_counted(void **state)
{
    (void)state;
    for (int i = 0; i < 35; i++)
        log_info("source", "refused", "n=%d", i);
    const char *text = written();
    assert_int_equal(lines_in(text), 10);
    assert_non_null(strstr(text, "n=9\n"));
    log_info("source", "other", NULL); /* another event is not held back */
    assert_string_equal(written(), TIME " info source other\n");
    now_us += 10 * 1000 * 1000 - 1;
    log_info("source", "refused", "late");
    assert_string_equal(written(), "");
    now_us += 1;
    log_info("source", "refused", "n=%d", 99);
    assert_string_equal(written(), TIME " info source refused n=99 held_back=26\n");
    log_info("source", "refused", NULL);
    assert_string_equal(written(), TIME " info source refused\n");
}

static void held_count_without_fields_and_in_json(void **state)
{
    (void)state;
    for (int i = 0; i < 12; i++)
        log_info("source", "bare", NULL);
    written();
    now_us += 10 * 1000 * 1000;
    for (int i = 0; i < 11; i++)
        log_info("source", "bare", NULL);
    assert_int_equal(strncmp(written(), TIME " info source bare held_back=2\n", 50), 0);
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    now_us += 10 * 1000 * 1000;
    log_info("source", "bare", NULL);
    assert_non_null(strstr(written(), "\"fields\":\"held_back=1\"}\n"));
}

static void many_events_do_not_disturb(void **state)
{
    (void)state;
    for (int i = 0; i < 3000; i++) {
        char event[20];
        snprintf(event, sizeof event, "event-%d", i);
        log_info("many", event, NULL);
    }
    assert_int_equal(lines_in(written()), 3000);
}

static void *log_often(void *argument)
{
    char event[20];
    for (int i = 0; i < 200; i++) {
        snprintf(event, sizeof event, "thread-%d", i / 5);
        log_info(argument, event, "n=%d", i);
    }
    return NULL;
}

static void threads_do_not_mix_lines(void **state)
{
    (void)state;
    char names[4][2] = {"a", "b", "c", "d"};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, log_often, names[i]);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    const char *text = written();
    assert_int_equal(lines_in(text), 800);
    for (const char *line = text; *line; line = strchr(line, '\n') + 1)
        assert_int_equal(strncmp(line, TIME " info ", 30), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(text_lines, capture, release),
        cmocka_unit_test_setup_teardown(json_lines, capture, release),
        cmocka_unit_test_setup_teardown(text_lines_cannot_be_forged, capture, release),
        cmocka_unit_test_setup_teardown(level_is_respected_and_errno_kept, capture, release),
        cmocka_unit_test_setup_teardown(long_lines_are_cut, capture, release),
        cmocka_unit_test_setup_teardown(repeats_are_held_back_and_counted, capture, release),
        cmocka_unit_test_setup_teardown(held_count_without_fields_and_in_json, capture, release),
        cmocka_unit_test_setup_teardown(many_events_do_not_disturb, capture, release),
        cmocka_unit_test_setup_teardown(threads_do_not_mix_lines, capture, release),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
