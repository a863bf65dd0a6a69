/* UTF-8: whether what comes from the network is, and cutting it so that it stays so. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stddef.h>

/* The bytes of the well-formed character that `data` begins with (1 to 4), or 0 if there is none
 * within `length` bytes. */
size_t utf8_character(const char *data, size_t length);
/* `length`, less the bytes of a last character that was cut in two. */
size_t utf8_whole(const char *data, size_t length);

#endif
