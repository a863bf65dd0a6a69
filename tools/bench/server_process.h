/*
 * The server under test: `stele serve` on a database in a fresh folder, on ports that the kernel
 * picks. Whatever happens, server_end leaves neither a process nor a file behind.
 */
#ifndef BENCH_SERVER_PROCESS_H
#define BENCH_SERVER_PROCESS_H

#include "bench/process.h"

#include <netinet/in.h>

enum { SETTINGS_MOST = 32, FOLDER_SIZE = 256 };

struct server_process {
    const char *program;
    char folder[FOLDER_SIZE];            /* "" before server_prepare */
    const char *settings[SETTINGS_MOST]; /* NAME=VALUE, for --set */
    size_t setting_count;
    bool configured; /* server_configure was called */
    pid_t process;   /* 0: not running */
    int output;
    struct sockaddr_in address;
    double ready_seconds; /* from the fork to the ready line, at the last start */
};

/* Make the folder, inside `parent`. */
bool server_prepare(struct server_process *server, const char *program, const char *parent,
                    struct error *error);
/* One more setting for the next starts; the text must stay. */
void server_set(struct server_process *server, const char *setting);
/* The configuration file of the next starts, as JSON text; NULL: none again. */
bool server_configure(struct server_process *server, const char *json, struct error *error);
/* Start on the folder's database and wait for the ready line. */
bool server_start(struct server_process *server, struct error *error);
/* Stop cleanly; an error when it does not, or says that it could not. */
bool server_stop(struct server_process *server, struct error *error);
/* End it as a power cut would. */
void server_kill(struct server_process *server);
/* Kill it if it runs, and remove the folder. */
void server_end(struct server_process *server);

#endif
