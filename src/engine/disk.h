/*
 * Whether the disk and the file accept writes. While they do not, the intake is stopped: the writer
 * answers waiting submissions with that error, and tries here until it can go on.
 */
#ifndef ENGINE_DISK_H
#define ENGINE_DISK_H

#include "engine/checkpoints.h"

/* Embedded in the engine, zeroed at first; the writer's but for `state`. */
struct disk {
    /* Set before the writer starts; all outlive it. */
    struct store_writer *store;
    struct database *database;
    struct checkpoints *checkpoints;
    int64_t max_wal_bytes;  /* 0: unlimited */
    _Atomic int state;      /* an enum error_code; ERROR_NONE: writes are accepted */
    uint64_t probe_us;      /* when the failing disk is tried next */
    uint64_t probe_rest_us; /* and how long between two attempts */
    int64_t room;           /* that must be there before intake goes on */
    bool on_trial;          /* intake went on, and no commit has succeeded since */
    uint64_t watch_us;      /* when the files are looked at next */
};

/* ERROR_NONE, or why no mutations are accepted. Any thread. */
static inline enum error_code disk_state(const struct disk *disk)
{
    return (enum error_code)atomic_load(&disk->state);
}
/* The error for a refused caller. Always false. Any thread. */
bool disk_error(const struct disk *disk, enum error_code state, struct error *error);
/* Stop the intake if this error of a transaction is one of the disk or the file, and log it. */
bool disk_stop_intake(struct disk *disk, const struct error *error);
/* Now and then: whether the files are there and whole. */
void disk_watch(struct disk *disk);
/* Once a second, while the intake is stopped: whether it can go on. */
void disk_probe(struct disk *disk);
/* A commit of mutations succeeded: earlier faults are over. */
void disk_committed(struct disk *disk);

#endif
