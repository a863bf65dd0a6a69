#include "cli/command.h"
#include "config/config.h"
#include "derive/derive.h"
#include "engine/engine.h"

struct check_options {
    const char *database, *config_file;
    struct option_texts stacks;
};

static void print_finding(void *count, const char *line)
{
    printf("%s\n", line);
    ++*(uint64_t *)count;
}

static bool add_stacks(struct config *config, const struct option_texts *stacks,
                       struct error *error)
{
    for (size_t i = 0; i < stacks->count; i++)
        if (!config_set(config, "stack", stacks->items[i], error))
            return false;
    return true;
}

/* The configured views, NULL in *set when no configuration was given. */
static bool read_views(const struct check_options *options, struct view_set **set,
                       struct error *error)
{
    struct config config;
    *set = NULL;
    if (!options->config_file && options->stacks.count == 0)
        return true;
    if (!config_init(&config, error))
        return false;
    if ((!options->config_file || config_read_file(&config, options->config_file, error)) &&
        add_stacks(&config, &options->stacks, error))
        *set = config_views(&config, error);
    config_fini(&config);
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

static int run_check(int argc, char **argv)
{
    struct check_options options = {0};
    struct error error = {0};
    uint64_t findings = 0;
    int code;
    if (!command_start(&check_command, argc, argv, &options, &code))
        return code;
    if (!options.database) {
        memory_free(options.stacks.items);
        fprintf(stderr, "stele check: which database? --db FILE\n");
        return EXIT_MISUSED;
    }
    bool done = check_all(&options, &findings, &error);
    memory_free(options.stacks.items);
    if (!done)
        return command_failed(&error);
    if (findings == 0)
        printf("%s: nothing wrong\n", options.database);
    else
        printf("%s: %llu findings\n", options.database, (unsigned long long)findings);
    return findings == 0 ? EXIT_FINE : EXIT_FAILED;
}

static const struct command_option check_options[] = {
    {"db", OPTION_TEXT, offsetof(struct check_options, database), .value = "FILE",
     .help = "the database"},
    {"config", OPTION_TEXT, offsetof(struct check_options, config_file), .value = "FILE",
     .help = "the configuration of its server; also checks its derived views"},
    {"stack", OPTION_TEXTS, offsetof(struct check_options, stacks), .value = "FILE",
     .help = "an arete stack file of its server; may be repeated"},
    {.name = NULL},
};

const struct command check_command = {
    .name = "check",
    .operands = "",
    .summary = "check the integrity of a database",
    .notes =
        "The command checks the file, and that every entity is the result of its log, as far as\n"
        "the log reaches back. With the configuration it also checks that every derived view\n"
        "matches its definition, and every SQL view its view. It prints findings, one a line;\n"
        "with any, the exit code is 1. It works beside a running server.\n",
    .options = check_options,
    .run = run_check,
};
