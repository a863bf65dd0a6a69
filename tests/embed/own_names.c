/*
 * A host program with functions of its own that are named as some inside the library are. Linked
 * with the static library, both must go on calling their own.
 */
#include <stele/stele.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int called;

#define OWN(name)                                                                                  \
    int name(void);                                                                                \
    int name(void)                                                                                 \
    {                                                                                              \
        return ++called;                                                                           \
    }

/* Of every folder some. */
OWN(buffer_init)
OWN(buffer_add)
OWN(memory_new)
OWN(memory_free)
OWN(queue_put)
OWN(map_get)
OWN(error_set)
OWN(log_write)
OWN(doc_parse)
OWN(wire_text)
OWN(view_shows)
OWN(auth_may)
OWN(database_open)
OWN(engine_open)
OWN(ingest_open)
OWN(hub_new)
OWN(server_open)
OWN(config_init)
OWN(api_post)
OWN(seq_print)

static bool on_row(void *argument, const stele_row *row)
{
    ++*(int *)argument;
    return strcmp(row->key, "a") == 0;
}

static bool use(const char *file, stele_error *error)
{
    static const char line[] = "{\"export\":\"E\",\"key\":\"a\",\"patch\":{\"n\":1}}";
    stele_options options = STELE_OPTIONS_INIT;
    int rows = 0;
    options.database = file;
    stele *store = stele_open(&options, error);
    bool good = store && stele_apply(store, line, strlen(line), NULL, error) &&
                stele_query(store, "E/list", NULL, -1, on_row, &rows, error) && rows == 1;
    stele_close(store);
    return good;
}

int main(void)
{
    char folder[] = "/tmp/stele-names-XXXXXX", file[64], command[64];
    stele_error error = {0};
    if (!mkdtemp(folder))
        return EXIT_FAILURE;
    snprintf(file, sizeof(file), "%s/own.db", folder);
    bool good = use(file, &error);
    if (!good)
        fprintf(stderr, "%s\n", stele_error_message(&error));
    if (called || buffer_init() != 1 || memory_new() != 2 || called != 2) {
        fprintf(stderr, "the library called %d functions of the program\n", called);
        good = false;
    }
    snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command) == 0 && good ? EXIT_SUCCESS : EXIT_FAILURE;
}
