#include "base/log.h"

#include "base/clock.h"
#include "base/map.h"
#include "base/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static _Atomic int current_level = LOG_LEVEL_INFO;
static _Atomic int current_format = LOG_FORMAT_TEXT;

void log_configure(enum log_level level, enum log_format format)
{
    atomic_store_explicit(&current_level, level, memory_order_relaxed);
    atomic_store_explicit(&current_format, format, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&current_level, memory_order_relaxed);
}

/* ---- holding back repeats ---- */

enum { REPEATS_ALLOWED = 10, REPEAT_WINDOW_US = 10 * 1000 * 1000, REPEAT_SLOTS = 256, PROBES = 8 };

/* How often one component and event was told. Kept by hash: two that share one, if that ever
 * happens, merely share their allowance. */
struct repeat {
    uint64_t hash;
    uint64_t window_start_us;
    unsigned passed; /* in this window; 0 only in a slot never used */
    uint64_t held;   /* since the last line that passed */
};

static struct repeat repeats[REPEAT_SLOTS];
static pthread_mutex_t repeats_lock = PTHREAD_MUTEX_INITIALIZER;

/* The slot of the hash. A new one takes a free slot or that of the oldest window: the table is
 * larger than the set of events that a busy server tells at a time. */
static struct repeat *repeat_of(uint64_t hash, uint64_t now_us)
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
    *oldest = (struct repeat){.hash = hash, .window_start_us = now_us};
    return oldest;
}

/* Whether the line may be written; *held becomes the number of those before it that were not. */
static bool passes(const char *component, const char *event, uint64_t *held)
{
    uint64_t hash = map_hash(span_of(component)) * 3 + map_hash(span_of(event));
    uint64_t now_us = clock_monotonic_us();
    pthread_mutex_lock(&repeats_lock);
    struct repeat *repeat = repeat_of(hash, now_us);
    if (now_us - repeat->window_start_us >= REPEAT_WINDOW_US) {
        repeat->window_start_us = now_us;
        repeat->passed = 0;
    }
    bool pass = repeat->passed < REPEATS_ALLOWED;
    *held = repeat->held;
    if (pass) {
        repeat->passed++;
        repeat->held = 0;
    } else {
        repeat->held++;
    }
    pthread_mutex_unlock(&repeats_lock);
    return pass;
}

/* ---- the line ---- */

/* The size that the kernel writes to a pipe in one piece, so that lines of several processes
 * never mix; on the stack, so that running out of memory can be logged. The rest of a longer
 * line is cut; the tail always has room. */
enum { LINE_SIZE = 4096, LINE_TAIL = 96, FIELDS_SIZE = 3072 };

struct line {
    char data[LINE_SIZE];
    size_t length;
};

static void add(struct line *line, struct span text)
{
    memcpy(line->data + line->length, text.data, text.length);
    line->length += text.length;
}

/* The escape of one byte; `json` has no \x. */
static size_t escape(char out[8], unsigned char c, bool json)
{
    static const char *const short_escapes[] = {
        ['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f", ['\r'] = "\\r"};
    if (c == '"' || c == '\\')
        return (size_t)snprintf(out, 8, "\\%c", c);
    if (c < sizeof short_escapes / sizeof *short_escapes && short_escapes[c])
        return (size_t)snprintf(out, 8, "%s", short_escapes[c]);
    return (size_t)snprintf(out, 8, json ? "\\u%04x" : "\\x%02x", c);
}

/* Append text that may quote input from anywhere: it must neither break out of its line or
 * string, nor be invalid UTF-8. In the text format quotes are the caller's own. */
static void add_safe(struct line *line, struct span text, bool json)
{
    for (size_t at = 0; at < text.length;) {
        const char *c = text.data + at;
        size_t size = utf8_character(c, text.length - at);
        char escaped[8];
        struct span piece = {c, size};
        if (size == 0)
            piece = span_of("\xEF\xBF\xBD");
        else if ((unsigned char)*c < 0x20 || *c == 0x7F || (json && (*c == '"' || *c == '\\')))
            piece = span_make(escaped, escape(escaped, (unsigned char)*c, json));
        if (line->length + piece.length > LINE_SIZE - LINE_TAIL)
            return;
        add(line, piece);
        at += size ? size : 1;
    }
}

static void add_time(struct line *line)
{
    int64_t now_ms = clock_wall_ms();
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm utc;
    char text[48];
    gmtime_r(&seconds, &utc);
    size_t length = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    length += (size_t)snprintf(text + length, 8, ".%03dZ", (int)(now_ms % 1000));
    add(line, span_make(text, length));
}

struct entry {
    const char *level, *component, *event, *fields;
    uint64_t held;
};

static void add_held(struct line *line, const struct entry *entry)
{
    if (entry->held == 0)
        return;
    char text[40];
    int length =
        snprintf(text, sizeof text, "%sheld_back=%" PRIu64, *entry->fields ? " " : "", entry->held);
    add(line, span_make(text, (size_t)length));
}

static void format_text(struct line *line, const struct entry *entry)
{
    add_time(line);
    const char *const words[] = {entry->level, entry->component, entry->event, entry->fields};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!*words[i]) /* NOLINT(clang-analyzer-core.NullDereference): none is NULL */
            continue;
        add_safe(line, span_of(" "), false);
        add_safe(line, span_of(words[i]), false);
    }
    if (entry->held && !*entry->fields)
        add(line, span_of(" "));
    add_held(line, entry);
    add(line, span_of("\n"));
}

static void format_json(struct line *line, const struct entry *entry)
{
    add(line, span_of("{\"time\":\""));
    add_time(line);
    const char *const members[][2] = {{"\",\"level\":\"", entry->level},
                                      {"\",\"component\":\"", entry->component},
                                      {"\",\"event\":\"", entry->event},
                                      {"\",\"fields\":\"", entry->fields}};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        add(line, span_of(members[i][0]));
        add_safe(line, span_of(members[i][1]), true);
    }
    add_held(line, entry);
    add(line, span_of("\"}\n"));
}

static void write_line(const struct entry *entry)
{
    struct line line;
    line.length = 0;
    if (atomic_load_explicit(&current_format, memory_order_relaxed) == LOG_FORMAT_JSON)
        format_json(&line, entry);
    else
        format_text(&line, entry);
    /* Nothing sensible is left to do when this fails; trying again is for a signal only. */
    while (write(STDERR_FILENO, line.data, line.length) < 0 && errno == EINTR)
        ;
}

static const char *level_name(enum log_level level)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    return names[level];
}

void log_write(enum log_level level, const char *component, const char *event, const char *fields,
               ...)
{
    struct entry entry = {.level = level_name(level), .component = component, .event = event};
    int saved = errno; /* a caller may log first and look at errno after */
    if (!log_enabled(level) || !passes(component, event, &entry.held))
        goto done;
    char text[FIELDS_SIZE] = "";
    static const char cut[] = "…";
    if (fields) {
        va_list arguments;
        va_start(arguments, fields);
        int needed = vsnprintf(text, sizeof text, fields, arguments);
        va_end(arguments);
        if (needed >= (int)sizeof text)
            memcpy(text + utf8_whole(text, sizeof text - sizeof cut), cut, sizeof cut);
    }
    entry.fields = text;
    write_line(&entry);
done:
    errno = saved;
}
