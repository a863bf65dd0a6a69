/* Shared by the files of the decoder. Never included from outside. */
#ifndef INGEST_DECODE_H
#define INGEST_DECODE_H

#include "ingest/ingest.h"

struct decoder {
    const struct ingest_options *options;
    struct submission *submission;
    const struct doc *doc;
    struct error *error;
    uint32_t empty; /* a node {} of the document, once something needed it; else DOC_NONE */
};

/* The members that an object may have. */
struct member_names {
    const char *what; /* for the error: "a mutation has export, key, …" */
    const char *const *names;
    size_t count;
};

/* ---- decode_value.c ---- */

/* Whether an optional member is absent; null counts as that. */
bool decode_is_null(const struct decoder *decoder, uint32_t node);
bool decode_has_type(const struct decoder *decoder, uint32_t node, enum doc_type type);
/* Find where each known member is: nodes[i] is that of names[i], or DOC_NONE. An unknown one is an
 * error, but all nodes are filled in even so. */
bool decode_members(struct decoder *decoder, uint32_t object, const struct member_names *members,
                    uint32_t *nodes);
/* The raw bytes of a string: a borrowed span where nothing is escaped. */
bool decode_string(struct decoder *decoder, uint32_t node, struct span *out);
/* An integer from 0 to 2^63 - 1. */
bool decode_natural(struct decoder *decoder, uint32_t node, const char *name, int64_t *out);
/* slot and index, which go together; both absent leave *has_seq and *seq as they are. */
bool decode_seq(struct decoder *decoder, uint32_t slot, uint32_t index, bool *has_seq,
                struct seq *seq);
bool decode_out_of_memory(struct decoder *decoder);

static inline struct span decode_inside_quotes(struct span text)
{
    return span_make(text.data + 1, text.length - 2);
}

/* ---- decode_mutation.c ---- */

/* Add the mutation at `node`; `defaults` holds what its batch says about slot and index. */
bool decode_mutation(struct decoder *decoder, uint32_t node, const struct mutation *defaults);

#endif
