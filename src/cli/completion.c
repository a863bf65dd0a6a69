/*
 * `stele completion`: what a shell must know to complete command lines, printed from the
 * descriptions that the commands are parsed by, so that it cannot be out of date.
 */
#include "cli/command.h"

struct completion_options {
    struct option_texts operands;
};

/* ---- what is completed ---- */

static bool is_file(const char *value)
{
    return value && strcmp(value, "FILE") == 0;
}

/* "a|b|c" */
static bool is_choice(const char *value)
{
    return value && strchr(value, '|') && !strchr(value, '[');
}

static bool takes_files(const struct command *command)
{
    return strstr(command->operands, "FILE") || strcmp(command->operands, "TO") == 0;
}

static void print_words(const char *choice)
{
    for (; *choice; choice++)
        putchar(*choice == '|' ? ' ' : *choice);
}

/* Behind the first space of "token sign". */
static const char *last_name(const struct command *command)
{
    const char *space = strchr(command->name, ' ');
    return space ? space + 1 : command->name;
}

/* Call for every command that has no parts, and every part. */
static void each_command(void (*print)(const struct command *command))
{
    for (size_t i = 0; command_list[i]; i++) {
        const struct command *const *parts = command_list[i]->parts;
        if (!parts)
            print(command_list[i]);
        for (size_t j = 0; parts && parts[j]; j++)
            print(parts[j]);
    }
}

static void print_names(const struct command *const *commands)
{
    for (size_t i = 0; commands[i]; i++)
        printf("%s%s", i ? " " : "", last_name(commands[i]));
}

/* ---- bash ---- */

static void bash_values(const struct command *command)
{
    for (const struct command_option *each = command->options; each && each->name; each++) {
        if (!each->value)
            continue;
        printf("    '%s --%s')\n", command->name, each->name);
        if (is_file(each->value)) {
            printf("        _stele_files\n");
        } else if (is_choice(each->value)) {
            printf("        _stele_words '");
            print_words(each->value);
            printf("'\n");
        }
        printf("        return\n        ;;\n");
    }
}

static void bash_options(const struct command *command)
{
    printf("    '%s')\n        options='", command->name);
    for (const struct command_option *each = command->options; each && each->name; each++)
        printf("--%s ", each->name);
    printf("--help'\n        files=%s\n        ;;\n", takes_files(command) ? "yes" : "no");
}

static void print_bash(void)
{
    printf("# bash completion for stele: source <(stele completion bash)\n"
           "_stele_words() {\n"
           "    COMPREPLY=($(compgen -W \"$1\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
           "}\n"
           "_stele_files() {\n"
           "    compopt -o filenames 2>/dev/null\n"
           "    COMPREPLY=($(compgen -f -- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
           "}\n"
           "_stele() {\n"
           "    local command=${COMP_WORDS[1]} first=2 options files\n"
           "    COMPREPLY=()\n"
           "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
           "        _stele_words '");
    print_names(command_list);
    printf("'\n        return\n    fi\n    case $command in\n");
    for (size_t i = 0; command_list[i]; i++) {
        if (!command_list[i]->parts)
            continue;
        printf("    %s)\n        if [ \"$COMP_CWORD\" -eq 2 ]; then\n            _stele_words '",
               command_list[i]->name);
        print_names(command_list[i]->parts);
        printf("'\n            return\n        fi\n"
               "        command=\"$command ${COMP_WORDS[2]}\" first=3\n        ;;\n");
    }
    printf("    esac\n    case \"$command ${COMP_WORDS[COMP_CWORD-1]}\" in\n");
    each_command(bash_values);
    printf("    esac\n    case $command in\n");
    each_command(bash_options);
    printf("    esac\n"
           "    case ${COMP_WORDS[COMP_CWORD]} in\n"
           "    -*) _stele_words \"$options\" ;;\n"
           "    *) if [ \"$files\" = yes ]; then _stele_files; "
           "elif [ \"$COMP_CWORD\" -ge \"$first\" ]; then _stele_words \"$options\"; fi ;;\n"
           "    esac\n"
           "}\n"
           "complete -F _stele stele\n");
}

/* ---- zsh ---- */

/* Inside of single quotes, where _arguments has a meaning for brackets and colons. */
static void zsh_text(const char *text)
{
    for (; *text; text++) {
        if (*text == '\'')
            printf("'\\''");
        else if (strchr("[]:\\", *text))
            printf("\\%c", *text);
        else
            putchar(*text);
    }
}

static void zsh_value(const char *value)
{
    printf(":");
    zsh_text(value);
    printf(":");
    if (is_file(value)) {
        printf("_files");
    } else if (is_choice(value)) {
        printf("(");
        print_words(value);
        printf(")");
    }
}

static void zsh_case(const struct command *command)
{
    printf("    '%s')\n        _arguments", command->name);
    for (const struct command_option *each = command->options; each && each->name; each++) {
        printf(" \\\n            '%s--%s%s[", each->type == OPTION_TEXTS ? "*" : "", each->name,
               each->value ? "=" : "");
        zsh_text(each->help);
        printf("]");
        if (each->value)
            zsh_value(each->value);
        printf("'");
    }
    printf(" \\\n            '--help[explain the command]'");
    if (takes_files(command))
        printf(" \\\n            '*:file:_files'");
    printf("\n        ;;\n");
}

static void zsh_describe(const char *indent, const struct command *const *commands)
{
    printf("%slocal -a names=(\n", indent);
    for (size_t i = 0; commands[i]; i++) {
        printf("%s    '%s:", indent, last_name(commands[i]));
        zsh_text(commands[i]->summary);
        printf("'\n");
    }
    printf("%s)\n%s_describe command names\n", indent, indent);
}

static void print_zsh(void)
{
    printf(
        "#compdef stele\n"
        "# zsh completion for stele: source <(stele completion zsh), or a file _stele in $fpath\n"
        "_stele() {\n"
        "    local command=$words[2]\n"
        "    if ((CURRENT == 2)); then\n");
    zsh_describe("        ", command_list);
    printf("        return\n    fi\n    case $command in\n");
    for (size_t i = 0; command_list[i]; i++) {
        if (!command_list[i]->parts)
            continue;
        printf("    %s)\n        if ((CURRENT == 3)); then\n", command_list[i]->name);
        zsh_describe("            ", command_list[i]->parts);
        printf("            return\n        fi\n"
               "        command=\"$command $words[3]\"\n"
               "        shift words\n        ((CURRENT--))\n        ;;\n");
    }
    printf("    esac\n    shift words\n    ((CURRENT--))\n    case $command in\n");
    each_command(zsh_case);
    printf("    esac\n}\ncompdef _stele stele\n");
}

/* ---- fish ---- */

static void fish_text(const char *text)
{
    putchar('\'');
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            putchar('\\');
        putchar(*text);
    }
    putchar('\'');
}

static void fish_names(const char *condition, const struct command *const *commands)
{
    for (size_t i = 0; commands[i]; i++) {
        printf("complete -c stele -n \"%s\" -f -a %s -d ", condition, last_name(commands[i]));
        fish_text(commands[i]->summary);
        printf("\n");
    }
}

static void fish_command(const struct command *command)
{
    char condition[160];
    const char *space = strchr(command->name, ' ');
    int first = space ? (int)(space - command->name) : (int)strlen(command->name);
    snprintf(condition, sizeof condition, "__fish_seen_subcommand_from %.*s%s%s", first,
             command->name, space ? "; and __fish_seen_subcommand_from " : "",
             space ? space + 1 : "");
    for (const struct command_option *each = command->options; each && each->name; each++) {
        printf("complete -c stele -n \"%s\" -l %s ", condition, each->name);
        if (is_file(each->value)) {
            printf("-r -F ");
        } else if (is_choice(each->value)) {
            printf("-x -a '");
            print_words(each->value);
            printf("' ");
        } else if (each->value) {
            printf("-x ");
        }
        printf("-d ");
        fish_text(each->help);
        printf("\n");
    }
    printf("complete -c stele -n \"%s\" %s-l help -d 'explain the command'\n", condition,
           takes_files(command) ? "" : "-f ");
}

static void print_fish(void)
{
    printf("# fish completion for stele: stele completion fish | source\n");
    fish_names("__fish_use_subcommand", command_list);
    for (size_t i = 0; command_list[i]; i++) {
        if (!command_list[i]->parts)
            continue;
        char condition[2048];
        int length = snprintf(condition, sizeof condition,
                              "__fish_seen_subcommand_from %s; and not __fish_seen_subcommand_from",
                              command_list[i]->name);
        const struct command *const *parts = command_list[i]->parts;
        for (size_t j = 0; parts[j] && length < (int)sizeof condition; j++)
            length += snprintf(condition + length, sizeof condition - (size_t)length, " %s",
                               last_name(parts[j]));
        fish_names(condition, parts);
    }
    each_command(fish_command);
}

/* ---- the command ---- */

static const struct {
    const char *name;
    void (*print)(void);
} shells[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};

static int run_completion(int argc, char **argv)
{
    struct completion_options options = {0};
    int code = EXIT_MISUSED;
    if (command_start(&completion_command, argc, argv, &options, &code)) {
        size_t i = 0, count = sizeof shells / sizeof *shells;
        while (i < count && strcmp(shells[i].name, options.operands.items[0]) != 0)
            i++;
        if (i < count)
            shells[i].print();
        else
            fprintf(stderr, "stele completion: it is for bash, zsh and fish, not for \"%.60s\"\n",
                    options.operands.items[0]);
        code = i == count ? EXIT_MISUSED : fflush(stdout) == 0 ? EXIT_FINE : EXIT_FAILED;
    }
    memory_free(options.operands.items);
    return code;
}

const struct command completion_command = {
    .name = "completion",
    .operands = "bash|zsh|fish",
    .least_operands = 1,
    .most_operands = 1,
    .operands_offset = offsetof(struct completion_options, operands),
    .summary = "print the script with which a shell completes command lines",
    .notes =
        "For the present shell: source <(stele completion bash). The Debian package installs it.\n",
    .run = run_completion,
};
