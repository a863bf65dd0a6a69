#include "rows/replay.h"

enum { PATCH_DEPTH = 1024 }; /* more than max_depth may ever be */

enum replay_effect replay_effect(const struct row_scope *scope, const struct store_change *change)
{
    struct sight sight = row_scope_log_sight(scope, change);
    if (!sight.after)
        return sight.before ? REPLAY_GONE : REPLAY_NOTHING;
    if (!sight.before)
        return REPLAY_BEGINS;
    return change->operation == ROW_PATCH ? REPLAY_PATCH : REPLAY_WHOLE;
}

void replay_init(struct replay *replay)
{
    replay->was = replay->is = REPLAY_UNKNOWN;
    buffer_init(&replay->before, UINT32_MAX);
    buffer_init(&replay->row, UINT32_MAX);
    doc_init(&replay->doc, UINT32_MAX, UINT32_MAX);
}

void replay_fini(struct replay *replay)
{
    buffer_fini(&replay->before);
    buffer_fini(&replay->row);
    doc_fini(&replay->doc);
}

static bool lacks_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "out of memory while replaying the log");
}

bool replay_set(struct replay *replay, struct span row, struct error *error)
{
    replay->is = row.data ? REPLAY_THERE : REPLAY_ABSENT;
    buffer_clear(&replay->row);
    return !row.data || buffer_add_span(&replay->row, row) || lacks_memory(error);
}

/* The arrays that the change extended, by the log's {"path":length, …}: of each as many elements
 * were left as the log says, whatever the limit was then. */
static struct merge_append *read_appends(struct replay *replay, uint32_t paths, size_t *count)
{
    const struct doc *doc = &replay->doc;
    *count = paths == DOC_NONE ? 0 : doc->nodes[paths].count;
    struct merge_append *appends = memory_new((*count + 1) * sizeof *appends);
    uint32_t node = *count ? doc_first(doc, paths) : DOC_NONE;
    for (size_t i = 0; appends && i < *count; i++, node = doc->nodes[node].end) {
        int64_t length = 0;
        doc_integer(doc, node, &length);
        appends[i].path = doc_key(doc, node);
        appends[i].most = (uint32_t)length;
    }
    return appends;
}

static bool parse(struct replay *replay, struct span text, uint32_t depth, uint32_t *root,
                  struct error *error)
{
    if (!doc_parse(&replay->doc, text, depth, root, error)) {
        if (error->code != ERROR_MEMORY)
            error->code = ERROR_DATABASE;
        return error_prefix(error, "a patch in the log is damaged");
    }
    return replay->doc.nodes[*root].type == DOC_OBJECT ||
           error_set(error, ERROR_DATABASE, "a patch in the log is no object");
}

/* From `base` (absent: from nothing) into replay->row. */
static bool merge(struct replay *replay, struct span base, const struct store_change *change,
                  struct error *error)
{
    char seq[SEQ_SIZE];
    uint32_t patch, paths = DOC_NONE;
    size_t count;
    doc_clear(&replay->doc);
    buffer_clear(&replay->row);
    if (!parse(replay, change->patch, PATCH_DEPTH, &patch, error) ||
        (change->append.data && !parse(replay, change->append, 2, &paths, error)))
        return false;
    struct merge_append *appends = read_appends(replay, paths, &count);
    bool done = (appends || lacks_memory(error)) &&
                merge_object(&replay->row, base, &replay->doc, patch, appends, count, 0,
                             span_make(seq, seq_print(seq, change->seq)), error);
    memory_free(appends);
    return done;
}

bool replay_step(struct replay *replay, enum replay_effect effect,
                 const struct store_change *change, struct error *error)
{
    struct buffer row = replay->before;
    replay->before = replay->row;
    replay->row = row;
    /* What begins tells what was before it, too. */
    replay->was = effect == REPLAY_BEGINS ? REPLAY_ABSENT : replay->is;
    replay->is = REPLAY_ABSENT;
    if (effect == REPLAY_GONE)
        return true;
    /* A patch of what is not there is in no sound log; nothing is known then. */
    bool known = effect != REPLAY_PATCH || replay->was == REPLAY_THERE;
    replay->is = known ? REPLAY_THERE : REPLAY_UNKNOWN;
    struct span base = effect == REPLAY_PATCH ? buffer_span(&replay->before) : span_make(NULL, 0);
    return !known || merge(replay, base, change, error);
}
