/*
 * The producers that the writer knows, so that not each request reads and writes their rows.
 *
 *  1. A known producer is what its row will be when the open transaction commits. Those that moved
 *     are written once, at its end, or before anything in the transaction removes rows.
 *  2. New rows, and those whose owner changes, are written at once: the names of an owner are
 *     counted in the table.
 *  3. All are forgotten with a transaction that failed, and when somebody removed a row.
 */
#include "engine/producers.h"

enum { MOST_KNOWN = 1000 };

struct known_producer {
    struct store_producer row; /* its texts are in this block, */
    struct buffer mark;        /* ... or here */
    bool moved;
    struct known_producer *next_moved;
    char texts[];
};

static struct span known_name(const void *value)
{
    return ((const struct known_producer *)value)->row.name;
}

void known_producers_init(struct known_producers *known)
{
    *known = (struct known_producers){.moved = NULL};
    map_init(&known->map, known_name);
}

void known_producers_forget(struct known_producers *known)
{
    size_t position = 0;
    struct known_producer *one;
    while ((one = map_next(&known->map, &position))) {
        buffer_fini(&one->mark);
        memory_free(one);
    }
    map_fini(&known->map);
    uint64_t removed = known->removed;
    known_producers_init(known);
    known->removed = removed;
}

bool known_producers_store(struct writer *writer, struct error *error)
{
    struct known_producers *known = &writer->known;
    while (known->moved) {
        struct known_producer *one = known->moved;
        if (!store_producer_put(writer->store, &one->row, error))
            return false;
        known->moved = one->next_moved;
        one->moved = false;
    }
    return true;
}

/* The one of that name, unless rows were removed since. */
static struct known_producer *find(struct writer *writer, struct span name)
{
    struct known_producers *known = &writer->known;
    uint64_t removed = store_writer_state(writer->store).producers_removed;
    if (known->removed != removed) {
        INVARIANT(!known->moved); /* else it comes back */
        known_producers_forget(known);
        known->removed = removed;
    }
    return map_get(&known->map, name);
}

/* Take over where the producer is; what never changes is there. */
static bool set_row(struct known_producer *one, const struct store_producer *row)
{
    struct span name = one->row.name, owner = one->row.owner;
    if (row->mark.length && !buffer_reserve(&one->mark, row->mark.length))
        return false; /* and it is as it was */
    buffer_clear(&one->mark);
    buffer_add_span(&one->mark, row->mark);
    one->row = *row;
    one->row.name = name;
    one->row.owner = owner;
    if (row->mark.data)
        one->row.mark = span_make(one->mark.data ? one->mark.data : "", one->mark.length);
    return true;
}

static struct known_producer *make(const struct store_producer *row)
{
    struct known_producer *one = memory_alloc(sizeof *one + row->name.length + row->owner.length);
    if (!one)
        return NULL;
    char *owner = one->texts + row->name.length;
    *one = (struct known_producer){.moved = false};
    buffer_init(&one->mark, UINT32_MAX);
    memcpy(one->texts, row->name.data, row->name.length);
    one->row.name = span_make(one->texts, row->name.length);
    if (row->owner.data) {
        memcpy(owner, row->owner.data, row->owner.length);
        one->row.owner = span_make(owner, row->owner.length);
    }
    if (set_row(one, row))
        return one;
    buffer_fini(&one->mark);
    memory_free(one);
    return NULL;
}

/* What the table has. It is no error if there is no memory for it. */
static void remember(struct known_producers *known, const struct store_producer *row)
{
    if (known->map.count >= MOST_KNOWN && !known->moved)
        known_producers_forget(known);
    struct known_producer *one = known->map.count < MOST_KNOWN ? make(row) : NULL;
    if (one && !map_add(&known->map, one)) {
        buffer_fini(&one->mark);
        memory_free(one);
    }
}

bool known_producer_read(struct writer *writer, struct span name, struct store_producer *row,
                         bool *found, struct error *error)
{
    struct known_producer *one = find(writer, name);
    *found = one != NULL;
    if (one) {
        *row = one->row;
        return true;
    }
    if (!store_read_producer(store_writer_reader(writer->store), name, row, found, error))
        return false;
    if (*found)
        remember(&writer->known, row);
    return true;
}

static void forget_one(struct known_producers *known, struct known_producer *one)
{
    map_remove(&known->map, one->row.name);
    buffer_fini(&one->mark);
    memory_free(one);
}

bool known_producer_put(struct writer *writer, const struct store_producer *row,
                        struct error *error)
{
    struct known_producers *known = &writer->known;
    struct known_producer *one = find(writer, row->name);
    bool same =
        one && !one->row.owner.data == !row->owner.data && span_equal(one->row.owner, row->owner);
    if (same && set_row(one, row)) {
        if (!one->moved) {
            one->moved = true;
            one->next_moved = known->moved;
            known->moved = one;
        }
        return true;
    }
    if (!known_producers_store(writer, error) || !store_producer_put(writer->store, row, error))
        return false;
    if (one)
        forget_one(known, one);
    remember(known, row);
    return true;
}

bool known_producer_remove(struct writer *writer, struct span name, struct error *error)
{
    return known_producers_store(writer, error) &&
           store_producer_remove(writer->store, name, error);
}

bool known_producers_trim_runs(struct writer *writer, struct span owner, int64_t before,
                               int64_t step, int64_t *removed, struct error *error)
{
    return known_producers_store(writer, error) &&
           store_producer_trim_runs(writer->store, owner, before, step, removed, error);
}
