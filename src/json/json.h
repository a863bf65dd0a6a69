/*
 * json: JSON as stele handles it.
 *
 * The hot path has a document of its own ("doc"). It is parsed once, and kept as canonical text
 * plus an array of nodes that point into it. Canonical text:
 *  - is compact: no white space outside strings;
 *  - has the shortest escapes: ", \, \b \f \n \r \t, and \u00xx in lower case for other control
 *    characters; everything else is raw UTF-8;
 *  - keeps each number as it was written, and writes an integer beyond ±(2^53 - 1) as a string of
 * its digits. So two equal keys are equal bytes, and merging never prints a number. Entities,
 * patches and keys are stored and sent in this form.
 *
 * Configuration goes through jansson, wrapped as "tree". Client messages do not: the parser of the
 * hot path is stricter, and reports a lack of memory.
 *
 * Names start with doc_, merge_ or tree_, because json_ is jansson's. All functions are pure and
 * may be called on any thread; one object belongs to one thread at a time.
 */
#ifndef JSON_JSON_H
#define JSON_JSON_H

#include "base/base.h"
#include "json/value.h"

/* ---- documents ---- */

enum doc_type {
    DOC_NULL,
    DOC_FALSE,
    DOC_TRUE,
    DOC_NUMBER,
    DOC_STRING,
    DOC_WIDE, /* an integer beyond ±(2^53 - 1); its canonical text is a string */
    DOC_ARRAY,
    DOC_OBJECT
};

/* Offsets are into the document's text. Children of a container follow it directly, in order. */
struct doc_node {
    uint32_t key;        /* where the member's name starts (inside its quotes); 0 if no member */
    uint32_t key_length; /* canonical bytes of the name, without quotes */
    uint32_t value;      /* where the value's canonical text starts (with quotes, if a string) */
    uint32_t value_length;
    uint32_t end;   /* index of the first node that is not in this subtree: the next sibling */
    uint32_t count; /* children of a container */
    enum doc_type type;
};

/* A document holds any number of values that were parsed into it, one after the other. */
struct doc {
    struct buffer text;
    struct doc_node *nodes;
    uint32_t count, capacity;
    uint32_t deepest;       /* nesting of the deepest value so far; a scalar is 0, [] is 1 */
    uint32_t longest_array; /* elements of the longest array so far */
    uint32_t max_nodes;
};

enum { DOC_NONE = UINT32_MAX };

/* Start empty. `max_text` bounds the canonical text in bytes (at most 2^32 - 1). */
void doc_init(struct doc *doc, size_t max_text, uint32_t max_nodes);
void doc_fini(struct doc *doc);
/* Forget all values, keep the memory. */
void doc_clear(struct doc *doc);

/*
 * Parse exactly one JSON value (white space around it is allowed) and add it to the document; *root
 * becomes its node. Refused, each with an error that names the fault and the byte: invalid UTF-8,
 * lone surrogates, a duplicate member, NaN and other words, a number that no double can hold
 * (1e999), nesting beyond max_depth, trailing bytes. A NUL escape is allowed.
 * ERROR_INVALID_MESSAGE, ERROR_TOO_LARGE (text or values) or ERROR_MEMORY. On failure the document
 * is as before.
 */
bool doc_parse(struct doc *doc, struct span input, uint32_t max_depth, uint32_t *root,
               struct error *error);

/* The member `name` (canonical bytes) of an object node, or DOC_NONE. */
uint32_t doc_member(const struct doc *doc, uint32_t object, const char *name);
/* Whether it is there with this canonical text. */
bool doc_member_is(const struct doc *doc, uint32_t object, const char *name, const char *text);
/* First child, or DOC_NONE; the following ones are at nodes[child].end while < nodes[parent].end.
 */
static inline uint32_t doc_first(const struct doc *doc, uint32_t container)
{
    return doc->nodes[container].count ? container + 1 : (uint32_t)DOC_NONE;
}

/* The canonical text of a value / of a member's name; borrowed until the document changes. */
static inline struct span doc_text(const struct doc *doc, uint32_t node)
{
    const struct doc_node *it = &doc->nodes[node];
    return span_make(doc->text.data + it->value, it->value_length);
}

static inline struct span doc_key(const struct doc *doc, uint32_t node)
{
    const struct doc_node *it = &doc->nodes[node];
    return span_make(doc->text.data + it->key, it->key_length);
}

/* Append the decoded (unescaped) bytes of a DOC_STRING or DOC_WIDE to out. */
bool doc_decode_string(const struct doc *doc, uint32_t node, struct buffer *out);
/* An integer literal from -2^63 to 2^63 - 1 (narrow or wide); false for anything else. */
bool doc_integer(const struct doc *doc, uint32_t node, int64_t *value);
/* Nesting depth of the subtree: 0 for a scalar, 1 for [] and {}. */
uint32_t doc_depth(const struct doc *doc, uint32_t node);
/* Append the value with every array in it cut to its last `max_array` elements (0: no cut). */
bool doc_print_cut(const struct doc *doc, uint32_t node, uint32_t max_array, struct buffer *out);

/* Append raw UTF-8 as a canonical JSON string, with quotes / without. The input must be valid. */
bool doc_escape(struct buffer *out, struct span raw);
bool doc_escape_bare(struct buffer *out, struct span raw);
/* Whether a run of bytes is valid UTF-8. */
bool doc_valid_utf8(struct span raw);

/* Append a value as people type it: the text of a JSON scalar is that scalar (canonical), anything
 * else a string. The text must be valid UTF-8. */
bool doc_typed_value(struct buffer *out, struct span text);
/* Append a member with that value to an object, from its "{" on: the first member brings the
 * brace, the caller closes it. */
bool doc_typed_member(struct buffer *out, struct span name, struct span text);

/* ---- merging ---- */

/* A path in `append`: canonical bytes of the dotted path, as a client would compare it. */
struct merge_append {
    struct span path;
    uint32_t most;   /* merge_object alone: when it extends the array there, it keeps the last so
                        many elements, whatever max_array is; 0: that of max_array */
    uint32_t length; /* out: elements of the array there after the merge; 0 if no array was sent */
    bool full;       /* out: that array now holds max_array elements (some may have gone) */
    bool cut;        /* some elements have gone */
};

/*
 * Merge the object `patch` of `doc` into `entity` (canonical text of an object; absent: there is
 * none yet) and append the merged object to `out`. Objects merge deeply. If both have an array
 * whose dotted path is in `appends`, the array is extended; anything else, null included,
 * overwrites. Every array that the patch touches, at any depth, is cut to its last `max_array`
 * elements (0: no cut). `seq` (bare, without quotes) becomes the member "_seq" of the result,
 * whatever entity or patch had there. Untouched members keep their place and bytes; new ones follow
 * in the patch's order. The dotted path of a nested member is the names joined with '.', so a name
 * with a dot matches as in the clients' merge. False with ERROR_MEMORY, ERROR_TOO_LARGE (out's
 * limit) or ERROR_DATABASE (the entity's text is damaged; the byte is named).
 */
bool merge_object(struct buffer *out, struct span entity, const struct doc *doc, uint32_t patch,
                  struct merge_append *appends, size_t append_count, uint32_t max_array,
                  struct span seq, struct error *error);

/*
 * Append the patch as subscribers get it: its canonical text with "_seq" set. Arrays are cut to
 * max_array. If `appends[i].full`, the value at that path is the first `length` elements of the
 * array that `merged` holds there (canonical entity text after the merge or later; "{}" for none).
 * So a client that replaces instead of appending ends with the server's array.
 */
bool merge_print_patch(struct buffer *out, const struct doc *doc, uint32_t patch,
                       const struct merge_append *appends, size_t append_count, uint32_t max_array,
                       struct span seq, struct span merged, struct error *error);

/*
 * The same for an entity that gets many patches: each costs what it touches, and the whole is
 * printed once. The memory of the text, and the documents of all patches, must stay unchanged until
 * the draft is freed.
 */
struct merge_draft;
/* `entity`: canonical text of an object. NULL when out of memory. */
struct merge_draft *merge_draft_new(struct span entity);
/* NULL is fine. */
void merge_draft_free(struct merge_draft *draft);
/* As merge_object, but without a limit of bytes. After a failure the draft may only be freed. */
bool merge_draft_patch(struct merge_draft *draft, const struct doc *doc, uint32_t patch,
                       struct merge_append *appends, size_t append_count, uint32_t max_array,
                       struct span seq, struct error *error);
struct merge_draft_size {
    size_t length; /* bytes of the present text, */
    size_t memory; /* ... and of the heap beside the entity's text */
};
struct merge_draft_size merge_draft_size(const struct merge_draft *draft);
/* Append the text; or, with the last merged patch, the part of it that merge_print_patch reads.
 * `doc` NULL: without. */
bool merge_draft_print(const struct merge_draft *draft, const struct doc *doc, uint32_t patch,
                       struct buffer *out);

/* The members that a mutation removes from an entity before its patch is merged. */
struct merge_removal {
    const struct span *paths; /* dotted paths of members, as in `append`; sorted by span_compare */
    size_t count;
    const struct doc *doc;
    uint32_t nulls; /* an object of doc: the members that are null in it go; DOC_NONE: no such */
};
/*
 * Append `entity` (canonical text of an object) without those members. Members of objects go,
 * elements of arrays do not; "_seq" stays. *removed says whether there were any. Fails as
 * merge_object.
 */
bool merge_remove(struct buffer *out, struct span entity, const struct merge_removal *removal,
                  bool *removed, struct error *error);
/* Whether an object has a null member, itself or in an object within it (those in arrays do not
 * count); append its text without these. */
bool doc_has_null(const struct doc *doc, uint32_t object);
bool doc_print_without_nulls(struct buffer *out, const struct doc *doc, uint32_t object);
/* The path of the first member of an object, or of objects within it, that is or holds an array of
 * more than max_array (0: no limit) elements, appended to `path`; false: there is none. */
bool doc_find_long_array(const struct doc *doc, uint32_t object, uint32_t max_array,
                         struct buffer *path);

/*
 * Append what a change made of an object: a JSON list of the members that differ, in the order of
 * `after`, those that are gone behind them. Each is {"path":[names],"from":value,"to":value};
 * "from" is left out where there was nothing, "to" where there is nothing any more. Objects are
 * compared member by member. An array that got elements at its end, and perhaps lost some at its
 * beginning, has {"path":…,"dropped":n,"added":[…]} instead, without "dropped" if it lost none. An
 * absent `before` or `after` stands for no object at all, whose path is []. So does a diff that
 * would have more than twice the bytes of both and 64 KiB: it is the two whole. "_seq" at the top
 * does not count. Both are canonical texts. False with ERROR_MEMORY, or ERROR_DATABASE for a
 * damaged text.
 */
bool doc_diff(struct buffer *out, struct span before, struct span after, struct error *error);

/* ---- projection ---- */

/*
 * Append `object` (canonical text) with only the members that the dotted `paths` (canonical bytes)
 * name, each with all below it, and always "_seq". Objects on the way to a named member stay,
 * possibly empty; an array there is projected element by element, arrays in it too; anything else
 * there is shown as null. So projecting commutes with merging, and nothing shows that is not named.
 * A path names every member whose names joined with dots are its text. The text is trusted: it came
 * from this folder.
 */
bool doc_project(struct buffer *out, struct span object, const struct span *paths, size_t count);
/* Whether a projection by these paths shows the array at `path`: it is named, or below or on the
 * way to a named member. */
bool doc_path_shown(struct span path, const struct span *paths, size_t count);

/* ---- trees: jansson for small things ---- */

struct tree; /* immutable, owned by the root that tree_parse gave */

enum tree_type {
    TREE_NULL,
    TREE_BOOLEAN,
    TREE_INTEGER,
    TREE_REAL,
    TREE_STRING,
    TREE_ARRAY,
    TREE_OBJECT
};

/* Parse a whole text (duplicate members refused, nesting bounded); the caller owns the result and
 * frees it with tree_free. NULL with line, column and cause in the error. An integer beyond int64_t
 * becomes a string of its digits, as in documents. */
struct tree *tree_parse(struct span text, struct error *error);
void tree_free(struct tree *root);
enum tree_type tree_type(const struct tree *tree);
/* Members and elements are borrowed from the root. NULL where there is none. */
const struct tree *tree_member(const struct tree *object, const char *name);
const struct tree *tree_element(const struct tree *array, size_t index);
size_t tree_count(const struct tree *container);
/* Iterate an object's members in order: start with *position = NULL; false at the end. */
bool tree_next(const struct tree *object, void **position, const char **name,
               const struct tree **value);
/* The value, when the type is right; else the default. */
struct span tree_string(const struct tree *tree);
int64_t tree_integer(const struct tree *tree, int64_t otherwise);
double tree_real(const struct tree *tree, double otherwise);
bool tree_boolean(const struct tree *tree, bool otherwise);
/* Append compact JSON of the tree. */
bool tree_print(const struct tree *tree, struct buffer *out);
/* Append it as canonical text, as documents have it: the shortest digits that give a real back. */
bool tree_print_canonical(const struct tree *tree, struct buffer *out);

#endif
