/*
 * A draft against merge_object: after any patches the same text, the same reports, the same patch
 * for subscribers. STELE_SEED repeats a run; a failure prints its seed.
 */
#include "json_support.h"
#include "memory_fault.h"
#include "random.h"

enum { ROUNDS = 300, PATCHES = 12, PATHS = 4, MEMORY = 1 << 20 };

#define explain(...)                                                                               \
    do {                                                                                           \
        print_error(SEED_FORMAT "\n", random_seed);                                                \
        fail_msg(__VA_ARGS__);                                                                     \
    } while (0)

/* ---- random texts ---- */

/* Few, so that patches meet what is there; one that begins as others do, with dots and quotes. */
static const char *const names[] = {"a", "b", "a.b", "", "_seq", "q\\\"", "q", "ab", "b.a"};

static void random_value(struct buffer *text, int depth);

static void random_object(struct buffer *text, int depth)
{
    bool used[sizeof names / sizeof *names] = {false};
    uint32_t count = random_below(6);
    bool many = random_below(10) == 0, first = true;
    buffer_add_char(text, '{');
    for (uint32_t i = 0; i < (many ? 40 : count); i++) {
        uint32_t name = random_below(sizeof names / sizeof *names);
        if (!many && used[name])
            continue;
        used[name] = true;
        buffer_add_string(text, first ? "\"" : ",\"");
        first = false;
        if (many)
            buffer_printf(text, "n%u", i);
        else
            buffer_add_string(text, names[name]);
        buffer_add_string(text, "\":");
        random_value(text, many ? 0 : depth - 1);
    }
    buffer_add_char(text, '}');
}

static void random_array(struct buffer *text, int depth)
{
    uint32_t count = random_below(7);
    buffer_add_char(text, '[');
    for (uint32_t i = 0; i < count; i++) {
        if (i)
            buffer_add_char(text, ',');
        random_value(text, depth - 1);
    }
    buffer_add_char(text, ']');
}

static void random_value(struct buffer *text, int depth)
{
    static const char *const scalars[] = {"null",     "true",   "\"]},{[\"",
                                          "\"\\\"\"", "-1.5e3", "\"\""};
    uint32_t pick = random_below(5);
    if (depth <= 0 || pick < 2)
        buffer_printf(text, "%s", scalars[random_below(sizeof scalars / sizeof *scalars)]);
    else if (pick == 2)
        random_array(text, depth);
    else
        random_object(text, depth);
}

/* ---- one entity, many patches ---- */

struct step {
    struct doc doc;
    uint32_t patch;
    struct merge_append plain[PATHS], drafted[PATHS];
    size_t count;
    uint32_t most;
    char seq[32];
    bool has_seq;
};

static void make_step(struct step *step, uint32_t number)
{
    struct buffer text;
    buffer_init(&text, MEMORY);
    random_object(&text, 4);
    doc_init(&step->doc, MEMORY, MEMORY);
    step->patch = parse_good(&step->doc, buffer_span(&text));
    step->count = random_below(PATHS + 1);
    step->most = random_below(3) * 3;
    step->has_seq = random_below(4) > 0;
    snprintf(step->seq, sizeof step->seq, "%u:%u", number, random_below(2000));
    static const char *const paths[] = {"a", "b", "a.b", "", "b.a", "a.b.a", "q"};
    for (size_t i = 0; i < step->count; i++)
        step->plain[i] = step->drafted[i] = (struct merge_append){
            .path = span_of(paths[random_below(sizeof paths / sizeof *paths)]), .length = 77};
    buffer_fini(&text);
}

static void same(const char *what, struct span found, struct span expected)
{
    if (!span_equal(found, expected))
        explain("%s\nfound    %.*s\nexpected %.*s", what, (int)found.length, found.data,
                (int)expected.length, expected.data);
}

static void print_sent(struct buffer *out, struct step *step, const struct merge_append *appends,
                       struct span seq, struct span merged)
{
    struct error error;
    buffer_clear(out);
    assert_true(merge_print_patch(out, &step->doc, step->patch, appends, step->count, step->most,
                                  seq, merged, &error));
}

static void check_step(struct step *step, struct merge_draft *draft, struct buffer *entity)
{
    struct buffer plain, drafted, shared, sent, sent_drafted;
    struct error error = {0};
    struct span seq = step->has_seq ? span_of(step->seq) : span_make(NULL, 0);
    buffer_init(&plain, MEMORY), buffer_init(&drafted, MEMORY), buffer_init(&shared, MEMORY);
    buffer_init(&sent, MEMORY), buffer_init(&sent_drafted, MEMORY);
    assert_true(merge_object(&plain, buffer_span(entity), &step->doc, step->patch, step->plain,
                             step->count, step->most, seq, &error));
    if (!merge_draft_patch(draft, &step->doc, step->patch, step->drafted, step->count, step->most,
                           seq, &error))
        explain("%s", error.message);
    assert_int_equal(merge_draft_size(draft).length, plain.length);
    for (size_t i = 0; i < step->count; i++)
        if (step->plain[i].length != step->drafted[i].length ||
            step->plain[i].full != step->drafted[i].full ||
            step->plain[i].cut != step->drafted[i].cut)
            explain("path %.*s: %u %d %d, expected %u %d %d", (int)step->plain[i].path.length,
                    step->plain[i].path.data, step->drafted[i].length, step->drafted[i].full,
                    step->drafted[i].cut, step->plain[i].length, step->plain[i].full,
                    step->plain[i].cut);
    assert_true(merge_draft_print(draft, NULL, DOC_NONE, &drafted));
    same("the whole", buffer_span(&drafted), buffer_span(&plain));
    assert_true(merge_draft_print(draft, &step->doc, step->patch, &shared));
    print_sent(&sent, step, step->plain, seq, buffer_span(&plain));
    print_sent(&sent_drafted, step, step->drafted, seq, buffer_span(&shared));
    same("for subscribers", buffer_span(&sent_drafted), buffer_span(&sent));
    buffer_fini(entity);
    *entity = plain;
    buffer_fini(&drafted), buffer_fini(&shared), buffer_fini(&sent), buffer_fini(&sent_drafted);
}

TEST(a_draft_is_what_the_merges_make)
{
    random_start_anew();
    for (int round = 0; round < ROUNDS; round++) {
        struct step steps[PATCHES];
        struct buffer entity, first;
        buffer_init(&entity, MEMORY), buffer_init(&first, MEMORY);
        random_object(&entity, 5);
        buffer_add_span(&first, buffer_span(&entity));
        struct merge_draft *draft = merge_draft_new(buffer_span(&first));
        assert_non_null(draft);
        for (uint32_t i = 0; i < PATCHES; i++) {
            make_step(&steps[i], i);
            check_step(&steps[i], draft, &entity);
        }
        assert_true(merge_draft_size(draft).memory > 0);
        merge_draft_free(draft);
        for (uint32_t i = 0; i < PATCHES; i++)
            doc_fini(&steps[i].doc);
        buffer_fini(&entity), buffer_fini(&first);
    }
}

/* ---- what goes wrong ---- */

static bool patch_one(const char *entity, const char *text, enum error_code *code)
{
    struct doc doc;
    struct error error = {0};
    struct merge_append append = {.path = span_of("l")};
    doc_init(&doc, MEMORY, MEMORY);
    uint32_t patch = parse_good(&doc, span_of(text));
    struct merge_draft *draft = merge_draft_new(span_of(entity));
    bool done =
        draft && merge_draft_patch(draft, &doc, patch, &append, 1, 2, span_of("1:1"), &error);
    *code = error.code;
    merge_draft_free(draft);
    doc_fini(&doc);
    return done;
}

TEST(a_damaged_text_is_told)
{
    static const char *const texts[] = {"{\"a\":1", "{\"a\"1}", "[1]", "{\"a\":1}x", "{\"l\":[1}"};
    enum error_code code;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_false(patch_one(texts[i], "{\"l\":[1,2,3],\"a\":{\"b\":2}}", &code));
        assert_int_equal(code, ERROR_DATABASE);
    }
}

TEST(each_allocation_may_fail)
{
    bool hit = true;
    for (uint64_t nth = 1; hit; nth++) {
        enum error_code code = ERROR_NONE;
        struct doc doc;
        struct error error = {0};
        struct merge_append append = {.path = span_of("l")};
        doc_init(&doc, MEMORY, MEMORY);
        uint32_t patch = parse_good(&doc, span_of("{\"l\":[1,2,3],\"a\":{\"b\":2},\"n\":[1,2,3]}"));
        memory_fail_at(nth, 0);
        struct merge_draft *draft = merge_draft_new(span_of("{\"l\":[7],\"a\":{\"c\":1}}"));
        bool done =
            draft && merge_draft_patch(draft, &doc, patch, &append, 1, 2, span_of("1:1"), &error);
        hit = memory_fault_hit();
        memory_fail_at(0, 0);
        code = error.code;
        assert_true(done == !hit);
        if (draft && !done)
            assert_int_equal(code, ERROR_MEMORY);
        merge_draft_free(draft);
        doc_fini(&doc);
    }
}
