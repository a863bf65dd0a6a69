/*
 * Host programs in trouble: a flood of requests beside a subscription, arguments that are wrong,
 * a child that lives on, and what must stay as it was in the process.
 */
#include "api_fixture.h"

#include <errno.h>
#include <locale.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a flood of requests ---- */

struct flood {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int answered, refused;
    char code[32]; /* of a refusal */
};

#define FLOOD_INIT                                                                                 \
    {                                                                                              \
        .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER                     \
    }

static void on_applied(void *argument, const stele_result *result, const stele_error *error)
{
    struct flood *flood = argument;
    pthread_mutex_lock(&flood->lock);
    flood->answered++;
    if (error || result->applied != 1) {
        flood->refused++;
        snprintf(flood->code, sizeof(flood->code), "%s", error ? error->code : "not applied");
    }
    pthread_cond_broadcast(&flood->changed);
    pthread_mutex_unlock(&flood->lock);
}

static void wait_answered(struct flood *flood, int count)
{
    pthread_mutex_lock(&flood->lock);
    while (flood->answered < count)
        pthread_cond_wait(&flood->changed, &flood->lock);
    pthread_mutex_unlock(&flood->lock);
}

static bool feed_one(stele *store, int number, struct flood *flood, stele_error *error)
{
    char line[96];
    int length = snprintf(line, sizeof(line),
                          "{\"export\":\"E\",\"key\":\"k\",\"patch\":{\"n\":%d}}", number);
    return stele_apply_async(store, line, (size_t)length, on_applied, flood, error);
}

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
static void a_subscription_outlives_a_flood(void **state)
{
    enum { REQUESTS = 12000, UNANSWERED = 6000 };
    struct flood flood = FLOOD_INIT;
    struct numbers numbers = {.lock = PTHREAD_MUTEX_INITIALIZER,
                              .changed = PTHREAD_COND_INITIALIZER,
                              .last = -1,
                              .in_order = true};
    stele *store = open_store("flood");
    stele_error error = {0};
    (void)state;
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
static void a_full_queue_is_said_at_once(void **state)
{
    static const char *const settings[] = {"log_level=error", "queue_bytes=1048576"};
    struct flood flood = FLOOD_INIT;
    struct waker waker = {.flood = &flood};
    stele *store = open_with("full", settings, 2);
    stele_error error = {0};
    (void)state;
    waker.store = store;
    stele_subscribe_options options = STELE_SUBSCRIBE_INIT;
    options.view = "E/list"; /* an error frame will do */
    assert_non_null(stele_subscribe(store, &options, on_blocked, &waker, NULL));
    pthread_mutex_lock(&flood.lock);
    while (flood.refused == 0)
        pthread_cond_wait(&flood.changed, &flood.lock);
    int taken = -flood.refused;
    pthread_mutex_unlock(&flood.lock);
    assert_true(taken > 1024); /* some hundred bytes each */
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

static void a_busy_store_is_not_stopping(void **state)
{
    enum { THREADS = 8, REQUESTS = 5000 };
    struct flood flood = FLOOD_INIT;
    stele *store = open_store("busy");
    pthread_t threads[THREADS];
    void *failed;
    (void)state;
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

static void a_callback_may_call_while_the_store_ends(void **state)
{
    static const char line[] = "{\"export\":\"E\",\"key\":\"k\",\"patch\":{\"n\":1}}";
    struct farewell farewell = {0};
    struct frames frames = FRAMES_INIT;
    int taken = 0;
    (void)state;
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

/* ---- arguments ---- */

static stele *store;
static stele_error refusal;

static bool any_row(void *argument, const stele_row *row)
{
    (void)argument;
    (void)row;
    return true;
}

static void any_frame(void *argument, const char *json, size_t length)
{
    (void)argument;
    (void)json;
    (void)length;
}

static bool subscribe_with(stele_subscribe_options options, stele_frame frame)
{
    return stele_subscribe(store, &options, frame, NULL, &refusal) != NULL;
}

static bool query_with(stele_query_options options)
{
    return stele_query_view(store, &options, any_row, NULL, NULL, &refusal);
}

#define REFUSED(call, expected, named)                                                             \
    do {                                                                                           \
        refusal = (stele_error){.code = ""};                                                       \
        assert_false(call);                                                                        \
        assert_string_equal(refusal.code, expected);                                               \
        if (!strstr(refusal.message, named))                                                       \
            fail_msg("\"%s\" does not name %s", refusal.message, named);                           \
    } while (0)

static void wrong_arguments_are_named(void **state)
{
    static const char invalid[] = "invalid-parameter", line[] = "{}";
    struct flood flood = FLOOD_INIT;
    (void)state;
    store = open_store("arguments");
    REFUSED(stele_apply(store, line, SIZE_MAX, NULL, &refusal), "too-large", "max_request_bytes");
    REFUSED(stele_apply(store, line, SIZE_MAX / 2, NULL, &refusal), "too-large", "bytes");
    REFUSED(stele_apply(store, NULL, 1, NULL, &refusal), invalid, "'lines'");
    REFUSED(stele_apply(NULL, line, 2, NULL, &refusal), invalid, "'store'");
    REFUSED(stele_apply_async(store, line, SIZE_MAX, on_applied, &flood, &refusal), "too-large",
            "max_request_bytes");
    REFUSED(stele_apply_async(store, line, SIZE_MAX - 64, on_applied, &flood, &refusal),
            "too-large", "bytes");
    REFUSED(stele_apply_async(store, NULL, 5, on_applied, &flood, &refusal), invalid, "'lines'");
    REFUSED(stele_apply_async(store, line, 2, NULL, NULL, &refusal), invalid, "'done'");
    REFUSED(stele_apply_async(NULL, line, 2, on_applied, NULL, &refusal), invalid, "'store'");
    REFUSED(stele_query(store, NULL, NULL, -1, any_row, NULL, &refusal), invalid, "'view'");
    REFUSED(stele_query(store, "E/list", NULL, -1, NULL, NULL, &refusal), invalid, "'row'");
    REFUSED(stele_query(store, "\xff/list", NULL, -1, any_row, NULL, &refusal), invalid, "'view'");
    REFUSED(stele_query(store, "E/list", "\xff", -1, any_row, NULL, &refusal), invalid, "'key'");
    REFUSED(stele_query(NULL, "E/list", NULL, -1, any_row, NULL, &refusal), invalid, "'store'");
    REFUSED(stele_query_view(store, NULL, any_row, NULL, NULL, &refusal), invalid, "'options'");
    REFUSED(stele_run(NULL, &refusal), invalid, "'store'");
    REFUSED(stele_reload(NULL, &refusal), invalid, "'store'");
    REFUSED(stele_open(NULL, &refusal), invalid, "'options'");
    assert_true(stele_apply(store, NULL, 0, NULL, &refusal));
    assert_true(stele_apply_async(store, NULL, 0, on_applied, &flood, &refusal));
    wait_answered(&flood, 1);
    assert_false(stele_apply(store, line, SIZE_MAX, NULL, NULL));
    assert_string_equal(stele_error_message(NULL), "no error");
    assert_string_equal(stele_address(NULL), "");
    assert_string_equal(stele_health_address(NULL), "");
    assert_string_equal(stele_database(NULL), "");
    stele_stop(NULL);
    stele_close(NULL);
    stele_unsubscribe(NULL);
    stele_close(store);
}

static void wrong_options_are_refused(void **state)
{
    static const char invalid[] = "invalid-parameter";
    stele_subscribe_options subscribe_options = STELE_SUBSCRIBE_INIT;
    stele_query_options query_options = STELE_QUERY_INIT;
    (void)state;
    store = open_store("options");
    apply(store, "{\"export\":\"E\",\"key\":\"a\",\"patch\":{}}");
    REFUSED(subscribe_with(subscribe_options, any_frame), invalid, "'view'");
    subscribe_options.view = "E/list";
    REFUSED(subscribe_with(subscribe_options, NULL), invalid, "'frame'");
    REFUSED(stele_subscribe(store, NULL, any_frame, NULL, &refusal), invalid, "'options'");
    REFUSED(stele_subscribe(NULL, &subscribe_options, any_frame, NULL, &refusal), invalid,
            "'store'");
    static const char *const filters[] = {
        "", "{", "[]", "1", "{\"a\":1},\"view\":\"F/list\"", "{\"a\":1}}", "{\"\":{\"a..b\":1}} "};
    for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]) - 1; i++) {
        subscribe_options.filters = query_options.filters = filters[i];
        query_options.view = "E/list";
        REFUSED(subscribe_with(subscribe_options, any_frame), invalid, "filters");
        REFUSED(query_with(query_options), invalid, "filters");
    }
    subscribe_options.filters = query_options.filters = NULL;
    subscribe_options.epoch = "\xc0\x80";
    REFUSED(subscribe_with(subscribe_options, any_frame), invalid, "'epoch'");
    subscribe_options.epoch = NULL;
    subscribe_options.struct_size = 7;
    REFUSED(subscribe_with(subscribe_options, any_frame), invalid, "STELE_SUBSCRIBE_INIT");
    query_options.struct_size = SIZE_MAX;
    REFUSED(query_with(query_options), invalid, "STELE_QUERY_INIT");
    stele_options options = STELE_OPTIONS_INIT;
    options.database = "/tmp/never.db";
    options.setting_count = 1;
    REFUSED(stele_open(&options, &refusal), invalid, "'settings'");
    const char *none = NULL;
    options.settings = &none;
    REFUSED(stele_open(&options, &refusal), invalid, "settings");
    stele_close(store);
}

/* Built with an older header, and with a newer one that has another field at the end. */
static void structs_of_other_versions_are_understood(void **state)
{
    struct {
        stele_subscribe_options known;
        int64_t later;
    } newer = {.known = STELE_SUBSCRIBE_INIT};
    struct frames frames = FRAMES_INIT;
    (void)state;
    store = open_store("versions");
    apply(store, "{\"export\":\"E\",\"key\":\"a\",\"patch\":{}}");
    newer.known.view = "E/list";
    newer.known.struct_size = sizeof(newer);
    assert_non_null(stele_subscribe(store, &newer.known, on_frame, &frames, &refusal));
    wait_for(&frames, 2, true);
    newer.later = 1;
    REFUSED(stele_subscribe(store, &newer.known, on_frame, &frames, &refusal), "invalid-parameter",
            "does not know");
    newer.known.struct_size = offsetof(stele_subscribe_options, filters);
    newer.known.filters = "no older program has this";
    assert_non_null(stele_subscribe(store, &newer.known, on_frame, &frames, &refusal));
    wait_for(&frames, 4, true);
    stele_close(store);
}

/* ---- the process ---- */

static void on_signal(int number)
{
    (void)number;
}

struct process {
    void (*handlers[NSIG])(int);
    int blocked[NSIG];
    char folder[512], locale[64];
    mode_t umask;
    size_t environment;
};

static void look(struct process *process)
{
    extern char **environ;
    memset(process, 0, sizeof(*process));
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    for (int i = 1; i < NSIG; i++) {
        struct sigaction action = {.sa_handler = SIG_DFL};
        sigaction(i, NULL, &action);
        process->handlers[i] = action.sa_handler;
        process->blocked[i] = sigismember(&mask, i);
    }
    assert_non_null(getcwd(process->folder, sizeof(process->folder)));
    snprintf(process->locale, sizeof(process->locale), "%s", setlocale(LC_ALL, NULL));
    process->umask = umask(0);
    umask(process->umask);
    for (char **each = environ; *each; each++)
        process->environment += strlen(*each) + 1;
}

static void the_process_stays_as_it_was(void **state)
{
    static void (*const handlers[])(int) = {SIG_DFL, SIG_IGN, on_signal};
    struct process before, open, after;
    (void)state;
    for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
        signal(SIGPIPE, handlers[i]);
        look(&before);
        stele *serving = open_serving("process");
        apply(serving, "{\"export\":\"E\",\"key\":\"a\",\"patch\":{}}");
        look(&open);
        stele_close(serving);
        look(&after);
        assert_true(open.handlers[SIGPIPE] == handlers[i]);
        assert_memory_equal(&before, &open, sizeof(before));
        assert_memory_equal(&before, &after, sizeof(before));
    }
    signal(SIGPIPE, SIG_DFL);
}

/* ---- fork ---- */

/* What a child sees of its parent's store, as an exit status. */
static int use_in_child(stele *parents, stele_subscription *subscription)
{
    stele_error error = {0};
    bool refused = !stele_apply(parents, "", 0, NULL, &error) &&
                   strcmp(error.code, "invalid-parameter") == 0 &&
                   !stele_query(parents, "E/list", NULL, -1, any_row, NULL, &error) &&
                   !stele_run(parents, &error) && strstr(error.message, "fork()");
    stele_unsubscribe(subscription);
    stele_stop(parents);
    stele_close(parents);
    return refused ? 0 : 1;
}

static void a_child_holds_up_nothing(void **state)
{
    struct frames frames = FRAMES_INIT;
    int go[2], status;
    char address[64], byte;
    (void)state;
    stele *parents = open_serving("fork");
    apply(parents, "{\"export\":\"E\",\"key\":\"a\",\"patch\":{}}");
    stele_subscription *subscription = subscribe(parents, "E/list", &frames);
    wait_for(&frames, 2, true);
    snprintf(address, sizeof(address), "%s", stele_address(parents));
    assert_int_equal(pipe(go), 0);
    pid_t child = fork();
    if (child == 0) {
        close(go[1]);
        int result = use_in_child(parents, subscription);
        while (read(go[0], &byte, 1) < 0)
            ;
        _exit(result);
    }
    close(go[0]);
    apply(parents, "{\"export\":\"E\",\"key\":\"b\",\"patch\":{}}");
    wait_for(&frames, 3, true);
    stele_options options = STELE_OPTIONS_INIT;
    stele_error error = {0};
    options.database = file;
    assert_null(stele_open(&options, &error));
    assert_string_equal(error.code, "database-in-use");
    stele_close(parents);
    options.listen = address;
    stele *again = stele_open(&options, &error); /* while the child lives */
    if (!again)
        fail_msg("%s", error.message);
    assert_string_equal(stele_address(again), address);
    close(go[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    apply(again, "{\"export\":\"E\",\"key\":\"c\",\"patch\":{}}");
    assert_null(stele_open(&options, &error)); /* the child took no lock away with it */
    assert_string_equal(error.code, "database-in-use");
    stele_close(again);
}

/* The end of a child that lived on must not give back what somebody opened meanwhile. */
static void a_child_may_open_stores_of_its_own(void **state)
{
    int status;
    (void)state;
    stele *parents = open_store("parent");
    pid_t child = fork();
    if (child == 0) {
        stele_error error = {0};
        stele_options options = STELE_OPTIONS_INIT;
        static const char line[] = "{\"export\":\"E\",\"key\":\"a\",\"patch\":{}}";
        char own[96];
        options.database = file;
        bool held = !stele_open(&options, &error) && strcmp(error.code, "database-in-use") == 0;
        snprintf(own, sizeof(own), "%s-own", file);
        options.database = own;
        stele *mine = stele_open(&options, &error);
        bool good = held && mine && stele_apply(mine, line, strlen(line), NULL, &error);
        stele_close(mine);
        _exit(good ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    stele_options options = STELE_OPTIONS_INIT;
    stele_error error = {0};
    options.database = file;
    assert_null(stele_open(&options, &error));
    apply(parents, "{\"export\":\"E\",\"key\":\"a\",\"patch\":{}}");
    stele_close(parents);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_subscription_outlives_a_flood),
        cmocka_unit_test(a_full_queue_is_said_at_once),
        cmocka_unit_test(a_busy_store_is_not_stopping),
        cmocka_unit_test(a_callback_may_call_while_the_store_ends),
        cmocka_unit_test(wrong_arguments_are_named),
        cmocka_unit_test(wrong_options_are_refused),
        cmocka_unit_test(structs_of_other_versions_are_understood),
        cmocka_unit_test(the_process_stays_as_it_was),
        cmocka_unit_test(a_child_holds_up_nothing),
        cmocka_unit_test(a_child_may_open_stores_of_its_own),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
