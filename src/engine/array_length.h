/* max_array_length of each export: from the options, and from the database. */
#ifndef ENGINE_ARRAY_LENGTH_H
#define ENGINE_ARRAY_LENGTH_H

#include "engine/engine.h"

struct own_array_length {
    uint32_t length;
    size_t name_length;
    char name[];
};

struct array_lengths {
    uint32_t common;
    struct map own; /* struct own_array_length by export */
};

/* From the options / from the database, into what is all zero or new; both leave it to be ended,
 * also when they fail. */
bool array_lengths_take(struct array_lengths *lengths, const struct engine_options *options,
                        struct error *error);
bool array_lengths_read(struct array_lengths *lengths, struct store_reader *reader,
                        struct error *error);
void array_lengths_fini(struct array_lengths *lengths);
uint32_t array_length_of(const struct array_lengths *lengths, struct span export_name);
/* Note in the database the values that hold from now on; cursors from before another value are
 * refused. */
bool array_lengths_note(struct store_writer *store, const struct engine_options *options,
                        struct error *error);

#endif
