/* An entity while one request patches it: what merge_draft.c makes and draft_print.c prints. */
#ifndef JSON_DRAFT_H
#define JSON_DRAFT_H

#include "base/map.h"
#include "json/doc_scan.h"
#include "json/json.h"

struct draft_array {
    struct draft_array *next; /* of all that the draft has */
    struct buffer elements;   /* without brackets, */
    size_t first;             /* ... from here on: those before were cut */
    size_t count;
};

/* A value: an opened one, or text. */
struct draft_value {
    struct draft_object *object;
    struct draft_array *array;
    struct span text;
};

struct draft_member {
    struct draft_member *next; /* among new ones */
    struct span name;
    struct span place; /* of its first value in the object's text; absent: it is new */
    struct draft_value value;
};

struct draft_object {
    struct draft_object *next; /* of all that the draft has */
    struct span text;          /* as it was opened */
    uint32_t *slots;           /* by the hash of a member's name: where that begins; 0: free */
    size_t mask;
    struct map touched;                 /* struct draft_member by name, new ones too */
    struct draft_member *first, **last; /* new ones */
    size_t length;
};

/* A text that the draft had to make. */
struct draft_text {
    struct draft_text *next;
    char bytes[];
};

struct merge_draft {
    struct draft_value root;
    struct draft_object *objects;
    struct draft_array *arrays;
    struct draft_text *texts;
    struct buffer seq; /* with quotes */
    size_t memory;
    bool out_of_memory, broken; /* then it may only be freed */
};

/* Bytes of its text as it would be printed now. */
size_t draft_value_length(const struct draft_value *value);
/* Whether its text begins with this character. */
bool draft_value_begins(const struct draft_value *value, char c);

#endif
