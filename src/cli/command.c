#include "cli/command.h"
#include "cli/streams.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

static const struct command_option *find_option(const struct command *command, struct span name)
{
    for (const struct command_option *each = command->options; each && each->name; each++)
        if (span_equal(span_of(each->name), name))
            return each;
    return NULL;
}

/* Other words that people use for an option. */
static const struct {
    const char *word, *option;
} other_words[] = {
    {"database", "db"},
    {"file", "db"},
    {"data", "db"},
    {"port", "listen"},
    {"host", "listen"},
    {"bind", "listen"},
    {"address", "listen"},
    {"server", "url"},
    {"host", "url"},
    {"address", "url"},
    {"endpoint", "url"},
    {"port", "url"},
    {"db", "url"},
    {"database", "url"},
    {"token", "token-file"},
    {"auth", "token-file"},
    {"config-file", "config"},
};

static const char *meant_by(const struct command *command, const char *given)
{
    for (size_t i = 0; i < sizeof other_words / sizeof *other_words; i++)
        if (strncmp(given, other_words[i].word, strlen(other_words[i].word)) == 0 &&
            strchr("=", given[strlen(other_words[i].word)]) &&
            find_option(command, span_of(other_words[i].option)))
            return other_words[i].option;
    return NULL;
}

static bool unknown_option(const struct command *command, const char *given, struct error *error)
{
    struct nearest nearest = {.given = given, .name = meant_by(command, given)};
    for (const struct command_option *each = command->options;
         each && each->name && (!nearest.name || nearest.compared); each++)
        nearest_offer(&nearest, each->name);
    if (nearest.name)
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "there is no option --%.100s; did you mean --%s?", given, nearest.name);
    return error_set(error, ERROR_INVALID_PARAMETER,
                     "there is no option --%.100s; `stele %s --help` lists all", given,
                     command->name);
}

static bool add_text(struct option_texts *texts, const char *text, struct error *error)
{
    size_t size = (texts->count + 1) * sizeof(*texts->items);
    const char **items = memory_resize(texts->items, size);
    if (!items)
        return error_set(error, ERROR_MEMORY, "out of memory");
    items[texts->count++] = text;
    texts->items = items;
    return true;
}

static bool set_option(const struct command_option *option, void *options, const char *value,
                       struct error *error)
{
    char *field = (char *)options + option->offset;
    int64_t number;
    switch (option->type) {
    case OPTION_FLAG:
        *(bool *)field = true;
        return true;
    case OPTION_TEXT:
        *(const char **)field = value;
        return true;
    case OPTION_TEXTS:
        return add_text((struct option_texts *)field, value, error);
    case OPTION_NUMBER:
        if (!typed_number(span_of(value), &number) || number < option->least ||
            number > option->most)
            return error_set(error, ERROR_INVALID_PARAMETER,
                             "--%s cannot be \"%.60s\"; allowed: a whole number from %lld to %lld",
                             option->name, value, (long long)option->least,
                             (long long)option->most);
        *(int64_t *)field = number;
        return true;
    }
    return false;
}

/* One argument that starts with two dashes; *next is the index of the one behind it. */
static bool parse_option(const struct command *command, int argc, char **argv, int *next,
                         void *options, struct error *error)
{
    const char *given = argv[(*next)++] + 2;
    const char *equals = strchr(given, '=');
    size_t length = equals ? (size_t)(equals - given) : strlen(given);
    const struct command_option *option = find_option(command, span_make(given, length));
    /* As the setting is called. */
    if (!option && span_equal(span_make(given, length), span_of("database")))
        option = find_option(command, span_of("db"));
    if (!option)
        return unknown_option(command, given, error);
    if (option->type == OPTION_FLAG) {
        if (equals)
            return error_set(error, ERROR_INVALID_PARAMETER, "--%s takes no value", option->name);
        return set_option(option, options, NULL, error);
    }
    const char *value = equals ? equals + 1 : *next < argc ? argv[(*next)++] : NULL;
    if (!value)
        return error_set(error, ERROR_INVALID_PARAMETER, "--%s needs a value: %s", option->name,
                         option->value);
    return set_option(option, options, value, error);
}

static bool check_operands(const struct command *command, const struct option_texts *operands,
                           struct error *error)
{
    if (operands->count > command->most_operands)
        return error_set(error, ERROR_INVALID_PARAMETER, "\"%.100s\" is one argument too many",
                         operands->items[command->most_operands]);
    if (operands->count < command->least_operands)
        return error_set(error, ERROR_INVALID_PARAMETER, "an argument is missing: %s",
                         command->operands);
    return true;
}

enum command_parse command_parse(const struct command *command, int argc, char **argv,
                                 void *options, struct error *error)
{
    struct option_texts none = {0};
    bool takes_operands = command->most_operands > 0;
    struct option_texts *operands =
        takes_operands ? (struct option_texts *)((char *)options + command->operands_offset)
                       : &none;
    bool only_operands = false;
    for (int next = 1; next < argc;) {
        const char *argument = argv[next];
        bool good = true;
        if (only_operands || argument[0] != '-' || argument[1] == '\0')
            good = add_text(operands, argv[next++], error);
        else if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0)
            return PARSE_HELP;
        else if (strcmp(argument, "--") == 0)
            only_operands = ++next;
        else if (argument[1] == '-')
            good = parse_option(command, argc, argv, &next, options, error);
        else
            good = error_set(error, ERROR_INVALID_PARAMETER, "there is no option %.100s", argument);
        if (!good)
            return PARSE_WRONG;
    }
    bool good = check_operands(command, operands, error);
    memory_free(none.items);
    return good ? PARSE_DONE : PARSE_WRONG;
}

void command_help(const struct command *command, FILE *out)
{
    fprintf(out, "usage: stele %s%s%s%s\n\n%s\n", command->name,
            command->options ? " [OPTION]…" : "", command->operands[0] ? " " : "",
            command->operands, command->summary);
    if (command->options)
        fprintf(out, "\noptions:\n");
    for (const struct command_option *each = command->options; each && each->name; each++)
        fprintf(out, "  --%s%s%s\n        %s\n", each->name, each->value ? " " : "",
                each->value ? each->value : "", each->help);
    if (command->notes)
        fprintf(out, "\n%s", command->notes);
    if (command->more)
        command->more(out);
}

bool command_start(const struct command *command, int argc, char **argv, void *options, int *code)
{
    struct error error = {0};
    switch (command_parse(command, argc, argv, options, &error)) {
    case PARSE_DONE:
        return true;
    case PARSE_HELP:
        command_help(command, stdout);
        *code = EXIT_FINE;
        return false;
    case PARSE_WRONG:
        break;
    }
    fprintf(stderr, "stele %s: %s\n", command->name, error.message);
    *code = EXIT_MISUSED;
    return false;
}

int command_failed(const struct error *error)
{
    fprintf(stderr, "stele: %s\n", error->message);
    return EXIT_FAILED;
}

/* ---- which command ---- */

const struct command *const command_list[] = {
    &serve_command, &ingest_command,    &subscribe_command, &check_command,      &backup_command,
    &views_command, &producers_command, &token_command,     &completion_command, &version_command,
    NULL,
};

static void overview(FILE *out)
{
    fprintf(out, "usage: stele COMMAND [OPTION]…\n\n"
                 "A durable view server: mutations go in, are merged and logged on disk, and come\n"
                 "out as snapshots and live frames.\n\ncommands:\n");
    for (size_t i = 0; command_list[i]; i++)
        fprintf(out, "  %-11s %s\n", command_list[i]->name, command_list[i]->summary);
    fprintf(out, "\n`stele COMMAND --help` (or `stele help COMMAND`) tells more about one.\n");
}

static int unknown_command(const char *given)
{
    struct nearest nearest = {.given = given};
    for (size_t i = 0; command_list[i]; i++)
        nearest_offer(&nearest, command_list[i]->name);
    if (nearest.name)
        fprintf(stderr, "stele: there is no command \"%s\"; did you mean \"%s\"?\n", given,
                nearest.name);
    else
        fprintf(stderr, "stele: there is no command \"%s\"; `stele --help` lists all\n", given);
    return EXIT_MISUSED;
}

/*
 * A descriptor that is closed would be given to the next file that is opened, and what is printed
 * would go into that. In its place stands one on which what it is for fails, as it would have.
 */
static void fill_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            /* The lowest free one, so this one. */
            (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

/* What was printed and could not be written makes a command fail that went well otherwise. */
static int check_output(int code)
{
    errno = 0;
    bool lost = fflush(stdout) != 0 || ferror(stdout);
    if (!lost)
        return code;
    fprintf(stderr, "stele: standard output cannot be written: %s\n",
            errno ? error_reason(errno) : "some of it is lost");
    return code == EXIT_FINE ? EXIT_FAILED : code;
}

static const struct command *find_command(const struct command *const *list, const char *name)
{
    for (size_t i = 0; list[i]; i++) {
        const char *space = strchr(list[i]->name, ' '); /* "token sign" is a part of "token" */
        if (strcmp(space ? space + 1 : list[i]->name, name) == 0)
            return list[i];
    }
    return NULL;
}

/* `stele help`, `stele help serve`, `stele help token sign`: what --help behind those prints. */
static int help(int argc, char **argv)
{
    static char asked[] = "--help";
    char *arguments[] = {argc > 1 ? argv[1] : NULL, asked, NULL, NULL};
    if (argc < 2 || argv[1][0] == '-') {
        overview(stdout);
        return EXIT_FINE;
    }
    const struct command *command = find_command(command_list, argv[1]);
    if (!command)
        return unknown_command(argv[1]);
    if (argc > 2 && command->parts) {
        arguments[1] = argv[2];
        arguments[2] = asked;
    } else if (argc > 2) {
        fprintf(stderr, "stele help %s: \"%s\" is one argument too many\n", argv[1], argv[2]);
        return EXIT_MISUSED;
    }
    return command->run(arguments[2] ? 3 : 2, arguments);
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        overview(stderr);
        return EXIT_MISUSED;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)
        return help(argc - 1, argv + 1);
    if (strcmp(name, "--version") == 0)
        name = version_command.name;
    const struct command *command = find_command(command_list, name);
    return command ? command->run(argc - 1, argv + 1) : unknown_command(name);
}

int command_main(int argc, char **argv)
{
    fill_descriptors();
    /* A file that may not grow is an error of the write (EFBIG), not the end of the process. */
    signal(SIGXFSZ, SIG_IGN);
    streams_make_wait();
    return check_output(run(argc, argv));
}
