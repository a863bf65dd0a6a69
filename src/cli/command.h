/*
 * What the commands have in common: a description of each, from which its options are parsed and
 * its help is printed.
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include "base/base.h"

#include <stdio.h>

enum exit_code {
    EXIT_FINE = 0,
    EXIT_FAILED = 1, /* it was tried and did not go well */
    EXIT_MISUSED = 2 /* the command line is wrong; nothing was tried */
};

enum option_type {
    OPTION_FLAG,   /* bool */
    OPTION_TEXT,   /* const char * */
    OPTION_NUMBER, /* int64_t within a range */
    OPTION_TEXTS   /* struct option_texts: may be given several times */
};

/* Points into argv; `items` is freed by whoever owns the options. */
struct option_texts {
    const char **items;
    size_t count;
};

struct command_option {
    const char *name; /* without the two dashes; NULL ends a list */
    enum option_type type;
    size_t offset;       /* of the field in the command's struct of options */
    int64_t least, most; /* range of a number */
    const char *value;   /* what the help calls the value */
    const char *help;
};

struct command {
    const char *name;
    const char *operands; /* as the help shows them, "" for none */
    size_t least_operands, most_operands;
    size_t operands_offset;  /* of a struct option_texts in the struct of options */
    const char *summary;     /* one line */
    const char *notes;       /* more, or NULL */
    void (*more)(FILE *out); /* prints what the help ends with, or NULL */
    const struct command_option *options;
    const struct command *const *parts; /* commands of its own, NULL at the end; or NULL */
    /* argv[0] is the name of the command. Returns an exit code. */
    int (*run)(int argc, char **argv);
};

enum command_parse { PARSE_DONE, PARSE_HELP, PARSE_WRONG };

/* Fill the struct of options, which holds the defaults. On PARSE_WRONG the error names the option
 * or operand. Texts point into argv. */
enum command_parse command_parse(const struct command *command, int argc, char **argv,
                                 void *options, struct error *error);
/* Parse, and print the help or what is wrong. true: go on; false: leave with *code. */
bool command_start(const struct command *command, int argc, char **argv, void *options, int *code);

/* "stele: …" on stderr. Always returns EXIT_FAILED. */
int command_failed(const struct error *error);

extern const struct command serve_command;
extern const struct command ingest_command;
extern const struct command subscribe_command;
extern const struct command check_command;
extern const struct command backup_command;
extern const struct command views_command;
extern const struct command producers_command;
extern const struct command token_command;
extern const struct command completion_command;
extern const struct command version_command;

/* All of them, NULL at the end; set by command_main. */
extern const struct command *const *command_list;

/* What follows the program's name on a command line. */
int command_main(int argc, char **argv);

#endif
