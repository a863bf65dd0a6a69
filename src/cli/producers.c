/* `stele producers`: where producers are, by the database or by the server that has it open. */
#include "cli/ask.h"
#include "database/database.h"
#include "engine/engine.h"
#include "store/producer.h"
#include "terminal/terminal.h"
#include "json/json.h"

#include <locale.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 1000, SHOWN_MARK = 60, PATH_BYTES = 2048 };

struct producers_options {
    struct option_texts operands;
    struct access_options access;
    const char *database, *url;
    bool forget, all;
};

/* ---- the table ---- */

static void print_head(bool owners)
{
    printf("%-32s  %19s  %-20s  %-20s%s  %s\n", "producer", "batch", "seq", "time",
           owners ? "  owner               " : "", "mark");
}

/* Names come from the network: what a terminal would act on stays out. At least `width` wide, and
 * at most `most`. */
static void print_text(struct span text, size_t width, size_t most)
{
    struct buffer fit, out;
    buffer_init(&fit, UINT32_MAX);
    buffer_init(&out, UINT32_MAX);
    cell_fit(&fit, text);
    size_t wanted = cell_width(buffer_span(&fit));
    cell_pad(&out, buffer_span(&fit),
             wanted > most    ? most
             : wanted > width ? wanted
                              : width,
             false);
    printf("%.*s", (int)out.length, out.data ? out.data : "");
    buffer_fini(&fit);
    buffer_fini(&out);
}

static void print_time(int64_t ms)
{
    char text[32];
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    printf("  %-20s", text);
}

static struct span owner_word(struct span owner)
{
    return !owner.data ? span_of("-") : owner.length ? owner : span_of("(the program)");
}

static void print_line(const struct store_producer *it, struct span seq, bool owners)
{
    print_text(it->name, 32, 256);
    printf("  %19lld  ", (long long)it->batch);
    print_text(seq, 20, SEQ_SIZE);
    print_time(it->at);
    if (owners) {
        printf("  ");
        print_text(owner_word(it->owner), 20, 256);
    }
    printf("  ");
    print_text(it->mark, 0, SHOWN_MARK);
    putchar('\n');
}

static bool print_row(void *argument, const struct store_producer *it)
{
    char seq[SEQ_SIZE];
    size_t length = it->has_seq ? seq_print(seq, it->seq) : 0;
    (void)argument;
    print_line(it, length ? span_make(seq, length) : span_of("-"), true);
    return true;
}

static bool is_unknown(const char *name, struct error *error)
{
    return error_set(error, ERROR_NOT_FOUND, "there is no producer '%.256s'", name);
}

/* ---- in a database ---- */

static bool read_rows(struct store_reader *reader, const char *name, struct error *error)
{
    struct store_producer row;
    struct store_producer_scan scan = {.limit = -1};
    bool found = true;
    if (name && !store_read_producer(reader, span_of(name), &row, &found, error))
        return false;
    if (!found)
        return is_unknown(name, error);
    print_head(true);
    return name ? print_row(NULL, &row)
                : store_read_producers(reader, &scan, print_row, NULL, error);
}

static bool list_in_file(const char *path, const char *name, struct error *error)
{
    const struct database_options options = {.path = path, .read_only = true};
    struct database *database = database_open(&options, error);
    struct store_reader *reader = database ? store_reader_open(database, error) : NULL;
    bool done = reader && store_read_begin(reader, error) && read_rows(reader, name, error);
    if (reader) {
        store_read_end(reader);
        store_reader_close(reader);
    }
    if (database)
        database_close(database);
    return done;
}

static bool forget_row(struct store_writer *writer, const char *name, struct error *error)
{
    struct store_producer row;
    bool found;
    return store_begin(writer, error) &&
           store_read_producer(store_writer_reader(writer), span_of(name), &row, &found, error) &&
           (found || is_unknown(name, error)) &&
           store_producer_remove(writer, span_of(name), error) && store_commit(writer, error);
}

/* As the server of a node does. */
static bool may_forget(const struct database *database, const char *path, struct error *error)
{
    const struct database_state state = database_state(database);
    return (!state.log_created && !state.is_replica) ||
           error_set(error, ERROR_INVALID_PARAMETER,
                     "%.200s follows a log, which decides what its producers are, as on all others "
                     "that follow it; nothing was changed",
                     path);
}

static bool forget_in_file(const char *path, const char *name, struct error *error)
{
    const struct database_options options = {.path = path, .keeps_log = true};
    /* Opening would make a new one. */
    if (access(path, F_OK) != 0)
        return error_set(error, ERROR_INVALID_PARAMETER, "there is no database %.200s", path);
    if (strcmp(name, ENGINE_LOG_PRODUCER) == 0)
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "'" ENGINE_LOG_PRODUCER "' is the file's own position in its log, which "
                         "stays");
    struct database *database = database_open(&options, error);
    if (!database && error->code == ERROR_DATABASE_IN_USE)
        return error_set(error, ERROR_DATABASE_IN_USE,
                         "a server has %.200s open; it forgets the producer when its owner asks: "
                         "stele producers --url URL --token-file FILE --forget NAME",
                         path);
    bool may = database && may_forget(database, path, error);
    struct store_writer *writer = may ? store_writer_open(database, error) : NULL;
    bool done = writer && forget_row(writer, name, error);
    if (writer)
        store_writer_close(writer);
    if (database)
        database_close(database);
    return done;
}

/* ---- by a server ---- */

static void print_answered(const struct tree *it, bool owners)
{
    struct store_producer row = {.name = tree_string(tree_member(it, "name")),
                                 .batch = tree_integer(tree_member(it, "batch"), 0),
                                 .mark = tree_string(tree_member(it, "mark")),
                                 .owner = tree_string(tree_member(it, "owner")),
                                 .at = (int64_t)(tree_real(tree_member(it, "time"), 0) * 1000)};
    struct span seq = tree_string(tree_member(it, "seq"));
    print_line(&row, seq.length ? seq : span_of("-"), owners);
}

static struct tree *ask_path(struct ask *ask, const char *method, const struct buffer *path,
                             struct error *error)
{
    struct span body;
    struct ask_request request = {.method = method, .path = path->data};
    if (path->failed) {
        error_set(error, ERROR_INVALID_PARAMETER, "a producer's name has at most 256 bytes");
        return NULL;
    }
    if (!ask_server(ask, &request, &body, error))
        return NULL;
    struct tree *answer = tree_parse(body, error);
    if (!answer)
        ask_is_strange(ask, error);
    return answer;
}

static bool ask_one(struct ask *ask, const char *method, const char *name, bool all,
                    struct error *error)
{
    struct buffer path;
    buffer_init(&path, PATH_BYTES);
    buffer_add_string(&path, "/v1/producers/");
    ask_encode(&path, span_of(name));
    buffer_add_string(&path, all ? "?all=1" : "");
    buffer_string(&path);
    struct tree *answer = ask_path(ask, method, &path, error);
    if (answer && !method) {
        print_head(all);
        print_answered(answer, all);
    }
    buffer_fini(&path);
    tree_free(answer);
    return answer != NULL;
}

static void begin_path(struct buffer *path, bool all)
{
    buffer_printf(path, "/v1/producers?limit=%d%s", PAGE, all ? "&all=1" : "");
}

/* One page; *more: there is another, behind the name in `path`. */
static bool ask_page(struct ask *ask, struct buffer *path, bool all, bool *begun, bool *more,
                     struct error *error)
{
    buffer_string(path);
    struct tree *answer = ask_path(ask, NULL, path, error);
    const struct tree *list = answer ? tree_member(answer, "producers") : NULL;
    size_t count = list ? tree_count(list) : 0;
    if (list && !*begun)
        print_head(all);
    bool answered = list != NULL;
    *begun |= answered;
    for (size_t i = 0; i < count; i++)
        print_answered(tree_element(list, i), all);
    *more = count && tree_boolean(tree_member(answer, "more"), false);
    if (*more) {
        buffer_clear(path);
        begin_path(path, all);
        buffer_add_string(path, "&after=");
        ask_encode(path, tree_string(tree_member(tree_element(list, count - 1), "name")));
    }
    tree_free(answer);
    if (answer && !answered)
        error_set(error, ERROR_NETWORK, "the server answered without producers; is it a stele?");
    return answered;
}

static bool ask_all(struct ask *ask, bool all, struct error *error)
{
    struct buffer path;
    bool begun = false, more = true, done = true;
    buffer_init(&path, PATH_BYTES);
    begin_path(&path, all);
    while (more && done)
        done = ask_page(ask, &path, all, &begun, &more, error);
    buffer_fini(&path);
    return done;
}

static bool by_server(const struct producers_options *options, const char *name,
                      struct error *error)
{
    struct ask ask;
    bool done = ask_open(&ask, &options->access, options->url, error);
    ask.has_file = true;
    if (done && name)
        done = ask_one(&ask, options->forget ? "DELETE" : NULL, name, options->all, error);
    else if (done)
        done = ask_all(&ask, options->all, error);
    ask_close(&ask);
    return done;
}

/* ---- the command ---- */

static bool is_misused(const struct producers_options *options)
{
    const char *wrong = NULL;
    if (!options->database == !options->url)
        wrong = "which producers? --db FILE, or --url URL of a server";
    else if (options->forget && !options->operands.count)
        wrong = "which producer is to be forgotten? its NAME";
    else if (options->all && (options->database || options->forget))
        wrong = "--all is for --url, without --forget: a file shows all names in any case, and a "
                "producer is forgotten by its owner";
    if (wrong)
        fprintf(stderr, "stele producers: %s\n", wrong);
    return wrong != NULL;
}

static int run_producers(int argc, char **argv)
{
    struct producers_options options = {0};
    struct error error = {0};
    int code;
    if (command_start(&producers_command, argc, argv, &options, &code)) {
        const char *name = options.operands.count ? options.operands.items[0] : NULL;
        bool done = false;
        if (is_misused(&options)) {
            code = EXIT_MISUSED;
        } else {
            setlocale(LC_CTYPE, "C.UTF-8"); /* for the widths of characters */
            done = options.url      ? by_server(&options, name, &error)
                   : options.forget ? forget_in_file(options.database, name, &error)
                                    : list_in_file(options.database, name, &error);
            code = done ? EXIT_FINE : command_failed(&error);
        }
        if (done && options.forget)
            printf("forgot %s\n", name);
    }
    memory_free(options.operands.items);
    return code;
}

#define AT(field) .offset = offsetof(struct producers_options, field)
static const struct command_option producers_options[] = {
    {"db", OPTION_TEXT, AT(database), .value = "FILE", .help = "the database"},
    {"url", OPTION_TEXT, AT(url), .value = "URL",
     .help = "the server that has the database open, such as http://127.0.0.1:8877; it shows the "
             "names of the token's subject"},
    {"all", OPTION_FLAG, AT(all),
     .help = "with --url, the names of all subjects, and whose they are; needs the scope admin"},
    ACCESS_OPTIONS(struct producers_options),
    {"forget", OPTION_FLAG, AT(forget),
     .help = "forget NAME; what it sends again is then applied again"},
    {.name = NULL},
};

const struct command producers_command = {
    .name = "producers",
    .operands = "[NAME]",
    .most_operands = 1,
    .operands_offset = offsetof(struct producers_options, operands),
    .summary = "show the last committed batch of producers",
    .notes = "For each producer: the last committed batch, the seq of its newest change, and the\n"
             "time. With --db the command works beside a running server, except for --forget.\n",
    .options = producers_options,
    .run = run_producers,
};
