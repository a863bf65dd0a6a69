/*
 * A host program that the black-box tests drive: it opens a store as its arguments say, and then
 * does what the lines of its standard input ask for. It sees the public header and the shared
 * library, nothing else.
 *
 *   host DATABASE LISTEN CONFIG     says "ready ADDRESS"
 *   query VIEW KEY FILTERS SKIP TAKE    rows, then "end COUNT SEQ EPOCH"
 *   apply JSON                          "applied COUNT SEQ"
 *
 * Words are separated by tabs; "-" stands for none. Each row is "row KEY SEQ DATA". What fails is
 * "error CODE MESSAGE".
 */
#include <stele/stele.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_WORDS = 8 };

static int fail(const stele_error *error)
{
    printf("error\t%s\t%s\n", error->code, stele_error_message(error));
    fflush(stdout);
    return EXIT_FAILURE;
}

static bool on_row(void *argument, const stele_row *row)
{
    size_t *rows = argument;
    ++*rows;
    printf("row\t%.*s\t%s\t%.*s\n", (int)row->key_length, row->key, row->seq, (int)row->data_length,
           row->data);
    return true;
}

static void query(stele *store, char *const words[])
{
    stele_query_options options = STELE_QUERY_INIT;
    stele_position position;
    stele_error error = {0};
    size_t rows = 0;
    options.view = words[1];
    options.key = words[2];
    options.filters = words[3];
    options.skip = words[4] ? atoll(words[4]) : 0;
    options.take = words[5] ? atoll(words[5]) : -1;
    if (stele_query_view(store, &options, on_row, &rows, &position, &error))
        printf("end\t%zu\t%s\t%s\n", rows, position.seq, position.epoch);
    else
        fail(&error);
}

static void apply(stele *store, const char *lines)
{
    stele_result result;
    stele_error error = {0};
    if (stele_apply(store, lines, strlen(lines), &result, &error))
        printf("applied\t%llu\t%s\n", (unsigned long long)result.applied, result.seq);
    else
        fail(&error);
}

static void obey(stele *store, char *line)
{
    char *words[MOST_WORDS] = {NULL}, *word;
    for (int i = 0; i < MOST_WORDS && (word = strsep(&line, "\t")); i++)
        words[i] = strcmp(word, "-") == 0 ? NULL : word;
    if (words[0] && strcmp(words[0], "query") == 0)
        query(store, words);
    else if (words[0] && strcmp(words[0], "apply") == 0 && words[1])
        apply(store, words[1]);
    else
        printf("error\tunknown\tthere is no such command\n");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    stele_options options = STELE_OPTIONS_INIT;
    stele_error error = {0};
    char *line = NULL;
    size_t size = 0;
    if (argc < 3)
        return EXIT_FAILURE;
    options.database = argv[1];
    options.listen = argv[2];
    options.config_file = argc > 3 ? argv[3] : NULL;
    stele *store = stele_open(&options, &error);
    if (!store)
        return fail(&error);
    printf("ready\t%s\n", stele_address(store));
    fflush(stdout);
    for (ssize_t length; (length = getline(&line, &size, stdin)) > 0;) {
        line[length - 1] = '\0';
        obey(store, line);
    }
    free(line);
    stele_close(store);
    return EXIT_SUCCESS;
}
