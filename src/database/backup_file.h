/* Shared by the two files of the backup: the copy under its temporary name. */
#ifndef STORE_BACKUP_H
#define STORE_BACKUP_H

#include "database/database_internal.h"

struct backup_file {
    const char *to; /* as the operator named it */
    char *partial;  /* the temporary name beside it */
    int descriptor; /* of that, locked; -1: none */
    int lock;       /* of a database that is to be replaced; -1: there is none */
    bool replace;
    bool made; /* remove it at the end */
};

/* Make an empty file under the temporary name, with the permissions of the database; or refuse,
 * with the obstacle. The file of an interrupted backup is reused. */
bool backup_file_make(struct backup_file *file, const struct database *database,
                      struct error *error);
/* Whether so much more can be written to its disk. */
bool backup_file_has_room(const struct backup_file *file, int64_t bytes, struct error *error);
/* Everything on disk, then its real name, and that on disk too. */
bool backup_file_keep(struct backup_file *file, struct error *error);
/* Remove it unless it was kept, and free the names. */
void backup_file_fini(struct backup_file *file);

#endif
