/*
 * The mark of `stele ingest` beside a producer's number: a hash of all lines up to that one. With
 * it another run recognises its input.
 */
#ifndef CLI_INGEST_MARK_H
#define CLI_INGEST_MARK_H

#include "base/base.h"

/* Of the lines so far, one after the other; all zeroes: none. */
struct ingest_digest {
    unsigned char bytes[32];
    bool failed;
};

enum { INGEST_MARK_SIZE = 48 };

void ingest_digest_add(struct ingest_digest *digest, struct span line);
void ingest_mark_print(const struct ingest_digest *digest, char mark[INGEST_MARK_SIZE]);
/* Whether a mark is one of `stele ingest`, of another input. */
bool ingest_mark_differs(const struct ingest_digest *digest, struct span mark);

#endif
