/*
 * A copy of the engine's database, made on a thread of its own in a file beside it that has no name
 * when it is whole. It is given up when the write-ahead log, which it holds, or the disk needs the
 * room.
 */
#ifndef HTTP_BACKUP_COPY_H
#define HTTP_BACKUP_COPY_H

#include "engine/engine.h"

#include <pthread.h>

enum { BACKUP_DIGEST_BYTES = 32 };

/* Embedded. What follows `give_up` is the thread's, until the event is delivered. */
struct backup_copy {
    struct engine *engine;
    struct engine_event *made;
    pthread_t thread;
    bool runs; /* the thread is to be joined */
    char *to;
    int64_t most_wal_bytes; /* with which it goes on */
    atomic_bool give_up;    /* nobody wants it any more */
    struct database_backup_result result;
    unsigned char digest[BACKUP_DIGEST_BYTES];
    struct error error; /* why there is none */
};

/* Remove what a server that was killed left of one. */
void backup_copy_clean(const struct engine *engine);
/* Zeroed before. `made` is posted when it is there, or will never be. */
bool backup_copy_start(struct backup_copy *copy, struct engine *engine, struct engine_event *made,
                       struct error *error);
/* Wait for the thread, which has posted `made` then. Idempotent; also of one that never began. */
void backup_copy_join(struct backup_copy *copy);
/* After the thread. */
void backup_copy_fini(struct backup_copy *copy);
/* Whether the disk of the database has room for what lies on it, and for the server to go on. */
bool backup_copy_has_disk(const struct engine *engine, struct error *error);

#endif
