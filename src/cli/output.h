/* Texts of a server or of a file, printed for people: a terminal does not act on what they hold. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include "base/base.h"

#include <stdio.h>

/* A line on stderr, a blank in place of each such character. */
void output_tell(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Text on a stream, a '?' in place of each. */
void output_text(FILE *out, struct span text);
/* JSON: as it is, and on a terminal with escapes in their place, which is the same JSON. */
void output_json(FILE *out, struct span json);

#endif
