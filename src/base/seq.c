/* Cursors as text: "{slot}:{index}". */
#include "base/seq.h"

enum { INDEX_DIGITS = 12 };

/* At least `width` digits; returns how many. By hand, because every change has its seq printed. */
static size_t print_number(char *out, uint64_t number, size_t width)
{
    char digits[20];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number || count < width);
    for (size_t i = 0; i < count; i++)
        out[i] = digits[count - 1 - i];
    return count;
}

size_t seq_print(char *out, struct seq seq)
{
    size_t length = print_number(out, (uint64_t)seq.slot, 1);
    out[length++] = ':';
    length += print_number(out + length, (uint64_t)seq.index, INDEX_DIGITS);
    out[length] = '\0';
    return length;
}

/* One or more digits from *position on, which is moved behind them. */
static bool parse_number(struct span text, size_t *position, int64_t *number)
{
    size_t start = *position;
    int64_t value = 0;
    for (; *position < text.length; (*position)++) {
        char c = text.data[*position];
        if (c < '0' || c > '9')
            break;
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, c - '0', &value))
            return false;
    }
    *number = value;
    return *position > start;
}

bool seq_parse(struct span text, struct seq *seq)
{
    size_t position = 0;
    struct seq parsed;
    if (!parse_number(text, &position, &parsed.slot) || position == text.length ||
        text.data[position++] != ':' || !parse_number(text, &position, &parsed.index) ||
        position != text.length)
        return false;
    *seq = parsed;
    return true;
}
