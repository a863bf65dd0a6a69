/* A child that lives on, and what must stay as it was in the process. */
#include "api/api.h"
#include "api_fixture.h"
#include "folder.h"
#include "test.h"

#include <locale.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

TEST_ALL(test_folder_make, test_folder_remove)

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

TEST(the_process_stays_as_it_was)
{
    static void (*const handlers[])(int) = {SIG_DFL, SIG_IGN, on_signal};
    struct process before, open, after;
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

TEST(a_child_holds_up_nothing)
{
    struct frames frames = FRAMES_INIT;
    int go[2], status;
    char address[64], byte;
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
TEST(a_child_may_open_stores_of_its_own)
{
    int status;
#ifdef TEST_WATCHES_THREADS
    skip(); /* it allows no threads behind a fork */
#endif
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

/* ---- giving up ---- */

/* A stop that comes while views are built does not wait for them, and nothing is lost by it. */
TEST(opening_can_be_given_up)
{
    static const char *const settings[] = {
        "log_level=error",
        "exports={\"E\":{\"views\":{\"top\":{\"pipeline\":[{\"sort\":\"n\"}]}}}}"};
    stele_options options = STELE_OPTIONS_INIT;
    stele_error error = {0};
    atomic_bool give_up = true;
    bool given_up = false;
    struct rows rows = {0};
    stele *store = open_store("given-up");
    apply(store, "{\"export\":\"E\",\"key\":\"b\",\"patch\":{\"n\":2}}\n"
                 "{\"export\":\"E\",\"key\":\"a\",\"patch\":{\"n\":1}}");
    stele_close(store);
    options.database = file;
    options.settings = settings;
    options.setting_count = 2;
    assert_null(api_open_unless(&options, &give_up, &given_up, &error));
    assert_true(given_up);
    assert_string_equal(error.code, "shutting-down");
    assert_non_null(strstr(error.message, "E/top"));
    store = stele_open(&options, &error);
    if (!store)
        fail_msg("%s", error.message);
    assert_true(stele_query(store, "E/top", NULL, -1, on_row, &rows, &error));
    assert_string_equal(rows.keys, "a b ");
    stele_close(store);
    store = api_open_unless(&options, &give_up, &given_up, &error); /* nothing is to be built */
    assert_non_null(store);
    assert_false(given_up);
    stele_close(store);
}
