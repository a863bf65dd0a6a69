/* Shared inside view: making one view, paths, predicates, pipelines and stages. */
#ifndef VIEW_VIEW_INTERNAL_H
#define VIEW_VIEW_INTERNAL_H

#include "view/view.h"

enum {
    VIEW_NAME_LONGEST = 128, /* bytes of an export's or a view's name */
    VIEW_PREDICATE_DEPTH = 64
};

/* ---- one view ---- */

/* The parts of a view to be made: borrowed, raw, not yet checked. */
struct view_source {
    struct span export_name, name;
    enum view_mode mode;
    const struct span *paths;
    size_t path_count;
    const struct span *keys;
    size_t key_count;
};

/* ERROR_CONFIGURATION names the view and its fault; else ERROR_MEMORY. */
struct view *view_new(const struct view_source *source, struct error *error);
/* Free a view to which nobody else has a reference. NULL is allowed. */
void view_free(struct view *view);
/* One of the three views that every export has, from 0; NULL behind the last. */
enum { VIEW_PLAIN = 3 };
struct view *view_new_plain(struct span export_name, size_t index, struct error *error);
struct view_path;
/* Give a derived view its output; takes the content of `key_field` over. */
void view_set_output(struct view *view, enum view_output output, struct view_path *key_field);

/* ---- paths ---- */

/*
 * A list of member names, as they were given and as documents spell them. A path that was given as
 * a text with dots also stands for members whose own names hold some of these dots.
 */
struct view_path {
    struct span *raw;
    struct span *names;
    size_t count;
    struct span dotted;        /* the canonical text; absent: exactly these names */
    const struct view *within; /* borrowed. It goes on below a path that this view's "fields" name,
                                  so not every member that it stands for is shown; NULL: all are */
};

/* The names of a tree: an array of names, or, if `dotted`, a string with dots too.
 * ERROR_CONFIGURATION names the fault; then, too, view_path_fini is due. */
bool view_path_read(struct view_path *path, const struct tree *tree, bool dotted,
                    struct error *error);
/* The same of a value in a document: an array of names, or a string with dots. */
bool view_path_read_doc(struct view_path *path, const struct doc *doc, uint32_t value,
                        struct error *error);
/* The same of the dotted text (decoded) of a path. */
bool view_path_read_text(struct view_path *path, struct span text, struct error *error);
void view_path_fini(struct view_path *path);
/* Hold it to what the view shows: it may be asked about, and leads to what is shown alone. False:
 * the view shows nothing of that path. The view outlives it. */
bool view_path_hold(struct view_path *path, const struct view *view);
/* Say so: ERROR_CONFIGURATION. Always false. */
bool view_path_refuse(const struct view_path *path, const struct view *view, struct error *error);
/* The value at the path in an entity (canonical text); absent when nothing is there. */
struct span view_path_value(const struct view_path *path, struct span entity);
/* Append it as a canonical array of strings, or as a string if it is a text with dots. */
void view_path_print(struct buffer *out, const struct view_path *path);
/* Spans that own their bytes, as a view's paths do. */
void view_free_spans(struct span *spans, size_t count);

/* ---- predicates ---- */

enum predicate_kind {
    PREDICATE_COMPARE,
    PREDICATE_EXISTS,
    PREDICATE_ALL,
    PREDICATE_ANY,
    PREDICATE_NOT /* of its one child */
};
enum predicate_relation {
    RELATION_EQ,
    RELATION_NE,
    RELATION_GT,
    RELATION_GTE,
    RELATION_LT,
    RELATION_LTE,
    RELATION_IN,      /* is an element of the array on the right */
    RELATION_PREFIX,  /* is a string that begins with the one on the right */
    RELATION_CONTAINS /* is an array with that element, or an object with a member of that name */
};
enum predicate_operand { OPERAND_LITERAL, OPERAND_FIELD, OPERAND_NOW };

/* Immutable once read; counted, because the stages of several views share them. */
struct view_predicate {
    unsigned references;
    enum predicate_kind kind;
    bool timed;            /* asks for now(), here or below */
    struct view_path path; /* COMPARE, EXISTS */
    enum predicate_relation relation;
    enum predicate_operand operand;
    struct span literal;    /* OPERAND_LITERAL: canonical text, owned */
    struct view_path field; /* OPERAND_FIELD */
    struct view_predicate **children;
    size_t child_count, child_capacity;
};

/* "eq", "ne", …, in the order of the enum, NULL at the end; and "Eq", "Ne", …. */
extern const char *const predicate_relations[];

struct view_predicate *predicate_new(enum predicate_kind kind);
struct view_predicate *predicate_ref(struct view_predicate *predicate);
/* NULL is allowed. */
void predicate_unref(struct view_predicate *predicate);
/* Takes the child over when it succeeds. */
bool predicate_add(struct view_predicate *predicate, struct view_predicate *child);
/* Both must hold; either may be NULL, which always holds. A new reference. NULL also when out of
 * memory; *failed says so. */
struct view_predicate *predicate_and(struct view_predicate *left, struct view_predicate *right,
                                     bool *failed);
/* Append the canonical text, which is equal for predicates that were spelt differently. */
bool predicate_print(struct buffer *out, const struct view_predicate *predicate);
/* Append the members of a comparison, or of "exists", as people spell it: without the braces. */
void predicate_tell_leaf(struct buffer *out, const struct view_predicate *predicate);

/* Make another of it that means the same: parts of "all" and "any" in order of their text, each
 * once, none within its like and none alone. So predicates that differ in no more than that have
 * one text. Nobody else has a reference to it. False when out of memory: it is as good as before.
 */
bool predicate_normalize(struct view_predicate **predicate);
/* The first second after `now` at which it may not hold for an entity (canonical text), or hold,
 * any more. */
int64_t predicate_rechecks(const struct view_predicate *predicate, struct span entity, int64_t now);

/* Reading one from a document, as the configuration and clients spell it. */
struct predicate_reading {
    const struct doc *doc;
    const struct view *view; /* of which only what it shows may be asked about; NULL: of anything */
    unsigned max_depth;      /* how deep they may be within others: the outermost is at 0 */
    size_t max_terms;        /* predicates of all kinds, and values to choose from */
    size_t terms;            /* that were read */
};
/* NULL with ERROR_CONFIGURATION that says what is wrong, or ERROR_MEMORY. `depth` is 0 for the
 * outermost. */
struct view_predicate *predicate_read_doc(struct predicate_reading *reading, uint32_t value,
                                          unsigned depth, struct error *error);
/* The same, of any size, from the configuration, and from an arete stack file. */
struct view_predicate *predicate_read(const struct tree *tree, struct error *error);
/* ERROR_CONFIGURATION: more terms than these. Always false. */
bool predicate_refuse_terms(size_t max_terms, struct error *error);
/* Compare with this text, canonical, which is copied. */
bool predicate_set_literal_text(struct view_predicate *predicate, struct span text,
                                struct error *error);
/* Place of a word in a list that ends with NULL, or -1. */
int view_word(const char *const *words, struct span word);
/* ERROR_CONFIGURATION: "<what> has no …", with the known words. Always false. */
bool view_unknown(struct error *error, const char *what, const char *name,
                  const char *const *allowed);
/* The only member of an object; false when it is not an object of one member. */
bool view_only_member(const struct tree *object, const char **name, const struct tree **value);

/* ---- pipelines ---- */

enum step_kind { STEP_FILTER, STEP_SORT, STEP_SKIP, STEP_TAKE, STEP_LAST };

struct view_step {
    enum step_kind kind;
    struct view_predicate *predicate; /* FILTER */
    struct view_path path;            /* SORT */
    bool descending;
    int64_t count; /* SKIP, TAKE */
};

/* A stage in the making: the result of the steps so far. */
struct draft {
    const struct stage *source;
    const char *export_name;
    struct view_predicate *predicate;
    const struct view_path *sort; /* NULL: by seq; borrowed from a step */
    bool descending;
    struct view_cut cut;
    bool has_cut;
    const struct view_scope *scope; /* by label; NULL: not */
};

struct pipeline {
    char *source; /* an export's name, or a view's id */
    bool source_is_view;
    struct view_step *steps;
    size_t count, capacity;
    enum { PIPELINE_NEW, PIPELINE_RESOLVING, PIPELINE_RESOLVED } state;
    struct draft draft; /* when resolved: the whole pipeline's */
};

void step_fini(struct view_step *step);
struct pipeline *pipeline_new(struct span source, bool source_is_view);
/* NULL is allowed. */
void pipeline_free(struct pipeline *pipeline);
/* Add a step. The pipeline owns it from now on, in any case. */
bool pipeline_add(struct pipeline *pipeline, struct view_step *step, struct error *error);
/* A count of rows: 0 to 2^53 - 1. */
bool pipeline_count(const struct tree *tree, int64_t *count, struct error *error);

/* ---- stages ---- */

/* A stage with the members that only this folder knows. */
struct stage {
    struct view_stage shown; /* first, so that one is found from the other */
    struct view_path sort;   /* no names: by seq; borrowed from a step */
    char *definition, *whole;
};

/* NULL is allowed. */
void stage_free(struct stage *stage);

/* ---- row scopes ---- */

struct view_scope {
    struct view_scope *next;
    const char *export_name; /* the set's */
    struct view_path path;
    char *text;
    const struct view_stage *by_label; /* all rows of the export */
};

/* ---- the set ---- */

struct view_entry {
    struct view *view;
    struct pipeline *pipeline;   /* NULL: a view of an export */
    struct view_entry *replaced; /* the view that had this id before */
    struct view_entry *next;     /* of its export */
};

struct set_export {
    struct view_export shown;
    struct view_entry *views; /* those of its own name, until they are resolved */
    size_t length;
    char name[];
};

struct view_set {
    bool open;
    struct map by_id;
    struct view_entry **order; /* by first definition */
    size_t count, capacity;
    struct map by_name;          /* the exports by name */
    struct set_export **exports; /* the exports in the order of their addition */
    size_t export_count, export_capacity;
    struct view_scope *scopes;
    struct map entities;      /* names of the entities of stack files that were read so far */
    struct map by_definition; /* the stages */
    struct stage **stages;    /* sources before the stages over them */
    size_t stage_count, stage_capacity;
};

/* Add or replace a view; takes view and pipeline over in any case. */
bool view_set_insert(struct view_set *set, struct view *view, struct pipeline *pipeline,
                     struct error *error);
/* The same, and its export before, if that is new. */
bool view_set_put(struct view_set *set, const struct view_source *source, struct view *view,
                  struct pipeline *pipeline, struct error *error);

/* Append the bytes of a value that compare as the order of values requires. */
bool sort_key_value(struct buffer *sort_key, struct span value, bool descending);

#endif
