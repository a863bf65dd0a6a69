/* Who is next among the jobs of readers: owners take turns, brief ones go first, none starves. */
#include "engine_fixture.h"
#include "test.h"

#include "engine/read_queue.h"

#include <dirent.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/resource.h>

enum { MOST = 1000 };

static struct read_queue the_queue, *const queue = &the_queue;
static struct read_job jobs[MOST];
static size_t job_count;

static void put(uint64_t owner, bool is_long)
{
    struct read_job *job = &jobs[job_count++];
    *job = (struct read_job){.owner = owner, .is_long = is_long};
    assert_true(read_queue_put(queue, job));
}

/* The next job is this owner's, and of this kind, for a reader that takes all. */
static void next_is(uint64_t owner, bool is_long)
{
    struct read_job *job = read_queue_take(queue, true);
    assert_non_null(job);
    assert_int_equal(job->owner, owner);
    assert_int_equal(job->is_long, is_long);
}

static void set_up(void)
{
    assert_true(read_queue_init(queue, MOST));
    job_count = 0;
}

static void tear_down(void)
{
    read_queue_close(queue);
    assert_null(read_queue_take(queue, true));
    assert_null(read_queue_take(queue, false));
    read_queue_fini(queue);
}

TEST_EACH(set_up, tear_down)

TEST(owners_take_turns)
{
    for (int i = 0; i < 60; i++)
        put(7, false);
    put(8, false);
    put(9, false);
    put(8, false);
    next_is(7, false);
    next_is(8, false);
    next_is(9, false);
    next_is(7, false);
    next_is(8, false);
    for (int i = 0; i < 58; i++)
        next_is(7, false);
}

TEST(brief_ones_go_first_and_long_ones_in_time)
{
    for (int i = 0; i < 60; i++)
        put(7, true);
    next_is(7, true);
    put(7, false);
    next_is(7, false);
    for (int i = 0; i < 20; i++)
        put(8, false);
    int brief = 0;
    for (int i = 0; i < 24; i++) {
        brief += !read_queue_take(queue, true)->is_long;
    }
    assert_true(brief >= 19 && brief <= 20);
    for (int i = 24; i < 60 - 1 + 20; i++)
        assert_non_null(read_queue_take(queue, true));
}

/* Whatever waits, it takes brief ones alone. */
TEST(one_reader_is_left_for_brief_ones)
{
    for (int i = 0; i < 10; i++)
        put(7, true);
    for (int i = 0; i < 50; i++)
        put(9, false);
    for (int i = 0; i < 50; i++)
        assert_int_equal(read_queue_take(queue, false)->owner, 9);
    for (int i = 0; i < 10; i++)
        next_is(7, true);
}

/* ---- who is woken ---- */

struct reader {
    struct read_queue *queue;
    pthread_t thread;
    bool takes_long;
    _Atomic int *running, *finished;
    sem_t *go;
    _Atomic int taken;
};

/* Takes one after the other, each held up until it is let go. */
static void *read_all(void *argument)
{
    struct reader *reader = argument;
    while (read_queue_take(reader->queue, reader->takes_long)) {
        reader->taken++;
        ++*reader->running;
        sem_wait(reader->go);
        --*reader->running;
        ++*reader->finished;
    }
    return NULL;
}

static void wait_until(_Atomic int *number, int wanted)
{
    while (*number != wanted)
        usleep(100);
}

/* As many run at a time as there are readers for them, so none sleeps while one waits. */
TEST(no_reader_sleeps_while_a_job_waits)
{
    _Atomic int running = 0, finished = 0;
    sem_t go;
    sem_init(&go, 0, 0);
    struct reader readers[3];
    for (int i = 0; i < 3; i++) {
        readers[i] = (struct reader){.queue = queue,
                                     .takes_long = i > 0,
                                     .running = &running,
                                     .finished = &finished,
                                     .go = &go};
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_all, &readers[i]), 0);
    }
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 3; i++)
            put(5, false);
        wait_until(&running, 3);
        for (int i = 0; i < 3; i++)
            sem_post(&go);
        wait_until(&finished, 7 * round + 3);
        job_count = 0;
        for (int i = 0; i < 3; i++)
            put(5, true);
        wait_until(&running, 2);
        put(6, false);
        wait_until(&running, 3);
        for (int i = 0; i < 4; i++)
            sem_post(&go);
        wait_until(&finished, 7 * round + 7);
        job_count = 0;
    }
    read_queue_close(queue);
    for (int i = 0; i < 3; i++)
        pthread_join(readers[i].thread, NULL);
    assert_true(readers[0].taken >= 50); /* each round's one beside long ones is its own */
    sem_destroy(&go);
}

TEST(what_is_for_everybody_has_every_second_turn)
{
    for (uint64_t owner = 1; owner <= 20; owner++)
        put(owner, false);
    put(0, false);
    put(0, false);
    next_is(0, false);
    next_is(1, false);
    next_is(0, false);
    for (uint64_t owner = 2; owner <= 20; owner++)
        next_is(owner, false);
}

TEST(a_full_or_closed_one_takes_nothing)
{
    struct read_job more = {.owner = 1};
    for (int i = 0; i < MOST; i++)
        put((uint64_t)i, i % 3 == 0);
    assert_false(read_queue_put(queue, &more));
    read_queue_close(queue);
    assert_false(read_queue_put(queue, &more));
    for (int i = 0; i < MOST; i++)
        assert_non_null(read_queue_take(queue, false)); /* what is left is run by all */
}

/* ---- the readers of an engine ---- */

/* Threads of this process by their nice value, beyond that of this thread. */
static int count_nicer(int by)
{
    int own = getpriority(PRIO_PROCESS, 0), count = 0;
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *task;
    assert_non_null(tasks);
    while ((task = readdir(tasks)))
        if (task->d_name[0] != '.')
            count += getpriority(PRIO_PROCESS, (id_t)atoi(task->d_name)) == own + by;
    closedir(tasks);
    return count;
}

TEST_WITH(readers_of_long_jobs_are_nice, NULL, NULL)
{
    struct fixture fixture;
    int own = getpriority(PRIO_PROCESS, 0), by = own < 9 ? 10 : 19 - own;
    if (!by)
        skip(); /* there is nothing nicer */
    fixture_init(&fixture);
    fixture.options.readers = 3;
    fixture_open(&fixture);
    for (int i = 0; i < 60 * 1000 && count_nicer(by) != 2; i++)
        usleep(1000);
    assert_int_equal(count_nicer(by), 2);
    fixture_fini(&fixture);
}
