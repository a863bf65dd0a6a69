#include "http/backup_copy.h"

#include "auth/auth.h"

#include <errno.h>
#include <unistd.h>

enum {
    WAL_BYTES = 1 << 30,          /* that the write-ahead log may grow by meanwhile */
    SPARE_BYTES = 32 << 20,       /* that must be free when it begins, beside its own room, */
    LEAST_BYTES = SPARE_BYTES / 2 /* ... and as long as there is one */
};

static struct database *database_of(const struct engine *engine)
{
    return engine_facts(engine)->database;
}

/* Beside the database, where there is room for one if anywhere. */
static char *name_of(const struct engine *engine)
{
    struct buffer name;
    size_t length;
    buffer_init(&name, 16 * 1024);
    buffer_printf(&name, "%s-served-copy", database_state(database_of(engine)).file);
    char *text = buffer_string(&name) ? buffer_take(&name, &length) : NULL;
    buffer_fini(&name);
    return text;
}

void backup_copy_clean(const struct engine *engine)
{
    char *name = name_of(engine);
    if (name)
        database_backup_clean(name);
    memory_free(name);
}

/* ---- what it may take ---- */

static int64_t wal_bytes(const struct engine *engine)
{
    return (int64_t)database_state(database_of(engine)).wal_pages * DATABASE_WAL_PAGE_BYTES;
}

/* Well below max_wal_bytes, where the server would accept no more mutations. A log that is longer
 * may stay so. */
static int64_t most_wal_bytes(const struct engine *engine)
{
    int64_t now = wal_bytes(engine), most = now + WAL_BYTES;
    int64_t limit = engine_facts(engine)->max_wal_bytes / 4 * 3;
    if (limit && limit < most)
        most = limit;
    return most > now ? most : now;
}

static bool check_wal(const struct backup_copy *copy, struct error *error)
{
    int64_t bytes = wal_bytes(copy->engine);
    return bytes <= copy->most_wal_bytes ||
           error_set(error, ERROR_TOO_LARGE,
                     "given up: the write-ahead log, which cannot start over while the copy is "
                     "made, has %lld bytes by now, of %lld that it may have meanwhile. Ask "
                     "at a quieter time, or raise max_wal_bytes",
                     (long long)bytes, (long long)copy->most_wal_bytes);
}

bool backup_copy_has_disk(const struct engine *engine, struct error *error)
{
    struct database_sizes sizes;
    database_read_sizes(database_of(engine), &sizes);
    return sizes.free_bytes < 0 || sizes.free_bytes >= LEAST_BYTES ||
           error_set(error, ERROR_DISK_FULL,
                     "given up: the disk of the database needs the room of the copy, %lld bytes "
                     "are free; make room, or copy to another disk (stele backup --db)",
                     (long long)sizes.free_bytes);
}

/* A disk that the copy fills up would stop the server. */
static bool has_room(const struct backup_copy *copy, struct error *error)
{
    struct database_sizes sizes;
    database_read_sizes(database_of(copy->engine), &sizes);
    int64_t needed = sizes.database_bytes + sizes.wal_bytes + SPARE_BYTES;
    return sizes.free_bytes < 0 || sizes.free_bytes > needed ||
           error_set(error, ERROR_DISK_FULL,
                     "no room for a copy beside the database: it takes up to %lld bytes, and %lld "
                     "are free; make room, or copy to another disk (stele backup --db)",
                     (long long)needed, (long long)sizes.free_bytes);
}

/* ---- making it, on its thread ---- */

static bool goes_on(void *argument, int64_t done, int64_t total)
{
    struct backup_copy *copy = argument;
    (void)done;
    (void)total;
    return !atomic_load(&copy->give_up) && check_wal(copy, &copy->error) &&
           backup_copy_has_disk(copy->engine, &copy->error);
}

/* The first error says why. */
static bool fail(struct backup_copy *copy, const struct error *error)
{
    if (copy->error.code == ERROR_NONE)
        copy->error = *error;
    return false;
}

static bool make(struct backup_copy *copy)
{
    struct error error;
    const char *from = database_state(database_of(copy->engine)).file;
    struct database_backup_options options = {.from = from,
                                              .to = copy->to,
                                              .replace = true,
                                              .nameless = true,
                                              .progress = goes_on,
                                              .argument = copy};
    engine_note_holder(copy->engine, true);
    bool made = has_room(copy, &error) && database_backup(&options, &copy->result, &error);
    engine_note_holder(copy->engine, false);
    if (!made)
        return fail(copy, &error);
    return auth_digest_file(copy->result.descriptor, &copy->give_up, copy->digest) ||
           error_set(&copy->error, ERROR_DISK_FAILED, "cannot read the copy: %s",
                     error_reason(errno));
}

static void *make_it(void *argument)
{
    struct backup_copy *copy = argument;
    make(copy);
    engine_post(copy->engine, copy->made);
    return NULL;
}

/* ---- its life ---- */

bool backup_copy_start(struct backup_copy *copy, struct engine *engine, struct engine_event *made,
                       struct error *error)
{
    copy->engine = engine;
    copy->made = made;
    copy->result.descriptor = -1;
    copy->most_wal_bytes = most_wal_bytes(engine);
    copy->to = name_of(engine);
    copy->runs = copy->to && pthread_create(&copy->thread, NULL, make_it, copy) == 0;
    return copy->runs || error_set(error, ERROR_MEMORY, "cannot start the copy: out of memory");
}

void backup_copy_join(struct backup_copy *copy)
{
    if (copy->runs)
        pthread_join(copy->thread, NULL);
    copy->runs = false;
}

void backup_copy_fini(struct backup_copy *copy)
{
    INVARIANT(!copy->runs);
    if (copy->result.descriptor >= 0)
        close(copy->result.descriptor);
    memory_free(copy->to);
}
