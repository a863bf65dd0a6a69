#include "cli/command.h"

#include "terminal/terminal.h"

#include <errno.h>

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

static void command_help(const struct command *command, FILE *out)
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
    output_tell("stele %s: %s", command->name, error.message);
    *code = EXIT_MISUSED;
    return false;
}

int command_failed(const struct error *error)
{
    output_tell("stele: %s", error->message);
    return EXIT_FAILED;
}

const struct command *const *command_list;
