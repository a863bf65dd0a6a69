#include "base/text.h"

#include "base/memory.h"

struct text *text_new(const char *data, size_t length)
{
    if (length > UINT32_MAX)
        return NULL;
    struct text *text = memory_alloc(sizeof *text + length + 1);
    if (!text)
        return NULL;
    atomic_init(&text->references, 1);
    text->length = (uint32_t)length;
    text->rest_at = 0;
    if (length)
        memcpy(text->data, data, length);
    text->data[length] = '\0';
    return text;
}

struct text *text_ref(struct text *text)
{
    /* The caller holds a reference already, so no order is needed. */
    if (text)
        atomic_fetch_add_explicit(&text->references, 1, memory_order_relaxed);
    return text;
}

void text_unref(struct text *text)
{
    /* Release: our reads happen before another thread frees. Acquire: theirs before we do. */
    if (text && atomic_fetch_sub_explicit(&text->references, 1, memory_order_acq_rel) == 1)
        memory_free(text);
}
