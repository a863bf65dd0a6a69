/*
 * `stele bootstrap`: a new node or replica, from a copy to following. The copy is FILE.new until it
 * is whole, on disk and checked; so whoever ends the command before that leaves no database.
 */
#include "api/api.h"
#include "cli/copy_server.h"
#include "cli/follow.h"
#include "engine/engine.h"
#include "terminal/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

enum { MIB = 1 << 20, LOOK_MS = 200, WAL_BYTES = 1 << 30 };

/* ---- an end in between ---- */

static atomic_bool interrupted;
/* While the copy is being checked, which nothing interrupts: the file to remove. */
static char being_checked[PATH_MAX + 8];

static void on_signal(int signal_number)
{
    (void)signal_number;
    atomic_store(&interrupted, true);
    static const char text[] = "stele: interrupted: nothing is left of the copy\n";
    if (being_checked[0]) {
        ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
        (void)written;
        (void)unlink(being_checked);
        _exit(EXIT_FAILED);
    }
}

static void set_signals(void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

/* ---- the copy ---- */

static bool show(void *argument, int64_t done, int64_t total)
{
    struct progress *progress = argument;
    progress->total = total;
    progress_show(progress, done, done / MIB);
    return !atomic_load(&interrupted);
}

static bool copy_file(const char *from, const char *to, struct database_backup_result *result,
                      struct error *error)
{
    struct progress progress;
    struct database_backup_options options = {.from = from,
                                              .to = to,
                                              .replace = true,
                                              .check = true,
                                              .wal_limit = WAL_BYTES,
                                              .progress = show,
                                              .argument = &progress};
    progress_init(&progress, -1);
    progress.unit = "MiB";
    bool done = database_backup(&options, result, error);
    progress_hide(&progress);
    return done;
}

static void print_finding(void *count, const char *line)
{
    fprintf(stderr, "stele: %s\n", line);
    ++*(uint64_t *)count;
}

/* As `stele check` does it. */
static bool check_copy(const char *name, struct error *error)
{
    uint64_t findings = 0;
    snprintf(being_checked, sizeof being_checked, "%s", name);
    bool checked =
        !atomic_load(&interrupted) && engine_check(name, print_finding, &findings, error);
    being_checked[0] = '\0';
    if (atomic_load(&interrupted))
        return error_set(error, ERROR_SHUTTING_DOWN, "interrupted: nothing is left of the copy");
    return checked && (findings == 0 || error_set(error, ERROR_DATABASE,
                                                  "the copy has %llu findings, so it is not used",
                                                  (unsigned long long)findings));
}

static bool refuse_file(const struct follow_options *options, struct error *error)
{
    bool url = follow_is_url(options->from);
    return error_set(error, ERROR_CONFIGURATION,
                     "%s exists already, and is not written over. Go on with it by `stele %s`, or "
                     "move it away",
                     options->serve.database, url ? "follow" : "serve");
}

/* What another database left beside its name. The copy would not be opened there. */
static bool is_free(const char *database, struct error *error)
{
    static const char *const suffixes[] = {"-wal", "-shm", "-journal"};
    char name[PATH_MAX + 16];
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        snprintf(name, sizeof name, "%s%s", database, suffixes[i]);
        if (access(name, F_OK) == 0)
            return error_set(error, ERROR_CONFIGURATION,
                             "%s is there, of another database: move it away", name);
    }
    return true;
}

static bool give_name(const char *name, const struct follow_options *options, struct error *error)
{
    if (renameat2(AT_FDCWD, name, AT_FDCWD, options->serve.database, RENAME_NOREPLACE) == 0 ||
        ((errno == EINVAL || errno == ENOSYS) && link(name, options->serve.database) == 0 &&
         unlink(name) == 0))
        return true;
    if (errno == EEXIST)
        return refuse_file(options, error);
    return error_set(error, ERROR_DISK_FAILED, "cannot name the copy %s (%s)",
                     options->serve.database, error_reason(errno));
}

static bool make_copy(const struct follow_options *options, struct database_backup_result *result,
                      struct error *error)
{
    char name[PATH_MAX + 8];
    struct copy_server server = {.url = options->from,
                                 .access = &options->access,
                                 .to = name,
                                 .replace = true,
                                 .check = true,
                                 .give_up = &interrupted};
    int length = snprintf(name, sizeof name, "%s.new", options->serve.database);
    if (length >= PATH_MAX)
        return error_set(error, ERROR_CONFIGURATION, "the name of the database is too long");
    if (access(options->serve.database, F_OK) == 0)
        return refuse_file(options, error);
    if (!is_free(options->serve.database, error))
        return false;
    bool copied = follow_is_url(options->from) ? copy_server(&server, result, error)
                                               : copy_file(options->from, name, result, error);
    if (!copied)
        return false;
    if ((options->no_check || check_copy(name, error)) && give_name(name, options, error))
        return true;
    (void)unlink(name);
    return false;
}

/* ---- following ---- */

/* Shows how far behind the server is, until it has all. */
struct lag {
    pthread_t thread;
    bool started;
    stele *store;
    atomic_bool over;
};

static void *watch_lag(void *argument)
{
    struct lag *lag = argument;
    struct progress progress;
    struct error error;
    const struct timespec rest = {.tv_nsec = (long)LOOK_MS * 1000 * 1000};
    int64_t behind = 0, position = 0, first = -1;
    bool has_all = false;
    progress_init(&progress, -1);
    progress.unit = "behind";
    while (!atomic_load(&lag->over) && !has_all &&
           api_lag(lag->store, &behind, &position, &has_all, &error)) {
        first = first < behind ? behind : first;
        progress.total = first > 0 ? first : -1;
        progress_show(&progress, first - behind, behind);
        nanosleep(&rest, NULL);
    }
    progress_hide(&progress);
    if (has_all) {
        printf("stele has all of the log, up to %lld\n", (long long)position);
        fflush(stdout);
    }
    return NULL;
}

static void begins(void *argument, stele *store)
{
    struct lag *lag = argument;
    lag->store = store;
    lag->started = pthread_create(&lag->thread, NULL, watch_lag, lag) == 0;
}

static void ends(void *argument)
{
    struct lag *lag = argument;
    atomic_store(&lag->over, true);
    if (lag->started)
        pthread_join(lag->thread, NULL);
}

/* Whether the configuration says what to follow. */
static bool has_log(const struct follow_options *options, bool *follows, struct error *error)
{
    struct config config;
    stele_options library = {.struct_size = sizeof library,
                             .database = options->serve.database,
                             .config_file = options->serve.config_file,
                             .settings = options->serve.settings.items,
                             .setting_count = options->serve.settings.count,
                             .listen = options->serve.listen,
                             .health = options->serve.health,
                             .serve = true,
                             .use_environment = true,
                             .insecure = options->serve.insecure};
    if (!api_configure(&library, AT_FDCWD, &config, error))
        return false;
    *follows = config.log.stream || config.log.from;
    config_fini(&config);
    return true;
}

static void print_copy(const struct follow_options *options,
                       const struct database_backup_result *result)
{
    printf("%s: %lld bytes, as of change %lld%s\n", options->serve.database,
           (long long)result->bytes, (long long)result->last_change,
           options->no_check ? "" : ", checked");
    fflush(stdout);
}

static int bootstrap(const struct follow_options *options)
{
    struct database_backup_result result;
    struct error error = {0};
    bool follows = false, url = follow_is_url(options->from);
    if (!options->no_follow && !has_log(options, &follows, &error))
        return command_failed(&error);
    if (!url && access(options->from, F_OK) != 0) {
        fprintf(stderr,
                "stele bootstrap: --from %s is no file that is there, and no URL: that begins with "
                "http:// or https://\n",
                options->from);
        return EXIT_MISUSED;
    }
    if (!options->no_follow && !follows && url && !follow_token_stays(options))
        return EXIT_MISUSED;
    if (!options->no_follow && !follows && !url) {
        fprintf(stderr,
                "stele bootstrap: what is to be followed? A configuration with \"log\" says "
                "it (--config); or end after the copy: --no-follow\n");
        return EXIT_MISUSED;
    }
    set_signals(on_signal);
    if (!make_copy(options, &result, &error))
        return command_failed(&error);
    print_copy(options, &result);
    set_signals(SIG_DFL);
    if (atomic_load(&interrupted) || options->no_follow)
        return EXIT_FINE;
    struct lag lag = {.started = false};
    return follow_run(options, !follows, &(struct serve_watch){begins, ends, &lag});
}

static int run_bootstrap(int argc, char **argv)
{
    struct follow_options options = {0};
    int code = EXIT_MISUSED;
    if (command_start(&bootstrap_command, argc, argv, &options, &code)) {
        if (!options.from || !options.serve.database)
            fprintf(stderr,
                    "stele bootstrap: from what, and where to? --from URL|FILE --db FILE\n");
        else
            code = bootstrap(&options);
    }
    memory_free(options.serve.settings.items);
    memory_free(options.serve.stacks.items);
    return code;
}

static const struct command_option bootstrap_options[] = {
    {"from", OPTION_TEXT, FOLLOW_AT(from), .value = "URL|FILE",
     .help = "a running server, such as https://db.example.org, or a backup"},
    ACCESS_OPTIONS(struct follow_options),
    FOLLOW_OPTIONS,
    {"no-check", OPTION_FLAG, FOLLOW_AT(no_check),
     .help = "do not check the whole copy (a quick check is made all the same)"},
    {"no-follow", OPTION_FLAG, FOLLOW_AT(no_follow), .help = "end when the copy is there"},
    {.name = NULL},
};

const struct command bootstrap_command = {
    .name = "bootstrap",
    .operands = "",
    .summary = "make a new node or replica of a running server or a backup",
    .notes =
        "The copy is written as FILE.new, checked, and only then named FILE, which must not "
        "exist.\n"
        "Then the command goes on as the server: as a node if the configuration has log.nats, "
        "else\n"
        "as a replica of the server in --from. It shows the bytes, and then how far behind it is.\n"
        "Ended before the copy is there, it leaves nothing; after that, `stele follow` or `stele\n"
        "serve` go on with the file. The token needs the scope admin.\n",
    .options = bootstrap_options,
    .run = run_bootstrap,
};
