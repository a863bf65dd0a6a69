#include "rows/tag.h"

/* FNV-1a, 64 bits: tags must outlive the process, and the maps' hash is different in each. */
uint64_t tag_fold(uint64_t hash, struct span bytes)
{
    for (size_t i = 0; i < bytes.length; i++)
        hash = (hash ^ (unsigned char)bytes.data[i]) * UINT64_C(1099511628211);
    return hash;
}

/* The edition of what "fields" show of a row: tags of others hold for other texts. */
enum { FIELDS_EDITION = 2 };

void tag_view(uint64_t *hash, const struct view *view)
{
    if (view->path_count)
        tag_number(hash, FIELDS_EDITION);
    tag_span(hash, span_of(view->id));
    tag_span(hash, span_of(view->stage ? view->stage->whole : NULL));
    tag_span(hash, span_of(view->scope ? view_scope_text(view->scope) : NULL));
    tag_number(hash, view->output);
    for (size_t i = 0; i < view->key_field_count; i++)
        tag_span(hash, view->key_field[i]);
    tag_span(hash, view->key_dotted);
    for (size_t i = 0; i < view->path_count; i++)
        tag_span(hash, view->paths[i]);
    for (size_t i = 0; i < view->key_count; i++)
        tag_span(hash, view->keys[i]);
}
