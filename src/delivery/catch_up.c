/*
 * Serving a subscription from the log in the database: after a cursor was presented, and for who
 * fell behind the backlog. Here the loop's side: each page is asked for when the last one was
 * taken, and says where the next begins.
 */
#include "delivery/catch_up_internal.h"
#include "delivery/read_task.h"

struct catch_up_task {
    struct read_task task;
    struct catch_up_page page;
};

/* ---- asking ---- */

static bool run(struct read_task *task, struct store_reader *reader)
{
    return catch_up_query(&((struct catch_up_task *)task)->page, reader);
}

static void dropped(struct read_task *task)
{
    struct catch_up_page *page = &((struct catch_up_task *)task)->page;
    catch_up_frames_fini(&page->frames);
    text_unref(page->text);
    memory_free((void *)page->request.key.data);
    row_scope_unref(page->request.scope);
    row_scope_unref(page->request.was);
    view_query_unref(page->request.query);
    view_unref(page->request.view);
    memory_free(task);
}

/* Whether the rows count as the answer to its request. */
static bool is_answer(enum log_purpose purpose)
{
    return purpose == LOG_ANSWERS || purpose == LOG_RESUMES;
}

/* A complete batch tells the client where it ends. */
static bool is_told_end(enum log_purpose purpose)
{
    return purpose == LOG_RESUMES || purpose == LOG_OVERLAPS || purpose == LOG_REPLAYS;
}

/*
 * Changes that overlap a snapshot come whole in any view. So they do for a client of an append view
 * that does not know all its keys and falls behind: an event of an unknown key would be a patch of
 * an entity that it never got. A client that asks for events with a cursor gets them all, except
 * for those keys.
 */
static enum catch_up_style choose_style(const struct subscription *subscription)
{
    enum log_purpose purpose = subscription->log.purpose;
    if (purpose == LOG_OVERLAPS)
        return CATCH_UP_RESUME;
    if (subscription->topic->mode == WIRE_APPEND)
        return subscription->knowledge.full || is_answer(purpose) ? CATCH_UP_EVENTS
                                                                  : CATCH_UP_WHOLE;
    return is_told_end(purpose) ? CATCH_UP_RESUME : CATCH_UP_WHOLE;
}

/* A client that gets bodies takes the rows of a snapshot when it is complete: what is gone must not
 * be told among them. */
static enum catch_up_part choose_part(const struct subscription *subscription)
{
    enum log_purpose purpose = subscription->log.purpose;
    if (purpose == LOG_DELETES)
        return CATCH_UP_GONE;
    return purpose == LOG_RESUMES && subscription->topic->encoding ? CATCH_UP_ROWS : CATCH_UP_ALL;
}

/*
 * Rows end at the head of the transaction that read the last of them, and a writer that never
 * pauses moves the head on while a page is on its way to the client. So when all that was there at
 * the beginning is sent, each further page may be twice as large as the one before: after a few of
 * them one has all that is left. Such pages are the only ones of a size that counts, so all
 * subscriptions together hold a number of them; who gets none goes on with a page of the usual
 * size.
 */
static unsigned grow(struct subscription *subscription)
{
    struct hub *hub = subscription->topic->hub;
    if (!subscription->log.page_growth || hub->grown_pages >= HUB_GROWN_PAGES)
        return 0;
    hub->grown_pages++;
    subscription->log.holds_grown_page = true;
    return subscription->log.page_growth;
}

void log_release(struct subscription *subscription)
{
    /* A page that was asked for, or was brought and not taken, is held. */
    if (!subscription->log.holds_grown_page || subscription->task)
        return;
    INVARIANT(subscription->subscriber->hub->grown_pages > 0);
    subscription->log.holds_grown_page = false;
    subscription->subscriber->hub->grown_pages--;
}

static struct catch_up_request make_request(struct subscription *subscription)
{
    const struct topic *topic = subscription->topic;
    const struct log_part *log = &subscription->log;
    bool resuming = is_told_end(log->purpose);
    unsigned growth = grow(subscription);
    return (struct catch_up_request){
        .view = topic->view,
        .encoding = topic->encoding,
        .scope = topic->scope,
        .was = subscription->moved.was,
        .mode = topic->mode,
        .style = choose_style(subscription),
        .from = subscription->cursor,
        .resume_from = log->from,
        .page_bytes = topic->hub->options.page_bytes << growth,
        .scan_rows = topic->hub->options.scan_rows
                     << (growth < HUB_SCAN_GROWTH ? growth : HUB_SCAN_GROWTH),
        .max_array = engine_max_array_length(topic->hub->engine, span_of(topic->view->export_name)),
        .resuming = resuming,
        .part = choose_part(subscription),
        .query = subscription->tape.query,
        .partial = !subscription->knowledge.full,
        .tells_state = log->owes_state,
        .is_cut = log->is_cut,
        .resume_target = log->target,
        .resume_limit = resuming ? log->limit : -1,
        .resume_seq = log->seq,
        .ambiguous_until = log->ambiguous_until,
        .true_from = log->true_from,
        .only_greater = log->only_greater,
        .greater = log->greater,
    };
}

static bool ask(struct subscription *subscription)
{
    struct catch_up_task *it = memory_new(sizeof *it);
    struct span key = subscription_key(subscription);
    if (!it)
        return false;
    it->task.what = "catch-up";
    it->task.run = run;
    it->task.dropped = dropped;
    it->page.error = &it->task.error;
    it->page.request = make_request(subscription);
    if (key.data) {
        char *copy = memory_copy_string(key.data, key.length);
        if (!copy) {
            memory_free(it);
            return false;
        }
        it->page.request.key = span_make(copy, key.length);
    }
    /* The subscription may end while a reader runs this. */
    row_scope_ref(it->page.request.scope);
    row_scope_ref(it->page.request.was);
    view_query_ref(it->page.request.query);
    view_ref(it->page.request.view);
    return read_task_start(subscription, &it->task);
}

/* ---- taking ---- */

/* The resume was cut at its limit: on to the present. The client does not know the entities that
 * changed in between; they come whole with their next change. */
static int64_t skip_to_present(struct subscription *subscription, int64_t reached)
{
    int64_t head = subscription->topic->hub->backlog.last;
    if (head < reached)
        head = reached; /* the reader was ahead of the loop */
    subscription_know(subscription, (struct knowledge){.resumed = true,
                                                       .begun = true,
                                                       .since = head,
                                                       .resumed_from = subscription->log.from,
                                                       .resumed_to = reached});
    return head;
}

/* The rows of a resume were sent as bodies: what is gone comes next. Where they end at the limit,
 * so does that, and the client is told the cursor there. */
static void tell_deletes(struct subscription *subscription, const struct catch_up_page *page)
{
    subscription->cursor = subscription->log.from;
    subscription->log.purpose = LOG_DELETES;
    subscription->log.owes_state = true;
    subscription->log.is_cut = page->limit_hit;
    subscription->log.target = page->to;
}

static void advance(struct subscription *subscription, const struct catch_up_page *page,
                    struct reader_step *step)
{
    struct log_part *log = &subscription->log;
    INVARIANT(subscription->cursor <= page->to);
    subscription->cursor = page->to;
    log->seq = page->resume_seq;
    log->limit = page->resume_limit;
    log->true_from = page->frames.true_from;
    log->owes_state &= !page->tells_state;
    if (page->ended) {
        log->purpose = log->purpose == LOG_RESUMES ? LOG_ANSWERS : LOG_CATCHES_UP;
        subscription_lost_was(subscription);
    }
    if (page->to >= log->target) {
        log->only_greater = false;
        if (is_told_end(log->purpose) && log->page_growth < HUB_PAGE_GROWTH)
            log->page_growth++;
    }
    log->target = page->target;
    if (page->ended && page->request.part == CATCH_UP_ROWS) {
        tell_deletes(subscription, page);
        step->then = STEP_MORE;
        return;
    }
    bool is_cut = page->limit_hit;
    if (log->purpose == LOG_DELETES && page->to >= log->target) {
        is_cut = log->is_cut;
        log->purpose = LOG_CATCHES_UP;
    }
    step->then = is_cut || page->at_head ? STEP_NEXT : STEP_MORE;
    step->next = READER_LIVE;
    step->from = is_cut ? skip_to_present(subscription, page->to) : page->to;
    if (step->then == STEP_NEXT)
        log->purpose = LOG_CATCHES_UP;
}

/* Of a page with a limit no more than that count: what it must have beyond, so that the client gets
 * on, is not the client's fault. */
static int64_t counted_rows(const struct subscription *subscription)
{
    int64_t limit = subscription->asked.limit, rows = subscription->log.answered;
    return limit >= 0 && rows > limit ? limit : rows;
}

static struct reader_step take(struct subscription *subscription, struct catch_up_page *page)
{
    struct reader_step step = {.text = page->text,
                               .then = STEP_REFUSED,
                               .read_ended = true,
                               .is_snapshot = page->request.style == CATCH_UP_RESUME,
                               .rows = page->rows,
                               .ends = page->ended,
                               .is_answer = is_answer(subscription->log.purpose)};
    page->text = NULL;
    if (step.is_answer)
        subscription->log.answered += page->frames.put;
    step.answered = counted_rows(subscription);
    if (!page->expired)
        advance(subscription, page, &step);
    return step;
}

/* ---- the reader ---- */

void log_reset(struct subscription *subscription)
{
    subscription->log.purpose = LOG_CATCHES_UP;
    subscription->log.owes_state = subscription->log.is_cut = false;
    subscription->log.ambiguous_until = 0;
    subscription->log.only_greater = false;
}

void log_overlap(struct subscription *subscription, int64_t target, struct seq seq)
{
    subscription->log.purpose = LOG_OVERLAPS;
    subscription->log.limit = -1;
    subscription->log.target = target;
    subscription->log.seq = seq;
}

void log_begin(struct subscription *subscription, int64_t from)
{
    subscription->cursor = from;
    /* All so far is in the database; what is missed from now on may come behind the last page. */
    subscription->live.missed = false;
    subscription->log.page_growth = 0;
    subscription->log.true_from = 0;
}

static struct reader_step pull(struct subscription *subscription)
{
    struct read_task *task = read_task_take(subscription);
    struct reader_step step = {.then = STEP_WAIT};
    if (task) {
        step = task->done ? take(subscription, &((struct catch_up_task *)task)->page)
                          : reader_failed(subscription, &task->error);
        dropped(task);
    } else if (!subscription->task) {
        if (!subscription->has_slot)
            step.then = STEP_SLOT;
        else if (!ask(subscription))
            step = read_task_refused(subscription);
    }
    return step;
}

static bool is_opening(const struct subscription *subscription)
{
    return subscription->log.purpose != LOG_CATCHES_UP;
}

const struct reader_ops log_reader = {.pull = pull, .is_opening = is_opening};
