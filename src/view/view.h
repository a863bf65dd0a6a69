/*
 * view: what a view is. Pure: no SQLite, no sockets. A view shows one export, projected and
 * key-filtered. A derived view shows it filtered, sorted and cut, by its stages. docs/views.md has
 * the rules that this folder implements: order of values, predicates, windows.
 */
#ifndef VIEW_VIEW_H
#define VIEW_VIEW_H

#include "json/json.h"

enum view_mode { VIEW_STATE, VIEW_LIST, VIEW_APPEND };

struct view_stage;
struct view_scope;
struct view_predicate;
struct view_path;

/* The output of a derived view, for its subscribers. */
enum view_output { VIEW_COLLECTION, VIEW_SINGLE, VIEW_KEYED };

/* One view, immutable. A set has a reference to each of its views. A holder that may outlive the
 * set, or holds a view of no set, has one of its own. */
struct view {
    _Atomic uint32_t references; /* counted by any thread */
    char *id;                    /* "<Export>/<name>" */
    char *export_name; /* the export whose entities it shows: the part of the id before the first
                          '/'; of a derived view, the export of its source at the root */
    enum view_mode mode;
    struct span *paths; /* projection: canonical dotted paths; none: whole entities */
    size_t path_count;
    struct span *keys; /* key filter, sorted by bytes: only these; none: every key */
    size_t key_count;
    const struct view_stage
        *stage; /* the last stage of a derived view; NULL: a view of an export */
    enum view_output output;
    struct span *key_field; /* VIEW_KEYED: path (canonical names) of the value that subscribers give
                               as their key */
    size_t key_field_count;
    struct span key_dotted; /* the same as a text with dots, if it was given so; else absent */
    int64_t coalesce_ms;    /* frames are the net effect of this long; 0: of every commit */
    const struct view_scope *scope; /* the scope of its export's rows; NULL: all are public */
};

/* Whether it is one of the three views of each export, without a definition of its own. */
bool view_is_standard(const struct view *view);
const struct view *view_ref(const struct view *view);
/* Give a reference back. NULL is fine. */
void view_unref(const struct view *view);
/* Whether the id is one of "<Export>/list", "/state" and "/append", of a valid export name. */
bool view_is_plain(struct span id);
/* The view of such an id, in no set: one reference. ERROR_INVALID_PARAMETER if the id is no
 * such, or out of memory. */
const struct view *view_plain_new(struct span id, struct error *error);

/* Whether the view shows that key. */
bool view_shows(const struct view *view, struct span key);
/* Append the row or patch (canonical text of an object) as this view shows it. */
bool view_project(const struct view *view, struct span object, struct buffer *out);
/* Append to `out` the raw path of a member that its "fields" hide, but by which a stage of the
 * view sorts or the view is keyed. False if there is none: then neither the order nor a key reveals
 * a hidden member. */
enum view_hidden_use { VIEW_HIDDEN_SORT, VIEW_HIDDEN_KEY };
bool view_hidden(const struct view *view, enum view_hidden_use use, struct buffer *out);
/* Append the JSON array of append paths, less those that the projection hides; nothing when none
 * is left. `append` is a canonical JSON array of strings. */
bool view_append_paths(const struct view *view, struct span append, struct buffer *out);

/* Whether a name can be an export's: 1 to 128 bytes of valid UTF-8 without '/', control
 * characters and '"', and not "." or "..". The error names the fault. */
bool view_export_name_check(struct span name, struct error *error);

/* ---- stages: how a derived view is kept ---- */

enum { VIEW_ALL = -1 };

/* The rows of a stage that its successor sees: without the first `skip`, then the first `take`;
 * or the last row alone. */
struct view_cut {
    int64_t skip;
    int64_t take; /* VIEW_ALL: no limit */
    bool last;    /* the last row; skip 0, take 1 */
};

/* Filters, then an order, then a cut, over an export or over the rows that another stage passes
 * on. A source without a cut is merged into the stage, so `source` always has one. */
struct view_stage {
    const struct view_stage *source; /* NULL: every entity of the export */
    const char *export_name;
    struct view_cut cut;
    bool has_cut; /* it passes on less than all its rows */
    bool timed;   /* its predicate asks for now() */
    const struct view_scope
        *scope; /* its sort keys begin with the label of the row, and a byte 0; NULL: they do not */
    const struct view_stage *by_label; /* if its export's rows are scoped: the same rows (without
                                          its own cut) by label; else NULL */
    /* The sort as subscribers see it: raw path and direction. No segments: by seq, newest first. */
    struct span *sort_path;
    size_t sort_path_count;
    bool descending;
    const struct view_path *sort; /* the same path, as view_value_is_told takes it */
    /* Canonical text of everything that decides its rows, with its sources, but without its own
     * cut. Stages with one text share their rows; a text that is in the database was built. */
    const char *definition;
    const char *whole;                /* the same with its cut */
    struct view_predicate *predicate; /* NULL: every row */
};

/* Whether the predicate holds for an entity (canonical text) at a time (unix seconds). */
bool view_stage_holds(const struct view_stage *stage, struct span entity, int64_t now);
/* Whether time alone may let entities in or out, of the stage or of one that it is over. NULL:
 * there is none. */
bool view_stage_is_timed(const struct view_stage *stage);
/* The first second after `now` at which its truth may change; INT64_MAX if time changes nothing. */
int64_t view_stage_rechecks(const struct view_stage *stage, struct span entity, int64_t now);
/* Append the sort key of an entity in the stage's order: bytes that compare as the order requires.
 * They include the key, so no two entities of an export have the same sort key. False when out of
 * memory. */
bool view_stage_sort_key(const struct view_stage *stage, struct span key, struct span entity,
                         struct seq seq, struct buffer *sort_key);
/* The same for an export's own order (seq, newest first, then key). */
bool view_seq_sort_key(struct span key, struct seq seq, struct buffer *sort_key);

/* ---- queries: what of a view a subscription wants, and in which order ---- */

struct view_query;

enum { VIEW_QUERY_SORTS = 8 /* most keys of its order */ };

/* How large a predicate may be. */
struct view_query_limits {
    unsigned depth; /* predicates within each other */
    size_t terms;   /* predicates of all kinds, filters, and values to choose from */
};

/*
 * From the canonical text of an object with any of the members
 *   filters  an object, dotted path -> value, all of which must be there and equal
 *   where    a predicate, as the configuration spells it
 *   sort     a list of keys: paths, or {"by": path, "order": "asc" or "desc"}
 * NULL with ERROR_INVALID_PARAMETER that names what is wrong, also of a path that the view does not
 * show. The view outlives the query; NULL: everything is shown.
 */
struct view_query *view_query_new(const struct view *view, struct span text,
                                  const struct view_query_limits *limits, struct error *error);
/* Another reference to it. References are counted by one thread alone. NULL is fine. */
struct view_query *view_query_ref(struct view_query *query);
/* Give a reference back. NULL is fine. */
void view_query_unref(struct view_query *query);
struct view_query_traits {
    struct span text; /* canonical: the same for queries that mean the same; NULL's is absent */
    const struct view_predicate *filters; /* it leaves rows out; NULL: it does not */
    bool is_timed;                        /* time alone can change which */
    size_t sorts;                         /* keys of its order; 0: the view's order */
};
/* NULL is fine. */
struct view_query_traits view_query_traits(const struct view_query *query);
/* Whether an entity (canonical text) is among its rows at a time (unix seconds), and the first
 * second behind that at which it may be otherwise; INT64_MAX: time changes nothing. NULL is fine:
 * all are. */
bool view_query_holds(const struct view_query *query, struct span entity, int64_t now);
int64_t view_query_rechecks(const struct view_query *query, struct span entity, int64_t now);

/* A key of its order. Borrowed. */
struct view_query_sort {
    const struct view_path *path;
    const struct span *names; /* the path as it was given */
    size_t count;
    bool descending;
};
struct view_query_sort view_query_sort(const struct view_query *query, size_t index);
/* Append the sort key of an entity in its order, which has keys: as view_stage_sort_key. */
bool view_query_sort_key(const struct view_query *query, struct span key, struct span entity,
                         struct buffer *sort_key);

/* The value of a keyed view's key field in an entity (canonical text); absent when it is not there.
 */
struct span view_key_value(const struct view *view, struct span entity);
/* The same as the text by which clients ask, into a buffer that is cleared: a string's content,
 * else the value as JSON. False: there is no value, or no memory. */
bool view_key_text(const struct view *view, struct span entity, struct buffer *text);

/* ---- telling why (docs/explain.md) ---- */

enum { VIEW_TOLD_VALUE = 1024 /* bytes; of a longer value the length is told */ };

/* What somebody may be told of a row: what one of these views shows. */
struct view_sight {
    bool all;                    /* everything */
    const struct view *views[2]; /* NULL: shows nothing */
};

/* Append `,"name":value`, or `,"name_bytes":n` if it is long; nothing if it is absent. */
void view_tell_value(struct buffer *out, const char *name, struct span value);
/* Whether all members of an entity that a predicate asks about may be told. That of a query asks
 * about what its view shows alone, but of a row that is not in the view that may be more than
 * somebody sees. */
bool view_predicate_is_told(const struct view_predicate *predicate, struct span entity,
                            const struct view_sight *sight);
/* Whether a predicate holds, as of view_stage_holds and by the same evaluation. `trace` (NULL:
 * none) gets it as the configuration spells it, each part with what it saw and its verdict. */
bool view_predicate_trace(const struct view_predicate *predicate, struct span entity, int64_t now,
                          struct buffer *trace);
/* The value at a path of an order; false: it may not be told. */
bool view_value_is_told(const struct view_path *path, struct span entity,
                        const struct view_sight *sight, struct span *value);
/* Whether the value of the scope field may be told. */
bool view_scope_is_told(const struct view_scope *scope, struct span entity,
                        const struct view_sight *sight);
/* Whether the value of the key field may be told. */
bool view_key_value_is_told(const struct view *view, struct span entity,
                            const struct view_sight *sight);
/* Append the names of an entity's top members of which the view shows nothing, as JSON texts with
 * commas between: those that may be told. False when out of memory. */
bool view_tell_hidden(const struct view *view, struct span entity, const struct view_sight *sight,
                      struct buffer *out);

/* ---- row scopes ---- */

/*
 * One field of a row decides who sees it. The *label* is the form of its value that is kept beside
 * changes and compared: the field's canonical text if it is a string; else one of these two, for an
 * absent, null or empty value, and for anything else. Never empty.
 */
#define VIEW_SCOPE_PUBLIC "*"
#define VIEW_SCOPE_NOBODY "!"

/* Bytes of a label. A longer string counts as anything else. */
enum { VIEW_SCOPE_LONGEST = 1024 };

/* The label of an entity (canonical text), borrowed from it. */
struct span view_scope_label(const struct view_scope *scope, struct span entity);
/* Whether a top member of that name can be the field of an entity, or hold it. */
bool view_scope_begins_with(const struct view_scope *scope, struct span name);
/* The rows of a view by label: a stage of its own, which no view shows. NULL: the rows are not
 * scoped. */
const struct view_stage *view_by_label(const struct view *view);
/* Canonical text of the field's path. */
const char *view_scope_text(const struct view_scope *scope);

/* ---- the set of views ---- */

struct view_set;

/* An open set adds exports when they appear; a closed one knows only those that were added. */
struct view_set *view_set_new(bool open);
void view_set_free(struct view_set *set);
bool view_set_is_open(const struct view_set *set);
/* Add an export with its three views "<name>/list", "/state", "/append". If it is there, nothing
 * changes. */
bool view_set_add_export(struct view_set *set, struct span name, struct error *error);
/*
 * Add or replace views. `definition` is a view as the configuration spells it
 * (docs/configuration.md), derived or not, for view `name` of `export_name`. `stack` is an arete
 * stack file, each entity of which becomes an export. Definitions may name views that come later;
 * view_set_resolve, called once at the end, makes their stages. ERROR_CONFIGURATION names the view
 * and the fault: an unknown source, a cycle, a bad path, an unknown step or function.
 */
bool view_set_derive(struct view_set *set, struct span export_name, struct span name,
                     const struct tree *definition, struct error *error);
bool view_set_add_stack(struct view_set *set, const struct tree *stack, struct error *error);
bool view_set_resolve(struct view_set *set, struct error *error);
/* Scope the rows of an export, which is added if new, by the field at a path, in all its views.
 * ERROR_CONFIGURATION if it is no path. Once for an export. */
bool view_set_scope(struct view_set *set, struct span export_name, const struct tree *path,
                    struct error *error);
/* All stages, each once, sources before the stages over them; NULL at the end. */
const struct view_stage *view_set_stage_at(const struct view_set *set, size_t index);
/* The view by id, or NULL. In an open set, asking for a view "<Export>/list|state|append" of an
 * unknown, valid export does not add it. */
const struct view *view_set_find(const struct view_set *set, struct span id);
/* The stage with the rows of a list in the order of a query with one key, if there is one, because
 * some view is defined so: it serves as an index. NULL: there is none, or no memory to look. */
const struct view_stage *view_set_order(const struct view_set *set, const struct view *view,
                                        const struct view_query *query);
/* An export by its name; NULL: there is none. And all of them, in the order of their addition:
 * index from 0; NULL at the end. */
struct view_export {
    const char *name;
    const struct view_scope *scope; /* NULL: all its rows are public */
};
const struct view_export *view_set_export(const struct view_set *set, struct span name);
const struct view_export *view_set_export_at(const struct view_set *set, size_t index);
/* All views in order of definition: index from 0; NULL at the end. */
const struct view *view_set_at(const struct view_set *set, size_t index);

#endif
