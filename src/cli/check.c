#include "cli/command.h"
#include "cli/definitions.h"
#include "cli/drift.h"
#include "derive/derive.h"
#include "engine/engine.h"
#include "terminal/terminal.h"

enum { WAIT_SECONDS = 10, LONGEST_WAIT = 24 * 3600 };

struct check_options {
    struct access_options access;
    const char *database, *config_file;
    struct option_texts stacks, urls, views;
    int64_t wait;
    bool json;
};

static void print_finding(void *count, const char *line)
{
    output_text(stdout, span_of(line));
    putchar('\n');
    ++*(uint64_t *)count;
}

/* The configured views, NULL in *set when no configuration was given. */
static bool read_views(const struct check_options *options, struct view_set **set,
                       struct error *error)
{
    *set = NULL;
    if (!options->config_file && options->stacks.count == 0)
        return true;
    *set = definitions_read(options->config_file, &options->stacks, error);
    return *set != NULL;
}

static bool check_all(const struct check_options *options, uint64_t *findings, struct error *error)
{
    struct view_set *views;
    if (!read_views(options, &views, error))
        return false;
    bool done = engine_check(options->database, print_finding, findings, error) &&
                (!views || derive_check(options->database, views, print_finding, findings, error));
    view_set_free(views);
    return done;
}

static int check_file(const struct check_options *options)
{
    struct error error = {0};
    uint64_t findings = 0;
    if (!check_all(options, &findings, &error))
        return command_failed(&error);
    if (findings == 0)
        printf("%s: nothing wrong\n", options->database);
    else
        printf("%s: %llu findings\n", options->database, (unsigned long long)findings);
    return findings == 0 ? EXIT_FINE : EXIT_FAILED;
}

static int compare_sides(const struct check_options *options)
{
    const struct drift_options drift = {.urls = &options->urls,
                                        .views = &options->views,
                                        .stacks = &options->stacks,
                                        .access = &options->access,
                                        .database = options->database,
                                        .config_file = options->config_file,
                                        .wait = options->wait,
                                        .json = options->json};
    return drift_check(&drift);
}

static bool is_misused(const struct check_options *options)
{
    size_t sides = options->urls.count + (options->database != NULL);
    const char *wrong = NULL;
    if (!sides)
        wrong = "which database? --db FILE; or which server? --url URL";
    else if (sides > 2)
        wrong = "two sides can be compared: two servers, or a server and a file";
    else if (!options->urls.count && (options->views.count || options->json))
        wrong = "a file is checked as a whole; VIEW and --json are for --url";
    else if (!options->database && (options->config_file || options->stacks.count))
        wrong = "--config and --stack are for --db; a server has its own";
    if (wrong)
        fprintf(stderr, "stele check: %s\n", wrong);
    return wrong != NULL;
}

static int run_check(int argc, char **argv)
{
    struct check_options options = {.wait = WAIT_SECONDS};
    int code;
    if (command_start(&check_command, argc, argv, &options, &code))
        code = is_misused(&options) ? EXIT_MISUSED
               : options.urls.count ? compare_sides(&options)
                                    : check_file(&options);
    memory_free(options.stacks.items);
    memory_free(options.urls.items);
    memory_free(options.views.items);
    return code;
}

#define AT(field) .offset = offsetof(struct check_options, field)
static const struct command_option check_options[] = {
    {"db", OPTION_TEXT, AT(database), .value = "FILE", .help = "the database"},
    {"config", OPTION_TEXT, AT(config_file), .value = "FILE",
     .help = "with --db: the configuration of its server; also checks its derived views"},
    {"stack", OPTION_TEXTS, AT(stacks), .value = "FILE",
     .help = "with --db: an arete stack file of its server; may be repeated"},
    {"url", OPTION_TEXTS, AT(urls), .value = "URL",
     .help = "a server to compare; twice, two servers; with --db, the server and the file"},
    ACCESS_OPTIONS(struct check_options),
    {"wait", OPTION_NUMBER, AT(wait), .least = 0, .most = LONGEST_WAIT, .value = "SECONDS",
     .help = "try so long to find both sides at one seq (10)"},
    {"json", OPTION_FLAG, AT(json), .help = "with --url: one JSON object for each view"},
    {.name = NULL},
};

const struct command check_command = {
    .name = "check",
    .operands = "[VIEW]…",
    .most_operands = SIZE_MAX,
    .operands_offset = offsetof(struct check_options, views),
    .summary = "check the integrity of a database, or compare servers and files",
    .notes =
        "With --db the command checks the file, and that every entity is the result of its log,\n"
        "as far as the log reaches back. With the configuration it also checks that every derived\n"
        "view matches its definition, and every SQL view its view. It prints findings, one a\n"
        "line; with any, the exit code is 1. It works beside a running server.\n\n"
        "With --url it compares what two sides show, by sums of the rows, and prints the keys "
        "that\n"
        "differ: of each VIEW (an export stands for its list), or of all. The exit code is 0 when\n"
        "all are equal, 1 when one is different, 2 when it cannot be told. With one side alone it\n"
        "prints the sums.\n",
    .options = check_options,
    .run = run_check,
};
