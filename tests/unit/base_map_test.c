#include "base/base.h"
#include "memory_fault.h"
#include "test.h"

struct value {
    char key[20];
    bool present;
    int seen;
};

static struct span value_key(const void *value)
{
    return span_of(((const struct value *)value)->key);
}

static struct value *make_values(size_t count, unsigned first)
{
    struct value *values = calloc(count, sizeof *values);
    for (size_t i = 0; i < count; i++)
        snprintf(values[i].key, sizeof values[i].key, "key-%u", first + (unsigned)i);
    return values;
}

TEST(empty_map_finds_nothing)
{
    struct map map;
    size_t position = 0;
    map_init(&map, value_key);
    assert_null(map_get(&map, span_of("a")));
    assert_null(map_remove(&map, span_of("a")));
    assert_null(map_next(&map, &position));
    map_fini(&map);
}

TEST(keys_may_hold_any_byte)
{
    struct map map;
    struct value empty = {.key = ""}, full = {.key = "\x01\xFF"};
    map_init(&map, value_key);
    assert_true(map_add(&map, &empty));
    assert_true(map_add(&map, &full));
    assert_ptr_equal(map_get(&map, span_of(NULL)), &empty);
    assert_ptr_equal(map_get(&map, span_of("\x01\xFF")), &full);
    assert_null(map_get(&map, span_make("\0", 1)));
    map_fini(&map);
}

TEST(finds_what_was_added_and_not_removed)
{
    enum { COUNT = 5000 };
    struct map map;
    struct value *values = make_values(COUNT, 0);
    map_init(&map, value_key);
    for (int step = 0; step < 200000; step++) {
        struct value *value = &values[rand() % COUNT];
        if (value->present)
            assert_ptr_equal(map_remove(&map, value_key(value)), value);
        else
            assert_true(map_add(&map, value));
        value->present = !value->present;
    }
    size_t count = 0;
    for (int i = 0; i < COUNT; i++) {
        count += values[i].present;
        assert_ptr_equal(map_get(&map, value_key(&values[i])),
                         values[i].present ? &values[i] : NULL);
    }
    assert_int_equal(map.count, count);
    map_fini(&map);
    free(values);
}

/* Fill a map, walk through it and remove each value just returned with the given chance. */
static void walk_and_remove(size_t count, unsigned first, int percent)
{
    struct map map;
    struct value *values = make_values(count, first);
    map_init(&map, value_key);
    for (size_t i = 0; i < count; i++)
        assert_true(map_add(&map, &values[i]));
    size_t position = 0, kept = count;
    for (struct value *value; (value = map_next(&map, &position));) {
        value->seen++;
        value->present = rand() % 100 >= percent;
        if (!value->present) {
            assert_ptr_equal(map_remove(&map, value_key(value)), value);
            kept--;
        }
    }
    assert_null(map_next(&map, &position));
    assert_int_equal(map.count, kept);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(values[i].seen, 1);
        assert_ptr_equal(map_get(&map, value_key(&values[i])),
                         values[i].present ? &values[i] : NULL);
    }
    map_fini(&map);
    free(values);
}

TEST(removing_while_iterating_skips_and_repeats_nothing)
{
    /* Small tables that are full to the brim, because there most entries wrap around. */
    for (unsigned round = 0; round < 20000; round++)
        walk_and_remove(round % 14, 100 * round, (int)(round % 5) * 25);
    for (int percent = 0; percent <= 100; percent += 25)
        walk_and_remove(50000, 0, percent);
}

TEST(removed_values_may_be_freed_while_iterating)
{
    struct map map;
    map_init(&map, value_key);
    for (unsigned i = 0; i < 1000; i++)
        assert_true(map_add(&map, make_values(1, i)));
    size_t position = 0, freed = 0;
    for (struct value *value; (value = map_next(&map, &position)); freed++) {
        map_remove(&map, value_key(value));
        free(value);
    }
    assert_int_equal(freed, 1000);
    map_fini(&map);
}

TEST(out_of_memory_leaves_the_map_as_it_was)
{
    struct map map;
    struct value *values = make_values(100, 0);
    map_init(&map, value_key);
    memory_fail_at(1, 1);
    assert_false(map_add(&map, &values[0]));
    memory_fail_at(0, 0);
    size_t added = 0;
    for (; map.capacity != 16; added++)
        assert_true(map_add(&map, &values[added]));
    memory_fail_at(1, 1);
    while (map_add(&map, &values[added]))
        added++;
    memory_fail_at(0, 0);
    assert_int_equal(map.count, added);
    for (size_t i = 0; i < 100; i++)
        assert_ptr_equal(map_get(&map, value_key(&values[i])), i < added ? &values[i] : NULL);
    map_fini(&map);
    free(values);
}

TEST(hash_depends_on_every_byte_and_the_length)
{
    char zeros[40] = {0};
    for (size_t length = 0; length < sizeof zeros; length++) {
        uint64_t hash = map_hash(span_make(zeros, length));
        assert_true(hash == map_hash(span_make(zeros, length)));
        assert_true(hash != map_hash(span_make(zeros, length + 1)));
        for (size_t i = 0; i < length; i++) {
            zeros[i] = 1;
            assert_true(hash != map_hash(span_make(zeros, length)));
            zeros[i] = 0;
        }
    }
}
