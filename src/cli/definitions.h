/* The definitions of views that a command reads a file by: a file does not have them. */
#ifndef CLI_DEFINITIONS_H
#define CLI_DEFINITIONS_H

#include "cli/command.h"
#include "view/view.h"

/* The views of a configuration (NULL: none) and of stack files; view_set_free is due. Without
 * either these are the views that every export has. NULL with the error. */
struct view_set *definitions_read(const char *config_file, const struct option_texts *stacks,
                                  struct error *error);
/* One reference. NULL with ERROR_VIEW_NOT_FOUND. */
const struct view *definitions_find(const struct view_set *set, const char *id,
                                    struct error *error);

#endif
