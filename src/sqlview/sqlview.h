/*
 * sqlview: the SQL views of a database, for people with the sqlite3 shell. Nothing in the program
 * reads them.
 *
 *   "Quake/list"    key, seq, data: the entities, newest first
 *   "Quake/state"   key, seq, data: the entities in order of key
 *   "Quake/append"  key, seq, data, op, at, change: the log as it is kept, oldest first; data is
 *                   the patch as it came
 *
 * There is one for every other configured view, like list but with its members and keys only; for a
 * derived view in its order, with a column rank from 1 on. seq is the text that clients see, so it
 * sorts as text only within a slot.
 *
 * Invariants, at the end of a transaction of the start:
 *  1. Each row of the table sql_view has its SQL view, made of exactly its body, and no other SQL
 *     view in the file was made here. Other SQL views are the operator's: nothing here touches
 *     them.
 *  2. A SQL view has its plain id as its name only if no other id differs from it by case alone.
 */
#ifndef SQLVIEW_SQLVIEW_H
#define SQLVIEW_SQLVIEW_H

#include "base/base.h"

struct sql_views;

/*
 * Define (replace) a SQL view "<export>/<name>" over an export with a projection and a key filter.
 * `paths`: dotted paths as documents spell them (names with JSON's escapes), none: everything;
 * `keys`: only these keys, count 0: all. Values keep their exact text. In a transaction.
 */
bool sql_view_define(struct sql_views *views, struct span id, uint32_t export_id,
                     const struct span *paths, size_t path_count, const struct span *keys,
                     size_t key_count, struct error *error);
/* The part of a stage's rows that a view shows. */
struct sql_view_cut {
    int64_t skip;
    int64_t take; /* negative: all */
    bool last;    /* the last row alone */
};
/* The same for a view of a stage: in its order, with a column `rank` from 1 on. */
bool sql_view_define_derived(struct sql_views *views, struct span id, int64_t stage,
                             struct sql_view_cut cut, const struct span *paths, size_t path_count,
                             const struct span *keys, size_t key_count, struct error *error);
/*
 * Drop the SQL views of views that are not among those given (ids "<export>/<name>", which this
 * sorts). The three of each export stay, or come back without a definition. SQL views that were
 * changed or dropped by hand are made again. In a transaction, when all are defined.
 */
bool sql_views_drop_others(struct sql_views *views, struct span *ids, size_t count,
                           struct error *error);

/* The body of a SQL view, behind CREATE VIEW <name> AS: of a view of an export, of a view of a
 * stage, of one of the three of each export (false: it is none). For checks. */
bool sql_view_body(struct buffer *sql, uint32_t export_id, const struct span *paths,
                   size_t path_count, const struct span *keys, size_t key_count);
bool sql_view_derived_body(struct buffer *sql, int64_t stage, struct sql_view_cut cut,
                           const struct span *paths, size_t path_count, const struct span *keys,
                           size_t key_count);
bool sql_view_standard_body(struct buffer *sql, struct span id, uint32_t export_id);

#endif
