/* What the tests of json share. */
#ifndef TESTS_JSON_SUPPORT_H
#define TESTS_JSON_SUPPORT_H

#include "test.h"
#include "json/json.h"

enum { TEST_DEPTH = 128 };

static inline void assert_span(struct span found, const char *expected)
{
    if (!span_equal(found, span_of(expected)))
        fail_msg("found    %.*s\nexpected %s", (int)found.length, found.data,
                 expected ? expected : "nothing");
}

/* Add a value that must parse. */
static inline uint32_t parse_good(struct doc *doc, struct span text)
{
    struct error error = {0};
    uint32_t root = DOC_NONE;
    if (!doc_parse(doc, text, TEST_DEPTH, &root, &error))
        fail_msg("%s, in: %.*s", error.message, (int)text.length, text.data);
    return root;
}

#endif
