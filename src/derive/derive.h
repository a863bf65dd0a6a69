/*
 * derive: derived views, updated in the transaction of the change that moves their rows. It knows
 * the store and the definitions of views; the writer reports what happened to each entity.
 *
 * One writer's thread owns all of it. Within a transaction: derive_note for each entity that
 * changed, derive_update, and after the commit derive_committed; or derive_abandon.
 */
#ifndef DERIVE_DERIVE_H
#define DERIVE_DERIVE_H

#include "base/base.h"
#include "store/store.h"
#include "view/view.h"

#include <stdatomic.h>

struct derive;
struct derived_export;

/* The parts of the engine that derive needs. All of them outlive derive. */
struct derive_context {
    struct store_writer *store;
    int64_t (*now_ms)(void *argument); /* the trusted wall clock */
    void (*pass_gate)(void *argument); /* before a transaction of a build: a checkpoint may wait */
    const atomic_bool *give_up;        /* NULL: never; a build ends with ERROR_SHUTTING_DOWN */
    size_t rows; /* of a stage, that one transaction builds or takes back; 0: DERIVE_ROWS */
    struct counter *stages_visited;
    void *argument;
};

/* A transaction of a build scatters its rows over all pages of the stage, so small ones write each
 * page often. */
enum { DERIVE_ROWS = 20000 };

/* A stage of a derived view with changed rows: they came, went, moved, or have other data. If
 * its export is scoped, there is one for each label (view.h) that such rows have, or had. */
struct derive_touched {
    const struct view_stage *stage;
    struct span sort_key; /* the first sort key in its order with a changed row; owned */
    struct span label;    /* absent where rows are not scoped; owned */
};
void derive_touched_free(struct derive_touched *touched, size_t count);

/* The name in meta of the second for which derived rows are right. */
#define DERIVED_NOW_NAME "derived_now"

/* ---- life ---- */

/* Find, make and build the stages of the views (NULL: they need none), before anything is fed;
 * takes transactions of its own. NULL with an error that names the view. */
struct derive *derive_open(const struct derive_context *context, const struct view_set *views,
                           struct error *error);
/* NULL is fine. */
void derive_close(struct derive *derive);
/* The state of an export with derived views; NULL: it has none. `scope`: the field that scopes
 * its rows; NULL: none. */
struct derived_export *derive_export(struct derive *derive, uint32_t export_id,
                                     const struct view_scope *scope);
/* The number of a stage in the database; 0: it is not a stage of these views. */
int64_t derive_stage_number(const struct derive *derive, const struct view_stage *stage);

/* ---- a transaction ---- */

/* The change of an entity; the texts live until the transaction ends. */
struct derive_change {
    struct span key;
    struct text *before, *after; /* NULL: it was not there, is not there */
    struct seq before_seq, after_seq;
    int64_t before_id, after_id; /* row numbers; 0 where it is not there */
};
/* False when out of memory. */
bool derive_note(struct derive *derive, struct derived_export *export,
                 const struct derive_change *change);
/* Update rows by the noted changes, and to the present second. `last_change`: the transaction's. */
bool derive_update(struct derive *derive, int64_t last_change, struct error *error);
/* The transaction is committed: the touched stages, which the caller owns. */
struct derive_touched *derive_committed(struct derive *derive, size_t *count);
/* The transaction failed. NULL is fine. */
void derive_abandon(struct derive *derive);
/* Whether there is work without any change; and how long there is none, `most` ms at most. */
bool derive_waits(struct derive *derive);
int derive_rest(struct derive *derive, int most);

/* ---- definitions ---- */

/* Note what a view shows, because of cursors from before. `standard`: it is a view that every
 * export has from the beginning. */
bool define_shape(struct store_writer *store, const struct view *view, uint32_t export_id,
                  bool standard, struct error *error);
/* The SQL view of a view; `stage`: the rows of a derived one. */
bool define_view(struct store_writer *store, const struct view *view, uint32_t export_id,
                 int64_t stage, struct error *error);

/* Compare derived views with their definitions, on a file that nobody writes; `found` is called
 * for each finding, with a line. */
bool derive_check(const char *path, const struct view_set *views,
                  void (*found)(void *argument, const char *line), void *argument,
                  struct error *error);

#endif
