/* Lists of pairs: how they are cut and decoded, and what is no list of them. */
#include "base/base.h"
#include "base/pairs.h"
#include "test.h"

static bool add(void *argument, struct span name, struct span value, struct error *error)
{
    struct buffer *out = argument;
    buffer_printf(out, "%.*s=%.*s;", (int)name.length, name.data, (int)value.length, value.data);
    return !span_equal(name, span_of("stop")) || error_set(error, ERROR_INTERNAL, "as it is told");
}

static const struct {
    const char *list, *expected; /* NULL: refused */
} cases[] = {
    {"", ""},
    {"a=b", "a=b;"},
    {"a=b,c=d=e", "a=b;c=d=e;"},
    {" a = b ,\t,, c=d,", "a=b;c=d;"},
    {"a=,b=%2C%3D%25", "a=;b=,=%;"},
    {"%61=x%20y,n=%C3%BC", "a=x y;n=\xc3\xbc;"},
    {"a", NULL},
    {"=b", NULL},
    {"a=b,c", NULL},
    {"a=%2", NULL},
    {"a=%", NULL},
    {"a=%zz", NULL},
    {"a=%00", NULL},
    {"a=%0a", NULL},
    {"a=%ff", NULL},
    {"a=b\x7f", NULL},
};

TEST(pairs_are_cut_and_decoded_or_refused)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buffer out;
        struct error error = {0};
        buffer_init(&out, 4096);
        bool good = pairs_each(span_of(cases[i].list), add, &out, &error);
        if (good != (cases[i].expected != NULL))
            fail_msg("'%s': %s", cases[i].list, good ? "is taken" : error.message);
        if (good)
            assert_string_equal(buffer_string(&out), cases[i].expected);
        else
            assert_int_equal(error.code, ERROR_CONFIGURATION);
        buffer_fini(&out);
    }
}

TEST(who_visits_may_stop)
{
    struct buffer out;
    struct error error = {0};
    buffer_init(&out, 4096);
    assert_false(pairs_each(span_of("a=1,stop=2,b=3"), add, &out, &error));
    assert_int_equal(error.code, ERROR_INTERNAL);
    assert_string_equal(buffer_string(&out), "a=1;stop=2;");
    buffer_fini(&out);
}
