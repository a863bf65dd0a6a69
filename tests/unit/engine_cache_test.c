/* The writer's cache of entities: who goes when it is full, and the order in which they are
 * written.
 */
#include "engine/engine_internal.h"
#include "test.h"

enum { MANY = 1000 };

static struct entity_cache cache;
static struct export_state export = {.id = 7, .name = {"Q", 1}};

static void set_up(void)
{
    export.cached = 0;
    entity_cache_init(&cache, SIZE_MAX / 2);
}

static void tear_down(void)
{
    memory_fault = NULL;
    entity_cache_fini(&cache);
}

TEST_EACH(set_up, tear_down)

static struct entity *find(const char *key)
{
    struct entity *found;
    assert_true(entity_cache_find(&cache, &export, span_of(key), &found));
    return found;
}

static struct entity *add(const char *key, int64_t id)
{
    struct entity *entity = entity_cache_add(&cache, &export, span_of(key));
    assert_non_null(entity);
    entity_cache_set_data(&cache, entity, text_new("{}", 2));
    entity->id = entity->change = id;
    entity->stored = true;
    return entity;
}

TEST(who_was_used_least_goes_when_it_is_full)
{
    add("a", 1);
    add("b", 2);
    add("c", 3);
    cache.max_bytes = cache.bytes;
    assert_non_null(find("a"));
    cache.max_bytes--;
    entity_cache_settle(&cache);
    assert_non_null(find("a"));
    assert_null(find("b"));
    assert_non_null(find("c"));
}

/* Every third is new and has no row; the others stand in the file in another order. */
static void mark_many(void)
{
    for (int i = 0; i < MANY; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        struct entity *entity = add(key, i * 7 % MANY + 1);
        entity->stored = i % 3 != 0;
        entity_cache_mark_dirty(&cache, entity);
    }
}

static void expect_order(void)
{
    int64_t last = 0;
    size_t count = 0;
    bool stored = true;
    for (struct entity *entity = cache.dirty; entity; entity = entity->next_dirty, count++) {
        assert_true(stored || !entity->stored);
        last = stored != entity->stored ? 0 : last;
        stored = entity->stored;
        assert_true(entity->id > last);
        last = entity->id;
        entity->stored = true;
    }
    assert_int_equal(count, MANY);
}

TEST(dirty_ones_come_as_their_rows_lie)
{
    mark_many();
    entity_cache_sort_dirty(&cache);
    expect_order();
}

static int always(void)
{
    return 1;
}

TEST(dirty_ones_are_in_order_without_memory_for_it)
{
    mark_many();
    memory_fault = always;
    entity_cache_sort_dirty(&cache);
    memory_fault = NULL;
    expect_order();
}

/* It is a hint: of entities that are there or not, of long keys, and of none. */
TEST(fetching_changes_nothing)
{
    static char longest[300];
    memset(longest, 'x', sizeof longest - 1);
    const struct span keys[] = {span_of("a"), span_of(longest), span_of("nobody"), span_of("")};
    entity_cache_fetch(&cache, &export, keys, 0);
    entity_cache_fetch(&cache, &export, keys, sizeof keys / sizeof *keys);
    struct entity *entity = add("a", 1);
    add(longest, 2);
    entity_cache_fetch(&cache, &export, keys, sizeof keys / sizeof *keys);
    assert_ptr_equal(find("a"), entity);
    assert_int_equal(cache.map.count, 2);
}
