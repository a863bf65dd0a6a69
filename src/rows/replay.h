/*
 * The states of one row, made again from the changes of its key in the log, one after the other, as
 * somebody saw it who sees certain labels. Each state has the bytes that the entity had. Belongs to
 * one thread.
 */
#ifndef ROWS_REPLAY_H
#define ROWS_REPLAY_H

#include "rows/row_scope.h"
#include "store/store.h"
#include "json/json.h"

/* What a change is for who sees certain labels. */
enum replay_effect {
    REPLAY_NOTHING, /* the row was out of sight, and is */
    REPLAY_GONE,    /* it went, or went out of sight */
    REPLAY_BEGINS,  /* it was not there, or out of sight, and comes whole */
    REPLAY_WHOLE,   /* it was there, and comes whole */
    REPLAY_PATCH    /* it was there, and is patched */
};
enum replay_effect replay_effect(const struct row_scope *scope, const struct store_change *change);
/* Whether the state behind such a change does not depend on the one before. */
static inline bool replay_is_known_behind(enum replay_effect effect)
{
    return effect == REPLAY_GONE || effect == REPLAY_BEGINS || effect == REPLAY_WHOLE;
}

enum replay_state { REPLAY_UNKNOWN, REPLAY_ABSENT, REPLAY_THERE };

struct replay {
    enum replay_state was, is; /* before the last change, and behind it */
    struct buffer before, row; /* the texts of what is there */
    struct doc doc;
};

/* Begins with REPLAY_UNKNOWN. */
void replay_init(struct replay *replay);
void replay_fini(struct replay *replay);
/* Go on from this present row; absent: from none. */
bool replay_set(struct replay *replay, struct span row, struct error *error);
/* The next change of the key that is not REPLAY_NOTHING. ERROR_DATABASE: its texts are damaged. */
bool replay_step(struct replay *replay, enum replay_effect effect,
                 const struct store_change *change, struct error *error);

#endif
