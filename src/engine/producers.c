/*
 * Producers: whose names they are, and which of their batches are to be applied.
 *
 *  1. A name belongs to the subject that used it first; others are refused. Without authentication
 *     names belong to nobody and anybody may use all of them, as may the program that stele is a
 *     part of. A name that is nobody's goes to the first subject that uses it.
 *  2. A batch that is not above the last committed one of its producer is a repetition.
 *  3. A batch that names its predecessor is applied only if that is the last committed one.
 *  4. A number is never forgotten by itself, because its batches would then be applied again; so
 *     the names of an owner are bounded. At the bound names that `stele ingest` made for one run
 *     go, a day after their last batch: only a run that was killed left them.
 */
#include "engine/producers.h"

enum { RUN_STEP = 100 };

#define RUN_MS ((int64_t)24 * 3600 * 1000)

static struct span producer_key(const void *value)
{
    return ((const struct producer_state *)value)->row.name;
}

bool producer_table_init(struct producer_table *table, const struct submission *submission)
{
    map_init(&table->map, producer_key);
    table->count = 0;
    table->owned = -1;
    table->states = memory_new((submission->batch_count + 1) * sizeof *table->states);
    return table->states != NULL;
}

void producer_table_fini(struct producer_table *table)
{
    map_fini(&table->map);
    memory_free(table->states);
}

/* ---- whose a name is ---- */

static bool is_anybody(const struct submission *submission)
{
    return submission->owner.length == 0;
}

static bool check_owner(const struct submission *submission, const struct store_producer *row,
                        struct error *error)
{
    if (is_anybody(submission) || !row->owner.data || span_equal(row->owner, submission->owner))
        return true;
    return error_set(error, ERROR_PRODUCER_TAKEN,
                     "producer '%.*s' belongs to another subject than '%.*s': use a name of your "
                     "own, or a token of its subject",
                     (int)row->name.length, row->name.data,
                     submission->owner.length > 64 ? 64 : (int)submission->owner.length,
                     submission->owner.data);
}

static bool forget_runs(struct writer *writer, const struct submission *submission,
                        struct producer_table *table, struct error *error)
{
    const struct submission_message *message = &submission->message;
    int64_t removed = 0, now = message->sequence ? message->at : engine_times(writer->engine).due;
    int64_t before = now - RUN_MS;
    if (!known_producers_trim_runs(writer, submission->owner, before, RUN_STEP, &removed, error))
        return false;
    table->owned -= removed;
    return true;
}

/* One name more for the submission's owner. */
static bool count_name(struct writer *writer, const struct submission *submission,
                       struct producer_table *table, struct span name, struct error *error)
{
    int64_t most = writer->engine->options.max_producers;
    if (!most)
        return true;
    if (table->owned < 0 && !store_owner_count(writer->store, STORE_PRODUCERS, submission->owner,
                                               most, &table->owned, error))
        return false;
    if (table->owned >= most && !forget_runs(writer, submission, table, error))
        return false;
    if (table->owned < most) {
        table->owned++;
        return true;
    }
    return error_set(error, ERROR_PRODUCER_LIMIT,
                     "producer '%.*s' would be number %lld of its subject (max_producers): use a "
                     "name again, or forget one by DELETE /v1/producers/NAME",
                     (int)name.length, name.data, (long long)most + 1);
}

/* A new one, or one that was nobody's. */
static bool take_name(struct writer *writer, const struct submission *submission,
                      struct producer_table *table, struct store_producer *row, bool is_new,
                      struct error *error)
{
    bool claimed = !is_new && !row->owner.data && !is_anybody(submission);
    if (!is_new && !claimed)
        return true;
    if (!count_name(writer, submission, table, row->name, error))
        return false;
    row->owner = submission->owner;
    return true;
}

/* ---- where it is ---- */

/* The texts of a row outlive the statement that found them. */
static bool keep_texts(struct submission *submission, struct store_producer *row, struct span name,
                       struct error *error)
{
    row->name = name;
    if (row->owner.data)
        row->owner = submission_keep(submission, row->owner);
    bool had_mark = row->mark.data != NULL, had_owner = row->owner.data != NULL;
    if (had_mark)
        row->mark = submission_keep(submission, row->mark);
    if ((had_mark && !row->mark.data) || (had_owner && !row->owner.data))
        return error_set(error, ERROR_MEMORY, "out of memory while looking up a producer");
    return true;
}

static struct producer_state *producer_find(struct writer *writer, struct submission *submission,
                                            struct producer_table *table, struct span name,
                                            struct error *error)
{
    bool found;
    struct producer_state *state = map_get(&table->map, name);
    if (state)
        return state;
    INVARIANT(table->count <= submission->batch_count);
    state = &table->states[table->count];
    if (!known_producer_read(writer, name, &state->row, &found, error))
        return NULL;
    if (!found)
        state->row = (struct store_producer){.name = name, .batch = -1};
    if (!keep_texts(submission, &state->row, name, error) ||
        !check_owner(submission, &state->row, error) ||
        !take_name(writer, submission, table, &state->row, !found, error))
        return NULL;
    if (!map_add(&table->map, state)) {
        error_set(error, ERROR_MEMORY, "out of memory while looking up a producer");
        return NULL;
    }
    table->count++;
    return state;
}

/* ---- its batches ---- */

/* Tell the submission's sender where its producer is. */
static void tell_last(struct submission *submission, const struct store_producer *row)
{
    submission->has_last = true;
    submission->last_batch = row->batch;
    submission->last_mark = row->mark;
}

static bool check_previous(struct submission *submission, const struct submission_batch *batch,
                           const struct store_producer *row, struct error *error)
{
    if (!batch->has_previous || batch->previous == row->batch)
        return true;
    tell_last(submission, row);
    if (row->batch < 0)
        return error_set(error, ERROR_OUT_OF_ORDER,
                         "batch %lld of producer '%.*s' names %lld as its predecessor, but none "
                         "was committed: send from the first one on, which names none",
                         (long long)batch->number, (int)row->name.length, row->name.data,
                         (long long)batch->previous);
    return error_set(error, ERROR_OUT_OF_ORDER,
                     "batch %lld of producer '%.*s' names %lld as its predecessor, but the last "
                     "that was committed is %lld: send again from behind that one",
                     (long long)batch->number, (int)row->name.length, row->name.data,
                     (long long)batch->previous, (long long)row->batch);
}

/* A batch that its connection sent before it through a node was refused, or is not in the log. */
static bool check_after(struct submission *submission, const struct submission_batch *batch,
                        const struct store_producer *row, struct error *error)
{
    if (!batch->has_after || row->batch >= batch->after)
        return true;
    tell_last(submission, row);
    return error_set(error, ERROR_OUT_OF_ORDER,
                     "batch %lld of producer '%.*s' comes after batch %lld, which was not applied: "
                     "send again from that one on",
                     (long long)batch->number, (int)row->name.length, row->name.data,
                     (long long)batch->after);
}

bool producer_admit(struct writer *writer, struct submission *submission,
                    const struct submission_batch *batch, struct producer_table *table,
                    struct producer_state **state, bool *repeated, struct error *error)
{
    *state = NULL;
    *repeated = false;
    if (!batch->producer.data)
        return true;
    *state = producer_find(writer, submission, table, batch->producer, error);
    if (!*state)
        return false;
    if (batch->number > (*state)->row.batch)
        return check_after(submission, batch, &(*state)->row, error) &&
               check_previous(submission, batch, &(*state)->row, error);
    submission->duplicate += batch->count;
    tell_last(submission, &(*state)->row);
    *repeated = true;
    return true;
}

void producer_advance(struct producer_state *state, const struct submission *submission,
                      const struct submission_batch *batch, bool changed)
{
    INVARIANT(state->row.batch < batch->number);
    state->row.batch = batch->number;
    state->row.mark = batch->mark;
    state->advanced = true;
    if (changed) {
        state->row.has_seq = true;
        state->row.seq = submission->seq;
    }
}

bool producers_store(struct writer *writer, const struct producer_table *table, struct error *error)
{
    for (size_t i = 0; i < table->count; i++) {
        struct producer_state *state = &table->states[i];
        if (!state->advanced)
            continue;
        state->row.at = writer->open.now;
        state->row.change = writer->open.last_change;
        if (!known_producer_put(writer, &state->row, error))
            return false;
    }
    return true;
}
