#include "fault_sweep.h"
#include "memory_fault.h"
#include "test.h"

#include "base/memory.h"

#include <execinfo.h>
#include <pthread.h>

enum { SLOTS = 1 << 18 };

struct stack {
    uint64_t hash; /* 0: the slot is free */
    int part;      /* the part of the sweep that came by last */
    int passes;    /* how often that did, up to SWEEP_PASSES */
    uint8_t seen;  /* a bit for each pass */
    uint8_t failed;
};

static struct {
    struct stack stacks[SLOTS];
    int used;
    int run;
    int part;             /* the runs that go on from each other */
    uint64_t allocations; /* of this run, until one failed */
    uint64_t known;       /* so many at the beginning of a run are places that have failed */
    bool sticky;
    bool exhaustive;
    bool failing; /* one of this run has failed */
} sweep;

/* Threads allocate at the same time. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static uint64_t hash_stack(void *const *frames, int count)
{
    uint64_t hash = 14695981039346656037u;
    for (int i = 0; i < count; i++)
        hash = (hash ^ (uint64_t)(uintptr_t)frames[i]) * 1099511628211u;
    hash ^= hash >> 32;
    return hash ? hash : 1;
}

static struct stack *find_stack(uint64_t hash)
{
    size_t at = hash % SLOTS;
    while (sweep.stacks[at].hash && sweep.stacks[at].hash != hash)
        at = (at + 1) % SLOTS;
    struct stack *stack = &sweep.stacks[at];
    if (!stack->hash) {
        if (++sweep.used > SLOTS / 2) {
            fprintf(stderr, "fault_sweep: more than %d places\n", SLOTS / 2);
            abort();
        }
        stack->hash = hash;
    }
    return stack;
}

/* Whether this place is to fail: no run has failed it before. */
static bool is_new(uint64_t hash)
{
    struct stack *stack = find_stack(hash);
    if (stack->part != sweep.part) {
        stack->part = sweep.part;
        stack->passes = 0;
    }
    if (stack->passes < SWEEP_PASSES)
        stack->passes++;
    uint8_t bit = (uint8_t)(1 << stack->passes);
    stack->seen |= bit;
    bool is = !(stack->failed & bit);
    stack->failed |= bit;
    return is;
}

/* A run begins as the one before it did, up to what failed there; to look again where that came by
 * would cost most of the sweep. A part of the sweep goes on like this until a run fails nowhere.
 * The next part knows nothing beforehand, so it finds what threads did in another order. The sweep
 * ends with a part whose first run fails nowhere. */
static bool is_to_fail(void)
{
    void *frames[SWEEP_FRAMES];
    if (++sweep.allocations <= sweep.known)
        return false;
    if (sweep.exhaustive)
        return is_new(sweep.allocations);
    return is_new(hash_stack(frames, backtrace(frames, SWEEP_FRAMES)));
}

/* What comes after the first failure is its consequence, and no place. */
static int must_fail(void)
{
    pthread_mutex_lock(&lock);
    bool fails = sweep.failing && sweep.sticky;
    if (!sweep.failing)
        fails = sweep.failing = is_to_fail();
    pthread_mutex_unlock(&lock);
    return fails;
}

void sweep_begin(int sticky)
{
    void *frame;
    (void)backtrace(&frame, 1); /* its first call loads a library */
    memory_fail_if(NULL);
    memset(&sweep, 0, sizeof sweep);
    sweep.sticky = sticky;
    const char *seeds = getenv("STELE_SEEDS");
    sweep.exhaustive = seeds && atoi(seeds) >= 1000;
}

void sweep_arm(void)
{
    pthread_mutex_lock(&lock);
    if (sweep.run > 0 && sweep.failing) {
        sweep.known = sweep.allocations;
    } else if (sweep.run > 0) {
        sweep.known = 0;
        sweep.part++;
    }
    sweep.run++;
    sweep.allocations = 0;
    sweep.failing = false;
    pthread_mutex_unlock(&lock);
    memory_fail_if(must_fail);
}

bool sweep_disarm(void)
{
    memory_fail_if(NULL);
    return memory_fault_hit();
}

bool sweep_goes_on(void)
{
    return sweep.run == 0 || sweep.failing || sweep.known > 0;
}

int sweep_run(void)
{
    return sweep.run;
}

void sweep_end(void)
{
    int seen = 0, failed = 0;
    for (size_t i = 0; i < SLOTS; i++) {
        seen += __builtin_popcount(sweep.stacks[i].seen);
        failed += __builtin_popcount(sweep.stacks[i].failed);
    }
    print_message("%d places of %d stacks failed, of %d seen; the last run had %llu allocations\n",
                  failed, sweep.used, seen, (unsigned long long)sweep.allocations);
    assert_false(sweep_goes_on());
    assert_int_equal(failed, seen);
}
