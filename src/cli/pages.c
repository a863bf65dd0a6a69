#include "cli/pages.h"

bool pages_take(struct pages *pages, const struct doc *doc, uint32_t root, uint32_t *events,
                struct error *error)
{
    uint32_t list = doc_member(doc, root, "events"), cursor = doc_member(doc, root, "cursor");
    if (list == DOC_NONE || doc->nodes[list].type != DOC_ARRAY || cursor == DOC_NONE ||
        doc->nodes[cursor].type != DOC_STRING)
        return error_set(error, ERROR_NETWORK, "the server answered without events");
    *events = DOC_NONE;
    if (doc_member_is(doc, root, "resumed", "false"))
        return true;
    *events = list;
    pages->more = doc_member_is(doc, root, "more", "true");
    buffer_clear(&pages->cursor);
    return (doc_decode_string(doc, cursor, &pages->cursor) && buffer_string(&pages->cursor)) ||
           error_set(error, ERROR_MEMORY, "out of memory");
}
