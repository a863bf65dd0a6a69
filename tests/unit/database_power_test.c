/*
 * What is on disk when it ends suddenly. The power is cut: of what was not synced any part may be
 * missing. The process dies: all that was handed to the operating system is there. Either way
 * everything that was committed is in the files, and they are whole. Nothing is in them of a commit
 * that was refused.
 */
#include "database_layer.h"
#include "random.h"
#include "store_fixture.h"

#include <fcntl.h>
#include <unistd.h>

TEST_EACH(set_up_folder, tear_down)

enum { KEYS = 400, COMMITS = 12, COMMITS_OF_A_LONG_RUN = 40 };

/* ---- the disk: what is on it, and what is on its way to it ---- */

struct operation {
    sqlite3_int64 at;
    int size;   /* CUT: the file is cut at `at` */
    char *data; /* size bytes */
};
enum { CUT = -1 };

struct disk_file {
    const char *suffix;
    char *bytes;
    size_t length, room;
    struct operation *pending;
    size_t count;
};

static struct disk_file disk[] = {{.suffix = ""}, {.suffix = "-wal"}};
enum { DISK_FILES = sizeof disk / sizeof *disk };

static int failing_syncs; /* of the write-ahead log: so many fail from now on */
static bool write_over_fails;
static int torn_write; /* of the write-ahead log: the one in so many writes breaks off; 0: none */
static bool cuts_fail;

/* NULL for files that are not the database's. */
static struct disk_file *find_file(const char *name)
{
    size_t length = strlen(fixture.path);
    for (size_t i = 0; name && i < DISK_FILES; i++) {
        if (!strncmp(name, fixture.path, length) && !strcmp(name + length, disk[i].suffix)) {
            return &disk[i];
        }
    }
    return NULL;
}

static void resize(struct disk_file *file, size_t length)
{
    if (length > file->room || !file->bytes) {
        file->room = 2 * length + 1;
        file->bytes = realloc(file->bytes, file->room);
        assert_non_null(file->bytes);
    }
    if (length > file->length) {
        memset(file->bytes + file->length, 0, length - file->length);
    }
    file->length = length;
}

/* The first `size` bytes of it. */
static void apply(struct disk_file *file, const struct operation *operation, int size)
{
    if (operation->size == CUT) {
        resize(file, (size_t)operation->at);
        return;
    }
    size_t end = (size_t)operation->at + (size_t)size;
    if (end > file->length) {
        resize(file, end);
    }
    memcpy(file->bytes + operation->at, operation->data, (size_t)size);
}

static void note_operation(struct disk_file *file, const void *data, int size, sqlite3_int64 at)
{
    file->pending = realloc(file->pending, (file->count + 1) * sizeof *file->pending);
    assert_non_null(file->pending);
    struct operation *operation = &file->pending[file->count++];
    *operation = (struct operation){.at = at, .size = size};
    if (size > 0) {
        operation->data = malloc((size_t)size);
        assert_non_null(operation->data);
        memcpy(operation->data, data, (size_t)size);
    }
}

/* Some of it reaches the file, and then the disk fails. */
static int break_off(struct disk_file *file, const char *name, const void *data, int size,
                     sqlite3_int64 at)
{
    int part = (int)random_below((uint32_t)size), to = open(name, O_WRONLY);
    assert_true(to >= 0);
    assert_int_equal(pwrite(to, data, (size_t)part, at), part);
    close(to);
    if (part > 0) {
        note_operation(file, data, part, at);
    }
    return random_below(2) ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

static int note(const char *name, const void *data, int size, sqlite3_int64 at)
{
    static const char none[24];
    struct disk_file *file = find_file(name);
    if (!file) {
        return SQLITE_OK;
    }
    if (write_over_fails && size == sizeof none && memcmp(data, none, sizeof none) == 0) {
        return SQLITE_IOERR_WRITE;
    }
    if (file == &disk[1] && size > 0 && torn_write > 0 && --torn_write == 0) {
        return break_off(file, name, data, size, at);
    }
    note_operation(file, data, size, at);
    return SQLITE_OK;
}

static int note_cut(const char *name, sqlite3_int64 size)
{
    return cuts_fail && find_file(name) ? SQLITE_IOERR_TRUNCATE : note(name, NULL, CUT, size);
}

static void forget_pending(struct disk_file *file)
{
    while (file->count) {
        free(file->pending[--file->count].data);
    }
}

/* As the kernel does it: what is pending reaches the disk or does not, and is not tried again. */
static int fail_sync(struct disk_file *file)
{
    failing_syncs--;
    for (size_t i = 0; i < file->count; i++) {
        if (random_below(2)) {
            apply(file, &file->pending[i], file->pending[i].size);
        }
    }
    forget_pending(file);
    return SQLITE_IOERR_FSYNC;
}

static int note_sync(const char *name)
{
    struct disk_file *file = find_file(name);
    if (file == &disk[1] && failing_syncs > 0) {
        return fail_sync(file);
    }
    for (size_t i = 0; file && i < file->count; i++) {
        apply(file, &file->pending[i], file->pending[i].size);
    }
    if (file) {
        forget_pending(file);
    }
    return SQLITE_OK;
}

static void empty_disk(void)
{
    for (size_t i = 0; i < DISK_FILES; i++) {
        forget_pending(&disk[i]);
        free(disk[i].pending);
        free(disk[i].bytes);
        disk[i] = (struct disk_file){.suffix = disk[i].suffix};
    }
}

/* ---- its end ---- */

static void name_file(char *name, size_t size, const struct disk_file *file)
{
    snprintf(name, size, "%s/after.db%s", fixture.folder, file->suffix);
}

static void write_file(const char *name, const char *bytes, size_t length)
{
    FILE *file = fopen(name, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

/* Of what was pending each write reaches the disk wholly, in part or not at all. */
static void cut_the_power(void)
{
    for (size_t i = 0; i < DISK_FILES; i++) {
        char name[128];
        struct disk_file left = {.length = 0};
        resize(&left, disk[i].length);
        if (disk[i].length) {
            memcpy(left.bytes, disk[i].bytes, disk[i].length);
        }
        for (size_t j = 0; j < disk[i].count; j++) {
            const struct operation *operation = &disk[i].pending[j];
            uint32_t fate = random_below(3);
            if (fate > 0) {
                int part = operation->size > 0 ? (int)random_below((uint32_t)operation->size) : 0;
                apply(&left, operation, fate == 1 ? operation->size : part);
            }
        }
        name_file(name, sizeof name, &disk[i]);
        write_file(name, left.bytes, left.length);
        free(left.bytes);
    }
}

static void kill_the_process(void)
{
    for (size_t i = 0; i < DISK_FILES; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s%s", fixture.path, disk[i].suffix);
        FILE *file = fopen(name, "rb");
        assert_non_null(file);
        assert_int_equal(fseek(file, 0, SEEK_END), 0);
        size_t length = (size_t)ftell(file);
        char *bytes = malloc(length + 1);
        assert_non_null(bytes);
        rewind(file);
        assert_int_equal(fread(bytes, 1, length, file), length);
        assert_int_equal(fclose(file), 0);
        name_file(name, sizeof name, &disk[i]);
        write_file(name, bytes, length);
        free(bytes);
    }
}

static void remove_remains(void)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-lock"};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s/after.db%s", fixture.folder, suffixes[i]);
        (void)unlink(name); /* some are gone already */
    }
}

/* The last change that a start finds then. */
static int64_t found_after(void (*end)(void))
{
    char name[128];
    struct database *store = NULL;
    struct store_reader *reader = NULL;
    struct store_log_state log;
    int findings = 0;
    end();
    name_file(name, sizeof name, &disk[0]);
    OK(store = open_path(name, false));
    OK(reader = store_reader_open(store, &fixture.error));
    OK(store_read_log(reader, &log, &fixture.error));
    OK(store_check(reader, print_finding, &findings, &fixture.error));
    assert_int_equal(findings, 0);
    store_reader_close(reader);
    database_close(store);
    remove_remains();
    return log.last_change;
}

static void expect_after(void (*end)(void), int64_t committed)
{
    assert_int_equal(found_after(end), committed);
}

/* ---- before it ---- */

/* Small and large, with pages that do not fit into the cache and change again after they left it.
 */
static void write_some(int64_t slot)
{
    char data[3000], key[16];
    bool large = random_below(8) == 0;
    uint32_t count = large ? 2 * KEYS : 1 + random_below(20);
    for (uint32_t i = 0; i < count; i++) {
        snprintf(key, sizeof key, "%u", large ? i % KEYS : random_below(KEYS));
        snprintf(data, sizeof data, "{\"n\":%u,\"s\":\"%0*d\"}", i,
                 large ? 2500 : (int)random_below(300) + 1, 0);
        put(fixture.quake, key, slot, i, data);
    }
}

static void open_with(enum database_synchronous synchronous)
{
    struct database_options options = {
        .path = fixture.path, .synchronous = synchronous, .cache_mebibytes = 1};
    OK(fixture.database = database_open(&options, &fixture.error));
    OK(fixture.writer = store_writer_open(fixture.database, &fixture.error));
    OK(fixture.reader = store_reader_open(fixture.database, &fixture.error));
    begin();
    OK(store_export_ensure(fixture.writer, SPAN("Quake"), &fixture.quake, &fixture.error));
    commit();
}

static void end_anywhere(enum database_synchronous synchronous, void (*end)(void), uint32_t seed)
{
    random_start(seed);
    open_with(synchronous);
    struct database_checkpointer *checkpointer = NULL;
    uint32_t left = 0;
    OK(checkpointer = database_checkpointer_open(fixture.database, 100, &fixture.error));
    /* As in the other long tests, the variable stands for the full run. */
    int commits = getenv("STELE_SEEDS") ? COMMITS_OF_A_LONG_RUN : COMMITS;
    for (int i = 0; i < commits; i++) {
        int64_t committed = last_change();
        begin();
        write_some(i);
        expect_after(end, committed);
        if (random_below(6) == 0) {
            store_rollback(fixture.writer);
        } else {
            commit();
            committed = last_change();
        }
        expect_after(end, committed);
        if (random_below(4) == 0) {
            OK(database_checkpoint(checkpointer, false, &left, &fixture.error));
            expect_after(end, committed);
        }
    }
    check_whole();
    database_checkpointer_close(checkpointer);
    close_store();
    empty_disk();
}

/* The last changes of commits whose outcome is unknown, until the next one that goes well: a power
 * cut may find one, and what nothing could be written over also the end of the process. */
static struct {
    int64_t change;
    bool in_file;
} unknown[COMMITS_OF_A_LONG_RUN * 2];
static int unknown_count;

static bool may_be_found(int64_t change, bool in_file)
{
    for (int i = 0; i < unknown_count; i++) {
        if (unknown[i].change == change && (!in_file || unknown[i].in_file)) {
            return true;
        }
    }
    return false;
}

static void expect_remains(int64_t before, int64_t after)
{
    int64_t cut = found_after(cut_the_power), killed = found_after(kill_the_process);
    if ((cut != before && !may_be_found(cut, false)) ||
        (killed != before && !may_be_found(killed, true))) {
        fail_msg("%lld cut, %lld killed; %lld before, %lld after", (long long)cut,
                 (long long)killed, (long long)before, (long long)after);
    }
}

/* A write of a commit breaks off somewhere. */
static void tear_commit(int64_t before)
{
    int64_t after = last_change();
    torn_write = 1 + (int)random_below(4);
    bool done = store_commit(fixture.writer, &fixture.error);
    bool was_torn = torn_write == 0;
    torn_write = 0;
    if (done) {
        /* It had fewer writes. */
        assert_false(was_torn);
        expect_remains(after, after);
        return;
    }
    assert_true(was_torn);
    assert_true(fixture.error.code == ERROR_DISK_FAILED || fixture.error.code == ERROR_DISK_FULL);
    assert_int_equal(last_change(), before);
    expect_remains(before, after);
}

/* Commits, some of which are broken. */
static void follow_commits(uint64_t seed, void (*break_commit)(int64_t committed))
{
    random_start(seed);
    unknown_count = 0;
    open_with(DATABASE_SYNCHRONOUS_FULL);
    struct database_checkpointer *checkpointer = NULL;
    uint32_t left = 0;
    OK(checkpointer = database_checkpointer_open(fixture.database, 100, &fixture.error));
    int commits = getenv("STELE_SEEDS") ? COMMITS_OF_A_LONG_RUN : COMMITS;
    for (int i = 0; i < commits * 2; i++) {
        int64_t committed = last_change();
        begin();
        write_some(i);
        if (random_below(2)) {
            break_commit(committed);
            continue;
        }
        commit();
        unknown_count = 0;
        committed = last_change();
        expect_after(cut_the_power, committed);
        expect_after(kill_the_process, committed);
        if (random_below(3) == 0) {
            OK(database_checkpoint(checkpointer, false, &left, &fixture.error));
        }
    }
    check_whole();
    database_checkpointer_close(checkpointer);
    close_store();
    empty_disk();
}

TEST(a_commit_whose_write_broke_off_is_not_there)
{
    follow_commits(7, tear_commit);
}

/* The room of the log is given back between commits, or cannot be: the file system does not cut. */
TEST(a_log_that_is_given_back_loses_no_commit)
{
    random_start(8);
    open_with(DATABASE_SYNCHRONOUS_FULL);
    struct database_checkpointer *checkpointer = NULL;
    OK(checkpointer = database_checkpointer_open(fixture.database, 100, &fixture.error));
    int commits = getenv("STELE_SEEDS") ? COMMITS_OF_A_LONG_RUN : COMMITS, failed = 0, cut = 0;
    for (int i = 0; i < commits * 2; i++) {
        bool done = false;
        begin();
        write_some(i);
        commit();
        cuts_fail = random_below(2);
        bool going = database_wal_give_back(checkpointer, 0, &done, &fixture.error);
        assert_int_equal(going, !cuts_fail);
        assert_int_equal(done, going);
        assert_true(!done || database_wal_bytes(fixture.database) == 0);
        *(cuts_fail ? &failed : &cut) += 1;
        cuts_fail = false;
        expect_after(cut_the_power, last_change());
        expect_after(kill_the_process, last_change());
    }
    assert_true(failed > 0 && cut > 0);
    check_whole();
    database_checkpointer_close(checkpointer);
    close_store();
    empty_disk();
}

/* The sync of a commit fails: that of what is written over its mark goes well, or fails too, or
 * nothing can be written over it. */
static void refuse_commit(int64_t before)
{
    int64_t after = last_change();
    int way = (int)random_below(3);
    failing_syncs = way == 1 ? 2 : 1;
    write_over_fails = way == 2;
    assert_false(store_commit(fixture.writer, &fixture.error));
    failing_syncs = 0;
    write_over_fails = false;
    /* The first sync may be that of a log that begins anew, before anything is written. */
    bool is_unknown = fixture.error.code == ERROR_OUTCOME_UNKNOWN;
    assert_true(fixture.error.code == ERROR_DISK_FAILED || (is_unknown && way > 0));
    assert_int_equal(last_change(), before);
    if (is_unknown) {
        unknown[unknown_count].change = after;
        unknown[unknown_count++].in_file = way == 2;
    }
    expect_remains(before, after);
}

TEST(a_commit_that_was_refused_is_not_there)
{
    follow_commits(6, refuse_commit);
}

TEST(a_power_cut_loses_no_commit)
{
    end_anywhere(DATABASE_SYNCHRONOUS_FULL, cut_the_power, 1);
}

TEST(another_power_cut)
{
    end_anywhere(DATABASE_SYNCHRONOUS_FULL, cut_the_power, 2);
}

TEST(a_dead_process_loses_no_commit)
{
    end_anywhere(DATABASE_SYNCHRONOUS_FULL, kill_the_process, 3);
}

TEST(nor_does_one_without_syncs)
{
    end_anywhere(DATABASE_SYNCHRONOUS_NORMAL, kill_the_process, 4);
}

TEST(nor_does_one_that_never_syncs)
{
    end_anywhere(DATABASE_SYNCHRONOUS_OFF, kill_the_process, 5);
}

static void put_layer_in(void)
{
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, NULL);
    layer.on_write = note;
    layer.on_truncate = note_cut;
    layer.on_sync = note_sync;
    assert_int_equal(layer_put_in("recording"), 0);
}

TEST_ALL(put_layer_in, NULL)
