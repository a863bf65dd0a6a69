/*
 * The sums of what a view shows, for plain HTTP (docs/drift.md). All steps of an answer read one
 * state, so it has a connection of its own, whose transaction stays open from the first step to the
 * last; others have their turn on the reading threads between them. As the write-ahead log cannot
 * start over meanwhile, a few answers are made at a time, each has an end, and none begins while
 * the log is long. Others wait in a line, where owners take turns.
 */
#include "delivery/subscription.h"
#include "rows/view_sum.h"
#include "window/answer.h"
#include "window/reading.h"

enum {
    MOST_SECONDS = 60,
    HELD_SECONDS = 30, /* for which they wait for a log that nobody reads for them */
    SECOND_US = 1000 * 1000,
    LOOK_US = 50 * 1000 /* between two looks at it */
};

struct summing {
    struct read_job read;
    struct hub *hub;
    struct hub_read options; /* without what was the asker's */
    struct window_spec spec;
    struct view_sum sum;
    struct store_reader *reader; /* its own; NULL: it has not begun, or is over */
    uint64_t begun_us;
    bool left; /* nobody waits for it: what is left is to close its reader */
    char epoch[VIEW_EPOCH];
    struct hub_answer answer;
};

/* ---- on a reader ---- */

static void close_reader(struct summing *it)
{
    if (!it->reader)
        return;
    store_read_end(it->reader);
    store_reader_close(it->reader);
    it->reader = NULL;
}

static bool begin(struct summing *it)
{
    struct error *error = &it->answer.error;
    if (it->reader)
        return true;
    it->begun_us = clock_monotonic_us();
    it->sum.now = engine_times(it->hub->engine).now / 1000;
    it->reader = store_reader_open(engine_facts(it->hub->engine)->database, error);
    return it->reader && store_read_begin(it->reader, error);
}

static void end_body(struct summing *it)
{
    struct buffer out;
    buffer_init(&out, UINT32_MAX);
    out.failed = !view_sum_print(&it->sum, span_of(it->epoch), &out) || out.failed;
    answer_set_body(&it->answer, &it->options, &out);
    buffer_fini(&out);
}

static bool step(struct summing *it)
{
    struct error *error = &it->answer.error;
    uint64_t now = clock_monotonic_us();
    if (!view_sum_run(&it->sum, it->reader, now + it->hub->options.refresh_us, error))
        return false;
    return it->sum.done || now - it->begun_us < (uint64_t)MOST_SECONDS * SECOND_US ||
           error_set(error, ERROR_TOO_LARGE,
                     "the rows could not be summed within %d seconds; ask for a part of the view "
                     "(where, filter), or when the server has less to do",
                     MOST_SECONDS);
}

static void run(struct read_job *read, struct store_reader *reader)
{
    struct summing *it = (struct summing *)read;
    (void)reader;
    if (!it->left && begin(it) && step(it)) {
        if (!it->sum.done)
            return;
        end_body(it);
    }
    close_reader(it);
}

/* ---- on the loop ---- */

static void summing_free(struct summing *it)
{
    close_reader(it);
    view_sum_fini(&it->sum);
    window_spec_fini(&it->spec);
    buffer_fini(&it->answer.body);
    memory_free(it);
}

static bool is_going_on(struct summing *it)
{
    return it->answer.error.code == ERROR_NONE && !it->sum.done &&
           it->options.is_wanted(it->options.argument) &&
           answer_ask(it->hub, &it->read, &it->answer.error);
}

static void end(struct summing *it)
{
    answer_give(&it->answer, &it->options, it->spec.view);
    summing_free(it);
}

/* It has a place: it begins, or goes on. False: it has ended. */
static bool go_on(struct summing *it)
{
    if (!it->left && is_going_on(it))
        return true;
    bool closes = it->reader && !it->left; /* that may take a while, so not here */
    it->left = true;
    if (closes && engine_read(it->hub->engine, &it->read))
        return true;
    it->hub->windows->sum_count--;
    engine_note_holder(it->hub->engine, false);
    end(it);
    return false;
}

static void refuse_all(struct windows *windows, enum error_code code, const char *why)
{
    while (windows->sums.first) {
        struct summing *it = (struct summing *)lane_ring_take(&windows->sums);
        error_set(&it->answer.error, code, "%s", why);
        end(it);
    }
}

/* The log can only start over while nobody reads a state from it. So while it is long none begins
 * beside those that are open: one after the other they would hold it for ever. */
static bool waits_for_log(struct hub *hub)
{
    struct windows *windows = hub->windows;
    uint64_t now = clock_monotonic_us();
    bool waits = windows->sums.first && engine_wal_is_long(hub->engine);
    if (!waits || windows->sum_count)
        windows->sums_held_us = 0;
    else if (!windows->sums_held_us)
        windows->sums_held_us = now;
    else if (now - windows->sums_held_us > (uint64_t)HELD_SECONDS * SECOND_US)
        refuse_all(windows, ERROR_QUEUE_FULL,
                   "the write-ahead log has to start over before rows can be summed, and does not: "
                   "somebody reads for long, or the disk does not take it; try again later");
    return waits;
}

/* Those whose turn it is. */
static void fill_places(struct hub *hub)
{
    struct windows *windows = hub->windows;
    if (waits_for_log(hub))
        return;
    while (windows->sums.first && windows->sum_count < WINDOW_SUMS) {
        windows->sum_count++;
        engine_note_holder(hub->engine, true);
        go_on((struct summing *)lane_ring_take(&windows->sums));
    }
}

void window_sums_take_turn(struct hub *hub)
{
    if (hub->windows->sums.first)
        fill_places(hub);
}

uint64_t window_sums_due(const struct hub *hub, uint64_t now_us)
{
    const struct windows *windows = hub->windows;
    bool waits = windows->sums.first && windows->sum_count < WINDOW_SUMS;
    return waits ? now_us + LOOK_US : UINT64_MAX;
}

void hub_stop_sums(struct hub *hub)
{
    hub->windows->sums_stopped = true;
    refuse_all(hub->windows, ERROR_SHUTTING_DOWN, "the server is stopping; ask again");
}

static void deliver(struct engine_event *event)
{
    struct summing *it = (struct summing *)event;
    struct hub *hub = it->hub;
    if (!go_on(it))
        fill_places(hub);
}

/* The members of the spec are taken over. */
static struct summing *summing_new(struct hub *hub, const struct hub_read *read,
                                   const struct window_spec *spec)
{
    struct summing *it = memory_new(sizeof *it);
    if (!it)
        return NULL;
    it->read.run = run;
    it->read.is_long = true;
    it->read.event.deliver = deliver;
    it->read.owner = read->owner;
    it->hub = hub;
    it->options = *read;
    it->spec = *spec;
    view_epoch(hub, spec->view, spec->scope, it->epoch);
    view_sum_init(&it->sum);
    it->sum.view = it->spec.view;
    it->sum.scope = it->spec.scope;
    it->sum.query = it->spec.query;
    it->sum.key = it->spec.key;
    it->sum.skip = it->spec.skip;
    it->sum.most_sorted = hub->options.max_window_rows;
    it->sum.most_bytes = ANSWER_BYTES;
    it->sum.most_rows = read->rows_limited ? read->max_rows : VIEW_ALL;
    buffer_init(&it->answer.body, UINT32_MAX);
    return it;
}

/* All rows, unless something says how many. */
static int64_t take_of(const struct window_spec *spec, const struct wire_subscribe *wanted,
                       bool as_subscribed)
{
    bool is_keyed = spec->view->output == VIEW_KEYED;
    return as_subscribed || is_keyed || wanted->take > 0 ? spec->take : VIEW_ALL;
}

static bool make_spec(struct hub *hub, const struct hub_read *read, struct window_spec *spec,
                      struct error *error)
{
    const struct view *view;
    struct seq ignored;
    bool has_after;
    if (!subscription_check(hub, read->identity, read->wanted, &view, &has_after, &ignored, error))
        return false;
    bool made = window_spec_make(hub, view, read->wanted, spec, error);
    view_unref(view); /* the spec has it */
    if (!made)
        return false;
    if (spec->view->scope)
        spec->scope = row_scope_get(&hub->row_scopes, read->identity);
    if (!spec->view->scope || spec->scope)
        return true;
    window_spec_fini(spec);
    return error_set(error, ERROR_MEMORY, "out of memory while summing a view");
}

bool hub_sum(struct hub *hub, const struct hub_read *read, const struct hub_sums *sums,
             struct error *error)
{
    struct window_spec spec;
    if (hub->windows->sums_stopped)
        return error_set(error, ERROR_SHUTTING_DOWN, "the server is stopping; ask again");
    if (!make_spec(hub, read, &spec, error))
        return false;
    struct summing *it = summing_new(hub, read, &spec);
    if (!it) {
        window_spec_fini(&spec);
        return error_set(error, ERROR_MEMORY, "out of memory while summing a view");
    }
    it->sum.take = take_of(&spec, read->wanted, sums->as_subscribed);
    it->sum.with_parts = sums->parts;
    if (sums->keys.data && !view_sum_want(&it->sum, sums->keys, error)) {
        summing_free(it);
        return false;
    }
    read->is_wanted(read->argument); /* from now on it takes long */
    lane_ring_add(&hub->windows->sums, it->read.owner, &it->read.event.item);
    fill_places(hub);
    return true;
}
