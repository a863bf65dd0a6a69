#include "bench/server_process.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FIXED_ARGUMENTS = 11, READY_SECONDS = 120, STOP_SECONDS = 60, PATH_SIZE = 512 };

static const char log_name[] = "server.log", database_name[] = "bench.db",
                  config_name[] = "config.json";

bool server_prepare(struct server_process *server, const char *program, const char *parent,
                    struct error *error)
{
    *server = (struct server_process){.program = program, .output = -1};
    if (access(program, X_OK) < 0)
        return error_set(error, ERROR_CONFIGURATION,
                         "no server at %s: build it, or name it with --server", program);
    int length = snprintf(server->folder, FOLDER_SIZE, "%s/stele-bench-XXXXXX", parent);
    if (length < FOLDER_SIZE && mkdtemp(server->folder))
        return true;
    server->folder[0] = 0;
    return error_set(error, ERROR_CONFIGURATION,
                     "no folder can be made in %s: %s; name another with --folder", parent,
                     strerror(errno));
}

void server_set(struct server_process *server, const char *setting)
{
    if (server->setting_count < SETTINGS_MOST)
        server->settings[server->setting_count++] = setting;
}

static void path_of(const struct server_process *server, const char *name, char path[PATH_SIZE])
{
    snprintf(path, PATH_SIZE, "%s/%s", server->folder, name);
}

bool server_configure(struct server_process *server, const char *json, struct error *error)
{
    char path[PATH_SIZE];
    path_of(server, config_name, path);
    server->configured = json != NULL;
    if (!json)
        return true;
    FILE *file = fopen(path, "we");
    bool done = file && fputs(json, file) >= 0;
    if (file && fclose(file) != 0)
        done = false;
    return done || error_set(error, ERROR_INTERNAL, "cannot write %s: %s", path, strerror(errno));
}

/* ---- starting ---- */

/* What the server said last, after an error. Always returns false. */
static bool add_last_words(const struct server_process *server, struct error *error)
{
    char path[PATH_SIZE], line[300], last[300] = "";
    path_of(server, log_name, path);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        if (line[0] != '\n')
            memcpy(last, line, sizeof last);
    if (file)
        fclose(file);
    last[strcspn(last, "\n")] = 0;
    if (!last[0])
        return false;
    char message[ERROR_MESSAGE_SIZE];
    memcpy(message, error->message, sizeof message);
    return error_set(error, error->code, "%s; the server said last: %s", message, last);
}

static bool read_address(struct server_process *server, struct span line, struct error *error)
{
    char text[PATH_SIZE], host[64];
    unsigned port;
    if (line.length == 0)
        return error_set(error, ERROR_INTERNAL, "the server ended before it was ready");
    snprintf(text, sizeof text, "%.*s", (int)line.length, line.data);
    server->address = (struct sockaddr_in){.sin_family = AF_INET};
    if (sscanf(text, "stele ready: ws://%63[0-9.]:%u ", host, &port) != 2 || port > 65535 ||
        inet_pton(AF_INET, host, &server->address.sin_addr) != 1)
        return error_set(error, ERROR_INTERNAL, "the server's ready line is \"%.200s\"", text);
    server->address.sin_port = htons((uint16_t)port);
    return true;
}

static bool launch(struct server_process *server, struct error *error)
{
    char database[PATH_SIZE], log[PATH_SIZE], config[PATH_SIZE];
    char *arguments[FIXED_ARGUMENTS + 2 * SETTINGS_MOST];
    path_of(server, database_name, database);
    path_of(server, log_name, log);
    path_of(server, config_name, config);
    const char *fixed[] = {server->program, "serve",       "--db",     database,
                           "--listen",      "127.0.0.1:0", "--health", "127.0.0.1:0"};
    size_t count = 0;
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        arguments[count++] = (char *)fixed[i];
    if (server->configured) {
        arguments[count++] = (char *)"--config";
        arguments[count++] = config;
    }
    for (size_t i = 0; i < server->setting_count; i++) {
        arguments[count++] = (char *)"--set";
        arguments[count++] = (char *)server->settings[i];
    }
    arguments[count] = NULL;
    int descriptor = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    bool started = process_start(arguments, descriptor, &server->process, &server->output, error);
    close(descriptor);
    return started;
}

bool server_start(struct server_process *server, struct error *error)
{
    struct buffer line;
    double start = (double)clock_monotonic_us();
    if (!launch(server, error))
        return false;
    bool ready = process_read_line(server->output, READY_SECONDS, &line, error);
    server->ready_seconds = ((double)clock_monotonic_us() - start) / 1e6;
    if (ready) {
        ready = read_address(server, buffer_span(&line), error);
        buffer_fini(&line);
    }
    if (ready)
        return true;
    server_kill(server);
    return add_last_words(server, error);
}

/* ---- ending ---- */

static void forget(struct server_process *server)
{
    close(server->output);
    server->output = -1;
    server->process = 0;
}

void server_kill(struct server_process *server)
{
    if (server->process <= 0)
        return;
    process_kill(server->process);
    forget(server);
}

bool server_stop(struct server_process *server, struct error *error)
{
    int status = 0;
    kill(server->process, SIGTERM);
    if (!process_wait(server->process, STOP_SECONDS, &status)) {
        server_kill(server);
        return error_set(error, ERROR_INTERNAL, "the server did not stop within %d s",
                         STOP_SECONDS);
    }
    forget(server);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    error_set(error, ERROR_INTERNAL, "the server ended with %s %d",
              WIFSIGNALED(status) ? "signal" : "status",
              WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    return add_last_words(server, error);
}

void server_end(struct server_process *server)
{
    server_kill(server);
    DIR *folder = server->folder[0] ? opendir(server->folder) : NULL;
    if (!folder)
        return;
    struct dirent *entry;
    while ((entry = readdir(folder)))
        unlinkat(dirfd(folder), entry->d_name, 0); /* "." and ".." refuse */
    closedir(folder);
    rmdir(server->folder);
    server->folder[0] = 0;
}
