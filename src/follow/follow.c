/* Life, and what others are told. */
#include "follow/envelope.h"
#include "follow/follow_internal.h"

enum {
    ASK_FOR_MS = 5000, /* at the start */
    ASK_REST_MS = 100
};

/* ---- writing ---- */

static bool is_disk_well(struct follow *follow, struct error *error)
{
    enum error_code disk = engine_state(follow->start.engine).disk;
    return disk == ERROR_NONE ||
           error_set(error, disk,
                     "this node writes nothing to its disk, so nothing of the request "
                     "was published; ask another node");
}

/* What would have to wait for long, or for ever, is not published at all. */
static bool may_write(struct follow *follow, struct error *error)
{
    struct follow_state state = follow_state(follow);
    if (follow_has_ended(state.condition))
        return error_set(error, ERROR_LOG_UNAVAILABLE,
                         "this node does not follow its log (%s), so nothing of the request was "
                         "published; ask another node",
                         follow_condition_name(state.condition));
    bool behind = state.lag_messages > 0 && state.lag_seconds > follow->start.max_lag;
    if (!behind && (state.caught_up || state.condition == FOLLOW_APART))
        return is_disk_well(follow, error);
    return error_set(error, ERROR_NODE_BEHIND,
                     "this node is %lld messages behind the log, so nothing of the request was "
                     "published; ask another node",
                     (long long)state.lag_messages);
}

static bool publish(void *argument, struct publication *publication, struct error *error)
{
    struct follow *follow = argument;
    if (may_write(follow, error) && publisher_put(follow->publisher, publication, error))
        return true;
    if (error->code == ERROR_LOG_UNAVAILABLE || error->code == ERROR_LOG_FORBIDDEN ||
        error->code == ERROR_NODE_BEHIND)
        publisher_note_refused(follow->publisher);
    return false;
}

static void settle(void *argument)
{
    publisher_settle(((struct follow *)argument)->publisher);
}

static bool publish_command(struct follow *follow, struct publication *publication,
                            enum publication_form form, struct buffer *body, struct error *error)
{
    if (body->failed)
        return error_set(error, ERROR_MEMORY, "out of memory while taking a request");
    publication->form = form;
    publication->body = buffer_span(body);
    return publish(follow, publication, error);
}

bool follow_revoke(struct follow *follow, struct publication *publication, struct buffer *body,
                   struct span token_id, int64_t expires_at, struct error *error)
{
    envelope_print_revocation(body, token_id, expires_at);
    return publish_command(follow, publication, PUBLICATION_REVOKE, body, error);
}

bool follow_forget(struct follow *follow, struct publication *publication, struct buffer *body,
                   struct span producer, struct error *error)
{
    envelope_print_producer(body, producer);
    return publish_command(follow, publication, PUBLICATION_FORGET, body, error);
}

/* ---- life ---- */

struct follow *follow_open(const struct follow_options *options, struct error *error)
{
    struct follow *follow = memory_new(sizeof *follow);
    if (!follow) {
        error_set(error, ERROR_MEMORY, "out of memory while opening the log");
        return NULL;
    }
    pthread_mutex_init(&follow->shared.lock, NULL);
    pthread_cond_init(&follow->shared.landed, NULL);
    follow->log = (struct publication_log){publish, settle, follow};
    follow->stream = stream_open(options, error);
    follow->publisher = follow->stream ? publisher_open(options, error) : NULL;
    if (follow->publisher)
        return follow;
    follow_free(follow);
    return NULL;
}

bool follow_ask(struct follow *follow, const atomic_bool *give_up, int64_t *created,
                struct error *error)
{
    struct stream_facts facts;
    uint64_t until = clock_monotonic_us() + (uint64_t)ASK_FOR_MS * 1000;
    while (!stream_ask(follow->stream, &facts, error)) {
        if (error->code != ERROR_NETWORK || clock_monotonic_us() > until ||
            (give_up && atomic_load(give_up)))
            return false;
        follow_pause(ASK_REST_MS);
    }
    *created = facts.created;
    return true;
}

bool follow_start(struct follow *follow, const struct follow_start *start, struct error *error)
{
    follow->start = *start;
    follow->shared.since = clock_wall_ms(); /* nothing is known to be older */
    follow->shared.state.position = engine_facts(start->engine)->log_position;
    if (!publisher_start(follow->publisher, start, error))
        return false;
    follow->started = pthread_create(&follow->thread, NULL, follow_read, follow) == 0;
    if (follow->started)
        return true;
    publisher_stop(follow->publisher);
    return error_set(error, ERROR_MEMORY, "cannot start the thread of the log");
}

void follow_halt(struct follow *follow)
{
    if (!follow)
        return;
    atomic_store(&follow->halted, true);
    publisher_halt(follow->publisher);
}

void follow_stop(struct follow *follow)
{
    if (!follow || !follow->started)
        return;
    follow_halt(follow);
    pthread_join(follow->thread, NULL);
    publisher_stop(follow->publisher);
    follow->started = false;
}

void follow_free(struct follow *follow)
{
    if (!follow)
        return;
    publisher_free(follow->publisher);
    stream_close(follow->stream);
    pthread_mutex_destroy(&follow->shared.lock);
    pthread_cond_destroy(&follow->shared.landed);
    memory_free(follow);
}

/* ---- state ---- */

struct follow_state follow_state(struct follow *follow)
{
    struct follow_shared *shared = &follow->shared;
    pthread_mutex_lock(&shared->lock);
    struct follow_state state = shared->state;
    state.lag_messages = follow_messages_behind(shared);
    state.lag_seconds = follow_seconds_behind(shared);
    if (shared->heard_us)
        state.heard_seconds = (double)(clock_monotonic_us() - shared->heard_us) / 1e6;
    pthread_mutex_unlock(&shared->lock);
    return state;
}

struct follow_writes follow_writes(struct follow *follow)
{
    return publisher_writes(follow->publisher);
}

const struct histogram *follow_write_time(const struct follow *follow)
{
    return publisher_wait(follow->publisher);
}

const struct publication_log *follow_log(struct follow *follow)
{
    return &follow->log;
}

bool follow_takes(struct follow *follow, struct error *error)
{
    struct error problem;
    if (!may_write(follow, error))
        return false;
    if (follow_state(follow).condition == FOLLOW_APART)
        return error_set(error, ERROR_LOG_UNAVAILABLE, "the log cannot be reached");
    if (publisher_is_ready(follow->publisher, &problem))
        return true;
    if (!publisher_is_refused(&problem))
        return error_set(error, ERROR_LOG_UNAVAILABLE, "the log takes nothing");
    *error = problem;
    return false;
}
