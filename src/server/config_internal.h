/*
 * What the files of the configuration share: the table of settings, and how one is set and shown.
 */
#ifndef SERVER_CONFIG_INTERNAL_H
#define SERVER_CONFIG_INTERNAL_H

#include "server/config.h"

enum setting_type {
    SETTING_TEXT,
    SETTING_ADDRESS, /* HOST:PORT, or "" for none */
    SETTING_NUMBER,
    SETTING_WORD /* one of a few words, kept as an enum */
};

/* One row of the table. Everything that the program says about a setting comes from here. */
struct setting {
    const char *name;
    enum setting_type type;
    size_t offset;            /* of the field in struct config */
    const char *text;         /* default of a text or an address; NULL: not set */
    int64_t number;           /* default of a number; of a word, its place in `words` */
    int64_t least, most;      /* range of a number */
    const char *const *words; /* in the order of the enum's values, NULL at the end */
    /* Of a text: whether it may be set, beyond its length; NULL: always. */
    bool (*check)(const char *text, struct error *error);
    const char *environment; /* the environment variable that sets it; NULL: none */
    const char *help;
    bool live; /* a server that runs takes another value: reload.c, or whom that calls */
};

extern const struct setting config_settings[];
extern const size_t config_setting_count;

const struct setting *setting_find(const char *name);
/* ERROR_CONFIGURATION for a name that is not in the table, with the nearest that is. */
bool setting_unknown(const char *name, struct error *error);
/* ERROR_CONFIGURATION: names the setting, the value (as it was given) and what is allowed. */
bool setting_refuse(const struct setting *setting, struct span value, struct error *error);

/* Set from text or from a number; the value is checked. */
bool setting_set_text(struct config *config, const struct setting *setting, struct span text,
                      struct error *error);
bool setting_set_number(struct config *config, const struct setting *setting, int64_t number,
                        struct error *error);
/* The value now: of a number itself, of a word its place in `words`; of the others the text or
 * NULL. */
int64_t setting_number(const struct config *config, const struct setting *setting);
const char *setting_text(const struct config *config, const struct setting *setting);

/* Exchange the values of two configurations. */
void setting_swap(struct config *a, struct config *b, const struct setting *setting);

/* Place of a word in a list that ends with NULL, or -1. */
int setting_word(const char *const *words, struct span word);
/* Append the words as "a, b or c". */
void setting_print_words(struct buffer *out, const char *const *words);

/* "exports" as parsed; replaces what was there. */
bool config_set_exports(struct config *config, const struct tree *exports, struct error *error);
void config_free_exports(struct config *config);
/* "stacks" as parsed, a list of paths; replaces what was there. */
bool config_set_stacks(struct config *config, const struct tree *stacks, struct error *error);
bool config_add_stack(struct config *config, struct span path, struct error *error);
void config_free_stacks(struct config *config);

/* Append a file's bytes; the limit is the buffer's. ERROR_CONFIGURATION without the name. */
bool config_read_bytes(const char *path, struct buffer *bytes, struct error *error);
/* Read a JSON file of at most `limit` bytes. NULL with ERROR_CONFIGURATION or ERROR_MEMORY. */
struct tree *config_read_tree(const char *path, size_t limit, struct error *error);
/* Add the exports and their views to a set, without resolving them. */
bool config_add_exports(const struct config *config, struct view_set *set, struct error *error);

#endif
