/*
 * Host programs in a hurry: a flood of requests beside a subscription, calls while the store ends,
 * and a copy meanwhile.
 */
#include "api_fixture.h"
#include "folder.h"
#include "test.h"

TEST_ALL(test_folder_make, test_folder_remove)

/* ---- a flood of requests ---- */

/* Frames of an append view: each change is one, and the numbers come in order. */
struct numbers {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int last, frames;
    bool in_order;
};

static void on_number(void *argument, const char *json, size_t length)
{
    struct numbers *numbers = argument;
    const char *found = strstr(json, "{\"n\":");
    (void)length;
    pthread_mutex_lock(&numbers->lock);
    numbers->frames++;
    if (found) {
        int number = atoi(found + 5);
        numbers->in_order = numbers->in_order && number > numbers->last;
        numbers->last = number;
    }
    pthread_cond_broadcast(&numbers->changed);
    pthread_mutex_unlock(&numbers->lock);
}

static stele_subscription *watch(stele *store, struct numbers *numbers)
{
    stele_subscribe_options options = STELE_SUBSCRIBE_INIT;
    options.view = "E/append";
    stele_subscription *subscription = stele_subscribe(store, &options, on_number, numbers, NULL);
    assert_non_null(subscription);
    pthread_mutex_lock(&numbers->lock);
    while (numbers->frames == 0)
        pthread_cond_wait(&numbers->changed, &numbers->lock);
    pthread_mutex_unlock(&numbers->lock);
    return subscription;
}

static void wait_number(struct numbers *numbers, int number)
{
    pthread_mutex_lock(&numbers->lock);
    while (numbers->last < number)
        pthread_cond_wait(&numbers->changed, &numbers->lock);
    pthread_mutex_unlock(&numbers->lock);
}

/* As many as the loop can be given before it turns, and none of them may cost a wake. */
TEST(a_subscription_outlives_a_flood)
{
    enum { REQUESTS = 12000, UNANSWERED = 6000 };
    struct flood flood = FLOOD_INIT;
    struct numbers numbers = {.lock = PTHREAD_MUTEX_INITIALIZER,
                              .changed = PTHREAD_COND_INITIALIZER,
                              .last = -1,
                              .in_order = true};
    stele *store = open_store("flood");
    stele_error error = {0};
    apply(store, "{\"export\":\"E\",\"key\":\"k\",\"patch\":{\"n\":0}}");
    stele_subscription *subscription = watch(store, &numbers);
    for (int i = 1; i <= REQUESTS; i++) {
        wait_answered(&flood, i - UNANSWERED);
        if (!feed_one(store, i, &flood, &error))
            fail_msg("request %d: %s: %s", i, error.code, error.message);
    }
    wait_answered(&flood, REQUESTS);
    if (flood.refused)
        fail_msg("%d of %d were refused: %s", flood.refused, REQUESTS, flood.code);
    wait_number(&numbers, REQUESTS);
    assert_true(numbers.in_order);
    stele_unsubscribe(subscription);
    stele_close(store);
}

struct waker {
    stele *store;
    struct flood *flood;
    bool full;
};

/* The loop stands still in here, so whatever is handed over waits. */
static void on_blocked(void *argument, const char *json, size_t length)
{
    struct waker *waker = argument;
    stele_error error = {0};
    (void)json;
    (void)length;
    for (int i = 1; !waker->full; i++) {
        if (feed_one(waker->store, i, waker->flood, &error))
            continue;
        assert_string_equal(error.code, "queue-full");
        assert_true(error.retryable);
        assert_non_null(strstr(error.message, "queue_bytes"));
        pthread_mutex_lock(&waker->flood->lock);
        waker->full = true;
        waker->flood->refused = -i + 1; /* so many were taken */
        pthread_mutex_unlock(&waker->flood->lock);
    }
}

/* What is taken is answered well; what is not is told at once, as full and not as stopping. */
TEST(a_full_queue_is_said_at_once)
{
    static const char *const settings[] = {"log_level=error", "queue_bytes=1048576"};
    struct flood flood = FLOOD_INIT;
    struct waker waker = {.flood = &flood};
    stele *store = open_with("full", settings, 2);
    stele_error error = {0};
    waker.store = store;
    stele_subscribe_options options = STELE_SUBSCRIBE_INIT;
    options.view = "E/list"; /* an error frame will do */
    assert_non_null(stele_subscribe(store, &options, on_blocked, &waker, NULL));
    pthread_mutex_lock(&flood.lock);
    while (flood.refused == 0)
        pthread_cond_wait(&flood.changed, &flood.lock);
    int taken = -flood.refused;
    pthread_mutex_unlock(&flood.lock);
    assert_true(taken > 512); /* about a kilobyte each */
    wait_answered(&flood, taken);
    assert_int_equal(flood.refused, -taken);
    assert_true(feed_one(store, taken + 1, &flood, &error)); /* the answers made room */
    wait_answered(&flood, taken + 1);
    stele_close(store);
}

/* Every thread waits for an answer of its own while the loop has more to do than it used to hold.
 */
static void *query_once(void *argument)
{
    stele_error error = {0};
    struct rows rows = {0};
    bool done = stele_query(argument, "E/list", NULL, -1, on_row, &rows, &error);
    return done && rows.count == 1 ? NULL : argument;
}

TEST(a_busy_store_is_not_stopping)
{
    enum { THREADS = 8, REQUESTS = 5000 };
    struct flood flood = FLOOD_INIT;
    stele *store = open_store("busy");
    pthread_t threads[THREADS];
    void *failed;
    apply(store, "{\"export\":\"E\",\"key\":\"k\",\"patch\":{\"n\":0}}");
    for (int i = 0; i < REQUESTS; i++) {
        assert_true(feed_one(store, i, &flood, NULL));
        if (i % (REQUESTS / THREADS) == 0)
            pthread_create(&threads[i / (REQUESTS / THREADS)], NULL, query_once, store);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    wait_answered(&flood, REQUESTS);
    assert_int_equal(flood.refused, 0);
    stele_close(store);
}

struct farewell {
    stele *store;
    stele_subscription *subscription;
    int taken, called, abandoned;
    bool wrong;
};

/* Comes when the loop has ended: what it calls must not touch a server that is gone. */
static void on_abandoned(void *argument, const stele_result *result, const stele_error *error)
{
    struct farewell *farewell = argument;
    stele_error refused = {0};
    (void)result;
    farewell->called++;
    if (!error)
        return;
    farewell->wrong = farewell->wrong || strcmp(error->code, "shutting-down") != 0;
    if (farewell->abandoned++ == 0) {
        stele_unsubscribe(farewell->subscription);
        stele_stop(farewell->store);
        farewell->taken +=
            stele_apply_async(farewell->store, "", 0, on_abandoned, farewell, &refused);
    }
}

TEST(a_callback_may_call_while_the_store_ends)
{
    static const char line[] = "{\"export\":\"E\",\"key\":\"k\",\"patch\":{\"n\":1}}";
    struct farewell farewell = {0};
    struct frames frames = FRAMES_INIT;
    int taken = 0;
    farewell.store = open_store("farewell");
    apply(farewell.store, line);
    farewell.subscription = subscribe(farewell.store, "E/list", &frames);
    wait_for(&frames, 1, false);
    stele_stop(farewell.store);
    while (stele_apply_async(farewell.store, line, strlen(line), on_abandoned, &farewell, NULL))
        taken++;
    stele_close(farewell.store);
    assert_int_equal(farewell.called, taken + farewell.taken);
    assert_false(farewell.wrong);
}

/* ---- backup ---- */

static bool give_up(void *argument, int64_t done_bytes, int64_t total_bytes)
{
    (void)done_bytes;
    (void)total_bytes;
    ++*(int *)argument;
    return false;
}

static bool backup_to(stele *store, const char *to, bool replace, stele_backup_result *result)
{
    stele_backup_options options = STELE_BACKUP_INIT;
    options.file = to;
    options.replace = replace;
    return stele_backup(store, &options, result, &refusal);
}

TEST(a_store_is_copied_while_it_is_fed)
{
    char copy[96], folder_before[256];
    struct flood flood = FLOOD_INIT;
    stele_backup_result result;
    stele_result applied;
    int called = 0;
    stele *store = open_store("backup");
    snprintf(copy, sizeof(copy), "%s.copy", file);
    for (int i = 0; i < 1000; i++)
        assert_true(feed_one(store, i, &flood, NULL));
    static const char line[] = "{\"export\":\"E\",\"key\":\"last\",\"patch\":{\"n\":1}}";
    assert_true(stele_apply(store, line, strlen(line), &applied, NULL));
    for (int i = 0; i < 1000; i++)
        assert_true(feed_one(store, i, &flood, NULL));
    /* Also when the program went somewhere else meanwhile. */
    assert_non_null(getcwd(folder_before, sizeof(folder_before)));
    assert_int_equal(chdir("/"), 0);
    assert_true(backup_to(store, copy, false, &result));
    assert_int_equal(chdir(folder_before), 0);
    assert_true(result.bytes > 0);
    assert_true(strcmp(result.seq, applied.seq) >= 0);
    REFUSED(backup_to(store, copy, false, &result), "database-error", "exists");
    REFUSED(backup_to(store, file, true, &result), "database-error", "itself");
    REFUSED(backup_to(store, NULL, false, &result), "invalid-parameter", "'file'");
    REFUSED(stele_backup(store, NULL, NULL, &refusal), "invalid-parameter", "'options'");
    assert_true(backup_to(store, copy, true, NULL));
    stele_backup_options options = STELE_BACKUP_INIT;
    char other[128];
    snprintf(other, sizeof(other), "%s.other", copy);
    options.file = other;
    options.progress = give_up;
    options.argument = &called;
    assert_false(stele_backup(store, &options, NULL, &refusal));
    assert_int_equal(called, 1);
    assert_int_equal(access(other, F_OK), -1);
    wait_answered(&flood, 2000);
    /* Both are stores beside each other, and the first one's file is still its own. */
    stele_options open_options = STELE_OPTIONS_INIT;
    open_options.database = copy;
    stele *copied = stele_open(&open_options, &refusal);
    assert_non_null(copied);
    struct rows rows = {0};
    assert_true(stele_query(copied, "E/state", "last", -1, on_row, &rows, &refusal));
    assert_int_equal(rows.count, 1);
    stele_close(copied);
    open_options.database = file;
    REFUSED(stele_open(&open_options, &refusal), "database-in-use", "in use");
    apply(store, line);
    stele_close(store);
}

static void write_text(const char *name, const char *text)
{
    FILE *to = fopen(name, "w");
    assert_non_null(to);
    assert_true(fputs(text, to) >= 0);
    assert_int_equal(fclose(to), 0);
}

/* Whatever is read again is looked for where the program was when it opened the store. */
TEST(relative_paths_begin_where_the_store_was_opened)
{
    char before[256], folder[96];
    stele_error error = {0};
    stele_close(open_store("relative"));
    snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(file, '/') - file), file);
    assert_non_null(getcwd(before, sizeof(before)));
    assert_int_equal(chdir(folder), 0);
    write_text("relative.json",
               "{\"auth\":{\"mode\":\"static\",\"tokens\":[{\"file\":\"relative.token\"}]},"
               "\"usage_url\":\"http://127.0.0.1:9/\",\"usage_token_file\":\"relative.usage\","
               "\"stacks\":[\"relative.stack\"],\"log_level\":\"error\"}");
    write_text("relative.token", "a-token-that-is-long-enough-for-all");
    write_text("relative.usage", "another-token");
    write_text("relative.stack", "{\"stack_name\":\"s\",\"entities\":[]}");
    stele_options options = STELE_OPTIONS_INIT;
    options.database = strrchr(file, '/') + 1;
    options.config_file = "relative.json";
    stele *store = stele_open(&options, &error);
    if (!store)
        fail_msg("%s", error.message);
    assert_int_equal(chdir("/"), 0);
    if (!stele_reload(store, &error))
        fail_msg("%s", error.message);
    /* And they are read: what is not there any more is told. */
    for (const char *const *name = (const char *const[]){"token", "usage", "stack", "json", NULL};
         *name; name++) {
        char there[128], away[128];
        snprintf(there, sizeof(there), "%s/relative.%s", folder, *name);
        snprintf(away, sizeof(away), "%s/away", folder);
        assert_int_equal(rename(there, away), 0);
        assert_false(stele_reload(store, &error));
        assert_non_null(strstr(error.message, "cannot be opened"));
        assert_int_equal(rename(away, there), 0);
    }
    stele_close(store);
    assert_int_equal(chdir(before), 0);
}
