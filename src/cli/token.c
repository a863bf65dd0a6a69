#include "cli/token.h"

static const struct command *const commands[] = {
    &token_keygen_command, &token_sign_command,   &token_verify_command,
    &token_jwks_command,   &token_revoke_command, NULL,
};

/* Their names are "token keygen" and so on. */
static const char *short_name(const struct command *command)
{
    return strchr(command->name, ' ') + 1;
}

static void overview(FILE *out)
{
    fprintf(out, "usage: stele token COMMAND [OPTION]…\n\n"
                 "Keys and tokens of signed sessions (docs/authentication.md).\n\ncommands:\n");
    for (size_t i = 0; commands[i]; i++)
        fprintf(out, "  %-10s %s\n", short_name(commands[i]), commands[i]->summary);
    fprintf(out, "\n`stele token COMMAND --help` explains one command.\n");
}

static int unknown_command(const char *given)
{
    struct nearest nearest = {.given = given};
    for (size_t i = 0; commands[i]; i++)
        nearest_offer(&nearest, short_name(commands[i]));
    if (nearest.name)
        fprintf(stderr, "stele token: there is no command \"%s\"; did you mean \"%s\"?\n", given,
                nearest.name);
    else
        fprintf(stderr, "stele token: there is no command \"%s\"; `stele token --help` lists all\n",
                given);
    return EXIT_MISUSED;
}

static int run_token(int argc, char **argv)
{
    if (argc < 2) {
        overview(stderr);
        return EXIT_MISUSED;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        overview(stdout);
        return EXIT_FINE;
    }
    for (size_t i = 0; commands[i]; i++)
        if (strcmp(short_name(commands[i]), argv[1]) == 0)
            return commands[i]->run(argc - 1, argv + 1);
    return unknown_command(argv[1]);
}

const struct command token_command = {
    .name = "token",
    .operands = "COMMAND",
    .parts = commands,
    .summary = "make, verify and revoke the tokens of signed sessions",
    .run = run_token,
};
