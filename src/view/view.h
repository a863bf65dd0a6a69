/*
 * view: what a view is. Pure: no SQLite, no sockets. Sorted and filtered views, windows and stack
 * files join here with their issue; now every view shows one export, projected and key-filtered.
 */
#ifndef VIEW_VIEW_H
#define VIEW_VIEW_H

#include "json/json.h"

enum view_mode { VIEW_STATE, VIEW_LIST, VIEW_APPEND };

/* One view. Everything in it is owned by its set and immutable while the set lives. */
struct view {
    char *id;          /* "<Export>/<name>" */
    char *export_name; /* the part before the first '/' */
    enum view_mode mode;
    struct span *paths; /* projection: canonical dotted paths; none: whole entities */
    size_t path_count;
    struct span *keys; /* key filter, sorted by bytes: only these; none: every key */
    size_t key_count;
};

/* Whether the view shows that key. */
bool view_shows(const struct view *view, struct span key);
/* Append the row or patch (canonical text of an object) as this view shows it. */
bool view_project(const struct view *view, struct span object, struct buffer *out);
/* Append the JSON array of append paths, less those that the projection hides; nothing when none
 * is left. `append` is a canonical JSON array of strings. */
bool view_append_paths(const struct view *view, struct span append, struct buffer *out);

/* Whether a name can be an export's: 1 to 128 bytes of valid UTF-8 without '/', control
 * characters and '"'. The error names what is wrong. */
bool view_export_name_check(struct span name, struct error *error);

/* ---- the set of views ---- */

struct view_set;

/* An open set grows exports as they appear; a closed one knows only what was added. */
struct view_set *view_set_new(bool open);
void view_set_free(struct view_set *set);
bool view_set_is_open(const struct view_set *set);
/* Add an export with its three views "<name>/list", "/state", "/append" (already there: nothing).
 */
bool view_set_add_export(struct view_set *set, struct span name, struct error *error);
/*
 * Add or replace one view of an export (the export is added if new). `paths` are raw dotted paths
 * from the configuration, `keys` raw keys. ERROR_CONFIGURATION names the view and what is wrong
 * (empty name, '/' in the name, empty path segment, …).
 */
bool view_set_define(struct view_set *set, struct span export_name, struct span name,
                     enum view_mode mode, const struct span *paths, size_t path_count,
                     const struct span *keys, size_t key_count, struct error *error);
/* The view by id, or NULL. In an open set, asking for a view "<Export>/list|state|append" of an
 * unknown, valid export does not add it. */
const struct view *view_set_find(const struct view_set *set, struct span id);
bool view_set_has_export(const struct view_set *set, struct span export_name);
/* All views in order of definition: index from 0; NULL at the end. */
const struct view *view_set_at(const struct view_set *set, size_t index);

#endif
