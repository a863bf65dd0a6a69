/* `stele explain`: the answer as text. */
#ifndef CLI_EXPLAIN_H
#define CLI_EXPLAIN_H

#include "base/base.h"

#include <stdio.h>

/* Print an answer (docs/explain.md) for people. False if it is none. */
bool explain_print(FILE *out, struct span answer, struct error *error);

#endif
