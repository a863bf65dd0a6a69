/*
 * Shared by the files of derive.
 *
 * A transaction gives steps: what entities were before it and what they are after it. Each stage
 * turns steps into changes of its rows. A stage may be over a slice: the part of another stage
 * behind its skip, within its take. It gets steps as well: those of rows that changed in the slice,
 * entered it or left it. So all stages are handled alike, sources before the stages over them.
 *
 * Invariants, between transactions:
 *  1. A stage has a row for each entity of its source (export or slice) for which its predicate
 *     holds as of derive.now, at the sort key that its order gives.
 *  2. Except for entities with a recheck at derive.now itself, which are still as of the second
 *     before; only when derive.pending. No recheck is earlier.
 *  3. A stage with now() has a recheck for each entity of its source whose truth can change by
 * time: the next second at which it may.
 *  4. A slice's thresholds say which sort keys are in it, or derive.loaded is false.
 *  5. No export is touched.
 *  6. derive.rechecks has each stage that has a recheck, under a second that is not later than its
 * first.
 *
 * A transaction visits the stages of the exports that it touched, and of the others only those with
 * a due recheck.
 */
#ifndef DERIVE_DERIVE_INTERNAL_H
#define DERIVE_DERIVE_INTERNAL_H

#include "derive/derive.h"
#include "sqlview/sqlview.h"
#include "store/stage.h"
#include "json/json.h"

/* The change of one entity in a source. Its bytes live until the transaction ends. */
struct derive_step {
    struct span key;
    struct span before, after; /* texts; absent: it was not, is not, in the source */
    struct seq before_seq, after_seq;
    int64_t before_id, after_id; /* row numbers; 0 where the text is absent */
    bool unchanged;              /* the entity itself is as it was */
};

struct derive_steps {
    struct derive_step *items;
    size_t count, capacity;
};

/* A set of row numbers: filled, sorted, then asked. */
struct id_set {
    int64_t *ids;
    size_t count, capacity;
};

/* An export with stages, and what the transaction does to its entities. */
struct derived_export {
    uint32_t id;
    const struct view_scope *scope; /* NULL: its rows are not scoped */
    struct derive_steps steps;
    struct derived *stages, *last_stage; /* sources first */
    bool touched;                        /* the transaction may change rows of its stages */
    struct derived_export *next_touched;
};

/* The first place where a transaction touched rows of one label. */
struct derive_touch {
    struct buffer lowest;
    size_t length;
    char label[];
};

/* The change of one row of a stage; its sort keys lie in the stage's `sort_keys`. */
struct derive_move {
    struct derive_step step;
    size_t was_at, was_length; /* length 0: no row */
    size_t is_at, is_length;
};

/* A stage as it is kept. Several view_stages that differ in their cut alone share it. */
struct derived {
    const struct view_stage *stage;
    const char *view; /* one that needs it, for messages */
    int64_t id;
    bool built;
    struct derived_export *export;
    struct derived *next_of_export;
    struct kept_stage *views;     /* the stages of the views that share it */
    struct derived_slice *source; /* NULL: every entity of the export */
    bool feeds;                   /* there are slices of it */
    struct derived_slice *slices; /* those */
    bool touched;
    struct buffer lowest;      /* sort key of the first row that was touched */
    struct map touches;        /* struct derive_touch, by label; empty where rows are not scoped */
    struct heap_entry recheck; /* in derive.rechecks */
    struct derived *next_due;
    struct id_set due; /* entities whose recheck has come */
    struct derive_move *moves;
    size_t move_count, move_capacity;
    struct buffer sort_keys;
};

/* The sort key that the first `rank` rows of a stage are below. */
struct threshold {
    bool end;       /* all rows are below it, and there are at most `rank` */
    bool unlimited; /* there is no such rank: it stays at the end */
    struct buffer sort_key;
    int64_t rank, below; /* `below`: rows that are below it */
};

struct crossing {
    int64_t id;
    size_t at, length; /* in the slice's sort keys */
};

/* The slice of a stage for the stages over it. */
struct derived_slice {
    struct derived_slice *next; /* of the same stage */
    const struct view_stage *stage;
    struct derived *of;
    struct threshold was_low, was_high, low, high;
    struct crossing *crossings; /* rows that a threshold passed */
    size_t crossing_count, crossing_capacity;
    struct buffer sort_keys;
    struct derive_steps steps; /* for the stages over it */
};

/* A stage of the view set, and how it is kept. */
struct kept_stage {
    const struct view_stage *stage;
    const char *view; /* the first that needs it */
    struct derived *kept;
    struct kept_stage *next_of_kept;
    struct derived_slice *slice; /* of it, for the stages over it; NULL: there is none */
};

struct derive {
    struct derive_context context;
    int64_t last_change;            /* of the transaction at hand */
    struct kept_stage *view_stages; /* all of the set */
    size_t view_stage_count;
    struct map by_stage;     /* those, by the address of their stage */
    struct map by_number;    /* struct derived, by its id */
    struct map by_export;    /* struct derived_export, by its id */
    struct derived **stages; /* sources first */
    size_t stage_count;
    struct derived_slice **slices;
    size_t slice_count;
    struct derived_export **exports;
    size_t export_count;
    struct derived_export *touched;
    struct heap rechecks; /* the stages with now(), see above */
    bool timed;           /* some stage asks for now() */
    bool loaded;          /* the thresholds are loaded */
    bool looked;          /* some entity of the transaction was checked with now() */
    bool stores_now;
    bool sweeping; /* there may be rows of retired stages */
    int64_t now, next,
        stored_now; /* the seconds for which rows are right: before and after the transaction */
    bool pending, next_pending; /* some are not, see above */
    struct text **texts;        /* fetched for this transaction */
    size_t text_count, text_capacity;
    struct id_set ids; /* reused */
    struct buffer was, is;
    struct derive_touched *touches;
    size_t touch_count;
};

static inline void derive_note_visit(struct derive *derive)
{
    counter_add(derive->context.stages_visited, 1);
}

/* steps.c: visit the stages of this export before the transaction ends. */
void derive_touch_export(struct derive *derive, struct derived_export *export);

/* steps.c */
struct derive_step *derive_steps_add(struct derive_steps *steps);
bool id_set_add(struct id_set *set, int64_t id);
void id_set_sort(struct id_set *set);
bool id_set_has(const struct id_set *set, int64_t id);
/* Read an entity by number into a step (`after` and `before` alike); *found false: it is gone. */
bool derive_fetch(struct derive *derive, int64_t id, struct derive_step *step, bool *found,
                  struct error *error);

/* rows.c: turn steps into changes of a stage's rows. */
bool derive_apply(struct derive *derive, struct derived *derived, const struct derive_steps *steps,
                  struct error *error);
/* Put the row of an entity of a stage that is being built. */
bool derive_build_row(struct derive *derive, struct derived *derived,
                      const struct store_entity *entity, struct error *error);

/* touch.c: note that rows at a sort key were touched, those of an entity of this text. */
bool derive_touch(struct derived *derived, struct span entity, struct span sort_key);
void derive_touch_init(struct derived *derived);
void derive_touch_clear(struct derived *derived);
/* Make derive->touches of everything noted. */
bool derive_note_touches(struct derive *derive, struct error *error);

/* slice.c */
void derive_slice_init(struct derived_slice *slice, const struct view_stage *stage,
                       struct derived *of);
void derive_slice_fini(struct derived_slice *slice);
/* Find the thresholds from the rows as they are. */
bool derive_slice_load(struct derive *derive, struct derived_slice *slice, struct error *error);
/* Move the thresholds after the stage's moves, and make the steps for the stages over it. */
bool derive_slice_update(struct derive *derive, struct derived_slice *slice, struct error *error);
void derive_slice_clear(struct derived_slice *slice);
bool derive_slice_has(const struct derived_slice *slice, struct span sort_key);

/* steps.c: note that the stage may have a recheck at that second. */
void derive_expect_turn(struct derive *derive, struct derived *derived, int64_t at);
/* Choose derive.next and collect the rechecks that are due by then. Before the transaction changes
 * a recheck. */
bool derive_advance(struct derive *derive, struct error *error);
/* At start: as of when rows are right. */
bool derive_read_now(struct derive *derive, struct error *error);
bool derive_store_now(struct derive *derive, int64_t now, struct error *error);
/* Let a stage check the entities whose recheck is due and that no step covers. */
bool derive_take_turns(struct derive *derive, struct derived *derived,
                       const struct derive_steps *told, struct error *error);

/* build.c: build a stage, or its missing part, in transactions of its own. */
bool derive_build(struct derive *derive, struct derived *derived, struct error *error);

/* define_view.c: compare the SQL views with the configuration; in a transaction of the reader. */
bool check_sql_views(struct store_reader *reader, const struct view_set *views,
                     void (*found)(void *argument, const char *line), void *argument,
                     struct error *error);

#endif
