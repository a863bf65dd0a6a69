#include "http/facts.h"
#include "delivery/hub.h"
#include "engine/engine.h"
#include "store/stage.h"

enum { FRESH_MS = 1000 };

struct facts_waiter {
    struct facts_waiter *next;
    struct http_request *request;
    facts_print print;
    void (*ready)(void *argument); /* instead of both: no request waits */
    void *argument;
};

/* The question on its way to a reader, and back. */
struct facts_job {
    struct read_job job;
    struct facts *facts;
    const struct database *database;
    struct store_log_state log;
    struct database_sizes sizes;
    struct process_figures process;
    struct fact_rows *rows;
    size_t row_count;
    uint64_t asked_ms;
    int64_t asked_change;
    bool done;
};

struct facts *facts_new(struct http *http)
{
    struct facts *facts = memory_new(sizeof *facts);
    if (facts)
        facts->http = http;
    return facts;
}

void facts_free(struct facts *facts)
{
    if (!facts)
        return;
    memory_free(facts->rows);
    memory_free(facts);
}

/* ---- on a reader thread ---- */

/* Views are immutable and outlive the readers, so looking at them here is safe. */
static int64_t count_keys(struct store_reader *reader, const struct view *view, uint32_t export_id)
{
    int64_t rows = 0;
    struct error error;
    for (size_t i = 0; i < view->key_count; i++) {
        struct store_entity entity;
        bool found;
        if (!store_read_entity(reader, export_id, view->keys[i], &entity, &found, &error))
            return -1;
        rows += found;
    }
    return rows;
}

/* The rows of the stage that the cut leaves. The keys among them would have to be looked up one
 * by one, with their ranks: a view with a key filter gets no count. */
static int64_t count_stage(struct store_reader *reader, const struct view *view)
{
    const struct view_cut *cut = &view->stage->cut;
    struct error error;
    int64_t rows;
    bool found;
    if (view->key_count ||
        !store_read_stage_rows(reader, span_of(view->stage->definition), &rows, &found, &error) ||
        !found)
        return -1;
    if (cut->last)
        return rows > 0;
    rows = rows > cut->skip ? rows - cut->skip : 0;
    return cut->take != VIEW_ALL && cut->take < rows ? cut->take : rows;
}

static int64_t count_export(struct store_reader *reader, const struct view *view)
{
    struct store_export export;
    struct error error;
    bool found;
    if (!store_read_export(reader, span_of(view->export_name), &export, &found, &error))
        return -1;
    if (!found)
        return 0;
    return view->key_count ? count_keys(reader, view, export.id) : export.entities;
}

/* The views of an export stand together, and most of them show all of it. */
static int64_t count_rows(struct store_reader *reader, const struct view *view,
                          const struct fact_rows *before)
{
    if (view->stage)
        return count_stage(reader, view);
    bool same = before && !before->view->stage && !before->view->key_count && !view->key_count &&
                strcmp(before->view->export_name, view->export_name) == 0;
    return same ? before->rows : count_export(reader, view);
}

static void run(struct read_job *job, struct store_reader *reader)
{
    struct facts_job *it = (struct facts_job *)job;
    struct error error;
    process_read(&it->process);
    database_read_sizes(it->database, &it->sizes);
    if (!store_read_begin(reader, &error))
        return;
    it->done = store_read_log(reader, &it->log, &error);
    for (size_t i = 0; i < it->row_count; i++)
        it->rows[i].rows = count_rows(reader, it->rows[i].view, i ? &it->rows[i - 1] : NULL);
    store_read_end(reader);
}

/* ---- on the loop ---- */

static void answer_all(struct facts *facts, struct facts_waiter *waiter)
{
    while (waiter) {
        struct facts_waiter *next = waiter->next;
        if (waiter->ready)
            waiter->ready(waiter->argument);
        else
            waiter->print(facts->http, waiter->request);
        memory_free(waiter);
        waiter = next;
    }
}

static void deliver(struct engine_event *event);

static struct facts_job *job_new(struct facts *facts)
{
    const struct view_set *views = hub_state(facts->http->frontend->hub).views;
    size_t count = 0;
    while (view_set_at(views, count))
        count++;
    struct facts_job *it = memory_new(sizeof *it);
    struct fact_rows *rows = memory_new((count + 1) * sizeof *rows);
    if (!it || !rows) {
        memory_free(it);
        memory_free(rows);
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        rows[i] = (struct fact_rows){view_set_at(views, i), -1};
    it->facts = facts;
    it->database = engine_facts(facts->http->frontend->engine)->database;
    it->rows = rows;
    it->row_count = count;
    it->asked_ms = frontend_now(facts->http->frontend);
    it->asked_change = hub_state(facts->http->frontend->hub).last_change;
    it->job.run = run;
    it->job.event.deliver = deliver;
    return it;
}

static void keep(struct facts *facts, struct facts_job *it)
{
    memory_free(facts->rows);
    facts->rows = it->rows;
    facts->row_count = it->row_count;
    facts->log = it->log;
    facts->sizes = it->sizes;
    facts->process = it->process;
    facts->asked_ms = it->asked_ms;
    facts->asked_change = it->asked_change;
}

static void ask(struct facts *facts);

static void deliver(struct engine_event *event)
{
    struct facts_job *it = (struct facts_job *)event;
    struct facts *facts = it->facts;
    struct facts_waiter *waiting = facts->waiting;
    facts->asking = false;
    facts->waiting = NULL;
    if (it->done)
        keep(facts, it);
    else
        memory_free(it->rows);
    memory_free(it);
    answer_all(facts, waiting);
    if (facts->next)
        ask(facts);
}

/* For the facts in `next`. A part that cannot be asked keeps its former value. */
static void ask(struct facts *facts)
{
    struct facts_waiter *waiting = facts->next;
    struct facts_job *it = job_new(facts);
    facts->next = NULL;
    if (it && engine_read(facts->http->frontend->engine, &it->job)) {
        facts->asking = true;
        facts->waiting = waiting;
        return;
    }
    if (it)
        memory_free(it->rows);
    memory_free(it);
    answer_all(facts, waiting);
}

static bool is_fresh(const struct facts *facts)
{
    return facts->asked_ms &&
           facts->asked_change == hub_state(facts->http->frontend->hub).last_change &&
           frontend_now(facts->http->frontend) - facts->asked_ms < FRESH_MS;
}

static void wait_for(struct facts *facts, struct facts_waiter *waiter)
{
    waiter->next = facts->next;
    facts->next = waiter;
    if (!facts->asking)
        ask(facts);
}

void facts_when_fresh(struct facts *facts, struct http_request *request, facts_print print)
{
    struct facts_waiter *waiter = is_fresh(facts) ? NULL : memory_new(sizeof *waiter);
    http_request_await(request);
    if (!waiter) {
        print(facts->http, request);
        return;
    }
    waiter->request = request;
    waiter->print = print;
    wait_for(facts, waiter);
}

/* Call `ready` when they are, for whom no request waits. False when out of memory. */
static bool tell_fresh(struct facts *facts, void (*ready)(void *argument), void *argument)
{
    struct facts_waiter *waiter = memory_new(sizeof *waiter);
    if (!waiter)
        return false;
    waiter->ready = ready;
    waiter->argument = argument;
    wait_for(facts, waiter);
    return true;
}

bool http_refresh_metrics(struct http *http, void (*ready)(void *argument), void *argument)
{
    return tell_fresh(http->facts, ready, argument);
}
