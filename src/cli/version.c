#include "cli/command.h"
#include "stele/stele.h"

static int run_version(int argc, char **argv)
{
    int code;
    if (!command_start(&version_command, argc, argv, NULL, &code))
        return code;
    printf("stele %s\n", stele_version());
    return EXIT_FINE;
}

const struct command version_command = {
    .name = "version",
    .operands = "",
    .summary = "print the version",
    .run = run_version,
};
