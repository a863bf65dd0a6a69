/*
 * Shared by the files of this folder alone: an output window, the names of a large object as a hash
 * table, and dotted paths.
 */
#ifndef JSON_DOC_INTERNAL_H
#define JSON_DOC_INTERNAL_H

#include "json/json.h"

/*
 * Output goes into a window of a buffer. The window is reserved once, at an upper bound of the
 * output, or at the buffer's limit when that is less. So an append is a compare and a copy, and a
 * full window can only mean that the limit was hit.
 */
struct doc_writer {
    char *at;
    char *end;
    bool full; /* something did not fit; the content of the window is then worthless */
};

/* False when out of memory, or when the buffer had failed before. */
bool doc_writer_open(struct doc_writer *writer, struct buffer *out, size_t bound);
/* Make the written bytes part of the buffer; false, and the buffer marked failed, when full. */
bool doc_writer_close(struct doc_writer *writer, struct buffer *out);
/* Set the error of a failed open or close; `what` names the result. Always false. */
bool doc_writer_error(const struct doc_writer *writer, const struct buffer *out, const char *what,
                      struct error *error);

static inline void doc_put(struct doc_writer *writer, const char *data, size_t length)
{
    if ((size_t)(writer->end - writer->at) < length) {
        writer->full = true;
        return;
    }
    memcpy(writer->at, data, length);
    writer->at += length;
}

static inline void doc_put_char(struct doc_writer *writer, char c)
{
    if (writer->at == writer->end) {
        writer->full = true;
        return;
    }
    *writer->at++ = c;
}

/*
 * Write the text [from, to) of the document, in which exactly the nodes [first, end) lie, with
 * their arrays cut to the last `max_array` elements (0: no cut).
 */
struct doc_range {
    uint32_t from, to;
    uint32_t first, end;
};
void doc_put_cut(struct doc_writer *writer, const struct doc *doc, struct doc_range range,
                 uint32_t max_array);
/* The same for one value. */
void doc_put_value(struct doc_writer *writer, const struct doc *doc, uint32_t node,
                   uint32_t max_array);
/* The child that comes after `skip` others. The container must have it. */
uint32_t doc_child_after(const struct doc *doc, uint32_t container, uint32_t skip);

/* Write the canonical form of a byte below 0x20, or of a quote or backslash, into `escape`;
 * returns its length. */
size_t doc_escape_byte(unsigned char c, char escape[6]);
/* The byte of a canonical escape; `letter` is behind the backslash, and of \u00xx all five bytes
 * are there. */
char doc_unescape(const char *letter);

/* The names of up to this many members are compared one by one; above, they are hashed. */
enum { DOC_FEW_MEMBERS = 16 };

/* The names of an object's members, hashed with the process's random seed. */
struct doc_names {
    struct doc_names_slot *slots;
    uint32_t mask;
};

/* False when out of memory. If two members have one name, *twice is the second of them, and the
 * table may only be freed. */
bool doc_names_init(struct doc_names *names, const struct doc *doc, uint32_t object,
                    uint32_t *twice);
void doc_names_fini(struct doc_names *names);
/* The member of that name, or DOC_NONE. */
uint32_t doc_names_find(const struct doc_names *names, const struct doc *doc, struct span name);

/* The path of a member as the chain of names that leads to it, innermost first. Lives on the
 * stack of the recursion; no path is ever built as text. */
struct doc_path {
    const struct doc_path *parent; /* NULL at the top */
    struct span name;
};

/* Whether the names joined with dots, as the clients join them, are this text. */
bool doc_path_equal(const struct doc_path *path, struct span text);
/* Whether something inside the value at `path` can have this text as its path. */
bool doc_path_leads_to(const struct doc_path *path, struct span text);

#endif
