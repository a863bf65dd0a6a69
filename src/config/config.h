/*
 * config: every setting in one table, settings.h: name, type, default, range, what a change does,
 * help. The table gives the fields of struct config. It parses the configuration file, the
 * environment and command-line options, checks them, and prints itself for --help. The published
 * JSON Schema comes from it (a test compares the two). Order: an option over the file, the file
 * over the environment, the environment over the default.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/base.h"
#include "database/database.h"
#include "view/view.h"

/* A view defined in the configuration, beside the three that every export has. */
struct config_view {
    char *name;
    char *definition; /* its JSON, as view_set_derive reads it */
};

enum { CONFIG_INHERIT = -1 };

struct config_export {
    char *name;
    int64_t max_entities;     /* 0: unlimited */
    int64_t max_array_length; /* 0: unlimited; CONFIG_INHERIT: the setting of that name */
    bool null_removes;        /* a null member of a patch removes the member */
    char *scope;              /* path of the field that scopes its rows, as JSON; NULL: none */
    struct config_view *views;
    size_t view_count;
};

enum config_auth_mode { CONFIG_AUTH_NONE, CONFIG_AUTH_STATIC, CONFIG_AUTH_SIGNED };
/* The clients that see something, if there is authentication. */
enum config_audience { CONFIG_FOR_ADMIN, CONFIG_FOR_ALL };

/* The fate of mutations for exports that the configuration does not show. */
enum config_unknown_exports { CONFIG_UNKNOWN_IGNORE, CONFIG_UNKNOWN_REFUSE };

/* Whether the rates hold. AUTO: unless the server is for its own machine alone; limits.h. */
enum config_rate_limiting { CONFIG_RATES_AUTO, CONFIG_RATES_ON, CONFIG_RATES_OFF };

/* Which traces are recorded. */
enum config_sampler {
    CONFIG_SAMPLER_ON,
    CONFIG_SAMPLER_OFF,
    CONFIG_SAMPLER_RATIO,
    CONFIG_SAMPLER_PARENT_ON,
    CONFIG_SAMPLER_PARENT_OFF,
    CONFIG_SAMPLER_PARENT_RATIO
};

/* So many, and a burst on top, in so many seconds. */
struct config_rate {
    int64_t most; /* 0: no limit */
    int64_t burst, seconds;
};

/* The effect of another value while the server runs. */
enum config_change {
    CONFIG_RESTART,           /* none: it is read at the start only */
    CONFIG_LIVE,              /* it holds from then on */
    CONFIG_LIVE_WHILE_SET,    /* the same, but it can be neither set nor unset */
    CONFIG_LIVE_WITHIN_ROOM,  /* the same, up to the connections that the server has room for */
    CONFIG_LIVE_WITH_OUTGOING /* the same, if outgoing requests are possible */
};

#define TEXT(field, ...) char *field;
#define ADDRESS(field, ...) char *field;
#define NUMBER(field, ...) int64_t field;
#define FLAG(field, ...) bool field;
#define WORD(field, words, ...) enum words field;
#define RATE(field, ...) struct config_rate field;
/* clang-format off */
struct config {
    /* The start of relative paths: a folder's descriptor, which the configuration does not own,
     * or AT_FDCWD. */
    int folder;
    bool reads_environment; /* members that the file leaves out of "auth" come from there, too */
    unsigned char otel_below; /* whose URL the base of the environment gave: 1 traces, 2 metrics */
#include "config/settings.h"
    struct config_auth {
#include "config/settings_auth.h"
        char *tokens, *keys; /* JSON lists as given, the files in them unread; NULL: none */
        char *scopes;        /* a JSON object as given; NULL: none */
    } auth;
    struct config_log {
#include "config/settings_log.h"
    } log; /* the log that a node follows; without nats and stream it follows none */
    char **origins;      /* "allowed_origins" */
    size_t origin_count; /* 0: all */
    char **stacks;       /* "stacks": paths of arete stack files */
    size_t stack_count;
    struct config_export *exports; /* "exports": {"Quake": {"max_entities": n, "views": {…}}} */
    size_t export_count;           /* 0, and no stacks: exports appear when they are first fed */
};
/* clang-format on */
#undef TEXT
#undef ADDRESS
#undef NUMBER
#undef FLAG
#undef WORD
#undef RATE

/* All defaults; relative paths begin in the working directory. */
bool config_init(struct config *config, struct error *error);
void config_fini(struct config *config);
/* Read the environment variables of settings (STELE_… over ARETE_… and OTEL_…): a value that cannot
 * be parsed is an error, but of OTEL_… one is ignored, and the log tells of it. */
bool config_read_environment(struct config *config, struct error *error);
/* Read a JSON file. An unknown or wrong setting is an error that names it and what is allowed. */
bool config_read_file(struct config *config, const char *path, struct error *error);
/* One setting by name from text, e.g. from a command line. "stack" adds a file to "stacks". */
bool config_set(struct config *config, const char *name, const char *value, struct error *error);
/* Whether every rate has its default. */
bool config_rates_untouched(const struct config *config);
/* ERROR_CONFIGURATION if there is no authentication and other machines can reach an address of
 * the server: the operator must allow that explicitly. */
bool config_check_exposure(const struct config *config, struct error *error);
/* ERROR_CONFIGURATION if the members of "log" do not go together. */
bool config_check_log(const struct config *config, struct error *error);
/* Append a line per setting: name, type, default, help (for --help and the docs). */
bool config_describe(struct buffer *out);
/* Append the JSON Schema of the file. */
bool config_schema(struct buffer *out);
/* Append the values in force, as a configuration file that would give the same values; but for
 * others than the operator, of a URL not what stands behind its '?'. */
enum config_print_for { CONFIG_FOR_OPERATOR, CONFIG_FOR_OTHERS };
bool config_print(const struct config *config, enum config_print_for whom, struct buffer *out);
/* Called for each setting that differs, in the order of the table. `change` says what a running
 * server can do about it, and is never CONFIG_LIVE_WHILE_SET. `restart` says why it would need a
 * restart. Returns whether the setting is to be applied. */
typedef bool (*config_judge)(void *argument, const char *name, enum config_change change,
                             const char *restart);
/* Move the settings of `from` that differ, and that `judge` allows, into the configuration in
 * force. After that `from` is good for config_fini only. */
void config_take_live(struct config *config, struct config *from, config_judge judge,
                      void *argument);

/* A share, 0 to 1, as otlp_sample has it: digits and a point, or "1e-3". */
bool config_read_share(const char *text, double *share);

/* What each cache may have, in bytes: its own setting, and no more than its share of `memory`. */
struct config_caches {
    int64_t pages, reader_pages; /* of the writer; of each reader */
    int64_t entities, changes, frames, snapshots;
};
struct config_caches config_caches(const struct config *config);

/* ERROR_CONFIGURATION that names the setting at `path`. Always false. */
bool config_wrong(struct error *error, const char *path, const char *what);

/* The views that the configuration and its stack files define, as a new set with all stages;
 * NULL with an error that names the file or the view. */
struct view_set *config_views(const struct config *config, struct error *error);
/* Log definitions that are allowed but seldom meant: an order, or a key, by a member that
 * "fields" hide. */
void config_warn_of_views(const struct view_set *views);

#endif
