/*
 * The parts of `stele ingest` that need no server: lines of an input, what a line is, and requests.
 */
#include "cli/ingest_input.h"
#include "cli/ingest_line.h"
#include "cli/ingest_window.h"
#include "memory_fault.h"
#include "test.h"

/* ---- lines of an input ---- */

static void nothing(void *argument)
{
    (void)argument;
}

static char path[] = "/tmp/stele-ingest-XXXXXX";

static struct ingest_input *open_text(const char *text, size_t length)
{
    struct error error;
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, length, file), length);
    fclose(file);
    struct ingest_input *input = ingest_input_open(path, nothing, NULL, &error);
    assert_non_null(input);
    assert_int_equal(ingest_input_size(input), length);
    return input;
}

static enum ingest_next next_line(struct ingest_input *input, struct span *line)
{
    struct error error;
    enum ingest_next next;
    while ((next = ingest_input_next(input, line, &error)) == INGEST_NOTHING_YET)
        usleep(100);
    return next;
}

static void expect_lines(const char *text, const char *const *lines)
{
    struct span line;
    struct ingest_input *input = open_text(text, strlen(text));
    for (; *lines; lines++) {
        assert_int_equal(next_line(input, &line), INGEST_LINE);
        ingest_input_put_back(input);
        assert_int_equal(next_line(input, &line), INGEST_LINE);
        assert_true(span_equal(line, span_of(*lines)));
    }
    assert_int_equal(next_line(input, &line), INGEST_END);
    assert_int_equal(next_line(input, &line), INGEST_END);
    ingest_input_close(input);
}

TEST(an_input_gives_its_lines)
{
    expect_lines("", (const char *const[]){NULL});
    expect_lines("a", (const char *const[]){"a", NULL});
    expect_lines("a\n", (const char *const[]){"a", NULL});
    expect_lines("\na\n\nbc", (const char *const[]){"", "a", "", "bc", NULL});
}

/* Lines around the size of a read, so that ends fall on every side of one. */
TEST(lines_may_be_longer_than_a_read)
{
    for (size_t length = 65530; length < 65540; length++) {
        struct span line;
        char *text = malloc(3 * length);
        memset(text, 'x', 3 * length);
        text[length] = '\n';
        struct ingest_input *input = open_text(text, 3 * length);
        assert_int_equal(next_line(input, &line), INGEST_LINE);
        assert_int_equal(line.length, length);
        assert_int_equal(next_line(input, &line), INGEST_LINE);
        assert_int_equal(line.length, 2 * length - 1);
        assert_int_equal(next_line(input, &line), INGEST_END);
        ingest_input_close(input);
        free(text);
    }
}

TEST(an_input_may_be_left_early)
{
    size_t length = 8 * 1024 * 1024;
    char *text = malloc(length);
    struct span line;
    memset(text, '\n', length);
    struct ingest_input *input = open_text(text, length);
    assert_int_equal(next_line(input, &line), INGEST_LINE);
    ingest_input_close(input);
    free(text);
}

TEST(a_missing_file_is_named)
{
    struct error error;
    assert_null(ingest_input_open("/nowhere/at-all", nothing, NULL, &error));
    assert_non_null(strstr(error.message, "/nowhere/at-all"));
}

/* ---- what a line is ---- */

static struct ingest_line look(const char *line, struct error *error)
{
    struct doc doc;
    doc_init(&doc, 1 << 20, 1 << 20);
    struct ingest_line result = ingest_line_look(span_of(line), &doc, error);
    doc_fini(&doc);
    return result;
}

TEST(lines_are_told_apart)
{
    struct error error = {0};
    assert_int_equal(look("", &error).kind, INGEST_BLANK);
    assert_int_equal(look(" \t\r", &error).kind, INGEST_BLANK);
    assert_int_equal(look("{\"key\":1}", &error).kind, INGEST_MUTATION);
    assert_int_equal(look("{\"patch\":{\"mutations\":[]}}", &error).kind, INGEST_MUTATION);
    assert_int_equal(look("[1]", &error).kind, INGEST_MUTATION);
    assert_int_equal(look("{\"mutations\":[]}", &error).kind, INGEST_BATCH);
    assert_false(look("{\"mutations\":[]}", &error).has_producer);
    assert_true(look("{\"mutations\":[],\"producer\":\"p\"}", &error).has_producer);
    assert_true(look("{\"mutations\":[],\"batch\":1}", &error).has_producer);
    assert_int_equal(look("hello", &error).kind, INGEST_NOT_JSON);
    assert_true(error.message[0] != '\0');
    /* What is several values would slip more than one mutation into a request. */
    assert_int_equal(look("{},{}", &error).kind, INGEST_NOT_JSON);
    assert_int_equal(look("{}]}", &error).kind, INGEST_NOT_JSON);
}

static void expect_batch(const char *line, const char *expected)
{
    struct error error;
    struct ingest_line result = look(line, &error);
    struct buffer out;
    buffer_init(&out, 4096);
    assert_int_equal(result.kind, INGEST_BATCH);
    assert_true(ingest_line_print_batch(&out, span_of(line), &result, 7, "me", 12, ""));
    assert_string_equal(buffer_string(&out), expected);
    buffer_fini(&out);
}

TEST(a_batch_gets_our_id_in_place_of_its_own)
{
    expect_batch("{\"mutations\":[1]}",
                 "{\"id\":7,\"producer\":\"me\",\"batch\":12,\"mutations\":[1]}");
    expect_batch("{\"mutations\":[],\"producer\":\"p\",\"batch\":3}",
                 "{\"id\":7,\"mutations\":[],\"producer\":\"p\",\"batch\":3}");
    expect_batch(" {\"id\":5,\"mutations\":[{\"id\":9}],\"batch\":null}",
                 "{\"id\":7,\"mutations\":[{\"id\":9}],\"batch\":null}");
    expect_batch("{\"mutations\":[\"}\\\"],\"],\"batch\":3, \"id\" : {\"a\":[1,\"}\"]} }",
                 "{\"id\":7,\"mutations\":[\"}\\\"],\"],\"batch\":3}");
    expect_batch("{\"batch\":3,\"id\":\"x\",\"mutations\":[]}",
                 "{\"id\":7,\"batch\":3,\"mutations\":[]}");
}

TEST(answers_are_read)
{
    struct ingest_answer answer;
    assert_true(ingest_answer_read(
        span_of("{\"ack\":3,\"applied\":2,\"ignored\":1,\"duplicate\":0,\"seq\":\"0:1\"}"),
        &answer));
    assert_false(answer.refused);
    assert_int_equal(answer.id, 3);
    assert_int_equal(answer.applied, 2);
    tree_free(answer.tree);
    assert_true(ingest_answer_read(span_of("{\"nack\":4,\"error\":{\"code\":\"queue-full\","
                                           "\"message\":\"m\",\"retryable\":true}}"),
                                   &answer));
    assert_true(answer.refused && answer.retryable);
    assert_int_equal(answer.id, 4);
    assert_true(span_equal(answer.code, span_of("queue-full")));
    tree_free(answer.tree);
    assert_true(ingest_answer_read(span_of("{\"nack\":null,\"error\":{\"code\":\"c\"}}"), &answer));
    assert_int_equal(answer.id, 0);
    tree_free(answer.tree);
    assert_true(ingest_answer_read(span_of("{\"type\":\"error\",\"code\":\"c\"}"), &answer));
    assert_true(answer.refused);
    tree_free(answer.tree);
    assert_false(ingest_answer_read(span_of("{}"), &answer));
    assert_false(ingest_answer_read(span_of("?"), &answer));
}

/* ---- requests ---- */

static struct ingest_request *add(struct ingest_window *window, int64_t line,
                                  const char *const *lines)
{
    struct ingest_request *request = ingest_window_add(window, "me", line);
    assert_non_null(request);
    for (; *lines; lines++)
        ingest_request_line(window, request, span_of(*lines));
    ingest_request_end(window, request);
    return request;
}

static void expect_text(struct ingest_request *request, const char *expected)
{
    assert_non_null(request);
    assert_string_equal(buffer_string(&request->text), expected);
}

TEST(a_request_is_divided_into_its_lines)
{
    struct ingest_window window;
    ingest_window_init(&window);
    add(&window, 1, (const char *const[]){"{}", NULL});
    struct ingest_request *request =
        add(&window, 4, (const char *const[]){"{\"a\":[1,2]}", "7", "[\",\"]", NULL});
    add(&window, 9, (const char *const[]){"[]", NULL});
    expect_text(request,
                "{\"id\":2,\"producer\":\"me\",\"mutations\":[\n{\"a\":[1,2]},\n7,\n[\",\"]\n],"
                "\"batch\":6}");
    assert_int_equal(window.count, 3);
    assert_true(ingest_window_divide(&window, request, "me"));
    assert_int_equal(window.count, 5);
    expect_text(ingest_window_find(&window, 4),
                "{\"id\":4,\"producer\":\"me\",\"mutations\":[\n{\"a\":[1,2]}\n],\"batch\":4}");
    expect_text(ingest_window_find(&window, 5),
                "{\"id\":5,\"producer\":\"me\",\"mutations\":[\n7\n],\"batch\":5}");
    expect_text(ingest_window_find(&window, 6),
                "{\"id\":6,\"producer\":\"me\",\"mutations\":[\n[\",\"]\n],\"batch\":6}");
    size_t bytes = 0;
    int64_t line = 0;
    while (window.first) { /* in order of the input, whatever their ids */
        assert_true(window.first->first_line > line);
        line = window.first->first_line;
        bytes = window.bytes - window.first->text.length;
        ingest_window_remove(&window, window.first, false);
        assert_int_equal(window.bytes, bytes);
    }
    assert_int_equal(window.bytes, 0);
    assert_int_equal(window.count, 0);
    add(&window, 10, (const char *const[]){"{}", NULL});
    assert_non_null(window.first);
    ingest_window_fini(&window);
}

TEST(what_was_sent_is_sent_again_in_order)
{
    struct ingest_window window;
    ingest_window_init(&window);
    for (int64_t line = 1; line <= 4; line++)
        add(&window, line, (const char *const[]){"{}", NULL});
    for (uint64_t id = 1; id <= 3; id++)
        ingest_window_set(&window, ingest_window_find(&window, 0), REQUEST_SENT);
    assert_int_equal(window.sent, 3);
    assert_int_equal(ingest_window_find(&window, 0)->id, 4);
    ingest_window_remove(&window, ingest_window_find(&window, 1), false);
    ingest_window_set(&window, ingest_window_find(&window, 2), REQUEST_REFUSED);
    assert_int_equal(window.sent, 1);
    ingest_window_set(&window, NULL, REQUEST_WAITING);
    assert_int_equal(window.sent, 0);
    assert_int_equal(ingest_window_find(&window, 0)->id, 2);
    ingest_window_remove(&window, ingest_window_find(&window, 3), true);
    assert_int_equal(window.count, 1);
    assert_null(ingest_window_find(&window, 4));
    ingest_window_fini(&window);
}

TEST(running_out_of_memory_leaves_a_request_whole)
{
    bool divided = false;
    for (uint64_t nth = 1; !divided; nth++) {
        struct ingest_window window;
        ingest_window_init(&window);
        struct ingest_request *request =
            add(&window, 1, (const char *const[]){"1", "2", "3", NULL});
        memory_fail_at(nth, 0);
        divided = ingest_window_divide(&window, request, "me");
        memory_fail_at(0, 0);
        assert_int_equal(window.count, divided ? 3 : 1);
        ingest_window_fini(&window);
    }
}

static void make_file(void)
{
    int file = mkstemp(path);
    assert_true(file >= 0 && close(file) == 0);
}

static void remove_file(void)
{
    assert_int_equal(unlink(path), 0);
}

TEST_ALL(make_file, remove_file)
