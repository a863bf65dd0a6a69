/*
 * The thread that copies the log of changes. It goes in rounds: a round begins behind the newest
 * change here, when nothing of an earlier round is under way, and ends with an answer that broke
 * off, or with changes that could not be written.
 *
 *  1. Changes are handed over in order, those of one transaction together, each such with the
 *     change before it as its predecessor. So the engine refuses all behind what it could not
 *     write.
 *  2. What a source is, is looked at in each answer: its history and its settings.
 */
#include "replica/replica_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

enum {
    RETRY_MS = 500,       /* between rounds, and behind an answer that moves nothing, */
    STOPPED_MS = 5000,    /* ... while the source is not as it should be */
    REST_MS = 100,        /* so long an end may have to wait */
    SOON_MS = 1000,       /* an answer that waits is not expected before */
    FULL_WAIT_MS = 2,     /* for room in the engine's queue */
    KEPT_BYTES = 4 << 20, /* of the memory for lines */
    TOLD_S = 10,          /* before another reason is told */
    LIMIT = 5000,         /* changes of an answer */
    MOST_BYTES = 64 << 20 /* of a transaction that comes in parts */
};

static void pause_ms(int ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000 * 1000};
    nanosleep(&time, NULL);
}

/* ---- to the engine ---- */

/* Waits while the engine's queue is full: what the source sends meanwhile waits in the socket. */
static bool submit(struct replica *replica, struct submission *submission, struct error *error)
{
    replica_note_handed(replica, 1); /* before, because it may be delivered at once */
    *error = (struct error){.code = ERROR_SHUTTING_DOWN};
    while (!replica_is_over(replica)) {
        if (engine_submit(replica->engine, submission, error))
            return true;
        if (error->code != ERROR_QUEUE_FULL)
            break;
        pause_ms(FULL_WAIT_MS);
    }
    replica_note_handed(replica, -1);
    submission_free(submission);
    return false;
}

/* A large transaction does not keep its memory for all that come. */
static void empty(struct buffer *lines)
{
    if (lines->capacity > KEPT_BYTES) {
        buffer_fini(lines);
        buffer_init(lines, UINT32_MAX);
    }
    buffer_clear(lines);
}

static bool hand_over(struct replica *replica, struct error *error)
{
    if (!replica->changes.length && !replica->beside.length)
        return true;
    struct submission *submission =
        lines_submission(buffer_span(&replica->changes), buffer_span(&replica->beside), error);
    if (!submission)
        return false;
    submission->received_us = clock_monotonic_us();
    submission->owner = span_of("");
    submission->context = replica;
    submission->event.deliver = replica_deliver;
    submission->event.item.bytes = submission_memory(submission);
    submission->message =
        (struct submission_message){.sequence = replica->received,
                                    .previous = replica->handed,
                                    .at = replica->at,
                                    .copied = true,
                                    .is_alone = replica->is_alone || replica->is_older};
    empty(&replica->changes);
    empty(&replica->beside);
    if (!submit(replica, submission, error))
        return false;
    replica->handed = replica->received;
    return true;
}

/* ---- lines ---- */

static bool check_source(struct replica *replica, const struct line *line, struct error *error)
{
    if (!replica_note_chain(replica, line->replicas))
        return error_set(error, ERROR_LOG_REPLACED,
                         "%.200s is this replica itself, or one that has its changes from it: "
                         "log.from must lead to the server that takes the writes",
                         replica->url);
    if (strcmp(line->source.epoch, replica->epoch) != 0)
        return error_set(error, ERROR_LOG_REPLACED,
                         "%.200s has the epoch %s, and this replica %s: its database is another "
                         "one, or was restored from a copy. Make a new replica (stele bootstrap)",
                         replica->url, line->source.epoch, replica->epoch);
    if (strcmp(line->source.settings, replica->settings) != 0)
        return error_set(error, ERROR_LOG_REPLACED,
                         "%.200s has other settings that decide how changes are merged "
                         "(docs/cluster.md lists them). Set them as there, and make a new replica "
                         "if they were changed (stele bootstrap)",
                         replica->url);
    return line->change == replica->received ||
           error_set(error, ERROR_NETWORK, "%.200s answered another request", replica->url);
}

static bool add_line(struct buffer *lines, struct span text, struct error *error)
{
    return (buffer_add_span(lines, text) && buffer_add_char(lines, '\n')) ||
           error_set(error, ERROR_MEMORY, "out of memory while reading the log");
}

static bool is_much(const struct replica *replica)
{
    return replica->changes.length + replica->beside.length >= MOST_BYTES;
}

static bool take_beside(struct replica *replica, struct span text, struct error *error)
{
    return (!is_much(replica) || hand_over(replica, error)) &&
           add_line(&replica->beside, text, error);
}

static bool take_change(struct replica *replica, const struct line *line, struct span text,
                        struct error *error)
{
    bool begins = line->at != replica->at || is_much(replica);
    if (line->change != replica->received + 1)
        return error_set(error, ERROR_LOG_GAP, "%.200s gave change %" PRId64 " behind %" PRId64,
                         replica->url, line->change, replica->received);
    if (begins && !hand_over(replica, error))
        return false;
    replica->at = line->at;
    replica->received = line->change;
    return add_line(&replica->changes, text, error);
}

/* An answer with a change that cannot be made here says nothing new, until that one is made. */
static void be_reading(struct replica *replica)
{
    if (replica_state(replica).position == replica->stuck_at)
        return;
    replica->stuck_at = -1;
    if (replica_change(replica, FOLLOW_READING, "") == FOLLOW_READING)
        return;
    struct follow_state state = replica_state(replica);
    log_info("follow", "log-reading", log_number("position", state.position),
             log_number("last", state.position + state.lag_messages));
    replica->told_apart = false;
}

/* Told when it begins. Such a replica serves as any, but cannot take the source's place. */
static void note_alone(struct replica *replica, const struct line *line)
{
    const char *problem =
        line->only_changes
            ? "the token of log.token_file lacks the scope 'admin', so the source tells the "
              "changes alone: no producers, no keys of requests and no revoked tokens"
            : "the source is a replica that got changes alone, without producers, keys of requests "
              "and revoked tokens: make that one anew (stele bootstrap), and then this one";
    bool is_alone = line->only_changes || line->alone_since >= 0;
    if (is_alone && !replica->told_alone)
        log_warning("follow", "log-changes-only", log_text("problem", problem),
                    log_text("effect", "reads are as ever; this replica is no reserve"));
    replica->told_alone = is_alone;
    replica->is_alone |= is_alone;
}

/* How far behind it is, is known before the first change, so nothing seems to be all of the log. */
static bool take_head(struct replica *replica, const struct line *line, struct error *error)
{
    if (!check_source(replica, line, error))
        return false;
    note_alone(replica, line);
    if (line->now > 0)
        replica_note_clock(replica, line->now);
    if (line->head >= 0)
        replica_note_head(replica, line->head);
    if (!replica->told_apart) /* else once it has a whole answer, or the two would take turns */
        be_reading(replica);
    return true;
}

static bool take_line(struct replica *replica, struct span text)
{
    struct error *error = &replica->problem;
    struct line line;
    if (!line_read(&replica->doc, text, &line, error))
        return false;
    switch (line.kind) {
    case LINE_HEAD:
        return take_head(replica, &line, error);
    case LINE_CHANGE:
        return take_change(replica, &line, text, error);
    case LINE_BESIDE:
        return take_beside(replica, text, error);
    case LINE_END:
        break;
    }
    if (line.whole && !hand_over(replica, error))
        return false;
    memcpy(replica->notes, line.notes, sizeof replica->notes);
    replica_note_head(replica, line.head);
    return true;
}

static bool take(void *argument, struct span bytes)
{
    struct replica *replica = argument;
    const char *end;
    while ((end = memchr(bytes.data, '\n', bytes.length))) {
        struct span rest = span_make(bytes.data, (size_t)(end - bytes.data));
        bytes = span_make(end + 1, bytes.length - rest.length - 1);
        if (replica->line.length) {
            if (!buffer_add_span(&replica->line, rest))
                return error_set(&replica->problem, ERROR_MEMORY, "out of memory");
            rest = buffer_span(&replica->line);
        }
        if (!take_line(replica, rest))
            return false;
        buffer_clear(&replica->line);
    }
    return buffer_add_span(&replica->line, bytes) ||
           error_set(&replica->problem, ERROR_MEMORY, "out of memory");
}

/* ---- conditions ---- */

static bool is_stopped(struct replica *replica)
{
    enum follow_condition condition = replica_state(replica).condition;
    return condition == FOLLOW_GAP || condition == FOLLOW_REPLACED;
}

/* The following ends, until the source is as it should be. Told when it begins. */
static void stop_at(struct replica *replica, enum follow_condition condition, const char *problem)
{
    if (replica_change(replica, condition, problem) == condition)
        return;
    if (condition == FOLLOW_GAP)
        log_error("follow", "log-gap", log_text("problem", problem));
    else
        log_error("follow", "log-replaced", log_text("problem", problem));
}

/* Once; another reason, too, but reasons that take turns only now and then. */
static bool is_told(const struct replica *replica, const struct error *error)
{
    uint64_t since = clock_monotonic_us() - replica->apart_us;
    return replica->told_apart && (since < (uint64_t)TOLD_S * 1000 * 1000 ||
                                   strcmp(replica->apart_because.message, error->message) == 0);
}

/* What is wrong with the source stays so until it shows otherwise. */
static void be_apart(struct replica *replica, const struct error *error)
{
    if (!is_stopped(replica))
        replica_change(replica, FOLLOW_APART, error->message);
    if (!is_told(replica, error)) {
        log_warning("follow", "log-apart", log_text("error", error->message),
                    log_text("effect", "reads go on, and it is tried again"));
        replica->apart_because = *error;
        replica->apart_us = clock_monotonic_us();
    }
    replica->told_apart = true;
}

static void tell(struct replica *replica, const struct error *error)
{
    if (error->code == ERROR_LOG_GAP)
        stop_at(replica, FOLLOW_GAP, error->message);
    else if (error->code == ERROR_LOG_REPLACED)
        stop_at(replica, FOLLOW_REPLACED, error->message);
    else if (error->code != ERROR_SHUTTING_DOWN)
        be_apart(replica, error);
}

/* ---- rounds ---- */

/* What was known when an answer was asked for. */
struct asked {
    bool waits; /* ... which has the source wait for news */
    int64_t received;
    char notes[sizeof((struct replica *)NULL)->notes];
    uint64_t at_us;
};

static bool print_target(struct replica *replica)
{
    buffer_clear(&replica->target);
    buffer_printf(&replica->target, "%s/v1/changes?after=%s:%" PRId64 "&limit=%d&wait=%d",
                  replica->url, replica->epoch, replica->received, LIMIT,
                  replica->has_heard ? REPLICA_WAIT_S : 0);
    if (!replica->is_older)
        buffer_printf(&replica->target, "&notes=%s", replica->notes);
    return buffer_string(&replica->target) != NULL;
}

/* It refuses a parameter that it does not know: it is asked again without. */
static bool is_older(struct replica *replica, const struct fetch_answer *answer)
{
    if (answer->status != 400 || replica->is_older)
        return false;
    if (!replica->told_older)
        log_warning("follow", "log-source-older", log_text("url", replica->url),
                    log_text("effect",
                             "revoked tokens, forgotten producers and keys of requests are not "
                             "copied until it is upgraded; this replica is no reserve"));
    replica->is_older = replica->told_older = true;
    return true;
}

/* An answer that comes at once though it says nothing new would come again at once, without end: so
 * do those of several servers in turn, behind one address, each of which tells the notes at the
 * cursor anew as another one told them. */
static bool moves_nothing(const struct replica *replica, const struct asked *asked)
{
    size_t run = strcspn(asked->notes, ":");
    bool is_soon = clock_monotonic_us() - asked->at_us < (uint64_t)SOON_MS * 1000;
    bool is_other_run = strncmp(asked->notes, replica->notes, run + 1) != 0;
    return asked->waits && is_soon && replica->received == asked->received &&
           (is_other_run || strcmp(asked->notes, replica->notes) == 0);
}

static void rest(struct replica *replica, int ms)
{
    for (; ms > 0 && !atomic_load(&replica->halted); ms -= REST_MS)
        pause_ms(REST_MS);
}

/* One answer. false: the round is over. */
static bool fetch_one(struct replica *replica)
{
    struct fetch_answer answer;
    struct error error = {.code = ERROR_NONE};
    struct fetch_request request = {.connect_ms = REPLICA_CONNECT_MS,
                                    .silent_s = REPLICA_SILENT_S,
                                    .give_up = &replica->halted,
                                    .take = take,
                                    .argument = replica};
    struct asked asked = {
        .waits = replica->has_heard, .received = replica->received, .at_us = clock_monotonic_us()};
    memcpy(asked.notes, replica->notes, sizeof asked.notes);
    buffer_clear(&replica->line);
    replica->problem = (struct error){.code = ERROR_NONE};
    bool ready = print_target(replica) || error_set(&error, ERROR_MEMORY, "out of memory");
    request.url = replica->target.data;
    request.token = replica->token.length ? replica->token.data : NULL;
    if (ready && fetch_get(replica->fetch, &request, &answer, &error)) {
        replica->has_heard = true;
        be_reading(replica);
        if (moves_nothing(replica, &asked))
            rest(replica, RETRY_MS);
        return true;
    }
    if (ready && error.code == ERROR_NONE && is_older(replica, &answer))
        return true;
    if (replica->problem.code != ERROR_NONE)
        error = replica->problem;
    else if (ready && error.code == ERROR_NONE)
        replica_print_refusal(replica, &answer, &error);
    /* Its disk, and its queue, are told by the engine. */
    if (engine_state(replica->engine).disk == ERROR_NONE)
        tell(replica, &error);
    return false;
}

/* Whether what was not taken may be another time. Else it is told: the two merge differently. */
static bool may_go_on(struct replica *replica, const struct error *failure)
{
    static const enum error_code passing[] = {
        ERROR_NONE,         ERROR_MEMORY,          ERROR_QUEUE_FULL,       ERROR_SHUTTING_DOWN,
        ERROR_DISK_FULL,    ERROR_DISK_FAILED,     ERROR_FILE_LIMIT,       ERROR_WAL_LIMIT,
        ERROR_DATABASE,     ERROR_DATABASE_IN_USE, ERROR_DATABASE_GONE,    ERROR_DATABASE_DAMAGED,
        ERROR_OUT_OF_ORDER, ERROR_OUTCOME_UNKNOWN, ERROR_DATABASE_UNUSABLE};
    char text[ERROR_MESSAGE_SIZE];
    bool is_told = replica->stuck_at == replica->handed;
    if (failure->code != ERROR_NONE && !is_told)
        log_warning("follow", "log-message-waits", log_number("sequence", replica->handed + 1),
                    log_text("error", failure->message), log_text("effect", "it is read again"));
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++)
        if (passing[i] == failure->code)
            return true;
    snprintf(text, sizeof text,
             "changes of %.100s cannot be made here: %.250s. Make a new replica (stele bootstrap)",
             replica->url, failure->message);
    replica->stuck_at = replica->handed;
    stop_at(replica, FOLLOW_REPLACED, text);
    return false;
}

/* While the disk takes nothing, how far behind that makes it is known all the same. */
static void look_only(struct replica *replica)
{
    struct error error;
    int64_t head;
    if (replica_ask_head(replica, &head, &error))
        replica_note_head(replica, head);
    else
        tell(replica, &error);
}

static void run_round(struct replica *replica)
{
    struct error error;
    replica_wait_until_landed(replica, &error);
    buffer_clear(&replica->changes);
    buffer_clear(&replica->beside);
    replica->has_heard = replica->is_older = replica->is_alone = false;
    *replica->notes = '\0';
    if (atomic_load(&replica->halted) || !may_go_on(replica, &error))
        return;
    if (!replica_read_token(replica, &error)) {
        be_apart(replica, &error);
        return;
    }
    if (engine_state(replica->engine).disk != ERROR_NONE) {
        look_only(replica);
        return;
    }
    while (!replica_is_over(replica) && fetch_one(replica))
        ;
}

static void *replica_main(void *argument)
{
    struct replica *replica = argument;
    while (!atomic_load(&replica->halted)) {
        run_round(replica);
        rest(replica, is_stopped(replica) ? STOPPED_MS : RETRY_MS);
    }
    return NULL;
}

/* ---- its life ---- */

/* At each start: what its token may read by now does not bring back what is lacking. */
static void tell_alone_since(int64_t change)
{
    char problem[200];
    snprintf(problem, sizeof problem,
             "behind change %" PRId64
             " this replica got changes alone: producers, keys of requests "
             "and revoked tokens may be lacking. Make it anew (stele bootstrap), with 'admin'",
             change);
    if (change >= 0)
        log_warning("follow", "log-changes-only", log_text("problem", problem),
                    log_text("effect", "reads are as ever; this replica is no reserve"));
}

static char *copy(const char *text)
{
    return text ? memory_copy_string(text, strlen(text)) : NULL;
}

static void init(struct replica *replica)
{
    pthread_mutex_init(&replica->shared.lock, NULL);
    pthread_cond_init(&replica->shared.landed, NULL);
    buffer_init(&replica->token, 16 * 1024);
    buffer_init(&replica->target, 64 * 1024);
    buffer_init(&replica->line, UINT32_MAX);
    buffer_init(&replica->former, UINT32_MAX);
    buffer_init(&replica->shared.chain, UINT32_MAX);
    database_new_uuid(replica->id);
    buffer_init(&replica->changes, UINT32_MAX);
    buffer_init(&replica->beside, UINT32_MAX);
    doc_init(&replica->doc, UINT32_MAX, UINT32_MAX - 1);
}

struct replica *replica_open(const struct replica_options *options, struct error *error)
{
    struct replica *replica = memory_new(sizeof *replica);
    if (!replica) {
        error_set(error, ERROR_MEMORY, "out of memory while opening the log");
        return NULL;
    }
    init(replica);
    replica->url = copy(options->url);
    replica->token_file = copy(options->token_file);
    replica->revoked = options->revoked;
    replica->argument = options->argument;
    replica->fetch = fetch_open(options->ca_file, error);
    if (replica->fetch && replica->url && !replica->token_file == !options->token_file) {
        size_t length = strlen(replica->url);
        while (length && replica->url[length - 1] == '/')
            replica->url[--length] = '\0';
        return replica;
    }
    if (replica->fetch)
        error_set(error, ERROR_MEMORY, "out of memory while opening the log");
    replica_free(replica);
    return NULL;
}

bool replica_start(struct replica *replica, struct engine *engine, const char *settings,
                   struct error *error)
{
    const struct engine_facts *facts = engine_facts(engine);
    replica->engine = engine;
    replica->epoch = facts->epoch;
    snprintf(replica->settings, sizeof replica->settings, "%s", settings);
    replica->stuck_at = -1;
    replica_note_clock(replica, clock_wall_ms()); /* until it tells its own */
    replica->shared.since =
        (int64_t)(clock_monotonic_us() / 1000); /* nothing is known to be older */
    replica->shared.state.position = facts->last_change;
    tell_alone_since(engine_alone_since(engine));
    replica->started = pthread_create(&replica->thread, NULL, replica_main, replica) == 0;
    return replica->started || error_set(error, ERROR_MEMORY, "cannot start the thread of the log");
}

void replica_halt(struct replica *replica)
{
    if (replica)
        atomic_store(&replica->halted, true);
}

void replica_stop(struct replica *replica)
{
    if (!replica || !replica->started)
        return;
    replica_halt(replica);
    pthread_join(replica->thread, NULL);
    replica->started = false;
}

void replica_free(struct replica *replica)
{
    if (!replica)
        return;
    fetch_close(replica->fetch);
    buffer_fini(&replica->token);
    buffer_fini(&replica->target);
    buffer_fini(&replica->line);
    buffer_fini(&replica->former);
    buffer_fini(&replica->shared.chain);
    buffer_fini(&replica->changes);
    buffer_fini(&replica->beside);
    doc_fini(&replica->doc);
    pthread_mutex_destroy(&replica->shared.lock);
    pthread_cond_destroy(&replica->shared.landed);
    memory_free(replica->url);
    memory_free(replica->token_file);
    memory_free(replica);
}
