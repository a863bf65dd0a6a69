/*
 * UTF-8, as far as base itself needs it: messages and log lines quote input from the network and
 * must stay valid. Not in base.h; for base alone.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stddef.h>

/* The bytes of the well-formed character that `data` begins with (1 to 4), or 0 if there is none
 * within `length` bytes. */
size_t utf8_character(const char *data, size_t length);
/* `length`, less the bytes of a last character that was cut in two. */
size_t utf8_whole(const char *data, size_t length);

#endif
