#include "cli/ingest_mark.h"

#include "auth/auth.h"

#include <stdio.h>

enum { SHOWN = 16 /* bytes of the hash: nobody is to be deceived, only mistakes are told */ };

static const char prefix[] = "lines-sha256:";

void ingest_digest_add(struct ingest_digest *digest, struct span line)
{
    unsigned char both[2 * sizeof digest->bytes];
    memcpy(both, digest->bytes, sizeof digest->bytes);
    digest->failed = digest->failed || !auth_digest(line, both + sizeof digest->bytes) ||
                     !auth_digest(span_make((const char *)both, sizeof both), digest->bytes);
}

void ingest_mark_print(const struct ingest_digest *digest, char mark[INGEST_MARK_SIZE])
{
    size_t length = (size_t)snprintf(mark, INGEST_MARK_SIZE, "%s", prefix);
    for (size_t i = 0; i < SHOWN; i++)
        length += (size_t)snprintf(mark + length, 3, "%02x", digest->bytes[i]);
}

bool ingest_mark_differs(const struct ingest_digest *digest, struct span mark)
{
    char own[INGEST_MARK_SIZE];
    ingest_mark_print(digest, own);
    return mark.length == strlen(own) && memcmp(mark.data, prefix, strlen(prefix)) == 0 &&
           !span_equal(mark, span_of(own));
}
