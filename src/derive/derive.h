/*
 * derive: derived views, kept in the transaction of the change that moves their rows. It knows the
 * store and the definitions of views; whoever writes tells it what became of each entity.
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

/* What derive needs of the engine. All of it outlives derive. */
struct derive_context {
    struct store_writer *store;
    int64_t (*now_ms)(void *argument); /* wall clock, as it is believed */
    void (*pass_gate)(void *argument); /* before a transaction of a build: a checkpoint may wait */
    const atomic_bool *give_up;        /* NULL: never; a build ends with ERROR_SHUTTING_DOWN */
    struct counter *stages_visited;
    void *argument;
};

/* A stage of a derived view some rows of which changed: came, went, moved, or have other data.
 * Where its export is scoped, once for each label (view.h) that such rows have, or had. */
struct derive_touched {
    const struct view_stage *stage;
    struct span place; /* the first place in its order where something did; owned */
    struct span label; /* absent where rows are not scoped; owned */
};
void derive_touched_free(struct derive_touched *touched, size_t count);

/* ---- life ---- */

/* Find, make and build what the views need (NULL: none do), before anything is fed; takes
 * transactions of its own. NULL with an error that names the view. */
struct derive *derive_open(const struct derive_context *context, const struct view_set *views,
                           struct error *error);
/* NULL is fine. */
void derive_close(struct derive *derive);
/* What an export's views need to know; NULL: it has none. `scope`: the field that scopes its rows;
 * NULL: none. */
struct derived_export *derive_export(struct derive *derive, uint32_t export_id,
                                     const struct view_scope *scope);
/* The number of a stage in the database; 0: it is none of these views'. */
int64_t derive_stage_number(const struct derive *derive, const struct view_stage *stage);

/* ---- a transaction ---- */

/* What became of an entity; the texts live until the transaction ends. */
struct derive_change {
    struct span key;
    struct text *before, *after; /* NULL: it was not there, is not there */
    struct seq before_seq, after_seq;
    int64_t before_id, after_id; /* row numbers; 0 where it is not there */
};
/* False when out of memory. */
bool derive_note(struct derive *derive, struct derived_export *export,
                 const struct derive_change *change);
/* Bring rows up to what was noted and to the present second. `last_change`: the transaction's. */
bool derive_update(struct derive *derive, int64_t last_change, struct error *error);
/* It is committed: what it touched, which the caller owns. */
struct derive_touched *derive_committed(struct derive *derive, size_t *count);
/* It is not. NULL is fine. */
void derive_abandon(struct derive *derive);
/* Whether there is something to do without any change; and how long not, `most` ms at most. */
bool derive_waits(struct derive *derive);
int derive_rest(struct derive *derive, int most);

/* ---- definitions ---- */

/* Note what a view shows, for the sake of cursors from before. `standard`: it is what every export
 * has from the beginning. */
bool define_shape(struct store_writer *store, const struct view *view, uint32_t export_id,
                  bool standard, struct error *error);
/* The SQL view of a view; `stage`: where the rows of a derived one are. */
bool define_view(struct store_writer *store, const struct view *view, uint32_t export_id,
                 int64_t stage, struct error *error);

/* Derived views against their definitions, on a file that nobody writes; `found` is called for each
 * finding, with a line. */
bool derive_check(const char *path, const struct view_set *views,
                  void (*found)(void *argument, const char *line), void *argument,
                  struct error *error);

#endif
