/*
 * The stages of derived views: how their rows are kept, and read.
 *
 * A stage is one filtered and ordered set of rows that a derived view needs. Each row of it is an
 * entity at a sort key: bytes that compare as the order requires. The meaning of a stage is the
 * engine's; the store identifies it by a text, its definition.
 *
 * Invariants (checked by store_check):
 *  1. A number is never used for a second stage.
 *  2. Each row is an entity of the stage's export; the number of rows that is kept with a stage is
 *     right.
 */
#ifndef STORE_STAGE_H
#define STORE_STAGE_H

#include "store/store.h"

/* ---- writing ---- */

struct store_stage {
    int64_t id;
    uint32_t export_id;
    bool built;           /* all its rows are there */
    int64_t built_change; /* its export's newest change when it was built; older cursors are of no
                             use for it */
};
/* Find or create the stage of this definition. `whole`: every entity of the export is a row of
 * it (store_check checks that). In a transaction. */
bool store_stage_ensure(struct store_writer *writer, struct span definition, uint32_t export_id,
                        bool whole, struct store_stage *stage, struct error *error);
/* How far its build has come: bytes that the builder understands, copied to `progress`; empty if
 * it has not begun. */
bool store_stage_progress(struct store_writer *writer, int64_t stage, struct buffer *progress,
                          struct error *error);
bool store_stage_note_progress(struct store_writer *writer, int64_t stage, struct span progress,
                               struct error *error);
/* It is complete as of its export's newest change. */
bool store_stage_note_built(struct store_writer *writer, int64_t stage, uint32_t export_id,
                            struct error *error);
/* Retire all stages but these: nothing finds them any more. */
bool store_stage_retire_others(struct store_writer *writer, const int64_t *stages, size_t count,
                               struct error *error);
/* Delete up to `step` rows and rechecks of retired stages; *more says whether there are any left.
 */
bool store_stage_sweep(struct store_writer *writer, int64_t step, bool *more, struct error *error);

/* Add / remove the row at a sort key. Adding an existing row, or removing a missing one, is an
 * error: then the caller's picture of the stage is wrong. */
bool store_row_put(struct store_writer *writer, int64_t stage, struct span sort_key, int64_t entity,
                   struct error *error);
bool store_row_remove(struct store_writer *writer, int64_t stage, struct span sort_key,
                      struct error *error);
/* Rows of a stage as (sort key, entity id), at most `limit` (negative: all). Forward: from `from`
 * on, inclusive, absent: from the first. Backwards: those before `from`, exclusive, absent: from
 * the last. The callback may use the writer, but not this function; false stops early (no error).
 */
typedef bool (*store_each_sort_key)(void *argument, struct span sort_key, int64_t entity);
bool store_row_scan(struct store_writer *writer, int64_t stage, struct span from, bool backwards,
                    int64_t skip, int64_t limit, store_each_sort_key each, void *argument,
                    struct error *error);

/* Note / forget that a stage must check an entity again at a second. */
bool store_recheck_put(struct store_writer *writer, int64_t stage, int64_t at, int64_t entity,
                       struct error *error);
bool store_recheck_remove(struct store_writer *writer, int64_t stage, int64_t at, int64_t entity,
                          bool *found, struct error *error);
bool store_recheck_exists(struct store_writer *writer, int64_t stage, int64_t at, int64_t entity,
                          bool *found, struct error *error);
/* The second of the stage's recheck number `skip` from the earliest; INT64_MAX when there is none.
 */
bool store_recheck_at(struct store_writer *writer, int64_t stage, int64_t skip, int64_t *at,
                      struct error *error);
/* Turns at or before `until`, earliest first, at most `limit`. The callback must not use the
 * writer. */
bool store_recheck_scan(struct store_writer *writer, int64_t stage, int64_t until, int64_t limit,
                        bool (*each)(void *argument, int64_t at, int64_t entity), void *argument,
                        struct error *error);
/* Note that an entity entered or left a stage without a change of its own (by time, or because
 * of another row) when `change` was the newest one; it gets the next number. Of one entity at one
 * change the last note is kept. Trimmed along with the log. */
bool store_membership_put(struct store_writer *writer, int64_t change, uint32_t export_id,
                          struct span key, struct error *error);

/* ---- reading ---- */

/* The stage of a definition; *found is false also while it is being built. */
bool store_read_stage(struct store_reader *reader, struct span definition, int64_t *id,
                      int64_t *built_change, bool *found, struct error *error);
/* The number of its rows; *found false as above. */
bool store_read_stage_rows(struct store_reader *reader, struct span definition, int64_t *rows,
                           bool *found, struct error *error);
/*
 * Rows of a stage in its order (backwards: in the opposite one) behind `after`, exclusive (absent:
 * from that end), without the first `skip` of them, at most `limit` (negative: all). Without
 * `with_data` the entity's data is absent and not read; id, key, change and seq are always given.
 * Costs a step of the index for a skipped row, a look into the entities for the others. A callback
 * that returns false stops the scan early (no error).
 */
typedef bool (*store_each_row)(void *argument, struct span sort_key,
                               const struct store_entity *entity);
bool store_scan_stage(struct store_reader *reader, int64_t stage, struct span after, int64_t skip,
                      int64_t limit, bool backwards, bool with_data, store_each_row each,
                      void *argument, struct error *error);
/* The entity at a sort key of the stage; *entity = 0 when there is no row. */
bool store_read_row(struct store_reader *reader, int64_t stage, struct span sort_key,
                    int64_t *entity, struct error *error);
/* Append the sort key of the row number `rank`, counted from 0 where a scan begins: at `from`
 * (inclusive), backwards before it (exclusive); absent: at the end. *found false: there are fewer.
 * Costs a step of the index for each row before it. */
bool store_read_rank(struct store_reader *reader, int64_t stage, struct span from, bool backwards,
                     int64_t rank, struct buffer *sort_key, bool *found, struct error *error);
/* The number of rows before a sort key, which need not be there. Costs a step of the index for
 * each.
 */
bool store_count_rows(struct store_reader *reader, int64_t stage, struct span sort_key,
                      int64_t *count, struct error *error);
/* Entities of an export that entered or left some stage without a change of their own, at most
 * `limit` (negative: all), each perhaps several times. A callback that returns false stops the scan
 * early (no error). STORE_FROM_CHANGE: from the newest change `from` on, in order of that: a cursor
 * at c may not have seen those from c on. STORE_BEHIND_NUMBER: with a greater number than `from`: a
 * reader that has read up to store_log_state.last_membership goes on there. */
typedef bool (*store_each_membership)(void *argument, struct span key);
enum store_membership_order { STORE_FROM_CHANGE, STORE_BEHIND_NUMBER };
bool store_scan_memberships(struct store_reader *reader, enum store_membership_order order,
                            uint32_t export_id, int64_t from, int64_t limit,
                            store_each_membership each, void *argument, struct error *error);
/* Rows of a stage whose sort keys begin with the label and a byte 0. `each` gets the sort key
 * without these, and the order of that is the order of the rows. Behind the sort key `after`
 * (absent: from the first); at most `limit` rows (negative: all). */
bool store_scan_labelled(struct store_reader *reader, int64_t stage,
                         const struct store_labels *labels, struct span after, int64_t limit,
                         store_each_row each, void *argument, struct error *error);

#endif
