/*
 * What a node puts around a request that it publishes: the header `Stele` of the message, a JSON
 * text. Programs that publish by themselves put nothing there.
 *
 *   {"node":"0123456789abcdef","number":7,"form":"message","subject":"p","key":"…","after":41}
 *
 * `node` is the process that published it, and `number` its own count, by which it finds who waits.
 * A message with a header that cannot be read is refused, by every node. A later version that means
 * something else by a message says so in it ("version":2): then nodes that do not know it stop
 * there, and do not refuse what others apply.
 */
#ifndef FOLLOW_ENVELOPE_H
#define FOLLOW_ENVELOPE_H

#include "ingest/publication.h"

struct tree;

#define ENVELOPE_HEADER "Stele"
enum { ENVELOPE_NODE = 16, ENVELOPE_BYTES = 64 * 1024, ENVELOPE_VERSION = 1 };

struct envelope {
    struct span node;
    int64_t number;
    enum publication_form form;
    struct span subject, key; /* absent: there is none */
    bool has_after;
    int64_t after;
};

/* false: it is too long, or out of memory. */
bool envelope_print(const struct envelope *envelope, struct buffer *out);
/* Which version is needed to understand the message; 1 is not told. */
int64_t envelope_version(const char *text);
/* The spans are the tree's. */
bool envelope_read(const struct tree *tree, struct envelope *envelope, struct error *error);
/* The bodies of those that are no mutations: printed by who publishes, and read into a command. */
bool envelope_print_revocation(struct buffer *out, struct span token_id, int64_t expires_at);
bool envelope_print_producer(struct buffer *out, struct span name);
bool envelope_read_command(enum publication_form form, struct span body,
                           struct submission *submission, struct error *error);

#endif
