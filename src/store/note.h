/*
 * What happened beside the changes, for replicas: tokens that were revoked, producers that were
 * forgotten, requests that had a key. The store writes a note with each of them, in its
 * transaction, and trims it with the changes before it.
 */
#ifndef STORE_NOTE_H
#define STORE_NOTE_H

#include "store/producer.h"

enum store_note_kind { STORE_NOTE_REVOKED = 1, STORE_NOTE_FORGOTTEN, STORE_NOTE_KEY };

struct store_note {
    int64_t id;     /* grows */
    int64_t change; /* the newest change then; never falls */
    enum store_note_kind kind;
    /* one of these, as it is now */
    struct store_revocation revoked;
    struct span forgotten; /* a producer */
    struct store_key key;
};

/* Those behind this id, in order, but for tokens and keys that have gone since. Texts are borrowed
 * until the callback returns; one that returns false stops the scan early (no error). */
bool store_read_notes(struct store_reader *reader, int64_t behind,
                      bool (*each)(void *argument, const struct store_note *note), void *argument,
                      struct error *error);
/* *id: behind it are the notes of this change, and of later ones. */
bool store_find_notes(struct store_reader *reader, int64_t change, int64_t *id,
                      struct error *error);

#endif
