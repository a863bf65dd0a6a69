#include "cli/command.h"
#include "engine/engine.h"

struct check_options {
    const char *database;
};

static void print_finding(void *count, const char *line)
{
    printf("%s\n", line);
    ++*(uint64_t *)count;
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
        fprintf(stderr, "stele check: which database? --db FILE\n");
        return EXIT_MISUSED;
    }
    if (!engine_check(options.database, print_finding, &findings, &error))
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
    {.name = NULL},
};

const struct command check_command = {
    .name = "check",
    .operands = "",
    .summary = "check the integrity of a database",
    .notes =
        "Besides the file itself it is checked that every entity is what its log makes of it,\n"
        "as far as that reaches back. Findings are printed, one a line; with any, the exit\n"
        "code is 1. It works beside a running server.\n",
    .options = check_options,
    .run = run_check,
};
