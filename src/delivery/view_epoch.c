#include "delivery/view_epoch.h"
#include "base/invariant.h"
#include "delivery/hub_internal.h"
#include "rows/tag.h"

#include <inttypes.h>
#include <stdio.h>

uint64_t view_epoch_scope(const struct view *view, const struct row_scope *scope)
{
    uint64_t hash = tag_fold(TAG_START, span_of(view_scope_text(view->scope)));
    return tag_fold(hash, row_scope_name(scope));
}

/*
 * Whether a cursor is of one file alone. The rows of a stage at a change are decided by its
 * definition and the entities, so two databases with one log agree on them, whenever they built it.
 * But what is noted beside the log is of the file: what time moved, at the change that was the
 * newest there; and which rows others moved into or out of the part that a stage is over, as the
 * outcome of a transaction, of which each file makes its own.
 */
static bool is_of_file(const struct view *view)
{
    return view->stage && (view->stage->source || view_stage_is_timed(view->stage));
}

/*
 * While a stage is not there, nothing notes what time did to its rows, so where it decides, one
 * that is built anew has another number. The floor rises when what all cursors mean changes.
 */
static uint32_t fold_view(const struct hub *hub, const struct view *view, int64_t floor)
{
    bool timed = view_stage_is_timed(view->stage);
    int64_t stage = timed ? engine_stage_number(hub->engine, view->stage) : 0;
    uint64_t hash = TAG_START;
    tag_view(&hash, view);
    hash = tag_fold(hash, span_make((const char *)&stage, sizeof stage));
    hash = tag_fold(hash, span_make((const char *)&floor, sizeof floor));
    if (is_of_file(view))
        hash = tag_fold(hash, span_of(engine_facts(hub->engine)->file_uuid));
    return (uint32_t)(hash ^ hash >> 32);
}

/* Into `text`: what stands behind the database's. */
static void print_parts(const struct hub *hub, const struct view *view,
                        const struct row_scope *scope, char text[VIEW_EPOCH])
{
    int64_t floor = engine_facts(hub->engine)->cursor_floor;
    size_t length = 0;
    text[0] = '\0';
    if (scope && view->scope)
        length = (size_t)snprintf(text, VIEW_EPOCH, "-%016" PRIx64, view_epoch_scope(view, scope));
    if (!view_is_standard(view) || floor > 0)
        snprintf(text + length, VIEW_EPOCH - length, ".%08" PRIx32, fold_view(hub, view, floor));
}

const char *view_epoch(const struct hub *hub, const struct view *view,
                       const struct row_scope *scope, char text[VIEW_EPOCH])
{
    const char *epoch = engine_facts(hub->engine)->epoch;
    char parts[VIEW_EPOCH];
    print_parts(hub, view, scope, parts);
    int length = snprintf(text, VIEW_EPOCH, "%s%s", epoch, parts);
    INVARIANT(length < VIEW_EPOCH);
    return text;
}

/* `epoch` is of this database, or of a former one. */
static bool is_known(const struct hub *hub, const char *epoch, size_t length, int64_t *parted)
{
    const char *own = engine_facts(hub->engine)->epoch;
    char former[VIEW_EPOCH];
    *parted = -1;
    if (strlen(own) != length)
        return false;
    if (memcmp(epoch, own, length) == 0)
        return true;
    snprintf(former, sizeof former, "%.*s", (int)length, epoch);
    return engine_former_epoch(hub->engine, former, parted);
}

/* A cursor that does not say which view it is of does not say which file either. */
static bool wants_file(const struct hub *hub, const struct view *view)
{
    return is_of_file(view) && engine_facts(hub->engine)->shares_epoch;
}

bool view_epoch_fits(const struct hub *hub, const struct view *view, const struct row_scope *scope,
                     const char *epoch, struct cursor_origin *origin)
{
    char own[VIEW_EPOCH];
    *origin = (struct cursor_origin){.parted = -1};
    /* Without an epoch it may be of any database that this one is a copy of: as far as all agree.
     * Whose rows it is of can then not be told. */
    if (!epoch) {
        if (view->scope || wants_file(hub, view))
            return false;
        engine_former_epoch(hub->engine, NULL, &origin->parted);
        return true;
    }
    size_t database = strlen(engine_facts(hub->engine)->epoch);
    if (strlen(epoch) < database || !is_known(hub, epoch, database, &origin->parted))
        return false;
    print_parts(hub, view, scope, own);
    const char *parts = epoch + database, *shown = strchr(own, '.');
    origin->current = strcmp(parts, own) == 0;
    if (origin->current || !shown)
        return origin->current;
    /* As they were told before they had a part for the view. */
    size_t length = (size_t)(shown - own);
    return strlen(parts) == length && !wants_file(hub, view) && memcmp(parts, own, length) == 0;
}

bool view_epoch_is_own(const struct hub *hub, const char *epoch)
{
    const char *own = engine_facts(hub->engine)->epoch;
    return !epoch || strncmp(epoch, own, strlen(own)) == 0;
}
