/*
 * Whether the database file is the one that the last server had, or a copy that was put in its
 * place. A copy is the database of some time ago: from there on the two tell different things
 * under the same seq, so it needs an epoch of its own (epoch.c). Three notes tell:
 *
 *  - In the database (meta.file): which file it is in, by inode and time of birth. Whoever copies
 *    it makes another file: cp, rsync, tar, reflinks, the shell's .backup. A move keeps both.
 *  - Beside it, in the lock file (lock.c): its epoch and newest change. What is copied into the
 * file itself (cp onto it keeps the inode) is behind that, or of another epoch.
 *  - In the database (meta.running): the start of the machine on which a server has it open. The
 *    note goes at an orderly stop. A volume that was brought back to a snapshot of a running server
 *    looks as after a power cut: the note is there, the machine was started anew.
 */
#include "database/database_internal.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_SIZE = 80 };

/* "inode birth", where the file system knows when a file was made. Without opening the file, which
 * would drop SQLite's locks. */
static bool read_file(const struct database *database, char text[FILE_SIZE])
{
    struct statx found;
    if (statx(AT_FDCWD, database->file, 0, STATX_INO | STATX_BTIME, &found) != 0) {
        return false;
    }
    bool has_birth = found.stx_mask & STATX_BTIME;
    snprintf(text, FILE_SIZE, "%llu %lld.%09u", (unsigned long long)found.stx_ino,
             has_birth ? (long long)found.stx_btime.tv_sec : 0LL,
             has_birth ? found.stx_btime.tv_nsec : 0);
    return true;
}

/* ---- the notes in it ---- */

/* *same: there is no such note, or it says this. */
static bool says(struct database *database, const char *name, const char *text, bool *same,
                 struct error *error)
{
    struct buffer value;
    bool found = false;
    buffer_init(&value, 1 << 16);
    bool done = meta_get(&database->main, name, &value, &found, error);
    *same = !found || span_equal(buffer_span(&value), span_of(text));
    buffer_fini(&value);
    return done;
}

bool identity_check(struct database *database, int64_t last_change, const char **cause,
                    struct error *error)
{
    char file[FILE_SIZE], boot[CLOCK_BOOT_ID_SIZE];
    bool same_file = true, same_boot = true;
    *cause = NULL;
    if ((read_file(database, file) && !says(database, "file", file, &same_file, error)) ||
        (clock_boot_id(boot) && !says(database, "running", boot, &same_boot, error))) {
        return false;
    }
    bool has_mark = database->mark_epoch[0] != 0;
    if (!same_file) {
        *cause = "it is in another file than before";
    } else if (has_mark && strcmp(database->mark_epoch, database->epoch) != 0) {
        *cause = "another database was here before";
    } else if (has_mark && database->mark_change > last_change) {
        *cause = "a later state of it was here before";
    } else if (!same_boot) {
        *cause = "a server had it open when the machine, or the copied one, ended";
    }
    return true;
}

bool identity_note(struct database *database, struct error *error)
{
    char file[FILE_SIZE], boot[CLOCK_BOOT_ID_SIZE];
    bool same = true;
    struct connection *main = &database->main;
    return (!read_file(database, file) || meta_put(main, "file", span_of(file), error)) &&
           (clock_boot_id(boot) ? meta_put(main, "running", span_of(boot), error)
                                : says(database, "running", "", &same, error));
}

void identity_stop(struct database *database)
{
    struct error error;
    if (!connection_execute(&database->main, "DELETE FROM meta WHERE name = 'running'", &error)) {
        log_warning("store", "stop-not-noted", log_text("error", error.message));
    }
}
