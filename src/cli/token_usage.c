/* A wrong use of a token command. */
#include "cli/token.h"

int token_misused(const struct command *command, const char *what)
{
    fprintf(stderr, "stele %s: %s\n", command->name, what);
    return EXIT_MISUSED;
}
