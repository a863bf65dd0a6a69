/*
 * `stele serve`. The server runs on threads of the library; the main thread waits for its end, one
 * waits for signals, and one tells a service manager how we are (service.h).
 */
#include "cli/serve.h"
#include "access/credentials.h"
#include "cli/command.h"
#include "cli/service.h"
#include "server/tls.h"
#include "terminal/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

/* ---- signals ---- */

/*
 * The signals that `stele serve` handles. One thread does nothing but wait for them, so no code
 * here runs inside a handler. Another thread reads the configuration again, so that a stop is
 * noticed meanwhile.
 *
 *   SIGTERM, SIGINT  stop; the second one ends the process at once
 *   SIGHUP           read the configuration again
 *
 * Static, because the waiting thread lives to the end.
 */
struct signals {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    sigset_t set;
    stele *store;            /* NULL while it opens, and once it is being closed */
    struct service *service; /* NULL once it has ended */
    bool stopping;
    atomic_bool give_up; /* the same, for the code that opens the store meanwhile */
    bool reload_due, reloading;
};

/*
 * Let a signal do what it does to programs that know nothing of it, so that whoever started us sees
 * what ended us. Nothing is cleaned up, no thread is waited for.
 */
static void end_by(int signal_number)
{
    sigset_t only;
    sigemptyset(&only);
    sigaddset(&only, signal_number);
    signal(signal_number, SIG_DFL); /* it may have been ignored from birth */
    pthread_sigmask(SIG_UNBLOCK, &only, NULL);
    raise(signal_number);
    _exit(EXIT_FAILED); /* the first process of a container is spared by its signals */
}

static void stop(struct signals *signals, int signal_number)
{
    /* The second signal means "now". Acknowledged mutations are on disk already. */
    if (signals->stopping)
        end_by(signal_number);
    signals->stopping = true;
    atomic_store(&signals->give_up, true);
    if (signals->service)
        service_note(signals->service, SERVICE_STOPS, NULL);
    if (signals->store)
        stele_stop(signals->store);
}

static void *wait_for_signals(void *argument)
{
    struct signals *signals = argument;
    for (;;) {
        int signal_number;
        sigwait(&signals->set, &signal_number);
        pthread_mutex_lock(&signals->lock);
        if (signal_number == SIGHUP)
            signals->reload_due = true;
        else
            stop(signals, signal_number);
        pthread_cond_broadcast(&signals->changed);
        pthread_mutex_unlock(&signals->lock);
    }
    return NULL;
}

/* Errors, and settings that need a restart, stand in the log. */
static void reload(stele *store, struct service *service)
{
    stele_error error = {0};
    service_note(service, SERVICE_RELOADS, NULL);
    bool done = stele_reload(store, &error);
    service_note(service, SERVICE_RELOADED, done ? NULL : stele_error_message(&error));
}

static void *wait_for_reloads(void *argument)
{
    struct signals *signals = argument;
    pthread_mutex_lock(&signals->lock);
    for (;;) {
        while (!signals->reload_due || !signals->store)
            pthread_cond_wait(&signals->changed, &signals->lock);
        signals->reload_due = false;
        if (signals->stopping)
            continue;
        stele *store = signals->store; /* neither goes while this is on its way */
        struct service *service = signals->service;
        signals->reloading = true;
        pthread_mutex_unlock(&signals->lock);
        reload(store, service);
        pthread_mutex_lock(&signals->lock);
        signals->reloading = false;
        pthread_cond_broadcast(&signals->changed);
    }
    return NULL;
}

static bool start_thread(void *(*function)(void *), struct signals *signals, struct error *error)
{
    pthread_t thread;
    int result = pthread_create(&thread, NULL, function, signals);
    if (result == 0)
        pthread_detach(thread);
    return result == 0 ||
           error_set(error, ERROR_INTERNAL, "no thread could be started: %s", error_reason(result));
}

/* Block them. It is inherited, so this comes before any other thread starts. */
static void signals_block(struct signals *signals)
{
    sigemptyset(&signals->set);
    sigaddset(&signals->set, SIGTERM);
    sigaddset(&signals->set, SIGINT);
    sigaddset(&signals->set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals->set, NULL);
    /* A log that nobody reads any more must not end the server. */
    signal(SIGPIPE, SIG_IGN);
}

/* Wait for them from now on. */
static bool signals_start(struct signals *signals, struct service *service, struct error *error)
{
    pthread_mutex_init(&signals->lock, NULL);
    pthread_cond_init(&signals->changed, NULL);
    signals->service = service;
    return start_thread(wait_for_signals, signals, error) &&
           start_thread(wait_for_reloads, signals, error);
}

/* Signals are about this store from now on. A signal that came before counts, too: then the
 * store is being stopped, and the result is false. */
static bool signals_attach(struct signals *signals, stele *store)
{
    pthread_mutex_lock(&signals->lock);
    bool stopping = signals->stopping;
    signals->store = store;
    if (stopping)
        stele_stop(store);
    pthread_cond_broadcast(&signals->changed);
    pthread_mutex_unlock(&signals->lock);
    return !stopping;
}

/* Signals are about no store any more; waits for a reload under way. */
static void signals_detach(struct signals *signals)
{
    pthread_mutex_lock(&signals->lock);
    signals->store = NULL;
    while (signals->reloading)
        pthread_cond_wait(&signals->changed, &signals->lock);
    pthread_mutex_unlock(&signals->lock);
}

/* The service is about to end. */
static void signals_leave(struct signals *signals)
{
    pthread_mutex_lock(&signals->lock);
    signals->service = NULL;
    pthread_mutex_unlock(&signals->lock);
}

enum { TEXT_LIMIT = 4 * 1024 * 1024 };

/* ---- what is printed ---- */

static int print_buffer(struct buffer *text, bool good)
{
    if (good && fwrite(text->data, 1, text->length, stdout) != text->length)
        good = false;
    buffer_fini(text);
    return good && fflush(stdout) == 0 ? EXIT_FINE : EXIT_FAILED;
}

static int print_schema(void)
{
    struct buffer text;
    buffer_init(&text, TEXT_LIMIT);
    return print_buffer(&text, config_schema(&text));
}

static int check_config(const stele_options *library)
{
    struct config config;
    struct error error = {0};
    if (!api_configure(library, AT_FDCWD, &config, &error))
        return command_failed(&error);
    int code = EXIT_FAILED;
    struct credentials credentials = {.tokens = NULL};
    struct certificate *certificate = NULL;
    struct view_set *views = config_views(&config, &error);
    if (views && credentials_read(&credentials, &config, &error) &&
        tls_read(&config, &certificate, &error)) {
        struct buffer text;
        buffer_init(&text, TEXT_LIMIT);
        config_warn_of_views(views);
        code = print_buffer(&text, config_print(&config, CONFIG_FOR_OPERATOR, &text));
    } else {
        command_failed(&error);
    }
    view_set_free(views);
    certificate_free(certificate);
    credentials_fini(&credentials);
    config_fini(&config);
    return code;
}

static void print_address(const char *scheme, const char *address)
{
    printf("%s%s", address[0] ? scheme : "", address[0] ? address : "none");
}

static void print_ready(const stele *store)
{
    printf("stele ready: ");
    print_address(api_is_secure(store, false) ? "wss://" : "ws://", stele_address(store));
    printf(" health ");
    print_address(api_is_secure(store, true) ? "https://" : "http://", stele_health_address(store));
    printf(" db %s\n", stele_database(store));
    /* A server that nobody listens to at its start is a server all the same. */
    if (fflush(stdout) != 0)
        log_warning("server", "ready-line-lost", log_text("error", error_reason(errno)));
    clearerr(stdout);
}

/* ---- the command ---- */

static char *make_setting(const char *name, const char *value)
{
    struct buffer text;
    buffer_init(&text, SIZE_MAX);
    buffer_add_string(&text, name);
    buffer_add_char(&text, '=');
    buffer_add_string(&text, value);
    char *made = buffer_string(&text) ? buffer_take(&text, NULL) : NULL;
    buffer_fini(&text);
    return made;
}

bool serve_to_library(const struct serve_options *options, const char **settings, char **made,
                      stele_options *library)
{
    size_t count = 0, made_count = 0;
    bool good = true;
    for (size_t i = 0; i < options->settings.count; i++)
        settings[count++] = options->settings.items[i];
    for (size_t i = 0; i < options->stacks.count; i++) {
        made[made_count] = make_setting("stack", options->stacks.items[i]);
        good = good && made[made_count];
        settings[count++] = made[made_count++];
    }
    const char *const own[SERVE_OWN_SETTINGS][2] = {{"synchronous", options->synchronous},
                                                    {"memory", options->memory}};
    for (size_t i = 0; i < SERVE_OWN_SETTINGS; i++) {
        if (!own[i][1])
            continue;
        made[made_count] = make_setting(own[i][0], own[i][1]);
        good = good && made[made_count];
        settings[count++] = made[made_count++];
    }
    *library = (stele_options){
        .struct_size = sizeof(*library),
        .database = options->database,
        .config_file = options->config_file,
        .settings = settings,
        .setting_count = count,
        .listen = options->listen,
        .health = options->health,
        .serve = true,
        .use_environment = true,
        .insecure = options->insecure,
    };
    return good;
}

static int fail(const stele_error *error)
{
    output_tell("stele: %s", stele_error_message(error));
    return EXIT_FAILED;
}

static int serve_with(const stele_options *library, struct signals *signals,
                      struct service *service, const struct serve_watch *watch)
{
    stele_error reason = {0};
    bool given_up;
    stele *store = api_open_unless(library, &signals->give_up, &given_up, &reason);
    if (given_up) { /* a clean stop, before there was anything to stop */
        log_info("server", "stopped", log_text("reason", stele_error_message(&reason)));
        return EXIT_FINE;
    }
    if (!store)
        return fail(&reason);
    if (signals_attach(signals, store)) {
        service_ready(service, store);
        print_ready(store);
    }
    if (watch)
        watch->begins(watch->argument, store);
    bool clean = stele_run(store, &reason);
    if (watch)
        watch->ends(watch->argument);
    service_note(service, SERVICE_STOPPED, NULL);
    signals_detach(signals);
    stele_close(store);
    return clean ? EXIT_FINE : fail(&reason);
}

static int serve(const stele_options *library, const struct serve_watch *watch)
{
    static struct signals signals; /* outlives main for the threads that wait */
    struct error error = {0};
    signals_block(&signals);
    struct service *service = service_start(&error);
    if (!service)
        return command_failed(&error);
    int code = signals_start(&signals, service, &error)
                   ? serve_with(library, &signals, service, watch)
                   : command_failed(&error);
    signals_leave(&signals);
    service_end(service);
    return code;
}

static int run_library(const struct serve_options *options, const stele_options *library,
                       const struct serve_watch *watch)
{
    return options->check_config ? check_config(library) : serve(library, watch);
}

int serve_run(const struct serve_options *options, const struct serve_watch *watch)
{
    size_t made_room = options->stacks.count + SERVE_OWN_SETTINGS;
    const char **settings = memory_new((options->settings.count + made_room) * sizeof(*settings));
    char **made = memory_new(made_room * sizeof(*made));
    stele_options library;
    int code = EXIT_FAILED;
    if (settings && made && serve_to_library(options, settings, made, &library))
        code = run_library(options, &library, watch);
    else
        fprintf(stderr, "stele: out of memory\n");
    for (size_t i = 0; made && i < made_room; i++)
        memory_free(made[i]);
    memory_free(made);
    memory_free(settings);
    return code;
}

static int run_serve(int argc, char **argv)
{
    struct serve_options options = {0};
    int code = EXIT_FAILED;
    if (command_start(&serve_command, argc, argv, &options, &code))
        code = options.print_schema ? print_schema() : serve_run(&options, NULL);
    memory_free(options.settings.items);
    memory_free(options.stacks.items);
    return code;
}

static void print_settings(FILE *out)
{
    struct buffer text;
    buffer_init(&text, TEXT_LIMIT);
    if (config_describe(&text))
        fprintf(out,
                "\nsettings, for the configuration file, --set and the environment (auth.mode is\n"
                "STELE_AUTH_MODE there); SIGHUP puts live ones in force while the server runs:\n%s",
                buffer_string(&text));
    buffer_fini(&text);
}

#define AT(field) .offset = offsetof(struct serve_options, field)
static const struct command_option serve_options[] = {
    {"db", OPTION_TEXT, AT(database), .value = "FILE",
     .help = "the database; the server makes it if it does not exist"},
    {"listen", OPTION_TEXT, AT(listen), .value = "HOST:PORT",
     .help = "where subscribers and producers connect (127.0.0.1:8877); port 0 picks a free one"},
    {"health", OPTION_TEXT, AT(health), .value = "HOST:PORT",
     .help = "where health and metrics are served (127.0.0.1:8081)"},
    {"config", OPTION_TEXT, AT(config_file), .value = "FILE",
     .help = "a configuration file (JSON)"},
    {"set", OPTION_TEXTS, AT(settings), .value = "NAME=VALUE",
     .help = "one setting, over the configuration file; may be given several times"},
    {"stack", OPTION_TEXTS, AT(stacks), .value = "FILE",
     .help = "an arete stack file, whose views the server shows; may be given several times"},
    {"synchronous", OPTION_TEXT, AT(synchronous), .value = "full|normal|off",
     .help = "when a commit counts as done (full: when it is on disk)"},
    {"memory", OPTION_TEXT, AT(memory), .value = "BYTES",
     .help = "how much all caches have together (each its own setting)"},
    {"check-config", OPTION_FLAG, AT(check_config),
     .help = "print the values that would be in force, or the fault, and exit"},
    {"print-schema", OPTION_FLAG, AT(print_schema),
     .help = "print the JSON Schema of the configuration file and exit"},
    {"insecure", OPTION_FLAG, AT(insecure),
     .help = "allow addresses that other machines can reach without authentication"},
    {.name = NULL},
};

const struct command serve_command = {
    .name = "serve",
    .operands = "",
    .summary = "run a server on a database",
    .notes =
        "When it is ready, the server prints one line with its addresses. SIGTERM or SIGINT stops\n"
        "it cleanly: it first commits and acknowledges all requests that it accepted. A second\n"
        "signal ends it at once; acknowledged mutations are safe all the same. SIGHUP makes it\n"
        "read its configuration again.\n",
    .more = print_settings,
    .options = serve_options,
    .run = run_serve,
};
