#include "base/log.h"

#include "base/clock.h"
#include "base/log_line.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

/* ---- levels ---- */

static const char *const components[] = {
    "api",    "audit",   "auth",   "config", "engine", "follow",    "hub", "limits", "net",
    "server", "service", "source", "stele",  "store",  "telemetry", "tls", "usage"};
static const char *const level_names[] = {"error", "warning", "info", "debug"};
enum {
    COMPONENT_COUNT = sizeof components / sizeof *components,
    LEVEL_COUNT = sizeof level_names / sizeof *level_names,
    NOT_SET = 0
};

static _Atomic int general_level = LOG_LEVEL_INFO;
static _Atomic int component_levels[COMPONENT_COUNT]; /* 1 + level, or NOT_SET */
static _Atomic int current_format = LOG_FORMAT_TEXT;

static _Atomic uint64_t counts[LEVEL_COUNT];

static int place_of(const char *const *names, int count, struct span name)
{
    for (int i = 0; i < count; i++)
        if (span_equal(span_of(names[i]), name))
            return i;
    return -1;
}

static void list_names(char *out, size_t size, const char *const *names, int count)
{
    size_t length = 0;
    for (int i = 0; i < count && length < size; i++)
        length += (size_t)snprintf(out + length, size - length, "%s%s", i ? ", " : "", names[i]);
}

/* "component=level" at the start of *text, which moves behind it and its comma. */
static bool read_level(const char **text, int *component, int *level, struct error *error)
{
    size_t length = strcspn(*text, ",");
    const char *equals = memchr(*text, '=', length);
    size_t name = equals ? (size_t)(equals - *text) : length;
    char allowed[160];
    *component = place_of(components, COMPONENT_COUNT, span_make(*text, name));
    *level =
        equals ? place_of(level_names, LEVEL_COUNT, span_make(equals + 1, length - name - 1)) : -1;
    if (*component < 0) {
        list_names(allowed, sizeof allowed, components, COMPONENT_COUNT);
        return error_set(error, ERROR_CONFIGURATION,
                         "\"%.*s\" is no component of the log; there are %s",
                         (int)(name < 60 ? name : 60), *text, allowed);
    }
    if (*level < 0) {
        list_names(allowed, sizeof allowed, level_names, LEVEL_COUNT);
        return error_set(error, ERROR_CONFIGURATION,
                         "\"%.*s\" is not component=level; the levels are %s",
                         (int)(length < 60 ? length : 60), *text, allowed);
    }
    *text += length + ((*text)[length] == ',');
    return true;
}

static bool read_levels(const char *text, int levels[COMPONENT_COUNT], struct error *error)
{
    for (int i = 0; i < COMPONENT_COUNT; i++)
        levels[i] = NOT_SET;
    while (text && *text) {
        int component, level;
        if (!read_level(&text, &component, &level, error))
            return false;
        levels[component] = 1 + level;
    }
    return true;
}

bool log_check_levels(const char *levels, struct error *error)
{
    int ignored[COMPONENT_COUNT];
    return read_levels(levels, ignored, error);
}

bool log_configure(enum log_level level, enum log_format format, const char *levels)
{
    int wanted[COMPONENT_COUNT];
    if (!read_levels(levels, wanted, NULL))
        return false;
    atomic_store_explicit(&general_level, level, memory_order_relaxed);
    atomic_store_explicit(&current_format, format, memory_order_relaxed);
    for (int i = 0; i < COMPONENT_COUNT; i++)
        atomic_store_explicit(&component_levels[i], wanted[i], memory_order_relaxed);
    return true;
}

static bool is_enabled(const char *component, enum log_level level)
{
    int place = place_of(components, COMPONENT_COUNT, span_of(component));
    int own =
        place < 0 ? NOT_SET : atomic_load_explicit(&component_levels[place], memory_order_relaxed);
    int most =
        own == NOT_SET ? atomic_load_explicit(&general_level, memory_order_relaxed) : own - 1;
    return (int)level <= most;
}

/* ---- writing ---- */

enum { PATIENCE_MS = 50, PATIENCE_EVERY_US = 1000 * 1000 };

static void begin(struct log_line *line, enum log_level level, const char *component,
                  const char *event)
{
    bool json = atomic_load_explicit(&current_format, memory_order_relaxed) == LOG_FORMAT_JSON;
    log_line_begin(line, json, level_names[level], component, event);
}

/*
 * A line is at most what a pipe takes whole when it says that it takes something; so whoever holds
 * the lock and was told so does not wait. A reader that is slow is waited for a little, once a
 * second; beyond that lines are lost and counted, because no thread may hang for its log.
 */
static pthread_mutex_t output_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t patience_at_us; /* under the lock: when to be patient again */
static _Atomic uint64_t
    lost_lines; /* all, and those of them that were told; changed under the lock */
static uint64_t lost_told;

static bool takes_line(void)
{
    uint64_t now_us = clock_monotonic_us();
    bool patient = now_us >= patience_at_us;
    struct pollfd output = {.fd = STDERR_FILENO, .events = POLLOUT};
    /* An output that is no pipe or socket, or is broken, is none of this business. */
    if (poll(&output, 1, patient ? PATIENCE_MS : 0) != 0)
        return true;
    if (patient)
        patience_at_us = now_us + PATIENCE_EVERY_US;
    return false;
}

static void put(const struct log_line *line)
{
    /* Nothing sensible is left to do when this fails; trying again is for a signal only. */
    while (write(STDERR_FILENO, line->data, line->length) < 0 && errno == EINTR)
        ;
}

static void tell_lost(uint64_t count)
{
    struct log_line line;
    begin(&line, LOG_LEVEL_WARNING, "server", "log-lines-lost");
    log_line_end(&line, "lines", count);
    put(&line);
}

static void end(struct log_line *line, uint64_t held)
{
    log_line_end(line, "held_back", held);
    pthread_mutex_lock(&output_lock);
    uint64_t untold = atomic_load_explicit(&lost_lines, memory_order_relaxed) - lost_told;
    bool goes = takes_line();
    if (goes && untold) {
        lost_told += untold;
        tell_lost(untold);
        goes = takes_line();
    }
    if (goes)
        put(line);
    else
        atomic_fetch_add_explicit(&lost_lines, 1, memory_order_relaxed);
    pthread_mutex_unlock(&output_lock);
}

/* ---- holding back repeats ---- */

enum {
    REPEATS_ALLOWED = 10,
    AUDIT_REPEATS_ALLOWED = 1000, /* who reads them wants each; but a flood must not fill a disk */
    REPEAT_WINDOW_US = 10 * 1000 * 1000,
    REPEAT_SLOTS = 256,
    PROBES = 8
};

/* How often one component and event was told. Kept by hash: two that share one, if that ever
 * happens, merely share their allowance. */
struct repeat {
    uint64_t hash;
    uint64_t window_start_us;
    uint64_t held;   /* since the last line that passed */
    unsigned passed; /* in this window; 0 only in a slot never used */
    enum log_level level;
    char component[16], event[40]; /* to tell of what was held; cut where longer */
};

static struct repeat repeats[REPEAT_SLOTS];
static pthread_mutex_t repeats_lock = PTHREAD_MUTEX_INITIALIZER;

/* FNV-1a, as both are names of ours; base/map.h stands on the log, by its invariants. */
static const uint64_t HASH_START = UINT64_C(0xcbf29ce484222325);

static uint64_t hash_of(const char *name, uint64_t hash)
{
    do
        hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
    while (*name++);
    return hash;
}

/* The slot of the hash, or the one to take for it: a free one, or that of the oldest window. The
 * table is larger than the set of events that a busy server tells at a time. */
static struct repeat *repeat_of(uint64_t hash)
{
    struct repeat *oldest = NULL;
    for (unsigned i = 0; i < PROBES; i++) {
        struct repeat *slot = &repeats[(hash + i) % REPEAT_SLOTS];
        if (slot->passed && slot->hash == hash)
            return slot;
        if (!oldest || (slot->passed ? slot->window_start_us : 0) <
                           (oldest->passed ? oldest->window_start_us : 0))
            oldest = slot;
    }
    return oldest;
}

static void take_slot(struct repeat *slot, uint64_t hash, const char *component, const char *event)
{
    *slot = (struct repeat){.hash = hash};
    snprintf(slot->component, sizeof slot->component, "%s", component);
    snprintf(slot->event, sizeof slot->event, "%s", event);
}

static void tell_held(const struct repeat *repeat)
{
    struct log_line line;
    if (!repeat->held)
        return;
    begin(&line, repeat->level, repeat->component, repeat->event);
    end(&line, repeat->held);
}

/* Whether the line may be written; *held becomes the number of those before it that were not. */
static bool passes(enum log_level level, const char *component, const char *event, uint64_t *held)
{
    uint64_t hash = hash_of(event, hash_of(component, HASH_START));
    uint64_t now_us = clock_monotonic_us();
    unsigned allowed = strcmp(component, "audit") == 0 ? AUDIT_REPEATS_ALLOWED : REPEATS_ALLOWED;
    struct repeat lost = {.held = 0};
    pthread_mutex_lock(&repeats_lock);
    struct repeat *repeat = repeat_of(hash);
    if (!repeat->passed || repeat->hash != hash) {
        lost = *repeat;
        take_slot(repeat, hash, component, event);
        repeat->window_start_us = now_us;
    } else if (now_us - repeat->window_start_us >= REPEAT_WINDOW_US) {
        repeat->window_start_us = now_us;
        repeat->passed = 0;
    }
    bool pass = repeat->passed < allowed;
    repeat->level = level;
    *held = repeat->held;
    repeat->passed += pass;
    repeat->held = pass ? 0 : repeat->held + 1;
    pthread_mutex_unlock(&repeats_lock);
    tell_held(&lost);
    return pass;
}

struct log_counts log_counts(void)
{
    struct log_counts now = {.lost = atomic_load_explicit(&lost_lines, memory_order_relaxed)};
    for (size_t level = 0; level <= LOG_LEVEL_DEBUG; level++)
        now.lines[level] = atomic_load_explicit(&counts[level], memory_order_relaxed);
    return now;
}

void log_tick(void)
{
    uint64_t now_us = clock_monotonic_us();
    for (size_t i = 0; i < REPEAT_SLOTS; i++) {
        struct repeat due = {.held = 0};
        pthread_mutex_lock(&repeats_lock);
        struct repeat *repeat = &repeats[i];
        if (repeat->held && now_us - repeat->window_start_us >= REPEAT_WINDOW_US) {
            due = *repeat;
            repeat->held = 0;
        }
        pthread_mutex_unlock(&repeats_lock);
        tell_held(&due);
    }
}

void log_write(enum log_level level, const char *component, const char *event,
               const struct log_field *fields)
{
    struct log_line line;
    uint64_t held;
    int saved = errno; /* a caller may log first and look at errno after */
    if (!is_enabled(component, level))
        goto done;
    atomic_fetch_add_explicit(&counts[level], 1, memory_order_relaxed);
    if (!passes(level, component, event, &held))
        goto done;
    begin(&line, level, component, event);
    for (; fields->kind != LOG_END; fields++)
        log_line_field(&line, fields);
    end(&line, held);
done:
    errno = saved;
}
