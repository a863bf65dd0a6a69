/* Shared by the files of the configuration: the table of settings, and how one is set and shown. */
#ifndef CONFIG_CONFIG_INTERNAL_H
#define CONFIG_CONFIG_INTERNAL_H

#include "config/config.h"

enum setting_type {
    SETTING_TEXT,
    SETTING_ADDRESS, /* HOST:PORT, or "" for none */
    SETTING_NUMBER,
    SETTING_WORD, /* one of a few words, kept as an enum */
    SETTING_FLAG, /* true or false */
    SETTING_RATE  /* "60+10/60s"; the next three rows set its numbers by their older names */
};

/* A row of settings.h. All texts of the program about a setting come from here. */
struct setting {
    const char *name;
    const char *group;  /* the object that it is a member of: "auth" or "log"; NULL: of none */
    const char *member; /* its name there */
    enum setting_type type;
    enum config_change change;
    const char *restart;      /* why a change may need a restart, if it can be live */
    size_t offset;            /* of the field in struct config */
    const char *text;         /* default of a text or an address; NULL: not set */
    int64_t number;           /* default of a number or a flag; of a word, its place in `words` */
    int64_t least, most;      /* range of a number */
    const char *const *words; /* in the order of the enum's values, NULL at the end */
    /* Of a text: whether its content may be set; NULL: always. */
    bool (*check)(const char *text, struct error *error);
    /* The name of arete-server's or OpenTelemetry's variable for it; NULL: it has none. */
    const char *environment;
    const char *help;
    bool secret; /* of a text: it is shown to nobody */
    bool list;   /* of a text: the file may have a list of texts instead */
    bool older;  /* an older name, shown in the schema alone */
};

/* Those of "auth" and "log" come last. */
extern const struct setting config_settings[];
extern const size_t config_setting_count;

static inline bool setting_is_textual(const struct setting *setting)
{
    return setting->type == SETTING_TEXT || setting->type == SETTING_ADDRESS;
}

/* Neither a member of an object nor an older name. */
static inline bool setting_stands_alone(const struct setting *setting)
{
    return !setting->group && !setting->older;
}

static inline bool setting_is_of(const struct setting *setting, const char *group)
{
    return setting->group && strcmp(setting->group, group) == 0;
}

/* Both NULL, or the same text. */
static inline bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Set the default. */
bool setting_set_default(struct config *config, const struct setting *setting, struct error *error);
/* Set from text; the value is checked. ERROR_CONFIGURATION names the allowed values. */
bool setting_set_text(struct config *config, const struct setting *setting, struct span text,
                      struct error *error);
/* The name of the environment variable that sets it: STELE_MAX_EXPORTS, STELE_AUTH_MODE. */
enum { SETTING_VARIABLE = 64 };
const char *setting_variable(const struct setting *setting, char room[SETTING_VARIABLE]);
/* Set by that variable, if it is there and the configuration reads the environment. */
bool setting_read_variable(struct config *config, const struct setting *setting,
                           struct error *error);
#define OTEL_ENDPOINT "OTEL_EXPORTER_OTLP_ENDPOINT"
#define OTEL_TRACES_ENDPOINT "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
#define OTEL_METRICS_ENDPOINT "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
/* Set what the variables of OpenTelemetry set, by its rules: what cannot be used, or has no effect,
 * is told, and ignored. False without memory. */
bool config_read_otel(struct config *config, struct error *error);
/* From a member of the configuration file. */
bool setting_set_tree(struct config *config, const struct setting *setting,
                      const struct tree *value, struct error *error);
/* The present value: of a number or a flag itself, of a word its place in `words`; of a text
 * itself, or NULL. */
int64_t setting_number(const struct config *config, const struct setting *setting);
const char *setting_text(const struct config *config, const struct setting *setting);

/* Append the words as "a, b or c". */
void setting_print_words(struct buffer *out, const char *const *words);

/* A list of texts: add a copy of one; free them all. */
bool config_add_text(char ***texts, size_t *count, struct span text, struct error *error);
void config_free_texts(char ***texts, size_t *count);

/* group.c: an object whose members are settings, and perhaps others. */
struct config_group {
    const char *name;
    const char *must;      /* what it must be, if it is something else */
    const char *others[4]; /* names, up to a NULL, ... */
    bool (*set_other)(struct config *config, const char *name, const struct tree *value,
                      struct error *error); /* ... and how they are set */
};
/* All have what the object says, or else their default, or what the environment says. */
bool config_set_group(struct config *config, const struct config_group *group,
                      const struct tree *object, struct error *error);
bool config_set_log(struct config *config, const struct tree *log, struct error *error);

/* Settings with a structure of their own: set from the file's value, which replaces the former one;
 * then freed. */
bool config_set_exports(struct config *config, const struct tree *exports, struct error *error);
void config_free_exports(struct config *config);

/* Read a JSON file of at most `limit` bytes. NULL with ERROR_CONFIGURATION or ERROR_MEMORY. */
struct tree *config_read_tree(int folder, const char *path, size_t limit, struct error *error);

/* As config_wrong, for a member that the object does not have; `known` ends with NULL. */
bool config_unknown_member(struct error *error, const char *path, const char *name,
                           const char *const *known);

/* Append its value, or the default if `config` is NULL, as a person would type it; the same as
 * JSON, as a member of this name. False: there is none, and nothing was appended. */
bool setting_add(struct buffer *out, const struct config *config, const struct setting *setting);
bool setting_add_member(struct buffer *out, const char *name, const struct config *config,
                        const struct setting *setting);

#endif
