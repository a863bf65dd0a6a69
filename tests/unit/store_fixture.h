/*
 * What the store's tests share: a database in a folder of its own, and short ways to change it.
 * A helper whose call must not fail fails the test, with the error's message.
 */
#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H

#include "folder.h"
#include "store/store.h"
#include "test.h"

#define OK(call)                                                                                   \
    do {                                                                                           \
        if (!(call)) {                                                                             \
            fail_msg("%s: %s", #call, fixture.error.message);                                      \
        }                                                                                          \
    } while (0)
#define SPAN(literal) span_make((literal), sizeof(literal) - 1)

static struct {
    char folder[64];
    char path[96];
    struct error error;
    struct database *database;
    struct store_writer *writer;
    struct store_reader *reader;
    uint32_t quake; /* an export that is there from the start */
} fixture;

static inline struct database *open_path(const char *path, bool read_only)
{
    struct database_options options = {.path = path, .read_only = read_only};
    fixture.error = (struct error){0};
    return database_open(&options, &fixture.error);
}

static inline void open_store(void)
{
    OK(fixture.database = open_path(fixture.path, false));
    OK(fixture.writer = store_writer_open(fixture.database, &fixture.error));
    OK(fixture.reader = store_reader_open(fixture.database, &fixture.error));
}

static inline void close_store(void)
{
    store_reader_close(fixture.reader);
    store_writer_close(fixture.writer);
    database_close(fixture.database);
    fixture.reader = NULL;
    fixture.writer = NULL;
    fixture.database = NULL;
}

static inline void begin(void)
{
    OK(store_begin(fixture.writer, &fixture.error));
}

static inline void commit(void)
{
    OK(store_commit(fixture.writer, &fixture.error));
}

static inline void set_up_folder(void)
{
    folder_make(fixture.folder);
    snprintf(fixture.path, sizeof fixture.path, "%s/test.db", fixture.folder);
}

static inline void set_up(void)
{
    set_up_folder();
    open_store();
    begin();
    OK(store_export_ensure(fixture.writer, SPAN("Quake"), &fixture.quake, &fixture.error));
    commit();
}

static inline void tear_down(void)
{
    close_store();
    folder_remove(fixture.folder);
}

static inline int64_t last_change(void)
{
    return store_writer_state(fixture.writer).log->last_change;
}

/* Append a change alone, in the open transaction. */
static inline bool try_append(uint32_t export_id, const char *key, enum row_operation operation,
                              struct seq seq, int64_t at, const char *patch)
{
    struct store_change change = {
        .id = last_change() + 1,
        .export_id = export_id,
        .operation = operation,
        .seq = seq,
        .at = at,
        .key = span_of(key),
        .patch = span_of(patch),
    };
    return store_change_append(fixture.writer, &change, &fixture.error);
}

/* What the engine does for one mutation: the entity and its change, in the open transaction. */
static inline bool try_put(uint32_t export_id, const char *key, struct seq seq, int64_t at,
                           const char *data)
{
    struct store_entity entity;
    struct error *error = &fixture.error;
    bool found = false;
    if (!store_read_entity(store_writer_reader(fixture.writer), export_id, span_of(key), &entity,
                           &found, error)) {
        return false;
    }
    entity.key = span_of(key);
    entity.data = span_of(data);
    entity.seq = seq;
    entity.change = last_change() + 1;
    if (!(found ? store_entity_update(fixture.writer, export_id, &entity, error)
                : store_entity_insert(fixture.writer, export_id, &entity, error))) {
        return false;
    }
    return try_append(export_id, key, found ? ROW_PATCH : ROW_CREATE, seq, at, data) &&
           store_tombstone_remove(fixture.writer, export_id, span_of(key), span_make(NULL, 0),
                                  error);
}

static inline void put(uint32_t export_id, const char *key, int64_t slot, int64_t index,
                       const char *data)
{
    struct seq seq = {slot, index};
    OK(try_put(export_id, key, seq, 1000 * (last_change() + 1), data));
}

static inline void take_away(uint32_t export_id, const char *key, int64_t slot, int64_t index)
{
    struct store_entity entity;
    struct seq seq = {slot, index};
    struct error *error = &fixture.error;
    bool found = false;
    int64_t at = 1000 * (last_change() + 1);
    OK(store_read_entity(store_writer_reader(fixture.writer), export_id, span_of(key), &entity,
                         &found, error));
    assert_true(found);
    OK(store_entity_delete(fixture.writer, export_id, entity.id, error));
    OK(try_append(export_id, key, ROW_DELETE, seq, at, NULL));
    OK(store_tombstone_put(fixture.writer, export_id, span_of(key), span_make(NULL, 0),
                           last_change(), seq, at, error));
}

static inline void count_finding(void *argument, const char *line)
{
    (void)line;
    ++*(int *)argument;
}

static inline void print_finding(void *argument, const char *line)
{
    print_error("finding: %s\n", line);
    ++*(int *)argument;
}

/* The invariants hold. */
static inline void check_whole(void)
{
    int findings = 0;
    OK(store_check(fixture.reader, print_finding, &findings, &fixture.error));
    assert_int_equal(findings, 0);
}

/* A callback's lines, to be compared as one text. */
struct lines {
    char text[4096];
    int left; /* stop after so many */
};

static inline bool add_line(struct lines *lines, const char *format, ...)
{
    va_list arguments;
    size_t length = strlen(lines->text);
    va_start(arguments, format);
    vsnprintf(lines->text + length, sizeof lines->text - length, format, arguments);
    va_end(arguments);
    return --lines->left != 0;
}

#endif
