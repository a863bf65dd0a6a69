/* `stele backup`: a copy of a database, also beside its running server. */
#include "cli/copy_server.h"
#include "database/database.h"
#include "terminal/terminal.h"

#include <signal.h>

enum { MIB = 1 << 20, USUAL_WAL_MEBIBYTES = 4096, MOST_WAL_MEBIBYTES = 1 << 20 };

struct backup_options {
    const char *database, *from;
    struct access_options access;
    bool force, unchecked;
    int64_t wal_mebibytes; /* -1: as usual */
    struct option_texts operands;
};

/* Set by the signal handler, which can do no more. */
static atomic_bool interrupted;

static void on_signal(int signal_number)
{
    (void)signal_number;
    atomic_store(&interrupted, true);
}

/* An interrupted copy is taken away, instead of left lying half made. */
static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

static bool show(void *argument, int64_t done, int64_t total)
{
    struct progress *progress = argument;
    progress->total = total;
    progress_show(progress, done, done / MIB);
    return !atomic_load(&interrupted);
}

static void print_result(const struct backup_options *options,
                         const struct database_backup_result *result)
{
    char seq[SEQ_SIZE] = "none";
    if (result->any)
        seq_print(seq, result->head);
    printf("%s: %lld bytes, as of change %lld, seq %s%s\n", options->operands.items[0],
           (long long)result->bytes, (long long)result->last_change, seq,
           options->unchecked ? "" : ", checked");
    if (result->wal_growth >= MIB)
        printf("the write-ahead log grew by %lld MiB meanwhile\n",
               (long long)(result->wal_growth / MIB));
}

static int back_up(const struct backup_options *options)
{
    struct progress progress;
    struct database_backup_result result;
    struct error error = {0};
    struct database_backup_options wanted = {
        .from = options->database,
        .to = options->operands.items[0],
        .replace = options->force,
        .check = !options->unchecked,
        .wal_limit =
            (options->wal_mebibytes < 0 ? USUAL_WAL_MEBIBYTES : options->wal_mebibytes) * MIB,
        .progress = show,
        .argument = &progress};
    progress_init(&progress, -1);
    progress.unit = "MiB";
    catch_signals();
    bool done = database_backup(&wanted, &result, &error);
    progress_hide(&progress);
    if (!done)
        return command_failed(&error);
    print_result(options, &result);
    return EXIT_FINE;
}

/* The same of a server that may be anywhere. */
static int back_up_server(const struct backup_options *options)
{
    struct copy_server copy = {.url = options->from,
                               .access = &options->access,
                               .to = options->operands.items[0],
                               .replace = options->force,
                               .check = !options->unchecked,
                               .give_up = &interrupted};
    struct database_backup_result result;
    struct error error = {0};
    catch_signals();
    if (!copy_server(&copy, &result, &error))
        return command_failed(&error);
    print_result(options, &result);
    return EXIT_FINE;
}

static int run_backup(int argc, char **argv)
{
    struct backup_options options = {.wal_mebibytes = -1};
    int code = EXIT_MISUSED;
    if (command_start(&backup_command, argc, argv, &options, &code)) {
        if (!options.database == !options.from)
            fprintf(stderr, "stele backup: %s\n",
                    options.from ? "--db FILE and --from URL are two databases: name one"
                                 : "which database? --db FILE, or --from URL");
        else if (options.from && options.wal_mebibytes >= 0)
            fprintf(stderr, "stele backup: --wal-limit goes with --db; a server has its own\n");
        else
            code = options.from ? back_up_server(&options) : back_up(&options);
    }
    memory_free(options.operands.items);
    return code;
}

#define AT(field) .offset = offsetof(struct backup_options, field)
static const struct command_option backup_options[] = {
    {"db", OPTION_TEXT, AT(database), .value = "FILE", .help = "the database"},
    {"from", OPTION_TEXT, AT(from), .value = "URL",
     .help = "the running server whose database it is, such as https://db.example.org"},
    ACCESS_OPTIONS(struct backup_options),
    {"force", OPTION_FLAG, AT(force), .help = "replace TO if it exists"},
    {"no-check", OPTION_FLAG, AT(unchecked),
     .help = "do not check the copy before it gets its name"},
    {"wal-limit", OPTION_NUMBER, AT(wal_mebibytes), .least = 0, .most = MOST_WAL_MEBIBYTES,
     .value = "MIB",
     .help = "give up when the server's write-ahead log grows by more meanwhile (4096); 0: never; "
             "with --db"},
    {.name = NULL},
};

const struct command backup_command = {
    .name = "backup",
    .operands = "TO",
    .least_operands = 1,
    .most_operands = 1,
    .operands_offset = offsetof(struct backup_options, operands),
    .summary = "copy a database, also of a running server",
    .notes =
        "The copy is one file with one state. It is written as TO.partial, checked, put on disk,\n"
        "and only then named TO. Meanwhile the server goes on in every way, but its write-ahead\n"
        "log grows. A server that is started on the copy has an epoch of its own: clients resume\n"
        "only with cursors from before the copy.\n"
        "\n"
        "With --from the server makes the copy and sends it; the token needs the scope admin.\n",
    .options = backup_options,
    .run = run_backup,
};
