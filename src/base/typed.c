#include "base/typed.h"

bool typed_number(struct span text, int64_t *number)
{
    size_t sign = text.length > 0 && text.data[0] == '-';
    if (text.length <= sign || text.length > 20)
        return false;
    uint64_t value = 0;
    for (size_t i = sign; i < text.length; i++) {
        unsigned digit = (unsigned char)text.data[i] - '0';
        if (digit > 9 || value > ((uint64_t)INT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *number = sign ? -(int64_t)value : (int64_t)value;
    return true;
}

enum { NAME_LENGTH = 160, MOST_COMPARED = 256 };

/* The number of letters to change, insert or drop to get from one name to the other. One row of
 * the usual table is enough, because a row depends only on the one above it. */
static size_t edits(const char *from, const char *to)
{
    size_t row[NAME_LENGTH + 1];
    size_t width = strlen(to);
    for (size_t column = 0; column <= width; column++)
        row[column] = column;
    for (size_t line = 0; from[line]; line++) {
        size_t diagonal = row[0];
        row[0] = line + 1;
        for (size_t column = 1; column <= width; column++) {
            size_t above = row[column];
            size_t best = diagonal + (from[line] != to[column - 1]);
            if (above + 1 < best)
                best = above + 1;
            if (row[column - 1] + 1 < best)
                best = row[column - 1] + 1;
            row[column] = best;
            diagonal = above;
        }
    }
    return row[width];
}

/* How long the longer one is before the end that both have. */
static size_t before_end(const char *from, size_t from_length, const char *to, size_t to_length)
{
    size_t shorter = from_length < to_length ? from_length : to_length, end = 0;
    while (end < shorter && from[from_length - 1 - end] == to[to_length - 1 - end])
        end++;
    return (from_length > to_length ? from_length : to_length) - end;
}

void nearest_offer(struct nearest *nearest, const char *name)
{
    size_t length = strlen(nearest->given), other = strlen(name);
    /* A guess that shares little with what was typed only confuses, also one that shares the end
     * that all names have. */
    size_t most = 1 + length / 3;
    if (length > NAME_LENGTH || other > NAME_LENGTH || other > length + most ||
        length > other + most || nearest->compared == MOST_COMPARED)
        return;
    nearest->compared++;
    size_t distance = edits(nearest->given, name);
    if (distance > most ||
        (distance > 2 && distance * 2 > before_end(nearest->given, length, name, other)))
        return;
    if (!nearest->name || distance < nearest->distance) {
        nearest->name = name;
        nearest->distance = distance;
    }
}
