/*
 * Events of an append view by their position in the log: the tape of a client that gets bodies. The
 * log is the tape. So it outlives the server, has no holes, and whoever lags is caught up from it;
 * a cursor is the position of the last event, with the epoch of the view.
 */
#include "delivery/read_task.h"
#include "rows/past.h"

#include <inttypes.h>

struct tape_task {
    struct read_task task;
    const struct view *view; /* one reference */
    struct tape_reach reach;
};

/* ---- what is asked for ---- */

static bool check(const struct wire_subscribe *message, struct error *error)
{
    const char *wrong = message->take >= 0             ? "take"
                        : message->skip >= 0           ? "skip"
                        : message->snapshot_limit >= 0 ? "snapshotLimit"
                                                       : NULL;
    return !wrong || error_set(error, ERROR_INVALID_PARAMETER,
                               "'%s' is not for view '%.128s': it sends each event by itself",
                               wrong, message->view);
}

/* "<epoch>:<position>": the position, and the epoch, borrowed. False: it is no cursor. */
static bool read_cursor(const char *text, struct span *epoch, int64_t *position)
{
    const char *colon = strrchr(text, ':');
    *position = 0;
    bool good = colon && colon > text && colon[1];
    for (const char *at = good ? colon + 1 : ""; *at; at++) {
        good = good && *at >= '0' && *at <= '9';
        *position = *position > INT64_MAX / 10 - 1 ? INT64_MAX - 10 : *position * 10 + (*at - '0');
    }
    *epoch = good ? span_make(text, (size_t)(colon - text)) : span_make(NULL, 0);
    return good;
}

enum tape_cursor tape_cursor_read(const char *text, const struct hub *hub, const struct view *view,
                                  const struct row_scope *scope, int64_t *position)
{
    struct cursor_origin origin;
    struct span given;
    char epoch[VIEW_EPOCH];
    if (!read_cursor(text, &given, position))
        return TAPE_NO_CURSOR;
    if (given.length >= sizeof epoch)
        return TAPE_CURSOR_FOREIGN;
    memcpy(epoch, given.data, given.length);
    epoch[given.length] = '\0';
    bool fits = view_epoch_fits(hub, view, scope, epoch, &origin) &&
                (origin.parted < 0 || *position <= origin.parted);
    return fits ? TAPE_CURSOR_FITS : TAPE_CURSOR_FOREIGN;
}

static void take_cursor(struct subscription *subscription, const char *text)
{
    const struct topic *topic = subscription->topic;
    struct tape_part *tape = &subscription->tape;
    enum tape_cursor is =
        tape_cursor_read(text, topic->hub, topic->view, topic->scope, &tape->after);
    tape->has_after = true;
    if (is != TAPE_CURSOR_FITS)
        tape->wrong = is == TAPE_NO_CURSOR ? WIRE_REFUSED_CURSOR : WIRE_REFUSED_EPOCH;
}

struct view_query *tape_query_new(const struct hub *hub, const struct view *view, const char *text,
                                  struct error *error)
{
    struct view_query *query = view_query_new(view, span_of(text), &hub->options.query, error);
    if (!query || (!view_query_traits(query).sorts && !view_query_traits(query).is_timed))
        return query;
    error_set(error, ERROR_INVALID_PARAMETER,
              "'%s' is not for view '%.128s': its events have the order and the time in which they "
              "came",
              view_query_traits(query).sorts ? "sort" : "now", view->id);
    view_query_unref(query);
    return NULL;
}

bool tape_open(struct subscription *subscription, const struct wire_subscribe *message,
               struct error *error)
{
    const struct topic *topic = subscription->topic;
    struct tape_part *tape = &subscription->tape;
    if (!check(message, error))
        return false;
    tape->on = true;
    view_epoch(topic->hub, topic->view, topic->scope, tape->epoch);
    tape->window.epoch = span_of(tape->epoch);
    if (message->after)
        take_cursor(subscription, message->after);
    if (message->query)
        tape->query = tape_query_new(topic->hub, topic->view, message->query, error);
    return !message->query || tape->query;
}

/* ---- where it may begin ---- */

bool tape_reach_read(struct tape_reach *reach, const struct view *view, struct store_reader *reader,
                     struct error *error)
{
    struct view_state state;
    if (!store_read_begin(reader, error))
        return false;
    bool done = view_state_read(&state, view, reader, error);
    store_read_end(reader);
    if (done)
        *reach = (struct tape_reach){.is_fed = state.found,
                                     .newest = state.found ? state.export.last_change : 0,
                                     .head = state.log.last_change,
                                     .floor = past_floor(view->scope, &state)};
    return done;
}

static bool run(struct read_task *task, struct store_reader *reader)
{
    struct tape_task *it = (struct tape_task *)task;
    return tape_reach_read(&it->reach, it->view, reader, &task->error);
}

static void dropped(struct read_task *task)
{
    view_unref(((struct tape_task *)task)->view);
    memory_free(task);
}

static bool look_up(struct subscription *subscription, const struct held_cursor *held)
{
    (void)held;
    struct tape_task *it = memory_new(sizeof *it);
    if (!it)
        return false;
    it->task.what = "tape";
    it->task.run = run;
    it->task.dropped = dropped;
    it->view = view_ref(subscription->topic->view);
    return read_task_start(subscription, &it->task);
}

bool tape_start(struct subscription *subscription)
{
    const struct tape_part *tape = &subscription->tape;
    const struct held_cursor held = {.go_on = look_up};
    const struct cursor_place place = {.change = tape->after};
    return place.change && !tape->wrong && cursor_is_ahead(subscription->subscriber->hub, place)
               ? held_begin(subscription, place, &held)
               : look_up(subscription, &held);
}

/* ---- the reader ---- */

void tape_tell_refusal(struct subscription *subscription)
{
    const struct tape_part *tape = &subscription->tape;
    enum wire_refusal refusal = tape->wrong ? tape->wrong : WIRE_REFUSED_EXPIRED;
    struct error error;
    struct wire_problem problem = {.refusal = refusal, .error = &error, .retry_after = -1};
    const char *why = refusal == WIRE_REFUSED_CURSOR    ? "is no cursor"
                      : refusal == WIRE_REFUSED_EPOCH   ? "is of another database or another view"
                      : refusal == WIRE_REFUSED_EXPIRED ? "is older than what is kept of the log"
                                                        : "is beyond the newest event";
    error_set(&error, ERROR_INVALID_PARAMETER,
              "the cursor of view '%.128s' %s; the log has the positions from %" PRId64
              " up to %" PRId64,
              subscription->topic->view->id, why, tape->window.earliest, tape->window.next - 1);
    if (refusal != WIRE_REFUSED_CURSOR)
        problem.tape = &tape->window;
    counter_add(&subscription->topic->hub->metrics.resumes_refused, 1);
    subscriber_problem(subscription->subscriber, &problem);
}

/* The part of the log to read is the tape's events. */
static void replay(struct subscription *subscription, int64_t from, int64_t target)
{
    struct log_part *log = &subscription->log;
    log_reset(subscription);
    log->purpose = LOG_REPLAYS;
    log->limit = -1;
    log->from = from;
    log->target = target;
}

static struct reader_step begin(struct subscription *subscription, const struct tape_reach *it)
{
    struct tape_part *tape = &subscription->tape;
    struct reader_step step = {.then = STEP_REFUSED, .read_ended = true};
    tape->window.earliest = it->floor + 1;
    tape->window.next = it->head + 1;
    if (!tape->wrong && tape->has_after && tape->after > it->head)
        tape->wrong = WIRE_REFUSED_AHEAD;
    if (!tape->wrong && tape->has_after && tape->after < it->floor)
        tape->wrong = WIRE_REFUSED_EXPIRED;
    if (tape->wrong)
        return step;
    step.then = STEP_NEXT;
    step.next = READER_LOG;
    step.from = tape->has_after ? tape->after : it->floor;
    subscription_know(
        subscription,
        (struct knowledge){.full = true, .resumed = true, .begun = true, .since = step.from});
    replay(subscription, step.from, it->head);
    subscription_announce(subscription, -1);
    return step;
}

static struct reader_step pull(struct subscription *subscription)
{
    struct read_task *task = read_task_take(subscription);
    if (!task)
        return (struct reader_step){.then = STEP_WAIT};
    struct reader_step step = task->done ? begin(subscription, &((struct tape_task *)task)->reach)
                                         : reader_failed(subscription, &task->error);
    dropped(task);
    return step;
}

const struct reader_ops tape_reader = {.pull = pull};
