/* Two lists of keys with their sums: what is different. */
#include "cli/drift.h"

static struct span entry_key(const void *value)
{
    return ((const struct drift_entry *)value)->key;
}

static bool lacks_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "out of memory while comparing keys");
}

/* ---- joining ---- */

static size_t count_keys(const struct drift_sums *sums)
{
    return sums->keys == DOC_NONE ? 0 : sums->doc.nodes[sums->keys].count;
}

/* [key, sum] */
static bool read_pair(const struct doc *doc, uint32_t pair, struct span *key, struct span *sum)
{
    if (doc->nodes[pair].type != DOC_ARRAY || doc->nodes[pair].count != 2)
        return false;
    uint32_t first = doc_first(doc, pair), second = doc->nodes[first].end;
    *key = doc_text(doc, first);
    *sum = doc_bare(doc_text(doc, second));
    return doc->nodes[second].type == DOC_STRING && sum->length == SUM_DIGITS;
}

static bool add_keys(struct drift_entries *entries, struct map *map, const struct drift_sums *sums,
                     int side, struct error *error)
{
    const struct doc *doc = &sums->doc;
    uint32_t pair = count_keys(sums) ? doc_first(doc, sums->keys) : DOC_NONE;
    for (size_t i = 0; i < count_keys(sums); i++, pair = doc->nodes[pair].end) {
        struct span key, sum;
        if (!read_pair(doc, pair, &key, &sum))
            return error_set(error, ERROR_NETWORK, "the server answered with keys of another form");
        struct drift_entry *entry = map_get(map, key);
        if (!entry) {
            entry = &entries->list[entries->count++];
            entry->key = key;
            if (!map_add(map, entry))
                return lacks_memory(error);
        }
        entry->sums[side] = sum;
        entry->places[side] = (int64_t)i;
    }
    return true;
}

static void mark(struct drift_entries *entries)
{
    for (size_t i = 0; i < entries->count; i++) {
        struct drift_entry *entry = &entries->list[i];
        entry->is = !entry->sums[0].data                          ? DRIFT_SECOND
                    : !entry->sums[1].data                        ? DRIFT_FIRST
                    : !span_equal(entry->sums[0], entry->sums[1]) ? DRIFT_CHANGED
                                                                  : DRIFT_SAME;
    }
}

bool drift_entries_make(struct drift_entries *entries, const struct drift_sums sums[2],
                        struct error *error)
{
    struct map map;
    *entries = (struct drift_entries){.list = NULL};
    entries->list =
        memory_new((count_keys(&sums[0]) + count_keys(&sums[1]) + 1) * sizeof *entries->list);
    if (!entries->list)
        return lacks_memory(error);
    map_init(&map, entry_key);
    bool done =
        add_keys(entries, &map, &sums[0], 0, error) && add_keys(entries, &map, &sums[1], 1, error);
    map_fini(&map);
    if (done)
        mark(entries);
    else
        drift_entries_fini(entries);
    return done;
}

void drift_entries_fini(struct drift_entries *entries)
{
    memory_free(entries->list);
    *entries = (struct drift_entries){.list = NULL};
}

/* ---- order ---- */

/*
 * The rows that stay are a longest run of rows which the second side has in the order of the first.
 * `ends[n]` is the row with the least place in the second that ends a run of n + 1 rows, and
 * `before[i]` is the row before row i in its run.
 */
struct runs {
    size_t *ends, *before;
    size_t longest;
};

static const size_t no_row = SIZE_MAX;

static void add_to_runs(struct runs *runs, const struct drift_entry *list, size_t row)
{
    size_t low = 0, high = runs->longest;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list[runs->ends[middle]].places[1] < list[row].places[1])
            low = middle + 1;
        else
            high = middle;
    }
    runs->before[row] = low ? runs->ends[low - 1] : no_row;
    runs->ends[low] = row;
    runs->longest += low == runs->longest;
}

/* Entries come in the order of the first side. */
bool drift_entries_find_moves(struct drift_entries *entries, struct error *error)
{
    size_t room = (entries->count + 1) * sizeof(size_t);
    struct runs runs = {memory_new(room), memory_new(room), 0};
    bool done = (runs.ends && runs.before) || lacks_memory(error);
    for (size_t i = 0; done && i < entries->count; i++) {
        if (entries->list[i].is != DRIFT_SAME)
            continue;
        add_to_runs(&runs, entries->list, i);
        entries->list[i].is = DRIFT_MOVED;
    }
    size_t stays = done && runs.longest ? runs.ends[runs.longest - 1] : no_row;
    for (; stays != no_row; stays = runs.before[stays])
        entries->list[stays].is = DRIFT_SAME;
    memory_free(runs.ends);
    memory_free(runs.before);
    return done;
}
