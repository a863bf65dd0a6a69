/* Shared inside view: making one view. */
#ifndef VIEW_VIEW_INTERNAL_H
#define VIEW_VIEW_INTERNAL_H

#include "view/view.h"

enum { VIEW_NAME_LONGEST = 128 }; /* bytes of an export's or a view's name */

/* What a view is made from: borrowed, raw, not yet checked. */
struct view_source {
    struct span export_name, name;
    enum view_mode mode;
    const struct span *paths;
    size_t path_count;
    const struct span *keys;
    size_t key_count;
};

/* ERROR_CONFIGURATION names the view and what is wrong with it; else ERROR_MEMORY. */
struct view *view_new(const struct view_source *source, struct error *error);
/* NULL is allowed. */
void view_free(struct view *view);

#endif
