/*
 * What a stop does to the rest of the process: nothing. Descriptors above all, because their
 * numbers are everybody's: one that is closed twice is another's the second time. None is left
 * open.
 */
#include "close_watch.h"
#include "engine/engine.h"
#include "server/server_internal.h"
#include "server_fixture.h"

#include <dirent.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static struct buffer text;

/* The first server has libuv open a pipe for signals, which stays for the whole process. */
static void setup(void)
{
    struct live live;
    buffer_init(&text, 1 << 20);
    live_start(&live, NULL);
    live_stop(&live);
}

static void teardown(void)
{
    buffer_fini(&text);
}

TEST_ALL(setup, teardown)

static void post(const struct live *live, struct buffer *answer)
{
    peer_ask(server_parts(live->server).address,
             "POST /v1/mutations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 38\r\n\r\n"
             "{\"export\":\"Q\",\"key\":1,\"patch\":{\"a\":1}}",
             answer);
    assert_memory_equal(answer->data, "HTTP/1.1 200 ", 13);
}

static size_t open_descriptors(void)
{
    size_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

static void part(int fd)
{
    peer_expect_close(fd, 1001, "shutting-down: the server is stopping");
    peer_say_frame(fd, 0x88, span_make("\x03\xe9", 2));
    assert_false(peer_hear_frame(fd, &text));
    close(fd);
}

TEST(test_what_is_closed)
{
    struct live live;
    size_t before = open_descriptors();
    close_watch_begin();
    live_start(&live, NULL);
    post(&live, &text);
    int quiet = peer_dial(server_parts(live.server).address);
    int subscriber = peer_upgrade(server_parts(live.server).address, "/", &text);
    int feeder = peer_upgrade(server_parts(live.server).address, "/v1/ingest", &text);
    peer_say_text(subscriber, "{\"type\":\"subscribe\",\"view\":\"Q/list\"}");
    peer_expect(subscriber, 0x82, "subscribed");
    peer_expect(subscriber, 0x82, "snapshot");
    server_stop(live.server);
    part(subscriber);
    part(feeder);
    live_wait(&live);
    live_close(&live);
    close(quiet);
    assert_int_equal(close_watch_end(), 0);
    assert_int_equal(open_descriptors(), before);
}

/* ---- beside others ---- */

struct feeding {
    const struct live *live;
    atomic_bool enough;
};

static void *feed(void *argument)
{
    struct feeding *feeding = argument;
    struct buffer answer;
    buffer_init(&answer, 1 << 16);
    while (!atomic_load(&feeding->enough))
        post(feeding->live, &answer);
    buffer_fini(&answer);
    return NULL;
}

/* One works, with connections that come and go, while others start and stop. */
TEST(test_two_servers)
{
    struct live staying, passing;
    struct feeding feeding = {.live = &staying};
    pthread_t feeder;
    close_watch_begin();
    live_start(&staying, NULL);
    pthread_create(&feeder, NULL, feed, &feeding);
    for (int i = 0; i < 3; i++) {
        live_start(&passing, NULL);
        post(&passing, &text);
        live_stop(&passing);
    }
    atomic_store(&feeding.enough, true);
    pthread_join(feeder, NULL);
    post(&staying, &text);
    live_stop(&staying);
    assert_int_equal(close_watch_end(), 0);
}

/* ---- a request that is still asked for ---- */

/* Keeps the one reader busy until it is let go. */
struct hold {
    struct read_job read;
    sem_t begun, release;
};

static void await(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0)
        ;
}

static void run_hold(struct read_job *job, struct store_reader *reader)
{
    struct hold *hold = (struct hold *)job;
    (void)reader;
    sem_post(&hold->begun);
    await(&hold->release);
}

static void deliver_hold(struct engine_event *event)
{
    (void)event;
}

struct count {
    struct server_work work;
    size_t requests;
    sem_t done;
};

static void count_requests(struct server *server, struct server_work *work)
{
    struct count *count = (struct count *)work;
    count->requests = server->http.requests;
    sem_post(&count->done);
}

static void await_request(const struct live *live)
{
    struct count count = {.work.run = count_requests};
    sem_init(&count.done, 0, 0);
    do {
        assert_true(server_post(live->server, &count.work));
        await(&count.done);
    } while (count.requests != 1);
    sem_destroy(&count.done);
}

/* The reader brings the figures when the connection is gone, and the way in, too. */
static void stop_before_the_answer(const char *request)
{
    static const char *const settings[] = {"readers", "1", NULL};
    struct live live;
    struct hold hold = {.read = {.event.deliver = deliver_hold, .run = run_hold}};
    sem_init(&hold.begun, 0, 0);
    sem_init(&hold.release, 0, 0);
    live_start(&live, settings);
    assert_true(engine_read(server_parts(live.server).engine, &hold.read));
    await(&hold.begun);
    int fd = peer_dial(server_parts(live.server).health_address);
    peer_say(fd, span_of(request));
    await_request(&live);
    server_stop(live.server);
    live_wait(&live);
    sem_post(&hold.release);
    live_close(&live);
    close(fd);
    sem_destroy(&hold.begun);
    sem_destroy(&hold.release);
}

TEST(test_figures_that_come_after_the_end)
{
    stop_before_the_answer("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stop_before_the_answer("GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n");
}

/* ---- starts that fail ---- */

TEST(test_an_address_in_use)
{
    struct live live;
    struct error error = {0};
    char path[96];
    live_start(&live, NULL);
    close_watch_begin();
    struct config config;
    assert_true(config_init(&config, &error));
    snprintf(path, sizeof path, "%s/other.db", live.folder);
    config_set(&config, "database", path, &error);
    config_set(&config, "listen", server_parts(live.server).address, &error);
    assert_null(server_open(&config, NULL, &error));
    assert_int_equal(error.code, ERROR_NETWORK);
    config_fini(&config);
    assert_int_equal(close_watch_end(), 0);
    live_stop(&live);
}

/* In a process of its own, because the limit can only be lowered. */
static void open_with_few_descriptors(const struct config *config)
{
    size_t opened = 0, refused = 0;
    for (rlim_t count = 64; count >= 8; count--) {
        struct error error = {0};
        struct rlimit limit = {.rlim_cur = count, .rlim_max = count};
        setrlimit(RLIMIT_NOFILE, &limit);
        struct server *server = server_open(config, NULL, &error);
        if (server)
            opened++;
        else if (error.code != ERROR_NONE && error.message[0])
            refused++;
        server_close(server);
    }
    _exit(opened && refused && opened + refused == 57 ? 0 : 1);
}

/* A folder and a configuration, of a server that has come and gone. live_close ends it. */
static void prepare(struct live *live, const char *const *settings)
{
    live_start(live, settings);
    server_stop(live->server);
    live_wait(live);
    server_close(live->server);
    live->server = NULL;
}

/* Whichever descriptor is the one too many, there is an error, and an end. */
TEST(test_few_descriptors)
{
    struct live live;
    int status;
    prepare(&live, NULL);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        open_with_few_descriptors(&live.config);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    live_close(&live);
}

static void *open_and_close(void *argument)
{
    struct error error;
    const struct live *live = argument;
    for (int i = 0; i < 20; i++) {
        struct server *server = server_open(&live->config, NULL, &error);
        if (!server)
            return NULL;
        server_close(server);
    }
    return argument;
}

/* The limit on descriptors is changed while a server opens, and is back afterwards: also when two
 * do so at a time. */
TEST(test_the_limit_stays)
{
    static const char *const settings[] = {"max_connections", "10", NULL};
    struct rlimit before, after;
    struct live lives[2];
    pthread_t threads[2];
    void *done;
    for (int i = 0; i < 2; i++)
        prepare(&lives[i], settings);
    getrlimit(RLIMIT_NOFILE, &before);
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, open_and_close, &lives[i]);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], &done);
        assert_non_null(done);
        live_close(&lives[i]);
    }
    getrlimit(RLIMIT_NOFILE, &after);
    assert_int_equal(after.rlim_cur, before.rlim_cur);
}
