/* Lines of another server's log: what they are read as, and what the engine makes of them. */
#include "engine_fixture.h"
#include "memory_fault.h"
#include "replica/lines.h"
#include "store/note.h"
#include "store/producer.h"
#include "test.h"

#include <semaphore.h>

static struct fixture the_fixture, *const f = &the_fixture;

struct copied {
    bool done, taken;
    struct error error;
};

static void set_up(void)
{
    fixture_init(f);
    f->options.copies = true;
    f->options.open_exports = false;
    static const struct engine_export_options exports[] = {
        {.name = {"Q", 1}, .max_entities = 2, .null_removes = true}};
    f->options.exports = exports;
    f->options.export_count = 1;
    fixture_open(f);
}

static void tear_down(void)
{
    fixture_fini(f);
}

TEST_EACH(set_up, tear_down)

static void deliver(struct engine_event *event)
{
    struct submission *submission = (struct submission *)event;
    struct copied *copied = submission->context;
    copied->error = submission->error;
    copied->taken = submission->message_taken;
    copied->done = true;
    submission_free(submission);
}

static struct copied copy(int64_t previous, int64_t last, const char *changes,
                          const char *producers)
{
    struct copied copied = {.done = false};
    struct error error = {.code = ERROR_NONE};
    struct submission *submission = lines_submission(span_of(changes), span_of(producers), &error);
    if (!submission)
        fail_msg("%s", error.message);
    submission->owner = span_of("");
    submission->context = &copied;
    submission->event.deliver = deliver;
    submission->message = (struct submission_message){
        .sequence = last, .previous = previous, .at = 5000 + last, .copied = true};
    assert_true(engine_submit(f->engine, submission, &error));
    fixture_wait(f, &copied.done);
    return copied;
}

static void assert_entity(const char *key, const char *expected)
{
    char *found = fixture_entity(f, "Q", key);
    if (!expected)
        assert_null(found);
    else
        assert_string_equal(found, expected);
    free(found);
}

#define LINE(id, op, key, more)                                                                    \
    "{\"change\":" #id ",\"op\":\"" op "\",\"export\":\"Q\",\"key\":\"" key                        \
    "\",\"slot\":7,\"index\":" #id ",\"at\":1" more "}\n"

TEST(each_operation_is_made_as_it_was)
{
    struct copied copied =
        copy(0, 8,
             LINE(1, "create", "a", ",\"patch\":{\"n\":null,\"t\":[1]}")
                 LINE(2, "create", "b", ",\"patch\":{\"t\":[1]},\"append\":{\"t\":1}")
                     LINE(3, "patch", "b", ",\"patch\":{\"t\":[2]},\"append\":{\"t\":2}")
                         LINE(4, "upsert", "a", ",\"patch\":{\"m\":1}")
                             LINE(5, "create", "c", ",\"patch\":{}") /* one too many: it stays */
             LINE(6, "delete", "never", "") LINE(7, "evict", "b", "")
                 LINE(8, "create", "k\\\"\\n", ",\"patch\":{\"x\":\"\\u00fc\"}"),
             "{\"producer\":\"p\\\"\",\"owner\":\"o\",\"batch\":4,\"change\":8,\"at\":9,"
             "\"slot\":7,\"index\":8,\"mark\":\"m\"}\n{\"producer\":\"q\",\"batch\":0,"
             "\"change\":2,\"at\":9}\n");
    assert_true(copied.taken);
    assert_entity("a", "{\"m\":1,\"_seq\":\"7:000000000004\"}");
    assert_entity("b", NULL);
    assert_entity("c", "{\"_seq\":\"7:000000000005\"}");
    assert_entity("k\"\n", "{\"x\":\"ü\",\"_seq\":\"7:000000000008\"}");
    assert_int_equal(f->last_change, 8);
    assert_true(copy(8, 9, LINE(9, "evict", "c", ""), "").taken);
    assert_entity("c", NULL);
}

TEST(only_directly_behind_the_newest_change)
{
    assert_true(copy(0, 1, LINE(1, "create", "a", ",\"patch\":{\"n\":1}"), "").taken);
    struct copied wrong[] = {copy(0, 1, LINE(1, "patch", "a", ",\"patch\":{\"n\":2}"), ""),
                             copy(2, 3, LINE(3, "patch", "a", ",\"patch\":{\"n\":2}"), "")};
    for (size_t i = 0; i < 2; i++) {
        assert_false(wrong[i].taken);
        assert_int_equal(wrong[i].error.code, ERROR_OUT_OF_ORDER);
    }
    assert_entity("a", "{\"n\":1,\"_seq\":\"7:000000000001\"}");
}

/* Nothing of it is kept, its producers neither. */
TEST(changes_that_make_others_here_are_refused)
{
    static const char stranger[] =
        "{\"change\":2,\"op\":\"create\",\"export\":\"Other\",\"key\":\"k\","
        "\"slot\":1,\"index\":1,\"at\":1,\"patch\":{}}\n";
    char both[1024];
    snprintf(both, sizeof both, "%s%s", LINE(1, "create", "a", ",\"patch\":{\"n\":1}"), stranger);
    struct copied copied =
        copy(0, 2, both, "{\"producer\":\"p\",\"batch\":4,\"change\":2,\"at\":9}\n");
    assert_false(copied.taken);
    assert_int_equal(copied.error.code, ERROR_INTERNAL);
    assert_entity("a", NULL);
    assert_true(copy(0, 1, LINE(1, "create", "b", ",\"patch\":{}"), "").taken);
    fixture_close(f);
    fixture_open(f);
    assert_int_equal(engine_facts(f->engine)->last_change, 1);
}

#define DIGEST_REST "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define KEY(body, more)                                                                            \
    "{\"idempotency_key\":\"k\\n\",\"owner\":\"\",\"body\":\"" body                                \
    "\",\"answer\":\"{}\",\"at" more "\":9}\n"

static bool count_kind(void *argument, const struct store_note *note)
{
    ++((int *)argument)[note->kind];
    return true;
}

/* Before the first change, too, and again: then it changes nothing. */
TEST(what_happened_beside_is_kept_once)
{
    static const char notes[] =
        "{\"revoked\":\"t\",\"at\":9}\n{\"forgotten\":\"nobody\"}\n" KEY("00" DIGEST_REST, "");
    for (int times = 0; times < 2; times++)
        assert_true(copy(0, 0, "", notes).taken);
    assert_true(copy(0, 1, LINE(1, "create", "a", ",\"patch\":{}"), notes).taken);
    assert_true(copy(1, 1, "", notes).taken);
    assert_false(copy(0, 0, "", notes).taken);
    struct error error;
    struct store_reader *reader = store_reader_open(engine_facts(f->engine)->database, &error);
    int kinds[4] = {0};
    assert_true(reader && store_read_notes(reader, 0, count_kind, kinds, &error));
    store_reader_close(reader);
    assert_int_equal(kinds[STORE_NOTE_REVOKED], 1);
    assert_int_equal(kinds[STORE_NOTE_FORGOTTEN], 0);
    assert_int_equal(kinds[STORE_NOTE_KEY], 1);
}

TEST_WITH(what_is_no_line_is_refused, NULL, NULL)
{
    static const char *const no_lines[] = {
        "",
        "[]",
        "{}",
        "7",
        "{\"change\":1}",
        "{\"op\":\"patch\"}",
        "{\"op\":\"patch\",\"change\":\"1\",\"at\":2}",
        "{\"cursor\":\"x:1\",\"head\":1}",
        "{\"cursor\":\"12345678-1234-1234-1234-123456789012:\",\"head\":1}",
        "{\"epoch\":\"1\",\"after\":1}",
    };
    static const char *const no_changes[] = {
        LINE(1, "create", "a", ""),
        LINE(1, "delete", "a", ",\"patch\":{}"),
        LINE(1, "what", "a", ",\"patch\":{}"),
        LINE(1, "patch", "a", ",\"patch\":7"),
        LINE(1, "patch", "a", ",\"patch\":{},\"append\":[\"t\"]"),
        ("{\"change\":1,\"op\":\"patch\",\"export\":7,\"key\":\"k\",\"slot\":1,\"index\":1,"
         "\"patch\":{}}"),
        "{\"change\":1,\"op\":\"patch\",\"export\":\"Q\",\"key\":\"k\",\"slot\":1,\"patch\":{}}",
        "{\"change\":1,",
    };
    struct doc doc;
    struct line line;
    struct error error;
    doc_init(&doc, 1 << 16, 1 << 10);
    for (size_t i = 0; i < sizeof no_lines / sizeof *no_lines; i++)
        if (line_read(&doc, span_of(no_lines[i]), &line, &error))
            fail_msg("%s", no_lines[i]);
    for (size_t i = 0; i < sizeof no_changes / sizeof *no_changes; i++)
        if (lines_submission(span_of(no_changes[i]), span_of(""), &error))
            fail_msg("%s", no_changes[i]);
    static const char *const not_beside[] = {
        "{\"producer\":\"p\"}",
        "{\"revoked\":\"t\"}",
        "{\"revoked\":7,\"at\":1}",
        "{\"forgotten\":null}",
        KEY("00", ""),
        KEY("", ""),
        KEY("zz" DIGEST_REST, ""),
        KEY("00" DIGEST_REST "00", ""),
        KEY("00" DIGEST_REST, "x"),
    };
    for (size_t i = 0; i < sizeof not_beside / sizeof *not_beside; i++)
        if (lines_submission(span_of(""), span_of(not_beside[i]), &error))
            fail_msg("%s", not_beside[i]);
    static const char end[] = "{\"cursor\":\"12345678-1234-1234-1234-123456789012:42\",\"head\":43,"
                              "\"whole\":true}";
    assert_true(line_read(&doc, span_of(end), &line, &error));
    assert_int_equal(line.kind, LINE_END);
    assert_int_equal(line.change, 42);
    assert_int_equal(line.head, 43);
    assert_true(line.whole);
    doc_fini(&doc);
}

/* Each time an error, and nothing is left. */
TEST_WITH(without_memory_there_is_no_submission, NULL, NULL)
{
    static const char changes[] =
        LINE(1, "create", "a\\n", ",\"patch\":{\"t\":[1]},\"append\":{\"t\":1}");
    static const char producers[] =
        "{\"producer\":\"p\\n\",\"owner\":\"o\\n\",\"batch\":4,\"change\":8,\"at\":9}\n"
        "{\"revoked\":\"t\\n\",\"at\":9}\n{\"forgotten\":\"p\\n\"}\n" KEY("00" DIGEST_REST, "");
    struct submission *submission = NULL;
    for (uint64_t nth = 1; !submission; nth++) {
        struct error error = {.code = ERROR_NONE};
        memory_fail_at(nth, 0);
        submission = lines_submission(span_of(changes), span_of(producers), &error);
        memory_fail_at(0, 0);
        assert_true(submission || error.code == ERROR_MEMORY);
        assert_true(nth < 1000);
    }
    submission_free(submission);
}

/* ---- several copied requests of one transaction ---- */

/* Holds the writer's transaction open until all of them wait for the next. */
struct gate {
    struct write_job job;
    sem_t entered, go;
};

static bool hold_gate(struct write_job *job, struct store_writer *store, struct error *error)
{
    struct gate *gate = (struct gate *)job;
    (void)store;
    (void)error;
    sem_post(&gate->entered);
    sem_wait(&gate->go);
    return true;
}

static void gate_passed(struct engine_event *event)
{
    (void)event;
}

static void send_copy(struct copied *copied, int64_t last, const char *changes, const char *beside)
{
    struct error error = {.code = ERROR_NONE};
    *copied = (struct copied){.done = false};
    struct submission *submission = lines_submission(span_of(changes), span_of(beside), &error);
    assert_non_null(submission);
    submission->owner = span_of("");
    submission->context = copied;
    submission->event.deliver = deliver;
    submission->message = (struct submission_message){
        .sequence = last, .previous = last - 1, .at = 5000 + last, .copied = true};
    assert_true(engine_submit(f->engine, submission, &error));
}

static int64_t stored_batch(const char *name)
{
    struct error error;
    struct store_producer row;
    bool found;
    struct store_reader *reader = store_reader_open(engine_facts(f->engine)->database, &error);
    assert_non_null(reader);
    assert_true(store_read_producer(reader, span_of(name), &row, &found, &error));
    int64_t batch = found ? row.batch : -1;
    store_reader_close(reader);
    return batch;
}

static void copy_two_at_once(const char *first, const char *second)
{
    struct copied a, b;
    struct gate gate = {.job = {.event.deliver = gate_passed, .run = hold_gate}};
    assert_int_equal(sem_init(&gate.entered, 0, 0) + sem_init(&gate.go, 0, 0), 0);
    assert_true(copy(0, 1, LINE(1, "create", "a", ",\"patch\":{\"n\":1}"),
                     "{\"producer\":\"p\",\"batch\":1,\"change\":1,\"at\":9}\n")
                    .taken);
    assert_int_equal(stored_batch("p"), 1);
    assert_true(engine_write(f->engine, &gate.job));
    sem_wait(&gate.entered);
    send_copy(&a, 2, LINE(2, "patch", "a", ",\"patch\":{\"n\":2}"), first);
    send_copy(&b, 3, LINE(3, "patch", "a", ",\"patch\":{\"n\":3}"), second);
    sem_post(&gate.go);
    fixture_wait(f, &b.done);
    assert_true(a.taken && b.taken);
}

TEST(a_producer_that_moved_and_was_forgotten_is_gone)
{
    copy_two_at_once("{\"producer\":\"p\",\"batch\":2,\"change\":2,\"at\":9}\n",
                     "{\"forgotten\":\"p\"}\n");
    assert_int_equal(stored_batch("p"), -1);
}

TEST(a_producer_moves_on_when_another_was_forgotten)
{
    copy_two_at_once("{\"producer\":\"p\",\"batch\":2,\"change\":2,\"at\":9}\n",
                     "{\"forgotten\":\"q\"}\n"
                     "{\"producer\":\"p\",\"batch\":3,\"change\":3,\"at\":9}\n");
    assert_int_equal(stored_batch("p"), 3);
}
