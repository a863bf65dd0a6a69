/* Values that people type: in a query, on a command line. */
#include "json/json.h"

static bool is_scalar(const struct doc *doc, uint32_t node)
{
    enum doc_type type = doc->nodes[node].type;
    return type != DOC_ARRAY && type != DOC_OBJECT;
}

bool doc_typed_value(struct buffer *out, struct span text)
{
    struct doc doc;
    struct error error = {.code = ERROR_NONE};
    uint32_t root;
    doc_init(&doc, UINT32_MAX, 1);
    bool scalar = doc_parse(&doc, text, 1, &root, &error) && is_scalar(&doc, root);
    if (scalar)
        buffer_add_span(out, doc_text(&doc, root));
    else if (error.code == ERROR_MEMORY)
        out->failed = true;
    else
        doc_escape(out, text);
    doc_fini(&doc);
    return !out->failed;
}

bool doc_typed_member(struct buffer *out, struct span name, struct span text)
{
    buffer_add_string(out, out->length ? ",\"" : "{\"");
    doc_escape_bare(out, name);
    buffer_add_string(out, "\":");
    return doc_typed_value(out, text);
}
