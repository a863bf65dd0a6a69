#include "base/utf8.h"

#include <stdbool.h>

static bool continues(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

/* How many bytes a character with this first byte has, or 0 if none begins so. */
static size_t announced(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first >= 0xC2 && first < 0xE0)
        return 2;
    if (first >= 0xE0 && first < 0xF0)
        return 3;
    return first >= 0xF0 && first < 0xF5 ? 4 : 0;
}

size_t utf8_character(const char *data, size_t length)
{
    const unsigned char *at = (const unsigned char *)data;
    size_t size = length ? announced(at[0]) : 0;
    if (size <= 1)
        return size;
    if (size > length)
        return 0;
    /* The second byte's range excludes overlong forms, surrogates and what is beyond U+10FFFF. */
    unsigned lowest = at[0] == 0xE0 ? 0xA0 : at[0] == 0xF0 ? 0x90 : 0x80;
    unsigned highest = at[0] == 0xED ? 0x9F : at[0] == 0xF4 ? 0x8F : 0xBF;
    if (at[1] < lowest || at[1] > highest)
        return 0;
    for (size_t i = 2; i < size; i++)
        if (!continues(data[i]))
            return 0;
    return size;
}

size_t utf8_whole(const char *data, size_t length)
{
    size_t start = length;
    while (start > 0 && length - start < 3 && continues(data[start - 1]))
        start--;
    if (start == 0)
        return length;
    start--;
    return announced((unsigned char)data[start]) > length - start ? start : length;
}
