/*
 * The public C API: what stele.h promises, on real stores.
 */
#include "api_fixture.h"
#include "close_watch.h"
#include "folder.h"
#include "test.h"

#include <pthread.h>

TEST_ALL(test_folder_make, test_folder_remove)

TEST(wrong_options_are_named)
{
    stele_options options = STELE_OPTIONS_INIT;
    stele_error error = {0};
    assert_null(stele_open(&options, &error));
    assert_string_equal(error.code, "configuration-error");
    assert_non_null(strstr(error.message, "database"));
    options.database = "/nowhere/at/all.db";
    assert_null(stele_open(&options, &error));
    assert_non_null(strstr(stele_error_message(&error), "/nowhere/at"));
    const char *setting = "readrs=1";
    options.settings = &setting;
    options.setting_count = 1;
    assert_null(stele_open(&options, &error));
    assert_non_null(strstr(error.message, "did you mean \"readers\""));
    setting = "readers";
    assert_null(stele_open(&options, NULL));
    options.struct_size = 1;
    assert_null(stele_open(&options, &error));
    options = (stele_options)STELE_OPTIONS_INIT;
    options.database = "/tmp/never.db";
    options.listen = "0.0.0.0:0";
    assert_null(stele_open(&options, &error));
    assert_non_null(strstr(error.message, "0.0.0.0:0"));
}

TEST(no_port_is_opened_unless_asked_for)
{
    stele_error error;
    stele *store = open_store("quiet");
    assert_string_equal(stele_address(store), "");
    assert_string_equal(stele_health_address(store), "");
    stele_options options = STELE_OPTIONS_INIT;
    options.database = file;
    assert_null(stele_open(&options, &error));
    assert_string_equal(error.code, "database-in-use");
    stele_close(store);
    options.listen = "127.0.0.1:0";
    store = stele_open(&options, &error);
    assert_non_null(store);
    assert_true(strncmp(stele_address(store), "127.0.0.1:", 10) == 0);
    assert_string_equal(stele_health_address(store), "");
    assert_string_equal(stele_database(store), file);
    stele_close(store);
    stele_close(NULL);
}

TEST(what_is_applied_can_be_queried)
{
    stele_result result;
    stele_error error = {0};
    stele *store = open_store("query");
    const char *lines = "{\"mutations\":[{\"export\":\"E\",\"key\":\"a\",\"patch\":{\"n\":1}},"
                        "{\"export\":\"E\",\"key\":\"b\",\"patch\":{\"n\":2}}],"
                        "\"producer\":\"p\",\"batch\":1,\"slot\":7,\"index\":1}";
    assert_true(stele_apply(store, lines, strlen(lines), &result, &error));
    assert_int_equal(result.applied, 2);
    assert_string_equal(result.seq, "7:000000000001");
    assert_true(stele_apply(store, lines, strlen(lines), &result, &error));
    assert_int_equal(result.applied, 0);
    assert_int_equal(result.duplicate, 2);

    struct rows rows = {0};
    assert_true(stele_query(store, "E/list", NULL, -1, on_row, &rows, &error));
    assert_int_equal(rows.count, 2);
    rows = (struct rows){0};
    assert_true(stele_query(store, "E/state", "a", -1, on_row, &rows, &error));
    assert_string_equal(rows.keys, "a ");
    assert_string_equal(rows.last, "7:000000000001 {\"n\":1,\"_seq\":\"7:000000000001\"}");
    rows = (struct rows){0};
    assert_true(stele_query(store, "E/state", "none", -1, on_row, &rows, &error));
    assert_true(stele_query(store, "E/list", NULL, 0, on_row, &rows, &error));
    assert_int_equal(rows.count, 0);
    assert_true(stele_query(store, "E/list", NULL, 1, on_row, &rows, &error));
    assert_int_equal(rows.count, 1);
    rows = (struct rows){.stop_after = 1};
    assert_true(stele_query(store, "E/list", NULL, -1, on_row, &rows, &error));
    assert_int_equal(rows.count, 1);
    assert_false(stele_query(store, "Nope/none", NULL, -1, on_row, &rows, &error));
    assert_string_equal(error.code, "view-not-found");
    assert_false(stele_apply(store, "{}", 2, &result, &error));
    assert_string_equal(error.code, "invalid-message");
    assert_false(error.retryable);
    stele_close(store);
}

TEST(rows_are_asked_for_by_a_predicate_and_in_an_order)
{
    stele_error error = {0};
    stele *store = open_store("where");
    struct frames frames = FRAMES_INIT;
    struct rows rows = {0};
    apply(store, "{\"export\":\"E\",\"key\":\"a\",\"patch\":{\"n\":1,\"s\":\"xy\"}}\n"
                 "{\"export\":\"E\",\"key\":\"b\",\"patch\":{\"n\":3,\"s\":\"x\"}}\n"
                 "{\"export\":\"E\",\"key\":\"c\",\"patch\":{\"n\":2,\"s\":\"y\"}}\n");
    stele_query_options query = STELE_QUERY_INIT;
    query.view = "E/list";
    query.where = "{\"field\":\"s\",\"prefix\":\"x\"}";
    query.filters = "{\"n\":1}";
    assert_true(stele_query_view(store, &query, on_row, &rows, NULL, &error));
    assert_string_equal(rows.keys, "a ");
    query.filters = NULL;
    query.sort = "[{\"by\":\"n\",\"order\":\"desc\"}]";
    rows = (struct rows){0};
    assert_true(stele_query_view(store, &query, on_row, &rows, NULL, &error));
    assert_string_equal(rows.keys, "b a ");
    query.where = NULL;
    query.sort = "[\"missing\",{\"by\":\"s\",\"order\":\"desc\"}]";
    query.skip = 1;
    query.take = 1;
    rows = (struct rows){0};
    assert_true(stele_query_view(store, &query, on_row, &rows, NULL, &error));
    assert_string_equal(rows.keys, "a ");
    query.view = "E/append";
    REFUSED(stele_query_view(store, &query, on_row, &rows, NULL, &refusal), "invalid-parameter",
            "sort");
    query.view = "E/list";
    query.sort = "[]";
    REFUSED(stele_query_view(store, &query, on_row, &rows, NULL, &refusal), "invalid-parameter",
            "sort");
    query.sort = NULL;
    stele_subscribe_options options = STELE_SUBSCRIBE_INIT;
    options.view = "E/list";
    options.where = "{\"field\":\"n\",\"in\":[1,2,3]}";
    options.sort = "[{\"by\":\"n\",\"order\":\"desc\"}]";
    options.take = 2;
    assert_non_null(stele_subscribe(store, &options, on_frame, &frames, &error));
    wait_for(&frames, 2, true);
    const char *b = strstr(frames.last, "\"b\""), *c = strstr(frames.last, "\"c\"");
    assert_true(b && c && b < c && !strstr(frames.last, "\"a\""));
    options.sort = "[]";
    REFUSED(stele_subscribe(store, &options, on_frame, &frames, &refusal), "invalid-parameter",
            "sort");
    options.sort = NULL;
    options.where = query.where = "{\"exists\":\"n\"},\"take\":1";
    REFUSED(stele_subscribe(store, &options, on_frame, &frames, &refusal), "invalid-parameter",
            "where");
    REFUSED(stele_query_view(store, &query, on_row, &rows, NULL, &refusal), "invalid-parameter",
            "where");
    stele_close(store);
}

/* ---- a view of several pages, which changes while it is read ---- */

enum { PAGED_ROWS = 2500 };

struct paged {
    stele *store;
    pthread_t asker;
    int count, times[PAGED_ROWS];
    bool new_told, change_told;
};

static bool on_paged_row(void *argument, const stele_row *row)
{
    struct paged *paged = argument;
    assert_true(pthread_equal(pthread_self(), paged->asker));
    if (paged->count++ == 0) {
        /* The rows come newest first: these are of the last page. */
        apply(paged->store, "{\"export\":\"E\",\"key\":\"3\",\"patch\":{\"now\":true}}");
        apply(paged->store, "{\"export\":\"E\",\"key\":\"4\",\"op\":\"delete\"}");
        apply(paged->store, "{\"export\":\"E\",\"key\":\"new\",\"patch\":{}}");
    }
    if (strcmp(row->key, "new") == 0)
        paged->new_told = true;
    else
        paged->times[atoi(row->key)]++;
    if (strcmp(row->key, "3") == 0)
        paged->change_told = strstr(row->data, "\"now\":true") != NULL;
    return true;
}

TEST(a_long_view_is_read_in_pages_while_it_changes)
{
    stele_error error = {0};
    stele *store = open_store("paged");
    char lines[PAGED_ROWS * 64], *end = lines;
    for (int i = 0; i < PAGED_ROWS; i++)
        end += snprintf(end, 64, "{\"export\":\"E\",\"key\":\"%d\",\"patch\":{\"n\":%d}}\n", i, i);
    apply(store, lines);
    struct paged paged = {.store = store, .asker = pthread_self()};
    assert_true(stele_query(store, "E/list", NULL, -1, on_paged_row, &paged, &error));
    for (int i = 0; i < PAGED_ROWS; i++)
        assert_int_equal(paged.times[i], i != 4);
    assert_true(paged.change_told);
    assert_false(paged.new_told);
    struct rows rows = {0};
    assert_true(stele_query(store, "E/list", NULL, 1999, on_row, &rows, &error));
    assert_int_equal(rows.count, 1999);
    assert_true(strncmp(rows.keys, "new 3 2499 ", 11) == 0);
    stele_close(store);
}

struct descent {
    int count, last;
};

static bool on_descending_row(void *argument, const stele_row *row)
{
    struct descent *descent = argument;
    int number = atoi(row->key);
    assert_true(descent->count++ == 0 || number < descent->last);
    descent->last = number;
    return true;
}

TEST(any_number_of_rows_is_read_in_the_order_of_an_index_and_few_in_any)
{
    static const char index[] =
        "exports={\"E\":{\"views\":{\"by_n\":{\"pipeline\":[{\"sort\":{\"by\":\"n\",\"order\":"
        "\"desc\"}}]}}}}";
    static const char *const settings[] = {"log_level=error", "max_window_rows=50", index};
    stele_error error = {0};
    stele *store = open_with("sorted", settings, 3);
    char lines[PAGED_ROWS * 64], *end = lines;
    for (int i = 0; i < PAGED_ROWS; i++)
        end += snprintf(end, 64, "{\"export\":\"E\",\"key\":\"%d\",\"patch\":{\"n\":%d}}\n",
                        i * 7 % PAGED_ROWS, i * 7 % PAGED_ROWS);
    apply(store, lines);
    stele_query_options query = STELE_QUERY_INIT;
    query.view = "E/list";
    query.sort = "[{\"by\":\"n\",\"order\":\"desc\"}]";
    struct descent descent = {0};
    assert_true(stele_query_view(store, &query, on_descending_row, &descent, NULL, &error));
    assert_int_equal(descent.count, PAGED_ROWS);
    query.skip = 10;
    query.take = 5;
    descent = (struct descent){0};
    assert_true(stele_query_view(store, &query, on_descending_row, &descent, NULL, &error));
    assert_true(descent.count == 5 && descent.last == PAGED_ROWS - 15);
    query.sort = "[{\"by\":\"n\",\"order\":\"desc\"},\"m\"]";
    REFUSED(stele_query_view(store, &query, on_descending_row, &descent, NULL, &refusal),
            "too-large", "index");
    query.skip = 0;
    query.take = -1;
    query.where = "{\"field\":\"n\",\"lt\":50}";
    descent = (struct descent){0};
    assert_true(stele_query_view(store, &query, on_descending_row, &descent, NULL, &error));
    assert_true(descent.count == 50 && descent.last == 0);
    stele_close(store);
}

TEST(no_query_names_what_the_fields_of_a_view_hide)
{
    static const char slim[] = "exports={\"E\":{\"views\":{\"slim\":{\"fields\":[\"n\"]}}}}";
    static const char *const settings[] = {"log_level=error", slim};
    static const char *const questions[][3] = {
        {"{\"secret\":1}", NULL, NULL},
        {NULL, "{\"not\":{\"exists\":\"secret\"}}", NULL},
        {NULL, "{\"field\":\"n\",\"lt\":{\"field\":\"secret\"}}", NULL},
        {NULL, NULL, "[\"n\",\"secret\"]"},
    };
    stele_error error = {0};
    struct rows rows = {0};
    stele *store = open_with("slim", settings, 2);
    apply(store, "{\"export\":\"E\",\"key\":\"a\",\"patch\":{\"n\":1,\"secret\":1}}\n");
    stele_query_options query = STELE_QUERY_INIT;
    stele_subscribe_options options = STELE_SUBSCRIBE_INIT;
    query.view = options.view = "E/slim";
    assert_true(stele_query_view(store, &query, on_row, &rows, NULL, &error));
    assert_null(strstr(rows.last, "secret"));
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        query.filters = options.filters = questions[i][0];
        query.where = options.where = questions[i][1];
        query.sort = options.sort = questions[i][2];
        REFUSED(stele_query_view(store, &query, on_row, &rows, NULL, &refusal), "invalid-parameter",
                "does not show 'secret'");
        struct frames frames = FRAMES_INIT;
        assert_non_null(stele_subscribe(store, &options, on_frame, &frames, &error));
        wait_for(&frames, 1, false);
        assert_non_null(strstr(frames.last, "does not show 'secret'"));
    }
    assert_int_equal(rows.count, 1);
    stele_close(store);
}

TEST(a_producer_is_where_its_last_batch_left_it)
{
    stele_error error = {0};
    stele_producer producer;
    stele *store = open_store("producer");
    assert_true(stele_producer_position(store, "p", &producer, &error));
    assert_true(producer.batch == -1 && !producer.seq[0] && !producer.mark[0]);
    apply(store, "{\"producer\":\"p\",\"batch\":7,\"mark\":\"offset 90\",\"slot\":3,\"index\":4,"
                 "\"mutations\":[{\"export\":\"E\",\"key\":\"a\",\"patch\":{}}]}");
    assert_true(stele_producer_position(store, "p", &producer, &error));
    assert_int_equal(producer.batch, 7);
    assert_string_equal(producer.seq, "3:000000000004");
    assert_string_equal(producer.mark, "offset 90");
    assert_true(producer.time_ms > INT64_C(1500000000000));
    stele_close(store);
}

TEST(configured_views_are_projected_and_filtered)
{
    static const char *const settings[] = {
        "log_level=error",
        "exports={\"E\":{\"views\":{\"slim\":{\"fields\":[\"o.x\"],\"keys\":[\"a\",\"c\"]}}}}"};
    stele_error error = {0};
    stele_result result;
    stele *store = open_with("views", settings, 2);
    apply(store, "{\"export\":\"E\",\"key\":\"a\",\"patch\":{\"o\":{\"x\":1,\"y\":2}}}\n"
                 "{\"export\":\"E\",\"key\":\"b\",\"patch\":{\"o\":{\"x\":1}}}");
    const char *other = "{\"export\":\"Other\",\"key\":\"a\",\"patch\":{}}";
    assert_true(stele_apply(store, other, strlen(other), &result, &error));
    assert_int_equal(result.ignored, 1);
    struct rows rows = {0};
    assert_true(stele_query(store, "E/slim", NULL, -1, on_row, &rows, &error));
    assert_string_equal(rows.keys, "a ");
    assert_non_null(strstr(rows.last, "{\"o\":{\"x\":1},\"_seq\":"));
    assert_true(stele_query(store, "E/slim", "b", -1, on_row, &rows, &error));
    assert_int_equal(rows.count, 1);
    stele_close(store);
}

TEST(subscriptions_get_snapshots_and_changes)
{
    struct frames frames = FRAMES_INIT;
    stele *store = open_store("subscribe");
    char *lines = malloc(1 << 20), *end = lines;
    for (int i = 0; i < 777; i++) /* batches of these are compressed, and sent in fragments */
        end += sprintf(end, "{\"export\":\"E\",\"key\":\"k%d\",\"patch\":{\"pad\":\"%0800d\"}}\n",
                       i, i * 7919);
    apply(store, lines);
    free(lines);
    stele_subscription *subscription = subscribe(store, "E/list", &frames);
    wait_for(&frames, 2, true);
    assert_int_equal(frames.rows, 777);
    int before = frames.count;
    apply(store, "{\"export\":\"E\",\"key\":\"k1\",\"patch\":{\"pad\":\"new\"}}");
    wait_for(&frames, before + 1, true);
    assert_non_null(strstr(frames.last, "\"op\":\"patch\",\"key\":\"k1\""));
    stele_unsubscribe(subscription);
    apply(store, "{\"export\":\"E\",\"key\":\"k1\",\"patch\":{\"pad\":\"newer\"}}");
    assert_int_equal(frames.count, before + 1);
    stele_close(store);
}

TEST(the_program_sees_the_rows_of_all_scopes)
{
    static const char *const settings[] = {"log_level=error",
                                           "exports={\"E\":{\"scope\":\"owner\"}}"};
    struct frames frames = FRAMES_INIT;
    stele *store = open_with("scopes", settings, 2);
    apply(store, "{\"export\":\"E\",\"key\":\"a\",\"patch\":{}}\n"
                 "{\"export\":\"E\",\"key\":\"b\",\"patch\":{\"owner\":\"ann\"}}\n"
                 "{\"export\":\"E\",\"key\":\"c\",\"patch\":{\"owner\":7}}");
    subscribe(store, "E/list", &frames);
    wait_for(&frames, 2, true);
    assert_int_equal(frames.rows, 3);
    int before = frames.count;
    apply(store, "{\"export\":\"E\",\"key\":\"c\",\"patch\":{\"owner\":\"bob\"}}");
    wait_for(&frames, before + 1, true);
    assert_non_null(strstr(frames.last, "\"op\":\"upsert\",\"key\":\"c\""));
    stele_close(store);
}

TEST(a_refused_subscription_gets_an_error)
{
    struct frames frames = FRAMES_INIT;
    stele *store = open_store("refused");
    subscribe(store, "no-view", &frames);
    wait_for(&frames, 1, false);
    assert_non_null(strstr(frames.last, "\"type\":\"error\""));
    assert_non_null(strstr(frames.last, "view-not-found"));
    stele_close(store);
}

TEST(a_callback_may_end_its_subscription)
{
    struct frames frames = FRAMES_INIT;
    stele *store = open_store("leave");
    frames.leave_after = 1;
    apply(store, "{\"export\":\"E\",\"key\":\"a\",\"patch\":{}}");
    pthread_mutex_lock(&frames.lock); /* so that the callback sees what is assigned here */
    frames.subscription = subscribe(store, "E/list", &frames);
    pthread_mutex_unlock(&frames.lock);
    wait_for(&frames, 1, false);
    apply(store, "{\"export\":\"E\",\"key\":\"a\",\"patch\":{\"n\":1}}");
    assert_int_equal(frames.count, 1);
    stele_close(store);
}

/* A subscription that is ended before it has begun, and many at a time. */
TEST(subscriptions_may_come_and_go)
{
    struct frames frames = FRAMES_INIT;
    stele *store = open_store("come-and-go");
    apply(store, "{\"export\":\"E\",\"key\":\"a\",\"patch\":{}}");
    stele_subscription *kept[50];
    for (int i = 0; i < 50; i++) {
        kept[i] = subscribe(store, "E/list", &frames);
        stele_unsubscribe(subscribe(store, "E/append", &frames));
    }
    wait_for(&frames, 100, false);
    for (int i = 0; i < 50; i += 2)
        stele_unsubscribe(kept[i]);
    stele_stop(store);
    assert_true(stele_run(store, NULL));
    stele_unsubscribe(kept[1]); /* also when it has stopped */
    stele_close(store);
}

/* ---- asynchronous feeding ---- */

struct answers {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    stele *store;
    int count, failed, waiting_refused;
};

static void on_applied(void *argument, const stele_result *result, const stele_error *error)
{
    struct answers *answers = argument;
    stele_error refused = {0};
    /* What would wait for the thread that we are on is refused, not a deadlock. */
    bool waited = stele_apply(answers->store, "", 0, NULL, &refused);
    pthread_mutex_lock(&answers->lock);
    answers->count++;
    answers->failed += error != NULL || result->applied != 1;
    answers->waiting_refused += !waited && strcmp(refused.code, "invalid-parameter") == 0;
    pthread_cond_broadcast(&answers->changed);
    pthread_mutex_unlock(&answers->lock);
}

TEST(requests_may_be_pipelined)
{
    static const char *const settings[] = {"log_level=error", "max_array_length=0"};
    struct answers answers = {.lock = PTHREAD_MUTEX_INITIALIZER,
                              .changed = PTHREAD_COND_INITIALIZER,
                              .store = open_with("async", settings, 2)};
    char line[128];
    for (int i = 0; i < 500; i++) {
        int length = snprintf(line, sizeof(line),
                              "{\"export\":\"E\",\"key\":\"k\",\"patch\":{\"l\":[%d]},"
                              "\"append\":[\"l\"]}",
                              i);
        assert_true(
            stele_apply_async(answers.store, line, (size_t)length, on_applied, &answers, NULL));
    }
    pthread_mutex_lock(&answers.lock);
    while (answers.count < 500)
        pthread_cond_wait(&answers.changed, &answers.lock);
    pthread_mutex_unlock(&answers.lock);
    assert_int_equal(answers.failed, 0);
    assert_int_equal(answers.waiting_refused, 500);
    struct rows rows = {0};
    assert_true(stele_query(answers.store, "E/state", "k", -1, on_row, &rows, NULL));
    assert_non_null(strstr(rows.last, "{\"l\":[0,1,2,3,4,5,6,7,8,9,10,"));
    stele_close(answers.store);
}

/* ---- stopping ---- */

struct feeder {
    stele *store;
    int applied;
    char last_code[32];
};

static void *feed_until_stopped(void *argument)
{
    struct feeder *feeder = argument;
    const char *line = "{\"export\":\"E\",\"key\":\"k\",\"patch\":{\"n\":1}}";
    stele_error error = {0};
    struct rows rows = {0};
    while (stele_apply(feeder->store, line, strlen(line), NULL, &error)) {
        feeder->applied++;
        stele_query(feeder->store, "E/list", NULL, -1, on_row, &rows, NULL);
    }
    snprintf(feeder->last_code, sizeof(feeder->last_code), "%s", error.code);
    return NULL;
}

TEST(stopping_answers_everybody)
{
    enum { FEEDERS = 4 };
    pthread_t threads[FEEDERS];
    struct feeder feeders[FEEDERS] = {0};
    struct frames frames = FRAMES_INIT;
    stele *store = open_store("stop");
    apply(store, "{\"export\":\"E\",\"key\":\"k\",\"patch\":{}}");
    subscribe(store, "E/append", &frames);
    for (int i = 0; i < FEEDERS; i++) {
        feeders[i].store = store;
        assert_int_equal(pthread_create(&threads[i], NULL, feed_until_stopped, &feeders[i]), 0);
    }
    wait_for(&frames, 50, false);
    stele_stop(store);
    stele_stop(store);
    assert_true(stele_run(store, NULL));
    for (int i = 0; i < FEEDERS; i++) {
        pthread_join(threads[i], NULL);
        assert_string_equal(feeders[i].last_code, "shutting-down");
    }
    stele_stop(store);
    stele_close(store);
}

TEST(two_stores_in_one_process)
{
    struct frames frames = FRAMES_INIT;
    stele *one = open_store("one"), *two = open_store("two");
    apply(one, "{\"export\":\"E\",\"key\":\"a\",\"patch\":{}}");
    apply(two, "{\"export\":\"E\",\"key\":\"b\",\"patch\":{}}");
    subscribe(two, "E/list", &frames);
    wait_for(&frames, 2, true);
    assert_non_null(strstr(frames.last, "\"key\":\"b\""));
    stele_close(one);
    apply(two, "{\"export\":\"E\",\"key\":\"c\",\"patch\":{}}");
    wait_for(&frames, 3, true);
    stele_close(two);
}

/* Its descriptors are its own: no file that the host or another store opens meanwhile is closed. */
TEST(a_store_that_stops_leaves_the_others_alone)
{
    pthread_t thread;
    close_watch_begin();
    struct feeder feeder = {.store = open_serving("staying")};
    assert_int_equal(pthread_create(&thread, NULL, feed_until_stopped, &feeder), 0);
    for (int i = 0; i < 3; i++) {
        stele *passing = open_serving("passing");
        apply(passing, "{\"export\":\"E\",\"key\":\"a\",\"patch\":{}}");
        stele_close(passing);
    }
    stele_stop(feeder.store);
    pthread_join(thread, NULL);
    assert_string_equal(feeder.last_code, "shutting-down");
    stele_close(feeder.store);
    assert_int_equal(close_watch_end(), 0);
}
