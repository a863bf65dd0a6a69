/* Which stages of a view have the entity, by their rows in the database. */
#include "derive/derive.h"
#include "explain/explain_internal.h"

#include <stdlib.h>

/* ---- the row of one stage ---- */

void explain_edge_init(struct explain_edge *edge)
{
    edge->found = false;
    buffer_init(&edge->key, UINT32_MAX);
    buffer_init(&edge->data, UINT32_MAX);
}

void explain_edge_fini(struct explain_edge *edge)
{
    buffer_fini(&edge->key);
    buffer_fini(&edge->data);
}

bool explain_edge_set(struct explain_edge *edge, struct span key, struct span data)
{
    buffer_clear(&edge->key);
    buffer_clear(&edge->data);
    edge->found = buffer_add_span(&edge->key, key) && buffer_add_span(&edge->data, data);
    return edge->found;
}

struct edge_reading {
    struct explaining *explaining;
    struct explain_edge *edge;
};

static bool take_edge(void *argument, struct span sort_key, const struct store_entity *entity)
{
    struct edge_reading *reading = argument;
    (void)sort_key;
    if (!explain_edge_set(reading->edge, entity->key, entity->data))
        explain_lacks_memory(reading->explaining);
    return false;
}

bool explain_find_rank(struct explaining *explaining, const struct explain_stage *stage,
                       int64_t rank, struct explain_edge *edge)
{
    struct edge_reading reading = {explaining, edge};
    bool last = rank < 0; /* the last row */
    return store_scan_stage(explaining->reader, stage->id, span_make(NULL, 0), last ? 0 : rank, 1,
                            last, true, take_edge, &reading, explaining->error) &&
           explaining->error->code == ERROR_NONE;
}

/* ---- a filter ---- */

static bool read_now(struct explaining *explaining, int64_t *now)
{
    struct buffer value;
    bool found;
    buffer_init(&value, 64);
    bool done =
        store_read_meta(explaining->reader, DERIVED_NOW_NAME, &value, &found, explaining->error);
    const char *text = done && found ? buffer_string(&value) : NULL;
    *now = text ? strtoll(text, NULL, 10) : explaining->asked->now;
    buffer_fini(&value);
    return done;
}

/* The rows are right as of `now`, but for entities with a recheck at that second: of those they may
 * still be right as of the one before. */
static bool find_verdict(struct explaining *explaining, struct explain_stage *it, int64_t now)
{
    struct span entity = buffer_span(&explaining->data);
    it->now = now;
    it->holds = view_stage_holds(it->stage, entity, now);
    if (it->holds == it->present || !it->reached)
        return true;
    it->now = now - 1;
    it->holds = it->stage->timed && view_stage_holds(it->stage, entity, it->now);
    return it->holds == it->present ||
           error_set(explaining->error, ERROR_DATABASE,
                     "the rows of view '%.128s' are not those of its definition; `stele check` "
                     "tells what is wrong",
                     explaining->asked->view->id);
}

/* ---- a cut ---- */

static bool is_last(struct explaining *explaining, const struct explain_stage *it, bool *last)
{
    struct buffer next;
    bool behind;
    buffer_init(&next, UINT32_MAX);
    bool done = store_read_rank(explaining->reader, it->id, buffer_span(&it->sort_key), false, 1,
                                &next, &behind, explaining->error);
    *last = done && !behind;
    buffer_fini(&next);
    return done;
}

static bool find_cut(struct explaining *explaining, struct explain_stage *it)
{
    const struct view_cut *cut = &it->stage->cut;
    it->passes = it->present;
    if (!it->present || !it->stage->has_cut)
        return true;
    if (!store_count_rows(explaining->reader, it->id, buffer_span(&it->sort_key), &it->rank,
                          explaining->error))
        return false;
    if (cut->last)
        return is_last(explaining, it, &it->passes);
    it->passes =
        it->rank >= cut->skip && (cut->take == VIEW_ALL || it->rank - cut->skip < cut->take);
    return true;
}

/* ---- all stages ---- */

static bool find_id(struct explaining *explaining, struct explain_stage *it)
{
    int64_t built;
    bool found;
    if (!store_read_stage(explaining->reader, span_of(it->stage->definition), &it->id, &built,
                          &found, explaining->error))
        return false;
    return found || error_set(explaining->error, ERROR_INVALID_PARAMETER,
                              "view '%.128s' is not built in this database: no server has run on "
                              "it with this definition",
                              explaining->asked->view->id);
}

static bool find_row(struct explaining *explaining, struct explain_stage *it)
{
    int64_t entity;
    if (!view_stage_sort_key(it->stage, explaining->asked->key, buffer_span(&explaining->data),
                             explaining->seq, &it->sort_key))
        return explain_lacks_memory(explaining);
    if (!store_read_row(explaining->reader, it->id, buffer_span(&it->sort_key), &entity,
                        explaining->error))
        return false;
    it->present = entity != 0;
    return true;
}

static bool find_stage(struct explaining *explaining, struct explain_stage *it, int64_t now)
{
    return find_id(explaining, it) &&
           (!explaining->found || (find_row(explaining, it) && find_verdict(explaining, it, now) &&
                                   find_cut(explaining, it)));
}

static bool make_stages(struct explaining *explaining)
{
    const struct view_stage *last = explaining->asked->view->stage;
    size_t count = 0;
    for (const struct view_stage *stage = last; stage; stage = stage->source)
        count++;
    explaining->stages = memory_new((count + 1) * sizeof *explaining->stages);
    if (!explaining->stages)
        return explain_lacks_memory(explaining);
    explaining->stage_count = count;
    for (const struct view_stage *stage = last; stage; stage = stage->source) {
        struct explain_stage *it = &explaining->stages[--count];
        it->stage = stage;
        buffer_init(&it->sort_key, UINT32_MAX);
    }
    return true;
}

bool explain_find_stages(struct explaining *explaining)
{
    int64_t now;
    if (!make_stages(explaining) || !read_now(explaining, &now))
        return false;
    bool reached = explaining->found;
    for (size_t i = 0; i < explaining->stage_count; i++) {
        struct explain_stage *it = &explaining->stages[i];
        it->reached = reached;
        if (!find_stage(explaining, it, now))
            return false;
        reached = it->reached && it->passes;
    }
    explaining->in_stages = reached;
    return true;
}

/* ---- rows of the view ---- */

struct list_scan {
    store_each_row each;
    void *argument;
};

static bool each_entity(void *argument, const struct store_entity *entity)
{
    const struct list_scan *scan = argument;
    return scan->each(scan->argument, span_make(NULL, 0), entity);
}

bool explain_scan_view(struct explaining *explaining, bool with_data, store_each_row each,
                       void *argument)
{
    struct list_scan scan = {each, argument};
    if (!explaining->stage_count)
        return store_scan_list(explaining->reader, explaining->state.export.id, 0, -1, with_data,
                               each_entity, &scan, explaining->error) &&
               explaining->error->code == ERROR_NONE;
    const struct explain_stage *last = &explaining->stages[explaining->stage_count - 1];
    const struct view_cut *cut = &last->stage->cut;
    return store_scan_stage(explaining->reader, last->id, span_make(NULL, 0),
                            cut->last ? 0 : cut->skip, cut->last ? 1 : cut->take, cut->last,
                            with_data, each, argument, explaining->error) &&
           explaining->error->code == ERROR_NONE;
}

bool explain_holds(const struct explaining *explaining, struct span entity, int64_t now)
{
    for (size_t i = 0; i < explaining->stage_count; i++)
        if (!view_stage_holds(explaining->stages[i].stage, entity, now))
            return false;
    return view_query_holds(explaining->asked->query, entity, now);
}
