#include "bench/options.h"

#include <errno.h>
#include <stdlib.h>

enum option_type { TYPE_FLAG, TYPE_TEXT, TYPE_NUMBER, TYPE_SECONDS, TYPE_LIST, TYPE_SETTING };

struct option {
    const char *name;
    enum option_type type;
    size_t offset;
    const char *full, *quick; /* the values it has when not given */
    const char *help;
};

#define AT(field) offsetof(struct options, field)
static const struct option table[] = {
    {"quick", TYPE_FLAG, AT(quick), NULL, NULL, "small sizes: does it work, not how fast is it"},
    {"server", TYPE_TEXT, AT(server), NULL, NULL, "the program to measure; stele beside this one"},
    {"folder", TYPE_TEXT, AT(folder), NULL, NULL, "where databases are made; $TMPDIR or /tmp"},
    {"json", TYPE_TEXT, AT(json), NULL, NULL, "a file for the JSON, beside standard output"},
    {"date", TYPE_TEXT, AT(date), NULL, NULL, "a date to put into the JSON"},
    {"set", TYPE_SETTING, AT(settings), NULL, NULL, "NAME=VALUE, a setting of the server"},
    {"rounds", TYPE_NUMBER, AT(rounds), "3", "1", "how often everything is measured"},
    {"seconds", TYPE_SECONDS, AT(seconds), "5", "0.4", "of feed and latency, each round"},
    {"keys", TYPE_LIST, AT(keys), "10000", "2000", "feed: how many keys"},
    {"batches", TYPE_LIST, AT(batches), "1,10,100,1000,4000", "1,100,1000",
     "feed: mutations of a request"},
    {"producers", TYPE_LIST, AT(producers), "1,2,4", "1,2", "feed: connections that feed"},
    {"large-keys", TYPE_LIST, AT(large_keys), "1000000", "20000", "feed-large: how many keys"},
    {"large-batches", TYPE_LIST, AT(large_batches), "1000,4000", "1000",
     "feed-large: mutations of a request"},
    {"requests-in-flight", TYPE_NUMBER, AT(requests_in_flight), "512", "512",
     "not yet acknowledged requests of a producer"},
    {"bytes-in-flight", TYPE_NUMBER, AT(bytes_in_flight), "8388608", "1048576",
     "and their bytes; one request may always be"},
    {"subscribers", TYPE_LIST, AT(subscribers), "1,100,1000", "1,50", "fanout: subscribers"},
    {"frames", TYPE_NUMBER, AT(frames), "8000000", "100000",
     "fanout: frames of a burst, in all; at least 20,000 for each subscriber"},
    {"write-bytes", TYPE_NUMBER, AT(write_bytes), "32768", "32768",
     "fanout: bytes of a write of the raw sender"},
    {"rates", TYPE_LIST, AT(rates), "1000,10000", "1000", "latency: mutations each second"},
    {"clients", TYPE_LIST, AT(clients), "100,1000", "20,50", "herd: clients at once"},
    {"rows", TYPE_NUMBER, AT(rows), "500", "500", "herd: rows of the view"},
    {"connections", TYPE_NUMBER, AT(connections), "10000", "200", "idle: subscribers"},
    {"entities", TYPE_NUMBER, AT(entities), "1000000", "20000",
     "restart, far: entities; exports, tenants: a tenth is the most of these"},
    {"stalled", TYPE_NUMBER, AT(stalled), "1000", "50", "stalled: subscribers that never read"},
    {"stalled-seconds", TYPE_SECONDS, AT(stalled_seconds), "20", "1", "stalled: time of feeding"},
    {"window-keys", TYPE_LIST, AT(window_keys), "3000,1000000", "3000,20000",
     "windows: rows of the sorted view"},
    {"window-members", TYPE_LIST, AT(window_members), "100,10000", "10,100",
     "windows: subscribers of one window"},
    {"offences", TYPE_LIST, AT(offences), "1,2,3,4,5,6,7", "1,2,3,4,5,6,7",
     "fairness: which of the seven"},
    {"help", TYPE_FLAG, AT(help), NULL, NULL, "this"},
};
enum { TABLE_SIZE = sizeof table / sizeof *table };

/* ---- values ---- */

static bool read_number(const char **text, uint64_t *number)
{
    char *end;
    errno = 0;
    *number = strtoull(*text, &end, 10);
    bool good =
        **text >= '0' && **text <= '9' && errno == 0 && *number > 0 && *number < UINT64_C(1) << 32;
    *text = end;
    return good;
}

static bool read_list(const char *text, struct number_list *list)
{
    for (list->count = 0; list->count < LIST_MOST; text++) {
        if (!read_number(&text, &list->values[list->count++]))
            return false;
        if (*text != ',')
            return *text == 0;
    }
    return false;
}

static bool read_value(struct options *options, const struct option *option, const char *text)
{
    void *field = (char *)options + option->offset;
    char *end;
    switch (option->type) {
    case TYPE_FLAG:
        *(bool *)field = true;
        return true;
    case TYPE_TEXT:
        *(const char **)field = text;
        return *text;
    case TYPE_NUMBER:
        return read_number(&text, field) && *text == 0;
    case TYPE_LIST:
        return read_list(text, field);
    case TYPE_SECONDS:
        *(double *)field = strtod(text, &end);
        return end != text && *end == 0 && *(double *)field > 0 && *(double *)field <= 3600;
    case TYPE_SETTING:
        if (options->setting_count == SET_MOST)
            return false;
        options->settings[options->setting_count++] = text;
        return strchr(text, '=');
    }
    return false;
}

/* ---- the command line ---- */

static const struct option *find(const char *name, size_t length)
{
    for (size_t i = 0; i < TABLE_SIZE; i++)
        if (strlen(table[i].name) == length && memcmp(table[i].name, name, length) == 0)
            return &table[i];
    return NULL;
}

/* One argument and perhaps the next; returns how many were taken, 0 on an error. */
static int read_argument(struct options *options, char **argv, struct error *error)
{
    if (strncmp(argv[0], "--", 2) != 0) {
        if (options->scenario_count < LIST_MOST)
            options->scenarios[options->scenario_count++] = argv[0];
        return 1;
    }
    const char *name = argv[0] + 2, *equals = strchr(name, '=');
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    const struct option *option = find(name, length);
    if (!option) {
        error_set(error, ERROR_CONFIGURATION, "unknown option %s; --help lists all", argv[0]);
        return 0;
    }
    bool apart = option->type != TYPE_FLAG && !equals;
    const char *value = equals ? equals + 1 : apart ? argv[1] : "";
    if (value && read_value(options, option, value))
        return apart ? 2 : 1;
    error_set(error, ERROR_CONFIGURATION, "--%s cannot be \"%s\"", option->name,
              value ? value : "");
    return 0;
}

static void set_defaults(struct options *options, bool quick)
{
    for (size_t i = 0; i < TABLE_SIZE; i++)
        if (table[i].full)
            read_value(options, &table[i], quick ? table[i].quick : table[i].full);
}

bool options_read(struct options *options, int argc, char **argv, struct error *error)
{
    *options = (struct options){0};
    bool quick = false;
    for (int i = 1; i < argc; i++)
        quick = quick || strcmp(argv[i], "--quick") == 0;
    set_defaults(options, quick);
    for (int i = 1; i < argc;) {
        int taken = read_argument(options, argv + i, error);
        if (!taken)
            return false;
        i += taken;
    }
    return true;
}

void options_print(FILE *out)
{
    for (size_t i = 0; i < TABLE_SIZE; i++) {
        fprintf(out, "  --%-20s %s", table[i].name, table[i].help);
        if (table[i].full)
            fprintf(out, " (%s; quick: %s)", table[i].full, table[i].quick);
        fputc('\n', out);
    }
}
