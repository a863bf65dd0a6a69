/*
 * A subscription as a member of a window:
 *
 *   NEW (snapshot) -> LIVE -> BEHIND -> WAITING -> LIVE
 *   FROM_NOW (no snapshot) -> WAITING -> LIVE, or LIVE at once when others watch
 *   RESUMING (a cursor) -> WAITING -> LIVE, or NEW when the cursor is refused
 *   LIVE, of a key that another of its client shows -> WAITING -> LIVE: see state.c
 */
#include "delivery/key_owner.h"
#include "window/reading.h"

/* ---- its way ---- */

static void wait_for_refresh(struct subscription *subscription)
{
    link_remove(&subscription->in_rest);
    link_append(&subscription->member->window->waiting, &subscription->in_rest);
    windows_refresh(subscription->topic->hub);
}

/* It has a version: the newest one is of a change that is known. */
static void note_version(struct subscription *subscription)
{
    struct member *member = subscription->member;
    const struct window *window = member->window;
    if (member->version >= window->published.version && member->change < window->published.change)
        member->change = window->published.change;
}

static bool rests(const struct subscription *subscription)
{
    return subscription->member->phase == MEMBER_LIVE && !link_alone(&subscription->in_rest);
}

int64_t member_has(const struct subscription *subscription)
{
    const struct member *member = subscription->member;
    int64_t passed = rests(subscription) ? member->window->published.passed : 0;
    int64_t has = member->change > passed ? member->change : passed;
    return has ? has : -1;
}

static void go_live(struct subscription *subscription, int64_t version)
{
    struct member *member = subscription->member;
    struct window *window = member->window;
    INVARIANT(!member->request);
    previous_shows(subscription);
    member->phase = MEMBER_LIVE;
    member->version = version;
    note_version(subscription);
    member->in_frame_log =
        window->frame_log_on && frame_log_seek(&window->frame_log, version, &member->at);
    subscriber_ready(subscription);
}

/* Without a snapshot it begins now: while others watch, the frame log leads on from here. Else the
 * window is not up to date, and a refresh finds what came since. So it does where a refresh must
 * know who lacks which rows. */
void window_begin(struct subscription *subscription)
{
    const struct hub *hub = subscription->topic->hub;
    struct member *member = subscription->member;
    const struct window *window = member->window;
    key_owner_begins(subscription);
    bool holds_none = link_alone(&subscription->previous.rows);
    member->phase = !subscription->asked.with_snapshot                   ? MEMBER_FROM_NOW
                    : holds_none && !subscription_owns_key(subscription) ? MEMBER_NEW
                                                                         : MEMBER_MOVED;
    member->in_frame_log = false;
    if (!member->refused)
        member->asked = hub->commits;
    member->refused = false;
    member->from = hub->backlog.last;
    if (!subscription->asked.with_snapshot && window->frame_log_on && holds_none &&
        !window->spec.is_partial)
        go_live(subscription, window->frame_log.head);
    else
        subscriber_ready(subscription);
}

/* ---- asking a refresh for more ---- */

static bool start_request(struct subscription *subscription, enum window_request_kind kind,
                          int64_t from)
{
    struct member *member = subscription->member;
    struct window *window = member->window;
    INVARIANT(!member->request && subscription->has_slot);
    struct window_request *request = memory_new(sizeof *request);
    if (!request)
        return false;
    link_init(&request->in_requests);
    link_init(&request->previous);
    bool lent = kind == WINDOW_STATE ? window_state_ask(subscription, request)
                                     : previous_lend(subscription, &request->previous);
    if (!lent) {
        window_request_free(request);
        return false;
    }
    request->shown = subscription->subscriber->previous.shown;
    request->window = window;
    request->subscription = subscription;
    request->kind = kind;
    request->from = from;
    request->current = member->current;
    request->snapshot_bytes = window->snapshot.bytes;
    request->looks_up = kind == WINDOW_RESUME && member->looks_up;
    request->cursor =
        (struct resume_query){.after = member->after,
                              .scan_rows = window->hub->options.scan_rows,
                              .origin = {.parted = member->parted, .current = member->current}};
    request->as_frames = kind == WINDOW_RESUME && !subscription->asked.with_snapshot;
    request->with_rows = subscription->asked.with_snapshot;
    window_request_queue(request);
    member->request = request;
    member->phase = MEMBER_WAITING;
    member->asked = window->hub->commits;
    windows_refresh(window->hub);
    return true;
}

static struct reader_step fail(struct subscription *subscription)
{
    struct error error;
    error_set(&error, ERROR_MEMORY, "out of memory for a window; subscribe again later");
    return reader_failed(subscription, &error);
}

/* With a slot: a few at a time for each subscriber, so that one that does not read pins little. */
static struct reader_step ask(struct subscription *subscription, enum window_request_kind kind)
{
    bool by_version = kind == WINDOW_BEHIND || kind == WINDOW_STATE;
    if (!subscription->has_slot)
        return (struct reader_step){.then = STEP_SLOT};
    const struct member *member = subscription->member;
    if (!start_request(subscription, kind, by_version ? member->version : member->from))
        return fail(subscription);
    return (struct reader_step){.then = STEP_WAIT};
}

/* ---- pulling ---- */

/* Whether its deletes may be of rows that another of its client has begun to show since it asked.
 * One that resumes has rows of its own window only. */
static bool is_overtaken(const struct subscription *subscription,
                         const struct window_request *request)
{
    bool moves = request->kind == WINDOW_MOVE || request->kind == WINDOW_FROM_NOW;
    return moves && !link_alone(&request->previous) && previous_lacks(subscription, request->shown);
}

static void ask_anew(struct subscription *subscription)
{
    struct member *member = subscription->member;
    struct window_request *request = member->request;
    member->phase = request->kind == WINDOW_MOVE ? MEMBER_MOVED : MEMBER_FROM_NOW;
    member->request = NULL;
    window_request_free(request);
    subscriber_ready(subscription);
}

static bool is_batch(enum window_request_kind kind)
{
    return kind == WINDOW_RESUME || kind == WINDOW_MOVE;
}

/* The part of the answer to be sent. A cursor says that the client has everything up to there, also
 * what the other shows. */
static struct text *answer_state(struct subscription *subscription, struct window_request *request)
{
    const struct key_owner_other other = key_owner_other(subscription);
    bool is_told = !other.shows || (other.has_all && request->statement.state <=
                                                         subscription->topic->hub->backlog.last);
    struct text **text = is_told ? &request->statement.with_cursor : &request->text;
    struct text *answer = *text;
    *text = NULL;
    text_unref(request->text);
    request->text = NULL;
    return answer;
}

/* The request is done with. */
static struct reader_step take_answer(struct subscription *subscription,
                                      struct window_request *request)
{
    enum window_request_kind kind = request->kind;
    INVARIANT(request->rows >= 0);
    struct reader_step step = {.then = request->refused ? STEP_REFUSED : STEP_MORE,
                               .read_ended = true,
                               .is_snapshot = is_batch(kind),
                               .rows = (uint64_t)request->rows,
                               .ends = true,
                               .is_answer = kind == WINDOW_MOVE,
                               .answered = request->rows};
    struct text *text = request->text;
    if (kind == WINDOW_STATE)
        text = answer_state(subscription, request);
    subscription->beside.stated = kind == WINDOW_STATE || kind == WINDOW_MOVE
                                      ? request->statement.stated
                                      : KEY_STATED_UNKNOWN;
    subscription->beside.stated_at = request->statement.state;
    int64_t version = request->version;
    subscription->member->request = NULL;
    if (kind != WINDOW_STATE)
        request->text = NULL;
    window_request_free(request);
    subscription->member->refused = step.then == STEP_REFUSED;
    if (step.then == STEP_REFUSED) {
        text_unref(text);
        return step;
    }
    previous_free_all(&subscription->previous.rows);
    struct hub_metrics *metrics = &subscription->topic->hub->metrics;
    if (kind == WINDOW_RESUME || kind == WINDOW_BEHIND)
        counter_add(kind == WINDOW_RESUME ? &metrics->resumes : &metrics->catch_ups, 1);
    go_live(subscription, version);
    step.text = text;
    return step;
}

static bool is_too_long(const struct window_request *request)
{
    return !request->announced && request->text &&
           window_is_too_long(request, text_span(request->text).length);
}

static struct reader_step pull_answer(struct subscription *subscription)
{
    struct window_request *request = subscription->member->request;
    INVARIANT(request && request->subscription == subscription);
    if (request->stage != REQUEST_RETURNED)
        return (struct reader_step){.then = STEP_WAIT};
    request->refused = request->refused || is_too_long(request);
    if (is_overtaken(subscription, request)) {
        ask_anew(subscription);
        return (struct reader_step){.then = STEP_MORE};
    }
    /* `subscribed` goes out before the rows. */
    if (request->kind == WINDOW_RESUME && !request->refused && !request->announced) {
        request->announced = true;
        return (struct reader_step){
            .then = STEP_MORE, .resumed = true, .is_answer = true, .answered = request->rows};
    }
    return take_answer(subscription, request);
}

/* The window's snapshot will do when it is not older than the question. */
static bool is_fresh(const struct subscription *subscription)
{
    const struct window *window = subscription->member->window;
    if (!window->snapshot.text || !window->frame_log_on)
        return false;
    bool untouched = window->busy != WINDOW_REFRESHED && !window->stale &&
                     window->snapshot.version == window->frame_log.head;
    if (!untouched && window->snapshot.asof < subscription->member->asked)
        return false;
    struct frame_log_cursor cursor;
    return frame_log_seek(&window->frame_log, window->snapshot.version, &cursor);
}

static struct reader_step pull_snapshot(struct subscription *subscription)
{
    struct window *window = subscription->member->window;
    if (!is_fresh(subscription)) {
        window->snapshot.wanted = true;
        window_activate(window);
        wait_for_refresh(subscription);
        return (struct reader_step){.then = STEP_WAIT};
    }
    INVARIANT(window->snapshot.version <= window->frame_log.head);
    if (!window->snapshot.unused)
        counter_add(&subscription->topic->hub->metrics.snapshot_batches_shared, 1);
    window->snapshot.unused = false;
    go_live(subscription, window->snapshot.version);
    return (struct reader_step){.text = text_ref(window->snapshot.text),
                                .then = STEP_MORE,
                                .is_snapshot = true,
                                .rows = (uint64_t)window->snapshot.rows,
                                .ends = true,
                                .is_answer = true,
                                .answered = window->snapshot.rows};
}

static void rest(struct subscription *subscription)
{
    note_version(subscription);
    link_remove(&subscription->in_rest);
    link_append(&subscription->member->window->resting, &subscription->in_rest);
}

/* Its frames only tell that there may be something to state. A slot that it was handed while there
 * was something is given back. */
static struct reader_step pull_stated(struct subscription *subscription)
{
    if (window_state_due(subscription))
        return ask(subscription, WINDOW_STATE);
    rest(subscription);
    return (struct reader_step){.then = STEP_IDLE, .read_ended = true};
}

static struct reader_step pull_live(struct subscription *subscription)
{
    struct member *member = subscription->member;
    struct window *window = member->window;
    struct reader_step step = {.then = STEP_MORE};
    struct frame_run run = {.behind = !member->in_frame_log};
    INVARIANT(run.behind || window->frame_log_on);
    if (!run.behind)
        run = frame_log_take(&window->frame_log, &member->at, span_make(NULL, 0));
    if (run.behind) {
        member->in_frame_log = false;
        member->phase = MEMBER_BEHIND;
        return ask(subscription, WINDOW_BEHIND);
    }
    INVARIANT(member->version <= member->at.id);
    member->version = member->at.id;
    step.bytes = run.bytes;
    step.counts = run.counts;
    if (step.bytes.length) {
        subscription->beside.stated = KEY_STATED_UNKNOWN;
    } else {
        rest(subscription);
        step.then = STEP_IDLE;
    }
    if (run.whole)
        step.text = text_ref(run.whole);
    return step;
}

static struct reader_step pull(struct subscription *subscription)
{
    switch (subscription->member->phase) {
    case MEMBER_NEW:
        return pull_snapshot(subscription);
    case MEMBER_FROM_NOW:
        return ask(subscription, WINDOW_FROM_NOW);
    case MEMBER_RESUMING:
        return ask(subscription, WINDOW_RESUME);
    case MEMBER_BEHIND:
        return ask(subscription, WINDOW_BEHIND);
    case MEMBER_MOVED:
        return ask(subscription, WINDOW_MOVE);
    case MEMBER_WAITING:
        return pull_answer(subscription);
    case MEMBER_LIVE:
        break;
    }
    if (subscription_owns_key(subscription) || subscription->beside.unstated ||
        subscription_leaves(subscription))
        return pull_stated(subscription);
    return pull_live(subscription);
}

/* Bodies would need their heads, and what an owner of its key sends is not in the frame log. */
static size_t show(struct subscription *subscription, struct span *pieces, size_t most)
{
    const struct member *member = subscription->member;
    if (member->phase != MEMBER_LIVE || !member->in_frame_log ||
        subscription->subscriber->head.length || subscription_owns_key(subscription) ||
        subscription->beside.unstated)
        return 0;
    return frame_log_show(&member->window->frame_log, &member->at, span_make(NULL, 0), pieces,
                          most);
}

static struct frame_run took(struct subscription *subscription, size_t length, bool all)
{
    struct member *member = subscription->member;
    const struct frame_log *frame_log = &member->window->frame_log;
    struct frame_run run = frame_log_took(frame_log, &member->at, length, !all);
    INVARIANT(member->version <= member->at.id);
    member->version = member->at.id;
    subscription->beside.stated = KEY_STATED_UNKNOWN;
    if (all && member->at.id >= frame_log->head)
        rest(subscription);
    return run;
}

static bool is_live(const struct subscription *subscription)
{
    return subscription->member->phase == MEMBER_LIVE;
}

static bool is_opening(const struct subscription *subscription)
{
    const struct member *member = subscription->member;
    return !(is_live(subscription) || member->phase == MEMBER_BEHIND ||
             (member->phase == MEMBER_WAITING && member->request->kind == WINDOW_BEHIND));
}

static bool has_all(const struct subscription *subscription)
{
    const struct window *window = subscription->member->window;
    return is_live(subscription) && !link_alone(&subscription->in_rest) && !window->stale &&
           !window->busy;
}

const struct reader_ops window_reader = {.pull = pull,
                                         .show = show,
                                         .took = took,
                                         .is_opening = is_opening,
                                         .is_live = is_live,
                                         .has_all = has_all};

struct window_shown window_shown(const struct subscription *subscription)
{
    const struct member *member = subscription->member;
    const struct window_request *request = member->request;
    struct window *window = member->window;
    bool known = subscription->reading == READER_WINDOW &&
                 (is_live(subscription) || member->phase == MEMBER_BEHIND ||
                  (member->phase == MEMBER_WAITING &&
                   (request->kind == WINDOW_BEHIND || request->kind == WINDOW_STATE)));
    known = known && !subscription->beside.others;
    int64_t version = known ? member->version : window->published.version;
    return (struct window_shown){
        .source = version > 0 || windows_outlived(window->hub) ? &window->source : NULL,
        .version = version,
        .former = !known};
}
