/*
 * Shared inside explain. The files:
 *   explain.c  the whole: the row, and whether it may be told about
 *   stages.c   finding out: which stages of the view have the row, and its ranks
 *   part.c     finding out: the part of a query
 *   tell.c     the steps as JSON
 *   since.c    since when, by the log; since_cut.c: of views with a cut
 *
 * All is found out before anything is told, because what may be told depends on the outcome.
 */
#ifndef EXPLAIN_EXPLAIN_INTERNAL_H
#define EXPLAIN_EXPLAIN_INTERNAL_H

#include "explain/explain.h"
#include "rows/view_state.h"
#include "store/stage.h"
#include "json/json.h"

/* A row at the end of a cut or a part. */
struct explain_edge {
    bool found;
    struct buffer key, data;
};

/* The row in one stage. */
struct explain_stage {
    const struct view_stage *stage;
    int64_t id;   /* in the database */
    bool reached; /* the row came so far: the stage below passes it on */
    bool holds;   /* its filter */
    int64_t now;  /* as of when that was asked */
    bool present; /* the stage has the row */
    int64_t rank; /* if it is present and the stage is cut */
    bool passes;  /* it is passed on */
    struct buffer sort_key;
};

/* The row in the part of a query. */
struct explain_part {
    bool wanted;
    bool ranked; /* the rank is known */
    int64_t rank;
    bool known, holds; /* whether the row is in it */
    struct explain_edge first, last;
};

struct explaining {
    const struct explain *asked;
    struct store_reader *reader;
    struct error *error;
    struct view_state state;
    bool found; /* the entity is there, and the asker sees it */
    int64_t change;
    struct seq seq;
    struct buffer data;
    struct explain_stage *stages; /* the view's, sources first */
    size_t stage_count;
    bool in_stages;                   /* the last one passes it on */
    bool in_view;                     /* and the view shows its key */
    bool keyed, key_first, key_known; /* a view keyed by a field: asked, and how it came out */
    struct buffer first_key;          /* the key of the row that clients get for the value */
    struct view_sight sight;          /* of the row */
    bool where;                       /* the query's condition holds */
    struct explain_part part;
    bool in;    /* the answer, */
    bool known; /* ... if it could be found out */
    struct buffer *out;
    size_t steps;
    bool halted; /* what follows would reveal what may not be told */
};

static inline bool explain_lacks_memory(struct explaining *explaining)
{
    return error_set(explaining->error, ERROR_MEMORY, "out of memory while explaining a row");
}

/* Whether the asker is shown rows of certain labels alone. */
static inline bool explain_is_scoped(const struct explaining *explaining)
{
    const struct row_scope *scope = explaining->asked->scope;
    return scope && !scope->all;
}

void explain_edge_init(struct explain_edge *edge);
void explain_edge_fini(struct explain_edge *edge);
bool explain_edge_set(struct explain_edge *edge, struct span key, struct span data);

/* stages.c; all false with the error */
bool explain_find_stages(struct explaining *explaining);
/* Rows of the view in its order, of everybody. */
bool explain_scan_view(struct explaining *explaining, bool with_data, store_each_row each,
                       void *argument);
/* Whether all conditions hold for a state of the row; cuts and keys do not count. */
bool explain_holds(const struct explaining *explaining, struct span entity, int64_t now);
/* The row of a stage at a rank, if there is one. */
bool explain_find_rank(struct explaining *explaining, const struct explain_stage *stage,
                       int64_t rank, struct explain_edge *edge);

/* What the asker sees of a row that is in the view, or not. */
static inline struct view_sight explain_sight(const struct explaining *explaining, bool in_view)
{
    struct view_sight sight = explaining->asked->sight;
    if (!in_view)
        sight.views[0] = NULL;
    return sight;
}

/* part.c */
bool explain_find_key(struct explaining *explaining);
bool explain_find_part(struct explaining *explaining);

/* tell.c */
bool explain_tell(struct explaining *explaining);
/* since.c: append the member "since". False with the error. */
bool explain_since(struct explaining *explaining);

#endif
