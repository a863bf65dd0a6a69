/* Shared inside view: making one view, paths, predicates, pipelines and stages. */
#ifndef VIEW_VIEW_INTERNAL_H
#define VIEW_VIEW_INTERNAL_H

#include "view/view.h"

enum {
    VIEW_NAME_LONGEST = 128, /* bytes of an export's or a view's name */
    VIEW_PREDICATE_DEPTH = 64
};

/* ---- one view ---- */

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

/* ---- paths ---- */

/* A list of member names, as they were given and as documents spell them. */
struct view_path {
    struct span *raw;
    struct span *names;
    size_t count;
};

/* The names of a tree: an array of names, or, where `dotted`, a string with dots too.
 * ERROR_CONFIGURATION says what is wrong; then, too, view_path_fini is due. */
bool view_path_read(struct view_path *path, const struct tree *tree, bool dotted,
                    struct error *error);
bool view_path_copy(struct view_path *path, const struct view_path *from);
void view_path_fini(struct view_path *path);
/* Append the names as a canonical array of strings. */
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
    RELATION_LTE
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
/* Both must hold; either may be NULL, which always holds. A new reference; NULL also when out of
 * memory, which *failed tells. */
struct view_predicate *predicate_and(struct view_predicate *left, struct view_predicate *right,
                                     bool *failed);
/* Append the canonical text: the same for predicates that were spelt differently. */
bool predicate_print(struct buffer *out, const struct view_predicate *predicate);
bool predicate_holds(const struct view_predicate *predicate, struct span entity, int64_t now);
int64_t predicate_turns(const struct view_predicate *predicate, struct span entity, int64_t now);

/* ---- stages ---- */

/* A stage with what only this folder knows of it. */
struct stage {
    struct view_stage shown; /* first, so that one is found from the other */
    struct view_path sort;   /* no names: by seq */
    char *export_name;
    char *definition;
};

/* Append the bytes of a value that compare as the order of values wants. */
bool place_value(struct buffer *place, struct span value, bool descending);

#endif
