#include "base/base.h"
#include "memory_fault.h"
#include "test.h"

#include <pthread.h>

TEST(copies_and_terminates)
{
    struct text *text = text_new("a\0bc", 3);
    assert_true(span_equal(text_span(text), span_make("a\0b", 3)));
    assert_int_equal(text->data[3], '\0');
    text_unref(text);
    text = text_new(NULL, 0);
    assert_string_equal(text->data, "");
    text_unref(text);
}

TEST(refuses_what_is_too_long)
{
    assert_null(text_new("", (size_t)UINT32_MAX + 1));
    memory_fail_at(1, 1);
    assert_null(text_new("a", 1));
    memory_fail_at(0, 0);
}

TEST(null_is_passed_through)
{
    assert_null(text_ref(NULL));
    text_unref(NULL);
    assert_null(text_span(NULL).data);
}

enum { THREADS = 4, ROUNDS = 10000 };

/* Each thread owns one reference; whichever gives the last one back frees. */
static void *share(void *argument)
{
    struct text *text = argument;
    for (int i = 0; i < ROUNDS; i++) {
        struct text *mine = text_ref(text);
        if (mine->data[0] != 's')
            return text;
        text_unref(mine);
    }
    text_unref(text);
    return NULL;
}

TEST(is_shared_between_threads)
{
    struct text *text = text_new("shared", 6);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, share, text_ref(text)), 0);
    text_unref(text);
    for (int i = 0; i < THREADS; i++) {
        void *result;
        pthread_join(threads[i], &result);
        assert_null(result);
    }
}
