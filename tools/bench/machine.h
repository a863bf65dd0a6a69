/* What the figures were measured on. */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include "base/base.h"

enum { MACHINE_TEXT = 160 };

struct machine {
    long cores;
    double memory_bytes;
    char processor[MACHINE_TEXT], kernel[MACHINE_TEXT], filesystem[MACHINE_TEXT];
    char server[MACHINE_TEXT]; /* what the program says about its version */
};

void machine_read(struct machine *machine, const char *program, const char *folder);

#endif
