/* A view of an export by its parts, for tests that need no text of a definition. */
#ifndef UNIT_VIEW_DEFINE_H
#define UNIT_VIEW_DEFINE_H

#include "view/view_internal.h"

/* Add or replace it in the set; the export is added if it is new. `paths` are raw dotted paths as a
 * configuration has them, `keys` raw keys. ERROR_CONFIGURATION names the view and the fault. */
static inline bool view_set_define(struct view_set *set, struct span export_name, struct span name,
                                   enum view_mode mode, const struct span *paths, size_t path_count,
                                   const struct span *keys, size_t key_count, struct error *error)
{
    struct view_source source = {export_name, name, mode, paths, path_count, keys, key_count};
    struct view *view = view_new(&source, error);
    return view && view_set_put(set, &source, view, NULL, error);
}

#endif
