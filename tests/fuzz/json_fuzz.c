/*
 * libFuzzer entry for documents and merging. The input is an entity, a patch and an append path,
 * parted by bytes 0xff, which no JSON text holds. Whatever comes: no step outside the texts, and
 * what goes out is canonical. Configure with clang and
 * -DSTELE_FUZZ=ON -DSTELE_SANITIZE=fuzzer-no-link,address,undefined
 */
#include "json/json.h"

#include <stdio.h>
#include <stdlib.h>

enum { LIMIT = 1 << 20, DEPTH = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct span take_part(struct span *rest)
{
    const char *end = rest->length ? memchr(rest->data, 0xff, rest->length) : NULL;
    struct span part = end ? span_make(rest->data, (size_t)(end - rest->data)) : *rest;
    size_t used = part.length + (end != NULL);
    *rest = span_make(rest->data + used, rest->length - used);
    return part;
}

static void must_be_canonical(struct span text)
{
    struct doc doc;
    struct error error;
    uint32_t root;
    doc_init(&doc, LIMIT, LIMIT);
    if (!doc_parse(&doc, text, DEPTH, &root, &error) || !span_equal(doc_text(&doc, root), text)) {
        fprintf(stderr, "not canonical: %.*s\n", (int)text.length, text.data);
        abort();
    }
    doc_fini(&doc);
}

/* With an entity that is known to be good everything must work; else nothing may break. */
static void merge_all(const struct doc *doc, uint32_t patch, struct span entity, struct span path,
                      bool good)
{
    struct merge_append append = {.path = path};
    struct buffer out, sent;
    struct error error;
    buffer_init(&out, LIMIT);
    buffer_init(&sent, LIMIT);
    bool merged =
        merge_object(&out, entity, doc, patch, &append, 1, 3, span_of("1:000000000002"), &error);
    if (good && !merged)
        abort();
    bool printed = merge_print_patch(&sent, doc, patch, &append, 1, 3, span_of("1:000000000002"),
                                     merged ? buffer_span(&out) : entity, &error);
    if (good && !printed)
        abort();
    if (good) {
        must_be_canonical(buffer_span(&out));
        must_be_canonical(buffer_span(&sent));
    }
    buffer_clear(&out);
    if (doc_project(&out, entity, &path, 1) && good)
        must_be_canonical(buffer_span(&out));
    buffer_fini(&out);
    buffer_fini(&sent);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = span_make((const char *)data, size);
    struct span entity = take_part(&rest), patch = take_part(&rest), path = take_part(&rest);
    struct doc doc;
    uint32_t first, second;
    doc_init(&doc, LIMIT, LIMIT);
    bool good = doc_parse(&doc, entity, DEPTH, &first, NULL);
    if (good)
        must_be_canonical(doc_text(&doc, first));
    if (doc_parse(&doc, patch, DEPTH, &second, NULL) && doc.nodes[second].type == DOC_OBJECT) {
        bool object = good && doc.nodes[first].type == DOC_OBJECT;
        if (object)
            merge_all(&doc, second, doc_text(&doc, first), path, true);
        merge_all(&doc, second, entity, path, false);
    }
    doc_fini(&doc);
    return 0;
}
