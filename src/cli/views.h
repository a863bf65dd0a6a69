/* The parts of `stele views`: its options, and its table. */
#ifndef CLI_VIEWS_H
#define CLI_VIEWS_H

#include "cli/access.h"

struct views_options {
    struct access_options access;
    const char *database, *config_file, *url;
};

struct view_line {
    struct span id, mode, last; /* last: of the last column, whatever that is */
    int64_t rows;               /* negative: not told */
};

struct view_list {
    struct view_line *lines;
    size_t count, capacity;
};

void view_list_init(struct view_list *list);
void view_list_fini(struct view_list *list);
/* The texts are copied. */
bool view_list_add(struct view_list *list, const struct view_line *line, struct error *error);
void view_list_print(const struct view_list *list, const char *last_heading);

#endif
