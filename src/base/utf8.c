#include "base/utf8.h"

#include <stdbool.h>
#include <stdint.h>

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
    if (length == 0)
        return 0;
    unsigned char first = (unsigned char)data[0];
    size_t size = announced(first);
    if (size <= 1)
        return size;
    if (size > length)
        return 0;
    uint32_t value = first & (0x7Fu >> size);
    for (size_t i = 1; i < size; i++) {
        if (!continues(data[i]))
            return 0;
        value = value << 6 | ((unsigned char)data[i] & 0x3F);
    }
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    bool surrogate = value >= 0xD800 && value < 0xE000;
    return value < smallest[size] || value > 0x10FFFF || surrogate ? 0 : size;
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
