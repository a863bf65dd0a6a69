/*
 * Since when a row is within the cut of a view, or not. Other rows move it, too. So the changes of
 * all rows are read, forwards, each with the sort keys that its row had before and behind it; and
 * then undone from the newest on, which leads from the present rank to the former ones.
 */
#include "explain/since.h"

enum { MOST_CHANGES = 20000, MOST_BYTES = 64 << 20 };

/* A row in the stage of the cut; length 0: not there. */
struct sort_key {
    size_t at, length;
};

/* What one change did. */
struct move {
    int64_t change, time;
    struct seq seq;
    enum row_operation operation;
    bool mine;
    bool known;               /* the state before; that behind is known then, too */
    bool was_holds, is_holds; /* mine: all conditions; the stage over the cut has some, too */
    struct sort_key was, is;
};

/* A row of the log, as of the last change that was read. */
struct former_row {
    enum replay_state state;
    struct seq seq;
    struct buffer text;
    size_t key_length;
    char key[];
};

struct cut_scan {
    struct explaining *explaining;
    struct explain_since *since;
    const struct view_stage *stage;
    struct replay replay;
    struct map rows; /* struct former_row */
    struct move *moves;
    size_t count, capacity;
    struct buffer sort_keys;
    int64_t kept; /* bytes of the rows' texts */
    bool crowded;
};

/* ---- forwards ---- */

static struct span former_key(const void *row)
{
    const struct former_row *former = row;
    return span_make(former->key, former->key_length);
}

static bool lacks_memory(struct cut_scan *scan)
{
    return explain_lacks_memory(scan->explaining);
}

static struct former_row *find_row(struct cut_scan *scan, struct span key)
{
    struct former_row *row = map_get(&scan->rows, key);
    if (row)
        return row;
    row = memory_new(sizeof *row + key.length);
    if (!row)
        return NULL;
    row->state = REPLAY_UNKNOWN;
    row->key_length = key.length;
    memcpy(row->key, key.data, key.length);
    buffer_init(&row->text, UINT32_MAX);
    if (map_add(&scan->rows, row))
        return row;
    memory_free(row);
    return NULL;
}

static bool note_sort_key(struct cut_scan *scan, const struct former_row *row,
                          struct sort_key *sort_key)
{
    struct span text = buffer_span(&row->text);
    *sort_key = (struct sort_key){.at = scan->sort_keys.length};
    if (row->state != REPLAY_THERE ||
        !view_stage_holds(scan->stage, text, scan->explaining->asked->now))
        return true;
    if (!view_stage_sort_key(scan->stage, former_key(row), text, row->seq, &scan->sort_keys))
        return lacks_memory(scan);
    sort_key->length = scan->sort_keys.length - sort_key->at;
    return true;
}

static bool holds(const struct cut_scan *scan, const struct former_row *row)
{
    return row->state == REPLAY_THERE &&
           explain_holds(scan->explaining, buffer_span(&row->text), scan->explaining->asked->now);
}

/* One replay serves all rows: it goes on from the row's text. */
static bool step(struct cut_scan *scan, struct former_row *row, enum replay_effect effect,
                 const struct store_change *change)
{
    struct replay *replay = &scan->replay;
    struct error *error = scan->explaining->error;
    bool there = row->state == REPLAY_THERE;
    if (!replay_set(replay, there ? buffer_span(&row->text) : span_make(NULL, 0), error))
        return false;
    replay->is = row->state;
    if (!replay_step(replay, effect, change, error))
        return false;
    scan->kept += (int64_t)replay->row.length - (int64_t)row->text.length;
    row->state = replay->is;
    row->seq = change->seq;
    buffer_clear(&row->text);
    return buffer_add_span(&row->text, buffer_span(&replay->row)) || lacks_memory(scan);
}

static bool each_change(void *argument, const struct store_change *change,
                        const struct store_entity *entity)
{
    struct cut_scan *scan = argument;
    enum replay_effect effect = replay_effect(scan->explaining->asked->scope, change);
    (void)entity;
    if (!array_reserve((void **)&scan->moves, scan->count, &scan->capacity, sizeof *scan->moves))
        return lacks_memory(scan);
    struct former_row *row = find_row(scan, change->key);
    if (!row)
        return lacks_memory(scan);
    if (effect == REPLAY_BEGINS)
        row->state = REPLAY_ABSENT;
    struct move move = {.change = change->id,
                        .time = change->at,
                        .seq = change->seq,
                        .operation = change->operation,
                        .mine = span_equal(change->key, scan->explaining->asked->key),
                        .known = row->state != REPLAY_UNKNOWN,
                        .was_holds = holds(scan, row)};
    if (!note_sort_key(scan, row, &move.was) || !step(scan, row, effect, change) ||
        !note_sort_key(scan, row, &move.is))
        return false;
    move.is_holds = holds(scan, row);
    scan->moves[scan->count++] = move;
    scan->crowded = scan->kept > MOST_BYTES;
    return !scan->crowded;
}

/* ---- backwards ---- */

/* Where the row stands in the stage at one moment. */
struct stand {
    bool present, holds;
    struct span sort_key;
    int64_t before, behind; /* rows */
};

static struct span key_text(const struct cut_scan *scan, struct sort_key sort_key)
{
    return span_make(scan->sort_keys.data + sort_key.at, sort_key.length);
}

static void count(struct cut_scan *scan, struct stand *stand, struct sort_key other, int64_t one)
{
    if (!other.length)
        return;
    if (span_compare(key_text(scan, other), stand->sort_key) < 0)
        stand->before += one;
    else
        stand->behind += one;
}

static void undo(struct cut_scan *scan, struct stand *stand, const struct move *move)
{
    count(scan, stand, move->is, -1);
    count(scan, stand, move->was, 1);
}

static bool is_in(const struct cut_scan *scan, const struct stand *stand)
{
    const struct view_cut *cut = &scan->stage->cut;
    if (!stand->present || !stand->holds)
        return false;
    if (cut->last)
        return stand->behind == 0;
    return stand->before >= cut->skip &&
           (cut->take == VIEW_ALL || stand->before - cut->skip < cut->take);
}

/* Where the row stood before its own change number `index`: as it would stand today, and then back.
 */
static bool stand_before(struct cut_scan *scan, size_t index, struct stand *stand)
{
    struct explaining *explaining = scan->explaining;
    const struct explain_stage *now = &explaining->stages[0];
    const struct move *move = &scan->moves[index];
    int64_t rows;
    bool found;
    *stand = (struct stand){.present = move->was.length > 0,
                            .holds = move->was_holds,
                            .sort_key = key_text(scan, move->was)};
    if (!stand->present)
        return true;
    if (!store_count_rows(explaining->reader, now->id, stand->sort_key, &stand->before,
                          explaining->error) ||
        !store_read_stage_rows(explaining->reader, span_of(scan->stage->definition), &rows, &found,
                               explaining->error))
        return false;
    stand->behind = rows - stand->before;
    /* The row itself is not among the others. */
    if (now->present && span_compare(buffer_span(&now->sort_key), stand->sort_key) < 0)
        stand->before--;
    else if (now->present)
        stand->behind--;
    for (size_t i = scan->count; i-- > index;)
        if (!scan->moves[i].mine)
            undo(scan, stand, &scan->moves[i]);
    return true;
}

static bool stand_now(struct cut_scan *scan, struct stand *stand)
{
    struct explaining *explaining = scan->explaining;
    const struct explain_stage *now = &explaining->stages[0];
    int64_t rows;
    bool found;
    *stand = (struct stand){
        .present = now->present,
        .holds = explaining->found &&
                 explain_holds(explaining, buffer_span(&explaining->data), explaining->asked->now),
        .sort_key = buffer_span(&now->sort_key),
        .before = now->rank};
    if (!store_read_stage_rows(explaining->reader, span_of(scan->stage->definition), &rows, &found,
                               explaining->error))
        return false;
    stand->behind = rows - now->rank - 1;
    return true;
}

static void note_move(struct explain_since *since, const struct move *move)
{
    since->known = true;
    since->by = move->mine ? SINCE_CHANGE : SINCE_ANOTHER;
    since->change = move->change;
    since->seq = move->seq;
    since->time = move->time;
    since->operation = move->operation;
}

static bool go_back(struct cut_scan *scan)
{
    struct stand stand;
    bool in = scan->explaining->in;
    if (!stand_now(scan, &stand))
        return false;
    if (is_in(scan, &stand) != in)
        return explain_since_fail(scan->since, "the rows of the view do not lead to the answer");
    for (size_t i = scan->count; i-- > 0;) {
        const struct move *move = &scan->moves[i];
        if (!move->known)
            return explain_since_fail(
                scan->since, move->mine
                                 ? "the log does not reach back to a state of the row before"
                                 : "the log does not reach back to a state of another row before");
        if (move->mine && !stand_before(scan, i, &stand))
            return false;
        if (!move->mine && stand.present)
            undo(scan, &stand, move);
        if (is_in(scan, &stand) == in)
            continue;
        note_move(scan->since, move);
        return true;
    }
    return explain_since_fail(scan->since, scan->since->from ? EXPLAIN_EARLIER : EXPLAIN_ALWAYS);
}

/* ---- the whole ---- */

static void scan_fini(struct cut_scan *scan)
{
    struct former_row *row;
    size_t position = 0;
    while ((row = map_next(&scan->rows, &position))) {
        buffer_fini(&row->text);
        memory_free(row);
    }
    map_fini(&scan->rows);
    replay_fini(&scan->replay);
    buffer_fini(&scan->sort_keys);
    memory_free(scan->moves);
}

bool explain_since_cut(struct explaining *explaining, struct explain_since *since)
{
    struct cut_scan scan = {
        .explaining = explaining, .since = since, .stage = explaining->stages[0].stage};
    if (since->to - since->from > MOST_CHANGES)
        since->from = since->to - MOST_CHANGES;
    replay_init(&scan.replay);
    map_init(&scan.rows, former_key);
    buffer_init(&scan.sort_keys, UINT32_MAX);
    bool done = store_scan_changes(explaining->reader, explaining->state.export.id,
                                   span_make(NULL, 0), since->from, since->to, -1, false,
                                   each_change, &scan, explaining->error) &&
                explaining->error->code == ERROR_NONE;
    if (done)
        done = scan.crowded ? explain_since_fail(since, "the rows that changed are too large")
                            : go_back(&scan);
    scan_fini(&scan);
    return done;
}
