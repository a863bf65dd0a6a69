/* Shared by the commands: a description of each, which parses its options and prints its help. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include "base/base.h"

#include <stdio.h>

enum exit_code {
    EXIT_FINE = 0,
    EXIT_FAILED = 1, /* the command failed */
    EXIT_MISUSED = 2 /* the command line is wrong; nothing was tried */
};

enum option_type {
    OPTION_FLAG,   /* bool */
    OPTION_TEXT,   /* const char * */
    OPTION_NUMBER, /* int64_t within a range */
    OPTION_TEXTS   /* struct option_texts: may be given several times */
};

/* Points into argv; the owner of the options frees `items`. */
struct option_texts {
    const char **items;
    size_t count;
};

struct command_option {
    const char *name; /* without the two dashes; NULL ends a list */
    enum option_type type;
    size_t offset;       /* of the field in the command's struct of options */
    int64_t least, most; /* range of a number */
    const char *value;   /* the name of the value in the help */
    const char *help;
};

struct command {
    const char *name;
    const char *operands; /* in the form of the help, "" for none */
    size_t least_operands, most_operands;
    size_t operands_offset;  /* of a struct option_texts in the struct of options */
    const char *summary;     /* one line */
    const char *notes;       /* more text, or NULL */
    void (*more)(FILE *out); /* prints the end of the help, or NULL */
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
/* Parse, and print the help or the error. true: go on; false: exit with *code. */
bool command_start(const struct command *command, int argc, char **argv, void *options, int *code);

/* "stele: …" on stderr. Always returns EXIT_FAILED. */
int command_failed(const struct error *error);

extern const struct command serve_command;
extern const struct command ingest_command;
extern const struct command subscribe_command;
extern const struct command check_command;
extern const struct command backup_command;
extern const struct command bootstrap_command;
extern const struct command follow_command;
extern const struct command views_command;
extern const struct command get_command;
extern const struct command events_command;
extern const struct command history_command;
extern const struct command explain_command;
extern const struct command ready_command;
extern const struct command producers_command;
extern const struct command top_command;
extern const struct command token_command;
extern const struct command completion_command;
extern const struct command version_command;

/* All of them, NULL at the end; set by command_main. */
extern const struct command *const *command_list;

/* Run the command line behind the program's name. */
int command_main(int argc, char **argv);

#endif
