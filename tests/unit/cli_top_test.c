/* `stele top`: what is read of a server's answers, what happened between two, and the picture. */
#include "cli/top.h"
#include "terminal/terminal.h"
#include "test.h"
#include "json/json.h"

#include <locale.h>
#include <math.h>

static struct top_sample before, now;

static void take_utf8(void)
{
    setlocale(LC_CTYPE, "C.UTF-8");
}

static void begin(void)
{
    top_start(&before);
    top_start(&now);
    before.us = 1000000;
    now.us = 3000000;
}

static void end(void)
{
    top_free(&before);
    top_free(&now);
}

TEST_ALL(take_utf8, NULL)
TEST_EACH(begin, end)

static struct tree *parse(const char *text)
{
    struct error error;
    struct tree *tree = tree_parse(span_of(text), &error);
    if (!tree)
        fail_msg("%s", error.message);
    return tree;
}

static uint64_t read_clients(struct top_sample *sample, const char *text)
{
    struct error error;
    uint64_t after = 99;
    assert_true(top_read_clients(sample, parse(text), &after, &error));
    return after;
}

static void read_windows(struct top_sample *sample, const char *text)
{
    struct error error;
    uint64_t after;
    assert_true(top_read_windows(sample, parse(text), &after, &error));
    assert_int_equal(after, 0);
}

TEST(figures_are_summed_over_labels)
{
    top_read_metrics(&now, span_of("# HELP stele_mutations_total Mutations by result.\n"
                                   "stele_mutations_total{result=\"applied\"} 5\n"
                                   "stele_mutations_total{result=\"a b} c\"} 1.5e1\n"
                                   "stele_mutations_total_other 7\n"
                                   "stele_wal_bytes 4096\n"
                                   "stele_windows\n\n 3\nstele_members_total 1"));
    assert_true(now.figures[TOP_MUTATIONS] == 20);
    assert_true(now.figures[TOP_WAL] == 4096);
    assert_true(isnan(now.figures[TOP_WINDOWS]));
}

TEST(rates_are_of_what_counts_up_and_a_restart_has_none)
{
    top_read_metrics(&before, span_of("stele_commits_total 10\nstele_wal_bytes 1\n"
                                      "stele_changes_total 9\n"));
    top_read_metrics(&now, span_of("stele_commits_total 30\nstele_wal_bytes 5\n"
                                   "stele_changes_total 3\n"));
    top_compare(&now, &before);
    assert_true(now.rates[TOP_COMMITS] == 10);
    assert_true(isnan(now.rates[TOP_WAL]) && isnan(now.rates[TOP_CHANGES]));
    assert_true(isnan(now.rates[TOP_FRAMES]));
}

TEST(pages_follow_until_there_is_no_more)
{
    assert_int_equal(read_clients(&now, "{\"clients\":[{\"id\":3},{\"id\":9}],\"more\":true}"), 9);
    assert_int_equal(read_clients(&now, "{\"clients\":[{\"id\":12}],\"more\":false}"), 0);
    assert_int_equal(read_clients(&now, "{\"clients\":[],\"more\":true}"), 0);
    assert_int_equal(read_clients(&now, "[]"), 0);
    assert_int_equal(now.client_count, 3);
    assert_false(now.cut);
}

TEST(clients_are_sorted_by_lag_and_have_their_own_rates)
{
    read_clients(&before, "{\"clients\":[{\"id\":1,\"sent\":100},{\"id\":2,\"sent\":50},"
                          "{\"id\":4,\"sent\":9}]}");
    read_clients(&now, "{\"time\":5000,\"clients\":["
                       "{\"id\":1,\"sent\":300,\"lag\":{\"changes\":0,\"seconds\":0}},"
                       "{\"id\":3,\"sent\":7,\"lag\":{\"changes\":null,\"seconds\":null}},"
                       "{\"id\":4,\"sent\":9,\"lag\":{\"changes\":8,\"seconds\":2.5}}]}");
    top_compare(&before, NULL);
    top_compare(&now, &before);
    assert_int_equal(now.clients[0].id, 4);
    assert_true(now.clients[0].seconds == 2.5 && now.clients[0].sent_rate == 0);
    assert_int_equal(now.clients[1].id, 1);
    assert_true(now.clients[1].sent_rate == 100);
    assert_int_equal(now.clients[2].id, 3);
    assert_true(now.clients[2].behind == -1 && isnan(now.clients[2].sent_rate));
}

TEST(windows_are_sorted_by_what_they_cost_now)
{
    read_windows(&before, "{\"windows\":[{\"id\":1,\"total_ms\":900},{\"id\":2,\"total_ms\":1}]}");
    read_windows(&now, "{\"windows\":[{\"id\":1,\"total_ms\":900},{\"id\":2,\"total_ms\":3,"
                       "\"refreshes\":4,\"rows_read\":10}]}");
    top_compare(&now, &before);
    assert_int_equal(now.windows[0].id, 2);
    assert_true(now.windows[0].ms_rate == 1 && now.windows[0].refresh_rate == 2);
    assert_true(now.windows[1].ms_rate == 0);
}

/* ---- pictures ---- */

static void fill(void)
{
    struct error error;
    assert_true(top_read_status(
        &now, span_of("{\"healthy\":false,\"status\":\"disk-full\",\"version\":\"1.2\"}"), &error));
    top_read_metrics(&now, span_of("stele_uptime_seconds 90\nstele_connections_active 2\n"
                                   "stele_log_bytes 123456789\n"));
    read_clients(&now,
                 "{\"time\":100000,\"clients\":[{\"id\":7,\"address\":\"10.0.0.1\",\"subject\":"
                 "\"\\u6f22\\u5b57\\u0007\\u202e\",\"protocol\":\"1\",\"since\":40000,\"queued\":"
                 "1500,\"subscription_count\":3,\"lag\":{\"changes\":12345,\"seconds\":61}}]}");
    read_windows(&now, "{\"windows\":[{\"id\":1,\"view\":\"E/list\",\"take\":5,\"query\":\"{}\","
                       "\"members\":2,\"rows\":5,\"total_ms\":3}]}");
    top_compare(&now, NULL);
}

static void expect_fits(size_t width, size_t height)
{
    struct buffer out;
    size_t lines = 0, at = 0;
    buffer_init(&out, 65536);
    assert_true(top_print(&now, "a note", width, height, &out));
    while (at < out.length) {
        const char *newline = memchr(out.data + at, '\n', out.length - at);
        assert_non_null(newline);
        size_t length = (size_t)(newline - out.data) - at;
        assert_true(cell_width(span_make(out.data + at, length)) <= width);
        at += length + 1;
        lines++;
    }
    assert_true(lines <= height);
    buffer_fini(&out);
}

TEST(a_picture_is_never_larger_than_its_terminal)
{
    fill();
    for (size_t width = 1; width < 200; width += 3)
        for (size_t height = 0; height < 30; height++)
            expect_fits(width, height);
}

TEST(a_picture_says_what_is_known_and_nothing_that_a_terminal_would_act_on)
{
    struct buffer out;
    fill();
    buffer_init(&out, 65536);
    assert_true(top_print(&now, "", 80, 24, &out));
    const char *text = buffer_string(&out);
    assert_non_null(strstr(text, "stele 1.2   disk-full   up 90s   cpu -%   memory -\n"));
    assert_non_null(strstr(text, "fed -/s   frames -/s   sent -/s   commits -/s\n"));
    assert_non_null(strstr(text, "log - changes   of 123MB   wal -"));
    assert_non_null(strstr(text, "     7 10.0.0.1        漢字"));
    assert_non_null(strstr(text, "12.3k    61s  1500B      -  60s\n"));
    assert_non_null(strstr(text, "     1 E/list             5 of {}"));
    assert_null(strstr(text, "\a"));
    assert_null(strstr(text, "\xe2\x80\xae"));
    buffer_fini(&out);
}

TEST(json_has_the_answers_as_they_came)
{
    struct buffer out;
    fill();
    buffer_init(&out, 65536);
    assert_true(top_print_json(&now, 10, &out));
    struct tree *tree = parse(buffer_string(&out));
    const struct tree *client = tree_element(tree_member(tree, "clients"), 0);
    assert_int_equal(tree_integer(tree_member(client, "queued"), 0), 1500);
    assert_int_equal(tree_count(tree_member(tree, "windows")), 1);
    assert_int_equal(tree_count(tree_member(tree, "rates")), 0);
    tree_free(tree);
    buffer_clear(&out);
    assert_true(top_print_json(&now, 0, &out));
    assert_non_null(strstr(buffer_string(&out), "\"clients\":[],\"windows\":[]}"));
    buffer_fini(&out);
}
